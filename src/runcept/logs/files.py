"""Log files as readers see them: whole lines, from the end, from an instant, through the rotations. It writes nothing.

Files are read with pread, not mapped: one that is truncated meanwhile would kill a process that has it mapped (SIGBUS).
"""

from __future__ import annotations

import contextlib
import os
import re
import zlib
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from runcept.logs.record import raw_ts

__all__ = ["LogFile", "Position", "chain", "files_from"]

_HEAD = 64  # bytes: less than the shortest record, and its ts is in them
_FIRST_BLOCK = 32 << 10  # bytes: enough for the last hundred lines
_BLOCK = 256 << 10  # bytes: larger ones are fresh pages from the kernel each time, four times as slow
_LINE_MAX = 16 << 20  # bytes: what is longer, in a damaged file, comes in pieces, so that memory is bounded
_ROTATED = re.compile(r"\.(\d+)(\.gz)?")


class Position(NamedTuple):
    """A place in a log that outlives rotation, renaming and compression: the file is known by its first bytes."""

    length: int = 0
    """How many first bytes; 0 where there were none yet, which is the beginning of any file."""
    checksum: int = 0
    """CRC-32 of them."""
    offset: int = 0
    """Bytes, uncompressed, that were read."""


class LogFile:
    """An open log as it is now: `size` bytes of whole lines. A record that is still being written is not seen."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.status = os.fstat(file.fileno())
        self.size = self._whole_lines(self.status.st_size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back the file."""
        self._file.close()

    def refresh(self) -> bool:
        """See what was written since; whether the file has changed."""
        before, self.status = self.status, os.fstat(self._file.fileno())
        if (before.st_size, before.st_mtime_ns) == (self.status.st_size, self.status.st_mtime_ns):
            return False
        self.size = self._whole_lines(self.status.st_size)
        return True

    def read(self, start: int, end: int) -> bytes:
        """The bytes of a range; fewer where the file was truncated since."""
        return os.pread(self._file.fileno(), max(0, end - start), start)

    def position(self, offset: int | None = None) -> Position:
        """`offset`, or the end, as a place that can be found again."""
        length = min(_HEAD, self.size)
        return Position(length, zlib.crc32(self.read(0, length)), self.size if offset is None else offset)

    def has(self, position: Position) -> bool:
        """Whether `position` is a place in this file."""
        return position.offset <= self.size and zlib.crc32(self.read(0, position.length)) == position.checksum

    def backward(self, low: int, high: int) -> Iterator[tuple[int, bytes]]:
        """(offset, whole lines) of the range between two starts of lines, the last block first."""
        length = _FIRST_BLOCK
        while high > low:
            start = max(low, high - length)
            data = self.read(start, high)
            cut = 0 if start == low else data.find(b"\n") + 1
            length *= 2
            if start > low and cut in (0, len(data)):  # within one line: take more of it
                if len(data) < _LINE_MAX:
                    continue
                cut = 0
            length = min(length, _BLOCK)
            high = start + cut
            yield high, data[cut:]

    def forward(self, start: int) -> Iterator[tuple[int, bytes]]:
        """(offset, whole lines) from the start of a line on."""
        length = _FIRST_BLOCK
        while start < self.size:
            data = self.read(start, min(self.size, start + length))
            if not data:
                return
            cut = len(data) if start + len(data) >= self.size else data.rfind(b"\n") + 1
            length *= 2
            if not cut:
                if len(data) < _LINE_MAX:
                    continue
                cut = len(data)
            length = min(length, _BLOCK)
            yield start, data[:cut]
            start += cut

    def first_at(self, ts: str, *, later: bool = False) -> int:
        """Where the first line begins that was stamped at `ts` or later (`later`: later only); the end if none was.

        Found by bisection, for `ts` never decreases; lines without one, of old formats, belong to the line before.
        """
        low, high = 0, self.size
        while high - low > _FIRST_BLOCK:
            middle = (low + high) // 2
            offset, stamp = self._first_stamped(self._next_line(middle), high)
            if stamp is not None and (stamp <= ts if later else stamp < ts):
                low = offset
            else:
                high = middle
        for offset, stamp in self._stamps(low):
            if stamp is not None and (stamp > ts if later else stamp >= ts):
                return offset
        return self.size

    def _first_stamped(self, start: int, end: int) -> tuple[int, str | None]:
        for offset, stamp in self._stamps(start):
            if stamp is not None or offset >= end:
                return offset, stamp
        return self.size, None

    def _stamps(self, start: int) -> Iterator[tuple[int, str | None]]:
        for offset, block in self.forward(start):
            at = offset
            for line in block.split(b"\n"):
                yield at, raw_ts(line)
                at += len(line) + 1

    def _next_line(self, offset: int) -> int:
        """The first start of a line behind `offset`."""
        while offset < self.size:
            data = self.read(offset, min(self.size, offset + _FIRST_BLOCK))
            newline = data.find(b"\n")
            if newline >= 0:
                return offset + newline + 1
            offset += len(data) or self.size
        return self.size

    def _whole_lines(self, size: int) -> int:
        """The end of the last whole line. Text of old that no newline ends is whole; a record begins with a brace."""
        end = size
        while end > 0:
            start = max(0, end - _FIRST_BLOCK)
            newline = self.read(start, end).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        return end if self.read(end, end + 1) in (b"", b"{") else size


