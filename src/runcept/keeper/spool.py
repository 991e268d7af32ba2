"""Where a run's output waits for the daemon: raw bytes as read, and an index of which stream they are of, and when.

Segments `%016x.raw` and `%016x.index` are named by the offset, in the run's whole stream, at which they start. An index
entry is `<QQ`: offset, microseconds since the epoch << 1 | stream (0 stdout, 1 stderr). It is written before its bytes:
the size of the raw file is the commit, and an entry without bytes is harmless.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable

__all__ = ["Spool"]

_SEGMENT = 8 << 20
_ENTRY = struct.Struct("<QQ")


class Spool:
    """The end of the spool in `directory`: a new one, or the one that an earlier keeper left there."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.raw = self.index = self.marked = -1
        self.start = self.size = self.entries = 0
        starts = sorted(int(name[:-4], 16) for name in os.listdir(directory) if name.endswith(".raw"))
        self.first = starts[0] if starts else 0
        if starts:
            self._open(starts[-1])

    def _open(self, start: int) -> None:
        self.close()
        path = os.path.join(self.directory, f"{start:016x}")
        self.index = os.open(path + ".index", os.O_WRONLY | os.O_CREAT, 0o600)
        self.raw = os.open(path + ".raw", os.O_WRONLY | os.O_CREAT, 0o600)  # not O_APPEND: splice(2) refuses it
        self.start, self.size = start, start + os.lseek(self.raw, 0, os.SEEK_END)
        self.entries = os.lseek(self.index, 0, os.SEEK_END) // _ENTRY.size

    def take(self, stream: int, count: int, move: Callable[[int, int], int]) -> int:
        """Append what `move(file, count)` moves, and say how much; after an OSError it can be tried again."""
        if self.raw < 0 or self.size - self.start >= _SEGMENT:
            self._open(self.size)
        mark = self.size << 1 | stream
        if mark != self.marked:  # else an attempt that failed has left its entry
            entry = _ENTRY.pack(self.size, time.time_ns() // 1000 << 1 | stream)
            os.pwrite(self.index, entry, self.entries * _ENTRY.size)
            self.entries, self.marked = self.entries + 1, mark
        moved = move(self.raw, count)
        self.size += moved
        return moved

    def close(self) -> None:
        """Close the segment."""
        for descriptor in (self.raw, self.index):
            if descriptor >= 0:
                os.close(descriptor)
        self.raw = self.index = -1
