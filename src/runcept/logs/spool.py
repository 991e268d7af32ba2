"""Reading the spool of one run: the bytes of both streams as they were read, in the order read. It writes nothing.

The keeper writes, into the run's directory, segments named by the offset in the run's bytes at which they start:
`%016x.raw` (the bytes) and `%016x.index`, entries of 16 bytes `<QQ`: (offset, microseconds since the epoch << 1 |
stream). From that offset on, until the next entry, bytes are of that stream and were read at that instant. An entry is
written before its bytes and the size of the raw file is the commit: so the last entry may have no bytes yet.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
from collections import deque
from typing import NamedTuple

__all__ = ["ENTRY", "Block", "Spool", "segment_path"]

ENTRY = struct.Struct("<QQ")
_INDEX_READ = ENTRY.size * 4096
_RAW = re.compile(r"([0-9a-f]{16})\.raw")
_OPEN = os.O_RDONLY | os.O_CLOEXEC


class Block(NamedTuple):
    """Bytes of one stream (0 stdout, 1 stderr), read at one instant (microseconds), and where they lie in the run's."""

    stream: int
    micros: int
    offset: int
    data: bytes


def segment_path(directory: str, start: int, kind: str) -> str:
    """The file of a segment; `kind` is raw or index."""
    return os.path.join(directory, f"{start:016x}.{kind}")


class _Segment:
    """An open segment and how far its index has been passed."""

    def __init__(self, directory: str, start: int) -> None:
        self.start = start
        self.raw = os.open(segment_path(directory, start, "raw"), _OPEN)
        self._index_path = segment_path(directory, start, "index")
        self._index = -1
        self._index_at = 0
        self._index_read = False
        """Whether all entries of the bytes that `look` saw have been read."""
        self._entries: deque[tuple[int, int]] = deque()
        # Bytes that no entry tells of are taken for stdout, read when the file was last written.
        self.word = os.fstat(self.raw).st_mtime_ns // 1000 << 1

    def look(self) -> int:
        """The offset behind its last byte now. What the index says of the bytes before it, it says by now."""
        self._index_read = False
        return self.start + os.fstat(self.raw).st_size

    def pass_to(self, offset: int) -> int | None:
        """Make `word` the entry that tells of `offset`; the offset of the next entry, None where there is none yet.

        Offsets must not decrease from call to call.
        """
        while self._entries or (not self._index_read and self._more()):
            if self._entries[0][0] > offset:
                return self._entries[0][0]
            self.word = self._entries.popleft()[1]
        return None

    def _more(self) -> bool:
        if self._index < 0:
            try:
                self._index = os.open(self._index_path, _OPEN)
            except FileNotFoundError:  # lost in a power cut
                return False
        data = os.pread(self._index, _INDEX_READ, self._index_at)
        self._index_read = len(data) < _INDEX_READ
        data = data[: len(data) - len(data) % ENTRY.size]
        self._index_at += len(data)
        self._entries.extend(ENTRY.iter_unpack(data))
        return bool(data)

    def close(self) -> None:
        os.close(self.raw)
        if self._index >= 0:
            os.close(self._index)


class Spool:
    """Reads the spool of one run from any offset on. The directory and the first segment may appear later."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.position = 0
        """The offset of the next byte to read."""
        self._segment: _Segment | None = None
        self._starts: list[int] = []

    def close(self) -> None:
        """Give back the files."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def seek(self, offset: int) -> int:
        """Go to `offset`, or to the first byte there is behind it; to the first of all where the spool ends before.

        Gives the offset that was reached.
        """
        self.close()
        self._starts = self._segments()
        self.position = 0 if offset > self.end() else offset
        if not self._starts:
            return self.position
        holding = max((start for start in self._starts if start <= self.position), default=self._starts[0])
        self._segment = _Segment(self.directory, holding)
        following = next((start for start in self._starts if start > holding), None)
        if following is not None and self.position >= self._segment.look():  # a segment between them is missing
            self._segment.close()
            self._segment = _Segment(self.directory, following)
        self.position = max(self.position, self._segment.start)
        return self.position

    def end(self) -> int:
        """The offset behind the last byte that was spooled; 0 where nothing was."""
        starts = self._segments()
        return starts[-1] + os.stat(self._raw(starts[-1])).st_size if starts else 0

    def read(self, limit: int) -> list[Block]:
        """The next blocks, together at most `limit` bytes, of one segment; empty where there is nothing new."""
        there = self._readable()
        if there is None:
            return []
        segment, seen = there
        data = os.pread(segment.raw, min(limit, seen - self.position), self.position - segment.start)
        blocks = []
        start, end = self.position, self.position + len(data)
        while self.position < end:
            following = segment.pass_to(self.position)
            upto = end if following is None else min(following, end)
            piece = data[self.position - start : upto - start]
            blocks.append(Block(segment.word & 1, segment.word >> 1, self.position, piece))
            self.position = upto
        return blocks

    def discard(self, before: int) -> None:
        """Delete segments that end at or before `before`; never the last one, which the keeper may still write."""
        while len(self._starts) > 1 and self._starts[1] <= before:
            start = self._starts.pop(0)
            for kind in ("raw", "index"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(segment_path(self.directory, start, kind))

    def _readable(self) -> tuple[_Segment, int] | None:
        """The segment that holds the next byte, and its end. It is complete once the one that follows it exists."""
        if self._segment is not None and self.position < (end := self._segment.look()):
            return self._segment, end
        if self._segment is not None and self._segment.start == self.position:
            return None  # still empty
        try:
            following = _Segment(self.directory, self.position)
        except FileNotFoundError:
            return None
        self.close()
        self._segment = following
        if following.start not in self._starts:
            self._starts.append(following.start)
        end = following.look()
        return (following, end) if self.position < end else None

    def _segments(self) -> list[int]:
        try:
            names = os.listdir(self.directory)
        except FileNotFoundError:
            return []
        return sorted(int(found[1], 16) for found in map(_RAW.fullmatch, names) if found)

    def _raw(self, start: int) -> str:
        return segment_path(self.directory, start, "raw")
