"""The connection to the daemon: JSON lines both ways, never blocking, never holding more than a slow daemon is due."""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
from typing import Any

__all__ = ["Wire"]

_LINE_MAX = 16 << 20
_PLENTY = 1 << 16
_BACKLOG = 1 << 20  # above it no further requests are read until the answers are taken


class Wire:
    """One connection. `broken` once the other end has left or talks nonsense."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.socket = connection
        self.incoming, self.outgoing = bytearray(), bytearray()
        self.sizes: dict[str, int] = {}
        self.broken = False

    def receive(self) -> list[dict[str, Any]]:
        """The messages that are complete by now."""
        try:
            chunk = self.socket.recv(1 << 16)
            *lines, self.incoming = (self.incoming + chunk).split(b"\n")
            self.broken = not chunk or len(self.incoming) > _LINE_MAX
            return [message for message in map(json.loads, lines) if isinstance(message, dict)]
        except BlockingIOError:
            return []
        except (OSError, ValueError, RecursionError):
            self.broken = True
            return []

    def send(self, message: dict[str, Any]) -> None:
        """Queue a message that must arrive."""
        self.outgoing += json.dumps(message).encode() + b"\n"

    def flush(self) -> int:
        """Send what can be sent, and say what to wait for next.

        Of each run's sizes only the newest goes out, and none while a slow daemon has much to read.
        """
        if len(self.outgoing) < _PLENTY:
            for key, size in self.sizes.items():
                self.send({"event": "bytes", "key": key, "size": size})
            self.sizes.clear()
        try:
            with contextlib.suppress(BlockingIOError):
                del self.outgoing[: self.socket.send(self.outgoing) if self.outgoing else 0]
        except OSError:
            self.broken = True
        reading = selectors.EVENT_READ if len(self.outgoing) < _BACKLOG else 0
        return reading | (selectors.EVENT_WRITE if self.outgoing else 0)
