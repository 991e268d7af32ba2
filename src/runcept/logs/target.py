"""The file that records are appended to: opened when needed, made again when it is gone. It makes no records.

One writer at a time appends to a log; the daemon sees to that. All errors are OSError.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from runcept.logs.record import instant_micros, raw_ts
from runcept.paths import ensure_project_directory, project_of

__all__ = ["Target"]

_LAST_LINE_MAX = 8 << 20  # a record of 1 MiB of control characters takes 6 MiB
_OPEN = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO in its place must not block us
_NO_LINK = os.O_NOFOLLOW  # whoever has put a link there may want us to write to what he may not


class Target:
    """`PROJECT/.runcept/logs/NAME.jsonl`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.size = 0
        """Bytes, as of the last `ensure` and what was appended since."""
        self.device = 0
        self.inode = 0
        self._file = -1

    def ensure(self) -> bool:
        """Have the file that the path names now open, with its directory; true when it was opened just now.

        FileNotFoundError where the project's directory is gone: that is not made again.
        """
        try:
            status = os.lstat(self.path)
        except FileNotFoundError:
            pass
        else:
            if self._file >= 0 and (status.st_dev, status.st_ino) == (self.device, self.inode):
                self.size = status.st_size
                return False
        self.close()
        self._open()
        return True

    def _open(self) -> None:
        ensure_project_directory(project_of(self.path))
        if os.path.islink(self.path):
            os.unlink(self.path)
        self._file = os.open(self.path, _OPEN | _NO_LINK, 0o600)
        status = os.fstat(self._file)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise OSError(errno.EINVAL, "a log must be a regular file", self.path)
        if status.st_uid != os.geteuid():
            self.close()
            raise PermissionError(errno.EPERM, f"it belongs to uid {status.st_uid}, not to us", self.path)
        self.device, self.inode, self.size = status.st_dev, status.st_ino, status.st_size

    def begin(self, first: bytes) -> None:
        """Put a new file in the place of the log. From the instant at which it is there, `first` is whole in it."""
        self.close()
        fresh = self.path + ".new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh)
        self._file = os.open(fresh, _OPEN | os.O_EXCL, 0o600)
        self.size = 0
        self.append(first)
        os.rename(fresh, self.path)
        status = os.fstat(self._file)
        self.device, self.inode = status.st_dev, status.st_ino

    def append(self, data: bytes) -> None:
        """Write all of `data` at the end. After an error some of it may be there: see `take_back`."""
        view = memoryview(data)
        while view:
            try:
                written = os.write(self._file, view)
            except OSError as error:
                raise OSError(error.errno, error.strerror, self.path) from None
            self.size += written
            view = view[written:]

    def truncate(self, size: int) -> None:
        """Cut the file off after its first `size` bytes."""
        os.ftruncate(self._file, size)
        self.size = size

    def take_back(self, size: int) -> None:
        """After an error: cut the file to `size` and let go of it, so that the next `ensure` looks at it afresh."""
        try:
            if self._file >= 0:
                self.truncate(size)
        finally:
            self.close()

    def holds(self, mark: bytes, start: int) -> bool:
        """Whether `mark` is in the bytes from `start` on."""
        kept = b""
        while data := os.pread(self._file, 1 << 20, start):
            if mark in kept + data:
                return True
            kept = data[-len(mark) :]
            start += len(data)
        return False

    def end_line(self) -> None:
        """Have the file end in a newline, whatever it holds, so that what follows starts a line."""
        if self.size and os.pread(self._file, 1, self.size - 1) != b"\n":
            self.append(b"\n")

    def newest_instant(self) -> int:
        """Microseconds since the epoch at which the last record was stamped; 0 where the last line tells of none."""
        length = 1 << 16
        while True:
            start = max(0, self.size - length)
            data = os.pread(self._file, self.size - start, start)
            newline = data.rfind(b"\n", 0, len(data) - 1)
            if newline >= 0 or start == 0 or length >= _LAST_LINE_MAX:
                ts = raw_ts(data[newline + 1 :].rstrip(b"\n"))
                return instant_micros(ts) if ts else 0
            length *= 8

    def close(self) -> None:
        """Give back the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
