"""A Procfile: `name: command` lines, as foreman, Heroku, honcho and overmind read them.

foreman and overmind give the n-th process the port base + n * step as PORT: 5000, 5100, 5200. A process gets it here
when its command says PORT, and `web`, which has to listen on it, when its command names no port. What overmind is told
in `.overmind.env` becomes keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from runcept.config.importing.checks import duration, go_seconds, signal
from runcept.config.importing.draft import Draft, Proposal, names_for
from runcept.config.importing.values import Unmapped, brief

__all__ = ["LINE", "PROCFILES", "from_procfile"]

PROCFILES = ("Procfile.dev", "Procfile")
LINE = re.compile(r"[ \t]*([\w.-]+):[ \t]*(\S.*)", re.ASCII)
_SAYS_PORT = re.compile(r"\$PORT\b|\$\{PORT\b")
_NAMES_PORT = re.compile(r"(?:--port[ =]?|-p[ =]?|\bPORT=|:)\d{2,5}\b")
_OVERMIND = "OVERMIND_"
_REASONS = {
    "CAN_DIE": "when one ends, the others go on",
    "ANY_CAN_DIE": "when one ends, the others go on",
    "FORMATION": "one copy of each process",
    "FORMATION_PORT_STEP": "one copy of each process",
    "SHELL": "the key shell of [project]",
    "COLORS": "names have the colours that there are",
    "SHOW_TIMESTAMPS": "every line has its time: runcept logs -v",
    "PROCFILE": "",  # it led here
    "ROOT": "the key working_dir of [project]",
    "PROCESSES": "the key autostart of each process",
    "SOCKET": "there is one daemon",
    "DAEMONIZE": "processes always run in the background",
    "NO_PORT": "",  # seen to
    "SKIP_ENV": "take .env out of env_files",
}


def from_procfile(text: str, file: str, settings: Mapping[str, str], port: int = 5000) -> Draft:
    """What the lines say. `settings` is `.overmind.env`; `port` the first one that is given, if that does not say."""
    overmind = {key.removeprefix(_OVERMIND): value for key, value in settings.items() if key.startswith(_OVERMIND)}
    base, step = _number(overmind.pop("PORT", ""), port), _number(overmind.pop("PORT_STEP", ""), 100)
    lost = []
    lines: list[tuple[str, str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if found := LINE.fullmatch(line.rstrip()):
            lines.append((found[1], found[2].strip()))
        elif line.strip() and not line.lstrip().startswith("#"):
            nested = line.split()[0] == "-f"
            why = "read that file for itself: runcept init --from" if nested else "not a line `name: command`"
            lost.append(Unmapped(f"line {number}", brief(line), why, number))
    # a name that stands twice is two processes: foreman would run the last one alone, others both
    numbered = [_nth(name, [other for other, _ in lines[:at]].count(name)) for at, (name, _) in enumerate(lines)]
    names = names_for(numbered, "process")
    gives = "NO_PORT" not in overmind
    processes = []
    for at, (name, (said, command)) in enumerate(zip(map(names.__getitem__, numbered), lines, strict=True)):
        keys = _keys(said, overmind)
        suggestions: tuple[str, ...] = ()
        if gives and said != "release" and _wants_port(said, command):
            keys["ports"] = [base + step * at]
            suggestions = ('ports = "auto"  # any free one',)
        note = "Heroku runs it at each deployment; here `runcept start` does." if said == "release" else ""
        renamed = "" if said == name else f"It was called {said}."
        processes.append(
            Proposal(name, command, f"{file}, {said}", True, f"{renamed} {note}".strip(), (), keys, suggestions)
        )
    for key in sorted(overmind):
        if key not in {"AUTO_RESTART", "STOP_SIGNALS", "IGNORED_PROCESSES", "TIMEOUT"}:
            reason = _REASONS.get(key, "a setting of overmind alone")
            lost += [Unmapped(f".overmind.env {_OVERMIND}{key}", brief(overmind[key]), reason, 0)] if reason else []
    project: dict[str, Any] = {}
    if (seconds := go_seconds(overmind.get("TIMEOUT", ""))) is not None:
        project["stop_timeout"] = duration(seconds)
    return Draft(tuple(processes), project, tuple(lost))


def _nth(name: str, before: int) -> str:
    return f"{name} {before + 1}" if before else name


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 6 else otherwise


def _wants_port(name: str, command: str) -> bool:
    return _SAYS_PORT.search(command) is not None or (name == "web" and not _NAMES_PORT.search(command))


def _keys(name: str, overmind: Mapping[str, str]) -> dict[str, Any]:
    """What is said of one process elsewhere."""
    keys: dict[str, Any] = {}
    if name == "release":
        keys |= {"kind": "task", "autostart": False}
    again = overmind.get("AUTO_RESTART", "").split(",")
    if name in again or "all" in again:
        keys["restart"] = "always"
    if name in overmind.get("IGNORED_PROCESSES", "").split(","):
        keys["autostart"] = False
    for pair in overmind.get("STOP_SIGNALS", "").split(","):
        whose, _, word = pair.partition("=")
        if whose == name and (stop := signal(word)):
            keys["stop_signal"] = stop
    return keys
