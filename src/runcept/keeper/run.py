"""One run of one process: its pid, its two FIFOs, its spool, its end. It knows no socket and no daemon."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import termios
import time
from functools import partial
from typing import Any

from runcept.keeper.launch import Refused, launch
from runcept.keeper.portable import Portable
from runcept.keeper.spool import Spool

__all__ = ["Run"]

_STREAMS = ("stdout", "stderr")
_BATCH = 256 << 10
_TURN = 4 * _BATCH  # of one stream in one turn of the loop: a flood must not starve the others


class Run:
    """A process that lives, or has ended and is still held: as a zombie, so that its pid and group stay its own."""

    def __init__(self, request: dict[str, Any], system: Portable) -> None:
        self.key: str = request["key"]
        self.directory: str = request["directory"]
        self.system = system
        self.own = "argv" in request
        self.about = {name: request.get(name) for name in ("key", "pid", "start_time", "meta")}
        self.about |= {"boot_id": system.boot_id, "started_at": time.time() if self.own else None}
        self.exit: dict[str, Any] | None = None
        self.reading = self.watching = self.stuck = False
        self.watched = -1
        self.pipes: list[int] = []
        self.rests = (bytearray(), bytearray())
        self.spool = Spool(self.directory)
        self.consumed = self.spool.first
        self.pid = self.told = 0

    @classmethod
    def spawn(cls, request: dict[str, Any], system: Portable) -> Run:
        """A new process in a new directory, which the daemon removes also after a failure; OSError, Refused."""
        os.makedirs(os.path.dirname(request["directory"]), 0o700, exist_ok=True)
        os.mkdir(request["directory"], 0o700)
        run = cls(request, system)
        try:
            for name in _STREAMS:
                os.mkfifo(run.path(name), 0o600)
            run._open()
            run.pid = launch(request, tuple(map(run.path, _STREAMS)), run._introduce)
            run.watched = system.watch(run.pid)
            run.about |= {"pid": run.pid, "start_time": system.start_time(run.pid)}
        except (OSError, Refused):
            if run.pid:  # no descriptor left to watch it by: what cannot be held must not live
                os.kill(run.pid, signal.SIGKILL)
                os.waitpid(run.pid, 0)
            run.close()
            raise
        return run

    @classmethod
    def adopt(cls, request: dict[str, Any], system: Portable) -> Run:
        """A living process that an earlier keeper spawned; ProcessLookupError where it is gone or another one."""
        run = cls(request, system)
        run.pid = request["pid"]
        run.watched = system.watch(run.pid)
        try:
            if system.start_time(run.pid) not in (None, request["start_time"]):
                raise ProcessLookupError
            run._open()
        except OSError:
            run.close()
            raise
        return run

    def path(self, name: str) -> str:
        """A file of this run."""
        return os.path.join(self.directory, name)

    def _open(self) -> None:
        for path in map(self.path, _STREAMS):
            # Read-write: with a writer of our own a FIFO never hangs up, which poll would report without end.
            self.pipes.append(os.open(path, os.O_RDWR | os.O_NONBLOCK))

    def _introduce(self) -> None:
        """In the child, before the exec: no program of ours ever runs without its record."""
        pid = os.getpid()
        self._write("run.json", self.about | {"pid": pid, "start_time": self.system.start_time(pid)})

    def _write(self, name: str, facts: dict[str, Any]) -> None:
        with open(self.path(name + ".new"), "w", encoding="ascii") as file:
            json.dump(facts, file)
        os.rename(self.path(name + ".new"), self.path(name))

    def as_dict(self) -> dict[str, Any]:
        """The entry of this run in the answer to hello."""
        return self.about | {"size": self.spool.size, "exit": self.exit}

    def read(self, stream: int, limit: int = _TURN) -> int:
        """Move what waits in a FIFO to the spool, `limit` bytes at most; OSError: the spool cannot take it."""
        pipe, rest, total = self.pipes[stream], self.rests[stream], 0
        move = partial(self.system.move, rest, pipe)
        while total < limit and (waiting := self._waiting(stream)):
            count = min(waiting, limit - total, _BATCH)
            total += self.spool.take(stream, count, move)
        return total

    def _waiting(self, stream: int) -> int:
        found = fcntl.ioctl(self.pipes[stream], termios.FIONREAD, bytes(4))
        return int.from_bytes(found, sys.byteorder) + len(self.rests[stream])

    def drain(self) -> None:
        """Move what waits at this moment, and no more: somebody who still writes must not keep us."""
        for stream in range(len(self.pipes)):
            self.read(stream, self._waiting(stream))

    def ended(self) -> bool:
        """Whether it is just found to have ended; from then on `exit` says how."""
        try:
            status = self.system.peek(self.pid) if self.own else self.system.fate(self.pid, self.watched)
        except (ProcessLookupError, ChildProcessError):
            code = number = None  # nobody knows, and it is not guessed
        except PermissionError:  # it has become another user's, so it lives
            return False
        else:
            if status is None:
                return False
            code, number = (status, None) if status >= 0 else (None, -status)
        self.exit = {"code": code, "signal": number, "at": time.time()}
        return True

    def record(self) -> None:
        """Write exit.json, while the zombie is still there to be asked again."""
        self._write("exit.json", {**(self.exit or {}), "size": self.spool.size})

    def signal(self, number: int, to: str) -> None:
        """Signal the process or its group; ProcessLookupError where there is nobody."""
        if self.exit is not None and not (self.own and to == "group"):
            raise ProcessLookupError
        if to == "group":
            os.killpg(self.pid, number)  # its leader lives or is held: the number cannot be somebody else's
        else:
            self.system.send(self.pid, self.watched, number)

    def close(self) -> None:
        """Close everything, and reap the leader if it has ended."""
        for descriptor in (*self.pipes, self.watched):
            if descriptor >= 0:
                os.close(descriptor)
        self.spool.close()
        if self.own and self.exit is not None:
            with contextlib.suppress(ChildProcessError):  # Portable.peek had to reap it
                os.waitpid(self.pid, 0)