def chain(path: str) -> Iterator[LogFile]:
    """The files of a log that exist, the newest first: NAME.jsonl, then its rotations NAME.jsonl.1 and NAME.jsonl.2.gz.

    Each is open until the next one is asked for.
    """
    for file in _opened(path):
        with file:
            yield file


def files_from(path: str, position: Position) -> list[LogFile]:
    """The file that `position` is in and those written after it, oldest first and open: the caller closes them.

    Where that file is gone, the newest alone; empty where there is none.
    """
    with contextlib.ExitStack() as undo:
        newer: list[LogFile] = []
        for file in _opened(path):
            newer.insert(0, undo.enter_context(file))
            if file.has(position):
                undo.pop_all()
                return newer
        if newer:
            undo.pop_all()
        for file in newer[:-1]:
            file.close()
        return newer[-1:]


def _opened(path: str) -> Iterator[LogFile]:
    """The files, newest first; one that is rotated while this goes on is given once. Whoever takes one closes it."""
    seen: list[Position] = []
    for name in [path, *_rotations(path)]:
        try:
            file = _open(name)
        except (FileNotFoundError, NotADirectoryError):
            continue
        if any(file.has(position) for position in seen if position.length):
            file.close()
            continue
        seen.append(file.position())
        yield file


def _rotations(path: str) -> list[str]:
    directory, base = os.path.split(path)
    try:
        names = os.listdir(directory or ".")
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [(_ROTATED.fullmatch(name, len(base)), name) for name in names if name.startswith(base)]
    numbered = sorted((int(match[1]), name) for match, name in found if match)
    return [os.path.join(directory, name) for _, name in numbered]


def _open(path: str) -> LogFile:
    if path.endswith(".gz"):
        return LogFile(_unpacked(path))
    return LogFile(open(path, "rb", buffering=0))


def _unpacked(path: str) -> BinaryIO:
    """The content of a compressed file as one that can be read from its end, gone when it is closed."""
    import tempfile

    unpack = zlib.decompressobj(wbits=31)  # gzip
    with contextlib.ExitStack() as undo:
        plain = undo.enter_context(tempfile.TemporaryFile(buffering=0))
        with open(path, "rb") as packed, contextlib.suppress(zlib.error):  # damaged or cut short: what there is of it
            while data := packed.read(_BLOCK):
                plain.write(unpack.decompress(data))
        undo.pop_all()
    return plain
