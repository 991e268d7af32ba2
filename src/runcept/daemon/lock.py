"""One daemon a home: a lock that the kernel gives back however its holder ends."""

from __future__ import annotations

import fcntl
import os

__all__ = ["acquire"]


def acquire(home: str) -> int | None:
    """The descriptor that holds the lock for as long as it is open, or None: another daemon has it (flock(2))."""
    descriptor = os.open(os.path.join(home, "daemon.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor
