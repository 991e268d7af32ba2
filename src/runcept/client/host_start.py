"""Starts a host of a home: `host`, which has the command line loaded, or `mcp`, which serves AI assistants.

The lock of a host is taken here and handed over with the start, so however many ask for it at the same moment, they
start one. It is in a session of its own: whoever kills the group of its starter does not mean it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator

TYPE_CHECKING = False  # to import it from typing takes longer than all else here
if TYPE_CHECKING:
    import socket

__all__ = ["IDLE_SECONDS", "LOCK", "host_stderr", "listen", "start_host"]

IDLE_SECONDS = 600.0
"""How long a host lives without a request."""
_BACKLOG = 128
LOCK = 3
"""The descriptor under which the host finds its lock."""
_SIGNALS = (1, 2, 3, 13, 15, 20)  # of those that a shell may have us ignore: SIGHUP, INT, QUIT, PIPE, TERM, TSTP
_KEPT = {"HOME", "LOGNAME", "PATH", "USER"}


def host_stderr(home: str, kind: str = "host") -> str:
    """Where the stderr of the last host is: a traceback, if it ended by a defect."""
    return os.path.join(home, "logs", f"{kind}.stderr")


def start_host(home: str, idle_seconds: float = IDLE_SECONDS, *, kind: str = "host") -> int | None:
    """Start a host, "host" or "mcp", in a session of its own. Its pid; None where one lives already, or cannot."""
    try:
        with open(os.path.join(home, f"{kind}.lock"), "ab", opener=_private) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return _spawn(home, kind, lock.fileno(), idle_seconds)  # which holds it from here on
    except OSError:  # one has it already; or the machine has no room for one, and the caller does without
        return None


def listen(path: str) -> socket.socket:
    """For a host: its listening socket, mode 0600 from its first instant. It has the lock, so an old one is stale."""
    import socket  # who starts a host does without

    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    os.umask(0o177)
    listener.bind(path)
    os.umask(0o077)
    listener.listen(_BACKLOG)
    return listener


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _spawn(home: str, kind: str, lock: int, idle_seconds: float) -> int:
    # -P: the directory in which the command was called is no place to import from.
    command = [sys.executable, "-P", "-X", "utf8", "-m", f"runcept.{kind}", home, f"{idle_seconds:g}"]
    kept = {key: value for key, value in os.environ.items() if key in _KEPT or key.startswith("PYTHON")}
    os.set_inheritable(lock, True)  # for where it has the right number already
    to_stderr = (
        os.POSIX_SPAWN_OPEN,
        2,
        host_stderr(home, kind),
        os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND,
        0o600,
    )
    actions = [
        (os.POSIX_SPAWN_DUP2, lock, LOCK),
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
        (os.POSIX_SPAWN_DUP2, 0, 1),
        to_stderr,
        *((os.POSIX_SPAWN_CLOSE, each) for each in _inherited() if each > LOCK),
    ]
    return os.posix_spawn(
        sys.executable, command, kept, file_actions=actions, setsid=True, setsigmask=[], setsigdef=_SIGNALS
    )


def _inherited() -> Iterator[int]:
    """The descriptors that a program we start would get: our caller may wait for the end of a pipe among them."""
    for each in map(int, os.listdir("/dev/fd")):
        try:
            if os.get_inheritable(each):
                yield each
        except OSError:  # the listing's own, closed by now
            continue
