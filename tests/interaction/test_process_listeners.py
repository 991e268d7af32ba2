"""Who listens, asked by netlink: the same as the tables of /proc say, which serve where netlink does not."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterable

import pytest

from runcept.process import linux, sock_diag
from runcept.process.tcp import LISTEN, TcpSocket

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="netlink is Linux")


def told(rows: Iterable[TcpSocket]) -> set[tuple[int, int]]:
    """Of those that listen."""
    return {(row.handle, row.port) for row in rows if row.state == LISTEN}


def inode_and_port(listener: socket.socket) -> tuple[int, int]:
    """How a socket is told of."""
    return os.fstat(listener.fileno()).st_ino, listener.getsockname()[1]


def test_listeners_of_both_families_are_told_and_connections_are_not() -> None:
    """An IPv4 and an IPv6 listener are found; a connection, a bound socket and what is closed are not."""
    with contextlib.ExitStack() as stack:
        four = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        six = stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
        stack.enter_context(socket.create_connection(four.getsockname()))
        bound = stack.enter_context(socket.socket())
        bound.bind(("127.0.0.1", 0))
        known = {inode_and_port(four), inode_and_port(six)}
        ports = {port for _, port in known} | {bound.getsockname()[1]}
        for found in (told(sock_diag.sockets((LISTEN,))), told(linux._sockets_of_tables())):
            assert {entry for entry in found if entry[1] in ports} == known
    assert not known & told(sock_diag.sockets((LISTEN,)))


def test_more_listeners_than_one_datagram_holds() -> None:
    """Five hundred come in several datagrams, and each of them is found."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(500)]
        assert {inode_and_port(each) for each in listeners} <= told(sock_diag.sockets((LISTEN,)))


def test_the_tables_serve_where_netlink_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that does not know the question gets it from us as an error, and the ports are found all the same."""
    monkeypatch.setattr(sock_diag, "_TCPDIAG_GETSOCK", 99)
    with pytest.raises(OSError, match="Invalid argument"):
        sock_diag.sockets((LISTEN,))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert listener.getsockname()[1] in linux.listening([os.getpid()])[os.getpid()]
