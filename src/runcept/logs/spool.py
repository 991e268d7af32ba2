"""Reading the spool of one run: the bytes of both streams as they were read, in the order read. It writes nothing.

The keeper writes, into the run's directory, segments named by the offset in the run's bytes at which they start:
`%016x.raw` (the bytes) and `%016x.index`, entries of 16 bytes `<QQ`: (offset, microseconds since the epoch << 1 |
stream). From that offset on, until the next entry, bytes are of that stream and were read at that instant. An entry is
written before its bytes and the size of the raw file is the commit: so the last entry may have no bytes yet.

Where somebody else has removed or cut a segment, or its disk does not give it back, nothing is read from there on, and
`missing` tells how far it is to what is behind it.
"""

from __future__ import annotations

import contextlib
import errno
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
_UNREADABLE = {errno.EIO, errno.ESTALE}
"""The bytes are gone for good: a bad block, a file that was removed from its server."""


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

    def seek(self, offset: int) -> None:
        """Go to `offset`, whether there is something or not."""
        self.close()
        self._starts = self._segments()
        self.position = offset
        holding = max((start for start in self._starts if start <= offset), default=None)
        if holding is not None:
            self._segment = _Segment(self.directory, holding)

    def missing(self, upto: int) -> int:
        """Where nothing was read though there were to be bytes up to `upto`: how many are missing, from here on."""
        following = next((start for start in self._segments() if start > self.position), upto)
        return max(0, min(following, upto) - self.position)

    def instant(self) -> int | None:
        """When the next byte was read, in microseconds; None where there is none yet."""
        there = self._readable()
        if there is None:
            return None
        there[0].pass_to(self.position)
        return there[0].word >> 1

    def begin(self) -> int:
        """The offset of the first byte that is kept; 0 where nothing was spooled."""
        return min(self._segments(), default=0)

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
        try:
            data = os.pread(segment.raw, min(limit, seen - self.position), self.position - segment.start)
        except OSError as error:
            if error.errno not in _UNREADABLE:
                raise
            return []
        blocks = []
        start = at = self.position
        end = start + len(data)
        while at < end:
            following = segment.pass_to(at)
            upto = end if following is None else min(following, end)
            blocks.append(Block(segment.word & 1, segment.word >> 1, at, data[at - start : upto - start]))
            at = upto
        self.position = end
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
