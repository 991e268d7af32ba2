"""One row of the table of TCP sockets, the same on every system. Data alone."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CLOSED_SECONDS", "ESTABLISHED", "LISTEN", "MAPPED", "TIME_WAIT", "TcpSocket", "is_wildcard"]

ESTABLISHED, TIME_WAIT, LISTEN = 1, 6, 10  # include/net/tcp_states.h
CLOSED_SECONDS = 60.0
"""How long an end stays in TIME_WAIT: TCP_TIMEWAIT_LEN of include/net/tcp.h."""
MAPPED = bytes(10) + b"\xff\xff"
"""Before the four bytes of an IPv4 address, RFC 4291 2.5.5.2: so both ends of a connection have the same form."""


class TcpSocket(NamedTuple):
    """One end. Addresses are 16 bytes, those of IPv4 mapped."""

    state: int
    address: bytes
    port: int
    peer_address: bytes
    peer_port: int
    handle: int
    """What `holders` knows its process by; 0: it has none any more."""
    closed_for: float
    """Seconds since it was closed; only of one in TIME_WAIT."""


def is_wildcard(address: bytes) -> bool:
    """Whether a listener at it is reached by every address of its family (all zeros: of both)."""
    return not any(address) or (address.startswith(MAPPED) and not any(address[12:]))
