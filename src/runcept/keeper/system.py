"""The operating system, as the keeper needs it: what every POSIX system can do, and what Linux does better."""
# ruff: noqa: D102  a method of Linux keeps the contract of the one in Portable

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import socket
import struct

__all__ = ["Linux", "Portable"]

_PIDFD_GET_INFO, _PIDFD_INFO_EXIT = 0xC040FF0B, 1 << 3  # linux/pidfd.h: _IOWR(0xFF, 11, 64 bytes); since 6.15


class Portable:
    """Children and strangers, which are held and no children of ours, told apart by pid."""

    def peek(self, pid: int) -> int | None:
        """How a child ended (-N: by signal N), None while it runs. It stays a zombie."""
        if not hasattr(os, "waitid"):  # macOS before Python 3.13 cannot look without reaping
            reaped, status = os.waitpid(pid, os.WNOHANG)
            return os.waitstatus_to_exitcode(status) if reaped else None
        if (found := os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    def watch(self, pid: int) -> int:
        """A descriptor that is readable once a stranger has ended, -1 for none; ProcessLookupError: it is gone."""
        self.fate(pid, -1, 0)
        return -1

    def fate(self, pid: int, _watched: int, _start_time: int) -> int | None:
        """How a stranger ended, None before; ProcessLookupError: it has, and nobody tells how."""
        with contextlib.suppress(PermissionError):  # it has become another user's, so it lives
            os.kill(pid, 0)
        return None

    def start_time(self, _pid: int) -> int | None:
        """When it started, in the system's own unit; None: the standard library does not know."""
        return None

    def children(self) -> set[int]:
        """All children, also those that were handed to us by their parents' death; empty: unknown."""
        return set()

    def peer_uid(self, connection: socket.socket) -> int:
        """Who is at the other end: SO_PEERCRED, or LOCAL_PEERCRED of the BSDs (struct xucred: version, uid)."""
        if hasattr(socket, "SO_PEERCRED"):
            return int(struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1])
        return int(struct.unpack_from("II", connection.getsockopt(0, 1, 76))[1])

    def widen(self, pipe: int) -> None:
        """Let a pipe hold more before its writer has to wait, where that can be."""

    def move(self, rest: bytearray, pipe: int, file: int, count: int) -> int:
        """Move up to `count` bytes; what was read and could not be written (a full disk) waits in `rest`."""
        rest += os.read(pipe, count) if not rest else b""
        written = os.write(file, rest)
        del rest[:written]
        return written


class Linux(Portable):
    """Kernel 5.10 or newer; constructing it makes us the parent of all orphans below us, prctl(2)."""

    def __init__(self) -> None:
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER, linux/prctl.h

    def watch(self, pid: int) -> int:
        return os.pidfd_open(pid)

    def fate(self, pid: int, watched: int, start_time: int) -> int | None:
        ended = select.poll()
        ended.register(watched, select.POLLIN)  # a zombie is readable already, pidfd_open(2)
        if not ended.poll(0):
            return None
        with contextlib.suppress(OSError):  # nobody has reaped it yet: it tells, if it is ours to ask
            stat = _stat(pid)
            if int(stat[19]) == start_time and os.geteuid() in {0, os.stat(f"/proc/{pid}").st_uid}:
                return os.waitstatus_to_exitcode(int(stat[49]))
        info = bytearray(struct.pack("<Q56x", _PIDFD_INFO_EXIT))  # struct pidfd_info: mask first, exit_code last
        with contextlib.suppress(OSError):  # an older kernel does not know the question
            fcntl.ioctl(watched, _PIDFD_GET_INFO, info)
            mask, status = struct.unpack("<Q52xi", info)
            if mask & _PIDFD_INFO_EXIT:
                return os.waitstatus_to_exitcode(status)
        raise ProcessLookupError(errno.ESRCH, str(pid))

    def start_time(self, pid: int) -> int | None:
        return int(_stat(pid)[19])  # field 22: clock ticks since the boot

    def children(self) -> set[int]:
        with contextlib.suppress(OSError), open("/proc/thread-self/children", encoding="ascii") as file:
            return set(map(int, file.read().split()))
        return set()  # a kernel without CONFIG_PROC_CHILDREN, or no descriptor left

    def widen(self, pipe: int) -> None:
        with contextlib.suppress(OSError):  # its user has as many pages as he may
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 18)

    def move(self, rest: bytearray, pipe: int, file: int, count: int) -> int:
        try:
            if not rest:
                return os.splice(pipe, file, count, flags=os.SPLICE_F_NONBLOCK)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a file system that does not splice
                raise
        return super().move(rest, pipe, file, count)


def _stat(pid: int) -> list[bytes]:
    """The fields of proc_pid_stat(5) from the third on: the second may hold anything."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()
