"""TCP ports before a start: whether one is free, whose it is, and one that nobody has. IPv4 and IPv6 alike."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Collection, Iterable

from runcept.process import system
from runcept.process.system import command_of

__all__ = ["command_of", "is_free", "owner_of", "pick_free"]

_PLACES = (
    (socket.AF_INET, "127.0.0.1"),
    (socket.AF_INET, "0.0.0.0"),  # noqa: S104  bound for a moment and never listened on
    (socket.AF_INET6, "::1"),
    (socket.AF_INET6, "::"),
)
_OFFERS = 1000
_MISSING = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def owner_of(port: int) -> tuple[int, str] | None:
    """(pid, command line) of the process that listens on the port, at any address; None: nobody, or not ours to see.

    Of several that share it (a server and its workers) the one that was started first.
    """
    started = {entry.pid: entry.start_time for entry in system.entries()}
    holders = system.listening(started, only={port})
    if not holders:
        return None
    pid = min(holders, key=lambda holder: (started[holder], holder))
    return pid, command_of(pid)


def is_free(port: int) -> bool:
    """Whether a server could bind the port at every address; a port below 1024 that we may not bind counts as free.

    SO_REUSEADDR is set, as servers do: connections in TIME_WAIT do not make a port taken.
    """
    return all(_can_bind(family, address, port) for family, address in _places())


def pick_free(exclude: Collection[int] = ()) -> int:
    """A port that nobody listens on now and that is not in `exclude`; the kernel's choice, so rarely the same twice.

    OSError where it offers none such.
    """
    for _ in range(_OFFERS):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in exclude and is_free(port):
            return port
    raise OSError(errno.EADDRNOTAVAIL, "no port is free")


def _places() -> Iterable[tuple[socket.AddressFamily, str]]:
    return _PLACES if socket.has_ipv6 else _PLACES[:2]


def _can_bind(family: socket.AddressFamily, address: str, port: int) -> bool:
    with contextlib.ExitStack() as stack:
        try:
            probe = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family is socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((address, port))
        except PermissionError:
            return True
        except OSError as error:
            return error.errno in _MISSING  # no IPv6 here: nobody can hold it there
    return True
