"""One daemon and one keeper a home: locks that the kernel gives back however their holders end."""

from __future__ import annotations

import fcntl
import os

__all__ = ["acquire", "holder"]


def acquire(home: str, name: str) -> int | None:
    """The descriptor that holds the lock for as long as it is open, or None: another process has it (flock(2)).

    The file names the one that has it.
    """
    descriptor = os.open(os.path.join(home, name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.pwrite(descriptor, b"%-9d\n" % os.getpid(), 0)  # over that of an earlier one
    return descriptor


def holder(home: str, name: str) -> int | None:
    """The pid of the process that has the lock, as it has written it down."""
    try:
        with open(os.path.join(home, name), encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None
