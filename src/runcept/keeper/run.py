"""One run of one process: its pid, its two FIFOs, its spool, its end. It knows no socket and no daemon."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import signal
import socket
import sys
import termios
import time
from typing import Any

from runcept.keeper.door import install
from runcept.keeper.launch import launch
from runcept.keeper.spool import Spool
from runcept.keeper.system import Portable

__all__ = ["Run"]

_STREAMS = ("stdout", "stderr")
_ABOUT = ("key", "pid", "start_time", "boot_id", "meta")


class Run:
    """A process that lives, or has ended and is still held: a child as a zombie, so that its pid stays its own.

    A request with `argv` spawns one in a new `directory`, which the daemon removes, also after an OSError; `cgroup` is
    the directory of the control group that it is to begin in. One with `pid` adopts what an earlier keeper spawned, of
    whose output `offset` bytes were logged, and which may have ended by then; ProcessLookupError where nothing is left
    of it, or the pid is another's.
    """

    def __init__(self, request: dict[str, Any], system: Portable) -> None:
        self.key = str(request["key"])
        self.directory: str = request["directory"]
        self.own = "argv" in request
        self.umask = request.get("umask", 0o022)
        self.system = system
        self.about: dict[str, Any] = {name: request.get(name) for name in _ABOUT}
        self.about |= {"key": self.key, "started_at": time.time() if self.own else None}
        self.group: str | None = request.get("cgroup")
        self.report = socket.socketpair() if request.get("door") else None
        """Brings us, in the first, the descriptor where the kernel asks about what it binds."""
        self.exit: dict[str, Any] | None = None
        self.begun, self.failed = not self.own, ""
        """`begun`: a child was executed. Or it never will be: then `failed` is the step and the errno, else empty."""
        self.reading = self.recorded = False
        self.pid, self.watched, self.stuck = 0, -1, ""
        """`watched`: of a child, what `begin` is to read; of a stranger, what tells its end. `stuck`: why what it
        writes is not taken, until that is tried again."""
        self.pipes: list[int] = []
        self.wide: set[int] = set()
        """Those that were made to hold more: not all are, since a user has so many pages for pipes, pipe(7)."""
        self.rests = (bytearray(), bytearray())
        if self.own:
            os.makedirs(self.directory, 0o700)
        self.spool = Spool(self.directory, request.get("offset", 0))
        try:
            (self._spawn if self.own else self._adopt)(request)
        except BaseException:  # whatever it was
            if self.own and self.pid:  # what cannot be held must not live
                os.kill(self.pid, signal.SIGKILL)
            self.close()
            raise

    def _spawn(self, request: dict[str, Any]) -> None:
        self._open()
        spare = -1 if self.report is None else self.report[1].fileno()
        self.pid, self.watched = launch(request["argv"], request["env"], request["cwd"], self._introduce, spare)
        self.about |= {"pid": self.pid, "start_time": self.system.start_time(self.pid)}

    def _adopt(self, request: dict[str, Any]) -> None:
        self.pid = request["pid"]
        self.watched = self.system.watch(self.pid)
        if self.system.start_time(self.pid) not in (None, request["start_time"]):
            raise ProcessLookupError(errno.ESRCH, self.key)
        self._open()  # before the look: what ends from here on leaves its last output with us
        self.ends()

    def _open(self) -> None:
        for name in _STREAMS:
            if self.own:
                os.mkfifo(f"{self.directory}/{name}", 0o600)
            # Read-write: with a writer of our own a FIFO never hangs up, which poll would report without end.
            self.pipes.append(os.open(f"{self.directory}/{name}", os.O_RDWR | os.O_NONBLOCK))

    def _introduce(self) -> None:
        """In the child, before the exec: no program of ours ever runs without its record."""
        pid = os.getpid()
        if self.group:
            with contextlib.suppress(OSError), open(f"{self.group}/cgroup.procs", "w", encoding="ascii") as file:
                file.write("0")  # itself, cgroups(7); where it may not, it is held together by other means
        self._write("run.json", self.about | {"pid": pid, "start_time": self.system.start_time(pid)})
        for descriptor, name in enumerate(_STREAMS, 1):
            # Opened anew, it shares no O_NONBLOCK with us; read-write, it has no SIGPIPE when we are gone.
            os.dup2(os.open(f"{self.directory}/{name}", os.O_RDWR), descriptor)
        if self.report:
            install(self.report[1].detach())
        os.umask(self.umask)  # ours is private

    def _write(self, name: str, facts: dict[str, Any]) -> None:
        path = f"{self.directory}/{name}"
        with open(path + ".new", "w", encoding="ascii") as file:
            json.dump(facts, file)
        os.rename(path + ".new", path)

    def as_dict(self) -> dict[str, Any]:
        """The entry of this run in the answer to hello."""
        return self.about | {"size": self.spool.size, "exit": self.exit, "stuck": self.stuck, "begun": self.begun}

    def begin(self) -> None:
        """It is executed, or has failed: there is something to read in `watched`. Before, it does not end."""
        with open(self.watched, encoding="ascii") as report:
            self.failed = report.read()
        self.begun, self.watched = True, -1

    def ends(self) -> bool:
        """Whether it is just found to have ended; from then on `exit` says how."""
        if self.exit or not self.begun:
            return False
        code = number = None  # where nobody knows, it is not guessed
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            start = self.about["start_time"]
            status = self.system.peek(self.pid) if self.own else self.system.fate(self.pid, self.watched, start)
            if status is None:
                return False
            code, number = (status, None) if status >= 0 else (None, -status)
        self.exit = {"code": code, "signal": number, "at": time.time(), "failed": self.failed}
        return True

    def save(self) -> int:
        """Move what waits in the FIFOs to the spool, and say how much; then record the end, while the zombie is there.

        OSError where there is no room for all of it; it can be tried again.
        """
        moved = self._move(0) + self._move(1)
        if self.exit and not self.recorded:
            os.makedirs(self.directory, 0o700, exist_ok=True)
            self._write("exit.json", self.exit | {"size": self.spool.size})
            self.recorded = True
        return moved

    def _move(self, stream: int) -> int:
        pipe, rest, total = self.pipes[stream], self.rests[stream], 0
        while total < 1 << 20:  # more than a pipe holds, and no flood that starves the others
            found = fcntl.ioctl(pipe, termios.FIONREAD, bytes(4))
            waiting = int.from_bytes(found, sys.byteorder) + len(rest)
            if not waiting:
                break
            if waiting > 1 << 15 and pipe not in self.wide:  # half full, of one that was not widened
                self.wide.add(pipe)
                self.system.widen(pipe)
            moved = self.system.move(rest, pipe, self.spool.mark(stream), waiting)
            self.spool.size += moved
            total += moved
            if moved == waiting <= 4096:  # that was all: to look once more costs as much as the whole of a short line
                break
        return total

    def signal(self, number: int) -> None:
        """Signal its group, right after `ends` was asked; ProcessLookupError where there is nobody."""
        if self.exit and not self.own:
            raise ProcessLookupError(errno.ESRCH, self.key)
        os.killpg(self.pid, number)  # it lives or is held: the number cannot be somebody else's

    def close(self) -> None:
        """Close everything, and reap a child, which has ended."""
        for descriptor in (*self.pipes, self.watched):
            if descriptor >= 0:
                os.close(descriptor)
        self.spool.close()
        if self.own and self.pid:
            with contextlib.suppress(ChildProcessError):  # Portable.peek had to reap it
                os.waitpid(self.pid, 0)
