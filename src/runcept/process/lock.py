"""One daemon and one keeper a home: locks that the kernel gives back however their holders end, flock(2)."""

from __future__ import annotations

import fcntl
import os
import select
from contextlib import suppress
from signal import SIGHUP

from runcept.process.identity import start_time
from runcept.process.members import Member
from runcept.process.signals import send

__all__ = ["Lock", "call_holder"]

_PAUSES = (0.02, 0.02, 0.0)
"""Seconds between tries: whoever only looks whether a lock is taken has it for a moment himself."""


class Lock:
    """A lock that is ours for as long as its descriptor is open. The file names who has it: "PID START_TIME"."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, home: str, name: str, *, to_hold: bool = True) -> Lock | None:
        """The lock, or None: another process has it. Where it is not `to_hold`, we do not name ourselves in it."""
        path = os.path.join(home, name)
        descriptor = _taken(path, to_hold=to_hold)
        return None if descriptor is None else cls(path, descriptor)

    def is_in_place(self) -> bool:
        """Whether its file is the one of that name: else somebody has removed it, and another may have the home."""
        try:
            found = os.stat(self.path)
        except OSError:
            return False
        ours = os.fstat(self._descriptor)
        return (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)

    def renew(self) -> bool:
        """Take the lock of that name again, after its file was removed; False: another process has it."""
        new = _taken(self.path, to_hold=True)
        if new is None:
            return False
        self._descriptor, old = new, self._descriptor
        os.close(old)
        return True

    def close(self) -> None:
        """Give it back."""
        os.close(self._descriptor)


def _taken(path: str, *, to_hold: bool) -> int | None:
    """The descriptor that has the lock; None: another process has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for pause in _PAUSES:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if to_hold:
                pid = os.getpid()
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{pid} {start_time(pid) or 0}\n".encode(), 0)
            return descriptor
        select.select([], [], [], pause)
    os.close(descriptor)
    return None


def call_holder(home: str, name: str) -> None:
    """Tell the process that has the lock that it was not found: SIGHUP, by which it makes its socket anew.

    Only to the very process that has written itself down, and that still lives: the file may be of an earlier boot, or
    of another machine with the same home.
    """
    with suppress(OSError, ValueError), open(os.path.join(home, name), encoding="ascii") as file:
        pid, started = map(int, file.read().split())
        send(Member(pid, started, ""), SIGHUP)
