"""Puts other tools into a directory, each by its ordinary package client, and notes why one is not to be had.

Of the last ones it is noted only: they could not be had where this was written, so nothing here runs them yet.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["UNTRIED", "absent", "install"]

PYTHON_TOOLS = ("supervisor", "circus", "honcho")
NODE_TOOLS = ("pm2", "concurrently", "mprocs")
UNTRIED = {
    "process-compose": ["go", "install", "github.com/f1bonacc1/process-compose@latest"],
    "overmind": ["go", "install", "github.com/DarthSim/overmind/v2@latest"],
    "pitchfork": ["cargo", "install", "--quiet", "pitchfork-cli"],
}
REASONS = "absent.json"
PATIENCE = 900.0
URL = re.compile(r"\w+://\S+")


def install(directory: Path) -> dict[str, str]:
    """Install what can be; the names of the others, with why."""
    directory.mkdir(parents=True, exist_ok=True)
    places = {"GOBIN": str(directory / "bin"), "CARGO_INSTALL_ROOT": str(directory / "cargo")}
    environ = os.environ | places
    reasons = {name: why for name, command in commands(directory) if (why := attempt(command, environ))}
    (directory / REASONS).write_text(json.dumps(reasons, indent=1) + "\n", encoding="utf-8")
    return reasons


def absent(directory: Path | None) -> dict[str, str]:
    """What `install` noted there."""
    path = directory / REASONS if directory is not None else None
    if path is None or not path.exists():
        return {}
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return found


def commands(directory: Path) -> Iterator[tuple[str, list[str]]]:
    """What is to be run for each, in order."""
    yield "venv", [sys.executable, "-m", "venv", str(directory / "venv")]
    for name in PYTHON_TOOLS:
        yield name, [str(directory / "venv/bin/python"), "-m", "pip", "install", "--quiet", name]
    for name in NODE_TOOLS:
        yield name, ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(directory / "npm"), name]
    yield from UNTRIED.items()


def attempt(command: list[str], environ: dict[str, str]) -> str:
    """Why it failed, in a line; "" where it did not."""
    print(" ".join(command), flush=True)
    try:
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except FileNotFoundError:
        return f"{command[0]} is not here"
    except subprocess.TimeoutExpired:
        return f"`{shown(command)}` was not through after {PATIENCE / 60:g} minutes"
    if done.returncode == 0:
        return ""
    said = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit status {done.returncode}"]
    return f"`{shown(command)}` says: {URL.sub('…', said[-1].strip())}"


def shown(command: list[str]) -> str:
    """The command, without directories of this machine."""
    return " ".join(word for word in command if not word.startswith(os.sep))
