"""Processes from package.json: the scripts that stay, run by the package manager whose lockfile is there."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from runcept.config.guess.files import readable_text
from runcept.config.importing.draft import Proposal, name_from

__all__ = ["from_package_json"]

_LOCKFILES = {
    "bun.lock": "bun", "bun.lockb": "bun", "pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "package-lock.json": "npm",
}  # fmt: skip
_MAIN = ("dev", "develop", "serve", "start")  # the first of these is the program itself
_BESIDE = re.compile(r"(dev:|start:|serve:)?(api|client|frontend|backend|server|workers?|queue|jobs|scheduler|cron)")
_PORT = re.compile(r"(?:--port[ =]|-p |\bPORT=)(\d{2,5})\b")
_USUAL_PORTS = (("vite", 5173), ("next", 3000), ("nuxt", 3000), ("react-scripts", 3000), ("astro", 4321), ("ng ", 4200))


def from_package_json(directory: str, main_name: str) -> list[Proposal]:
    """What the scripts of a package.json suggest, the main one as `main_name`; nothing when it cannot be read."""
    try:
        package: Any = json.loads(readable_text(os.path.join(directory, "package.json")) or "{}")
    except (ValueError, RecursionError):
        return []
    scripts = package.get("scripts") if isinstance(package, dict) else None
    if not isinstance(scripts, dict):
        return []
    texts = {name: text for name, text in scripts.items() if isinstance(text, str) and _is_plain(name)}
    runner = _runner(directory, package)
    main = next((name for name in _MAIN if name in texts), None)
    found = [_proposal(main_name, main, texts[main], runner)] if main else []
    together = main is not None and any(f"dev:{part}" in texts[main] for part in ("api", "client", "server"))
    for name, text in texts.items():
        if name != main and _BESIDE.fullmatch(name) and not together:
            found.append(_proposal(name_from(name.rpartition(":")[2], "script"), name, text, runner))
    return found


def _is_plain(name: str) -> bool:
    return re.fullmatch(r"[\w:.-]+", name, re.ASCII) is not None


def _runner(directory: str, package: dict[str, Any]) -> str:
    for lockfile, manager in _LOCKFILES.items():
        if os.path.exists(os.path.join(directory, lockfile)):
            return manager
    named = str(package.get("packageManager", "")).partition("@")[0]
    return named if named in _LOCKFILES.values() else "npm"


def _proposal(name: str, script: str, text: str, runner: str) -> Proposal:
    port = _port(text)
    suggestions = (f'health_check = "http://localhost:{port}"',) if port else ()
    return Proposal(name, f"{runner} run {script}", f'package.json, script "{script}"', suggestions=suggestions)


def _port(text: str) -> int | None:
    if written := _PORT.search(text):
        return int(written[1]) if int(written[1]) <= 65535 else None
    return next((port for tool, port in _USUAL_PORTS if text.startswith(tool)), None)
