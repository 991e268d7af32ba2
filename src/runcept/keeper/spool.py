"""Where a run's output waits for the daemon: raw bytes as read, and an index of which stream they are of, and when.

Segments `%016x.raw` and `%016x.index` are named by the offset, in the run's whole stream, at which they start. An index
entry is `<QQ`: offset, microseconds since the epoch << 1 | stream (0 stdout, 1 stderr). It is written before its bytes:
the size of the raw file is the commit, and an entry without bytes, as a full disk leaves, is harmless.
"""

from __future__ import annotations

import os
import struct
import time
from io import FileIO

__all__ = ["Spool"]


class Spool:
    """The end of the spool in `directory`: a new one, or the one that an earlier keeper left there.

    What it takes comes behind the offset `least`: up to there bytes were logged, whatever has become of the files.
    """

    def __init__(self, directory: str, least: int = 0) -> None:
        self.directory = directory
        self.files: tuple[FileIO, ...] = ()
        """The index and the bytes of the newest segment."""
        starts = [int(name[:-4], 16) for name in os.listdir(directory) if name.endswith(".raw")]
        self.start = self.size = self.consumed = min(starts, default=0)
        if starts:
            self._open(max(starts))
        self.size = max(self.size, least)

    def _open(self, start: int) -> None:
        os.makedirs(self.directory, 0o700, exist_ok=True)  # somebody has removed it, and does not stop us by that
        path = os.path.join(self.directory, f"{start:016x}")
        index = FileIO(path + ".index", "a")
        raw = FileIO(os.open(path + ".raw", os.O_WRONLY | os.O_CREAT, 0o600), "w")  # splice(2) refuses O_APPEND
        self.start, self.size = start, start + raw.seek(0, os.SEEK_END)
        self.files = index, raw  # what they replace is closed by that

    def mark(self, stream: int) -> int:
        """The file to append bytes of `stream` to, told by the index; by as many `size` is then to be raised."""
        if not self.files or self.size - self.start >= 8 << 20 or not self._is_whole():
            self._open(self.size)
        self.files[0].write(struct.pack("<QQ", self.size, time.time_ns() // 1000 << 1 | stream))
        return self.files[1].fileno()

    def _is_whole(self) -> bool:
        """Whether nobody else has removed or cut the segment, so that what comes is safe in it."""
        status = os.fstat(self.files[1].fileno())
        return status.st_nlink > 0 and status.st_size == self.size - self.start

    def close(self) -> None:
        """Close the segment."""
        self.files = ()  # nobody else has them
