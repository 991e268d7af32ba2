"""Who is at the other end of a socket. It imports almost nothing: `runcept mcp` waits for it."""

import _socket
import os
import sys

__all__ = ["is_us"]


def is_us(connection: _socket.socket) -> bool:
    """Whether the process at the other end is of our user, as far as the system tells (unix(7), SO_PEERCRED)."""
    if not hasattr(_socket, "SO_PEERCRED"):
        return True
    found = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    return int.from_bytes(found[4:8], sys.byteorder) == os.geteuid()
