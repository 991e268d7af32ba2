"""A home, a project, and hands to do things to them with: requests as any client makes them, and kill -9.

Used by the campaign; it judges nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

from runcept.api import messages as m
from runcept.client.autostart import ensure_daemon
from runcept.errors import DaemonStartFailed, DaemonUnreachable

__all__ = ["Stage", "pids_of"]

_DAEMON, _KEEPER = "runcept.daemon", "/keeper"


def pids_of(home: str, word: str) -> list[int]:
    """Living processes of ours whose command line names the home, and a word in one of its other arguments."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:
            arguments = os.fsdecode(file.read()).split("\0")[:-1]
            if home in arguments and any(each.endswith(word) for each in arguments):
                found.append(int(name))
    return found


class Stage:
    """One home and one project."""

    def __init__(self, root: Path) -> None:
        self.home, self.project, self.evidence = str(root / "home"), root / "project", root / "evidence"
        self.project.mkdir()
        self.evidence.mkdir()

    def write(self, kinds: dict[str, str]) -> None:
        """Make the project file: an actor each, with these further keys."""
        actor = Path(__file__).with_name("actor.py")
        parts = ['[project]\nname = "chaos"\n']
        for name, keys in kinds.items():
            kind, _, port = name.partition("-")
            command = [sys.executable, "-I", "-S", str(actor), str(self.evidence), kind, *([port] if port else [])]
            parts.append(f'[[process]]\nname = "{name}"\ncommand = {command!r}\n{keys}\n')
        (self.project / ".runcept.toml").write_text("".join(parts), encoding="utf-8")

    def ask(self, method: str, params: m.Params | None = None, *, seconds: float = 30) -> Any:
        """Ask as a command does, which starts a daemon where none is; again where it was killed before it answered."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                with ensure_daemon(self.home) as connection:
                    return connection.call(method, params, patience=seconds)
            except (DaemonUnreachable, DaemonStartFailed):  # the one that was being started can be killed as well
                if time.monotonic() > deadline:
                    raise

    def statuses(self) -> dict[str, Any]:
        """What `status` says of each process."""
        view = self.ask("status", m.Status(environment=str(self.project)))
        return {each.name: each for each in view.processes}

    def daemons(self) -> list[int]:
        """Their pids; one, as a rule."""
        return pids_of(self.home, _DAEMON)

    def keepers(self) -> list[int]:
        """Their pids; one, as a rule."""
        return pids_of(self.home, _KEEPER)

    def remove(self) -> None:
        """Delete all of it."""
        shutil.rmtree(self.project.parent)

    @staticmethod
    def kill(pids: list[int]) -> int:
        """kill -9; how many there were to be killed."""
        killed = 0
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed += 1
        return killed
