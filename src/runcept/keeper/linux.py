"""What Linux does better: process descriptors, the subreaper, splice. Each method keeps the contract of `Portable`."""
# ruff: noqa: D102

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import struct

from runcept.keeper.portable import Portable

__all__ = ["Linux"]

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_PIDFD_GET_INFO, _PIDFD_INFO_EXIT = 0xC040FF0B, 1 << 3  # linux/pidfd.h: _IOWR(0xFF, 11, 64 bytes); since 6.15


class Linux(Portable):
    """Kernel 5.10 or newer; constructing it makes us the parent of all orphans below us, prctl(2)."""

    def __init__(self) -> None:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            self.boot_id = file.read().strip()

    def watch(self, pid: int) -> int:
        return os.pidfd_open(pid)

    def send(self, _pid: int, watched: int, number: int) -> None:
        signal.pidfd_send_signal(watched, number)

    def fate(self, _pid: int, watched: int) -> int | None:
        info = bytearray(struct.pack("<Q56x", _PIDFD_INFO_EXIT))  # struct pidfd_info: mask first, exit_code last
        try:
            fcntl.ioctl(watched, _PIDFD_GET_INFO, info)
        except OSError as error:  # a kernel before 6.13, or before 6.15 one that is reaped
            if error.errno not in (errno.ENOTTY, errno.EINVAL, errno.ESRCH):
                raise
            info = bytearray(64)
        mask, status = struct.unpack("<Q52xi", info)
        if mask & _PIDFD_INFO_EXIT:
            return os.waitstatus_to_exitcode(status)
        signal.pidfd_send_signal(watched, 0)  # ProcessLookupError if it is reaped
        return None

    def start_time(self, pid: int) -> int | None:
        return int(_stat(pid)[19])  # field 22 of proc_pid_stat(5): clock ticks from boot

    def orphans(self, known: set[int]) -> list[int]:
        me = os.getpid()
        try:
            with open(f"/proc/self/task/{me}/children", encoding="ascii") as file:
                return [pid for pid in map(int, file.read().split()) if pid not in known]
        except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
            others = {int(name) for name in os.listdir("/proc") if name.isdigit()} - known
            return [pid for pid in others if int(_stat(pid)[1]) == me]

    def move(self, rest: bytearray, pipe: int, file: int, count: int) -> int:
        try:
            if not rest:
                return os.splice(pipe, file, count, flags=os.SPLICE_F_NONBLOCK)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a file system that does not splice
                raise
        return super().move(rest, pipe, file, count)


def _stat(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except FileNotFoundError:
        raise ProcessLookupError from None
