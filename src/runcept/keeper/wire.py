"""The connection to the daemon: JSON lines both ways, never blocking, never holding more than a slow daemon is due."""

from __future__ import annotations

import json
import selectors
import socket
from typing import Any

__all__ = ["Wire"]


class Wire:
    """One connection. `broken` once the other end has left or talks nonsense."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.socket = connection
        self.incoming, self.outgoing = bytearray(), bytearray()
        self.spooled: dict[str, dict[str, Any]] = {}
        self.broken = False

    def receive(self) -> list[dict[str, Any]]:
        """The messages that are complete by now."""
        try:
            chunk = self.socket.recv(1 << 16)
            *lines, self.incoming = (self.incoming + chunk).split(b"\n")
            self.broken = not chunk or len(self.incoming) > 16 << 20
            return [message for message in map(json.loads, lines) if isinstance(message, dict)]
        except (OSError, ValueError, RecursionError) as error:
            self.broken = not isinstance(error, BlockingIOError)
            return []

    def send(self, message: dict[str, Any]) -> None:
        """Queue a message that must arrive."""
        self.outgoing += json.dumps(message).encode() + b"\n"

    def flush(self) -> int:
        """Send what can be sent, and say what to wait for next.

        Of what there is to say of each run's spool only the newest goes out; and nothing, nor are more requests read,
        while 64 KiB wait.
        """
        if len(self.outgoing) < 1 << 16:
            for key, state in self.spooled.items():
                self.send({"event": "bytes", "key": key, **state})
            self.spooled.clear()
        try:
            del self.outgoing[: self.socket.send(self.outgoing)]
        except OSError as error:
            self.broken |= not isinstance(error, BlockingIOError)
        reading = selectors.EVENT_READ if len(self.outgoing) < 1 << 16 else 0
        return reading | (selectors.EVENT_WRITE if self.outgoing else 0)
