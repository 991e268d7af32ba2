"""How a process ended that is nobody's child here: its zombie tells, and after that a descriptor from before.

Linux: proc_pid_stat(5), field 52, until init has reaped it; from then on PIDFD_GET_INFO of linux/pidfd.h, since 6.15.
Elsewhere nobody knows. It only looks.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
from contextlib import suppress

__all__ = ["Fate", "oom_kills"]

_GET_INFO, _EXIT = 0xC040FF0B, 1 << 3  # _IOWR(0xFF, 11, 64 bytes), PIDFD_INFO_EXIT
_INFO = struct.Struct("<Q52xi")  # struct pidfd_info: mask first, exit_code last
_STATE, _START_TIME, _EXIT_CODE = 0, 19, 49  # fields 3, 22 and 52


def oom_kills() -> int | None:
    """How many processes the kernel has killed for want of memory since the boot; None where it does not tell."""
    with suppress(OSError), open("/proc/vmstat", "rb") as file:
        for line in file:
            if line.startswith(b"oom_kill "):
                return int(line.split()[1])
    return None


class Fate:
    """One process, best from a moment at which it lives; holds a descriptor until `close`."""

    def __init__(self, pid: int, start_time: int) -> None:
        self._pid, self._start_time = pid, start_time
        self._descriptor = -1
        if sys.platform == "linux":
            try:
                self._descriptor = os.pidfd_open(pid)
                if not self._stat():
                    self.close()
            except OSError:  # it has been reaped, or there is no descriptor left
                return

    def status(self) -> int | None:
        """Its exit code, or -N where signal N killed it; None: it lives, or nobody knows."""
        if sys.platform != "linux":
            return None
        try:
            stat = self._stat()
        except OSError:  # there is no descriptor left to look with
            return self._remembered()
        if stat:
            ended = stat[_STATE] in {b"Z", b"X"} and self._is_ours()
            return os.waitstatus_to_exitcode(int(stat[_EXIT_CODE])) if ended else None
        return self._remembered()

    def _stat(self) -> list[bytes]:
        """What /proc says of that very process; empty where it has been reaped."""
        try:
            with open(f"/proc/{self._pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except (FileNotFoundError, ProcessLookupError, PermissionError):  # the last: the pid is another user's by now
            return []
        return fields if int(fields[_START_TIME]) == self._start_time else []

    def _is_ours(self) -> bool:
        """Of another user's process the kernel says that it ended with 0, whatever it did."""
        with suppress(OSError):
            return os.geteuid() in {0, os.stat(f"/proc/{self._pid}").st_uid}
        return False

    def _remembered(self) -> int | None:
        if self._descriptor < 0:
            return None
        info = bytearray(_INFO.pack(_EXIT, 0))
        try:
            fcntl.ioctl(self._descriptor, _GET_INFO, info)
        except OSError as error:
            if error.errno not in {errno.ENOTTY, errno.EINVAL, errno.ESRCH}:  # these: an older kernel
                raise
            return None
        mask, status = _INFO.unpack(info)
        return os.waitstatus_to_exitcode(status) if mask & _EXIT else None

    def close(self) -> None:
        """Give back the descriptor."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
