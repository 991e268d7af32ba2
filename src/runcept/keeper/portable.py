"""What every POSIX system can do, told apart by pid: safe for a child, as nobody else reaps it. `linux` does better."""

from __future__ import annotations

import os
import socket
import struct

__all__ = ["Portable"]


class Portable:
    """The operating system, as the keeper needs it."""

    boot_id = ""
    """Changes with every boot; empty: unknown."""

    def watch(self, pid: int) -> int:
        """A descriptor that is readable once the process has ended, -1 for none; ProcessLookupError if it is gone."""
        os.kill(pid, 0)
        return -1

    def send(self, pid: int, _watched: int, number: int) -> None:
        """Signal the process that `watch` was asked for."""
        os.kill(pid, number)

    def peek(self, pid: int) -> int | None:
        """How a child ended (-N: by signal N), None while it runs. It stays a zombie."""
        if not hasattr(os, "waitid"):  # macOS before Python 3.13 cannot look without reaping
            reaped, status = os.waitpid(pid, os.WNOHANG)
            return os.waitstatus_to_exitcode(status) if reaped else None
        if (found := os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    def fate(self, pid: int, _watched: int) -> int | None:
        """How one that is no child of ours ended, None before; ProcessLookupError: gone, and nobody tells how."""
        os.kill(pid, 0)
        return None

    def start_time(self, _pid: int) -> int | None:
        """When it started, in the system's own unit; None: the standard library does not know."""
        return None

    def orphans(self, _known: set[int]) -> list[int]:
        """Children that were handed to us by their parents' death."""
        return []

    def peer_uid(self, connection: socket.socket) -> int:
        """Who is at the other end: SO_PEERCRED, or LOCAL_PEERCRED of the BSDs (struct xucred: version, uid)."""
        if hasattr(socket, "SO_PEERCRED"):
            return int(struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1])
        return int(struct.unpack_from("II", connection.getsockopt(0, 1, 76))[1])

    def move(self, rest: bytearray, pipe: int, file: int, count: int) -> int:
        """Move up to `count` bytes; what was read and could not be written (a full disk) waits in `rest`."""
        rest += os.read(pipe, count) if not rest else b""
        written = os.write(file, rest)
        del rest[:written]
        return written
