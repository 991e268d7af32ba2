"""A home, a project, and hands to do things to them with: requests as any client makes them, and kill -9.

Used by the campaign; it judges nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from runcept.api import messages as m
from runcept.api.operations import OPERATIONS
from runcept.client.autostart import ensure_daemon
from runcept.errors import DaemonStartFailed, DaemonUnreachable
from runcept.logs.reader import read
from runcept.paths import log_path

__all__ = ["Stage", "is_alive", "pids_of"]

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


def is_alive(pid: int) -> bool:
    """Whether a process runs: a zombie does not."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[0] != b"Z"
    return False


class Stage:
    """One home and one project."""

    def __init__(self, root: Path) -> None:
        self.home, self.project, self.evidence = str(root / "home"), root / "project", root / "evidence"
        self.project.mkdir()
        self.evidence.mkdir()

    def write(self, kinds: dict[str, str], of_all: str = "") -> None:
        """Make the project file: an actor each, with these further keys."""
        actor = Path(__file__).with_name("actor.py")
        parts = [f'[project]\nname = "chaos"\n{of_all}\n']
        for name, keys in kinds.items():
            kind = name.partition("-")[0]
            command = [sys.executable, "-I", "-S", str(actor), str(self.evidence), kind]
            parts.append(f'[[process]]\nname = "{name}"\ncommand = {command!r}\n{keys}\n')
        self.write_file("".join(parts))

    def write_file(self, text: str) -> None:
        """Make the project file of text; whoever reads it meanwhile reads a whole one."""
        new = self.project / ".runcept.toml.new"
        new.write_text(text, encoding="utf-8")
        new.rename(self.project / ".runcept.toml")

    def begin(self, *command: str) -> None:
        """Start the daemon as a child of this command, so that it has what that passes on to whom it executes."""
        code = f"from runcept.client.autostart import ensure_daemon; ensure_daemon({self.home!r}).close()"
        subprocess.run([*command, sys.executable, "-c", code], check=True)

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

    def ask_for(self, method: str, *names: str, seconds: float = 30, **parameters: Any) -> Any:
        """An operation on processes of the project (start, stop, restart), or on all of it (activate, deactivate)."""
        if names:
            parameters["names"] = list(names)
        params = OPERATIONS[method].params(environment=str(self.project), timeout=seconds, **parameters)
        return self.ask(method, params, seconds=seconds)

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

    def end(self) -> bool:
        """Stop everything, without grace; whether daemon and keeper have ended within ten seconds."""
        ours = [*self.daemons(), *self.keepers()]
        self.ask("daemon_stop", m.StopDaemon(kill=True))
        deadline = time.monotonic() + 10
        while any(map(is_alive, [*ours, *self.daemons(), *self.keepers()])):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def said(self) -> str:
        """What daemon and keeper have logged."""
        return "".join(each.read_text(errors="replace") for each in sorted(Path(self.home, "logs").glob("*.log")))

    def remove(self) -> None:
        """Delete all of it."""
        shutil.rmtree(self.project.parent)

    def messages(self, name: str, stream: str | None = "stdout") -> list[str]:
        """The lines of a process so far."""
        return [line.message for line in read({name: self.log(name)}, lines=None, stream=stream).lines]

    def log(self, name: str) -> str:
        """The path of a log."""
        return log_path(str(self.project), name)

    def strike(self, *, daemon: bool = False, keeper: bool = False) -> None:
        """kill -9 of either or both, at once: the keeper stops first, so that it starts no daemon in between."""
        keepers = self.keepers() if keeper else []
        for pid in keepers:
            os.kill(pid, signal.SIGSTOP)
        self.kill([*(self.daemons() if daemon else ()), *keepers])

    @staticmethod
    def kill(pids: list[int]) -> int:
        """kill -9, and wait until they are gone; how many there were to be killed."""
        killed = 0
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed += 1
        deadline = time.monotonic() + 10
        while any(map(is_alive, pids)) and time.monotonic() < deadline:
            time.sleep(0.005)
        return killed
