"""Log files as readers see them: whole lines, from the end, from an instant, through the rotations. It writes nothing.

Files are read with pread, not mapped: one that is truncated meanwhile would kill a process that has it mapped (SIGBUS).
"""

from __future__ import annotations

import contextlib
import os
import stat
import zlib
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self

from runcept.errors import LogNotReadable
from runcept.logs.record import TS_PREFIX, raw_ts
from runcept.logs.rotation import PACKED, rotated

__all__ = ["LogFile", "Position", "beginning", "chain", "files_from"]

_HEAD = 104  # bytes: in them is where a file that was begun by rotation goes on, which no other file of the log has
_HEAD_PACKED = 4 << 10  # bytes: so many are unpacked to have it
_FIRST_BLOCK = 32 << 10  # bytes: enough for the last hundred lines
_BLOCK = 256 << 10  # bytes: larger ones are fresh pages from the kernel each time, four times as slow
_LINE_MAX = 16 << 20  # bytes: what is longer, in a damaged file, comes in pieces, so that memory is bounded


class Position(NamedTuple):
    """A place in a log that outlives rotation, renaming and compression: the file is known by its first bytes."""

    length: int = 0
    """How many first bytes; 0 where there were none yet: all that is written later comes behind this place."""
    checksum: int = 0
    """CRC-32 of them."""
    offset: int = 0
    """Bytes, uncompressed, that were read."""
    begun: str = ""
    """The `ts` of the file's first line; "" where it has none."""


class LogFile:
    """An open log as it is now. A record that is still being written is not seen.

    One that is compressed is unpacked when more of it is wanted than its first bytes.
    """

    def __init__(self, file: BinaryIO, number: int = 0, *, is_packed: bool = False) -> None:
        self.number = number
        """Of its name, when it was opened."""
        self.status = os.fstat(file.fileno())
        self._file = file
        self.is_packed = is_packed
        self._size = None if is_packed else self._whole_lines(self.status.st_size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back the file."""
        self._file.close()

    @property
    def size(self) -> int:
        """Bytes of whole lines."""
        if self._size is None:
            with self._file as packed:
                self._file = _unpacked(packed)
            self._size = self._whole_lines(os.fstat(self._file.fileno()).st_size)
        return self._size

    def refresh(self) -> bool:
        """See what was written since; whether the file has changed."""
        if self.is_packed:
            return False
        before, self.status = self.status, os.fstat(self._file.fileno())
        if (before.st_size, before.st_mtime_ns) == (self.status.st_size, self.status.st_mtime_ns):
            return False
        self._size = self._whole_lines(self.status.st_size)
        return True

    def read(self, start: int, end: int) -> bytes:
        """The bytes of a range; fewer where the file was truncated since."""
        return os.pread(self._file.fileno(), max(0, end - start), start)

    def position(self, offset: int | None = None) -> Position:
        """`offset`, or the end, as a place that can be found again."""
        head = self._head()
        return Position(len(head), zlib.crc32(head), self.size if offset is None else offset, raw_ts(head) or "")

    def has(self, position: Position) -> bool:
        """Whether `position` is a place in this file."""
        return self.begins_as(position) and position.offset <= self.size

    def begins_as(self, position: Position) -> bool:
        """Whether it has the first bytes of the file that `position` is in."""
        head = self._head()[: position.length]
        return 0 < position.length == len(head) and zlib.crc32(head) == position.checksum

    def is_behind(self, position: Position) -> bool:
        """Whether this file was begun after the one that `position` is in."""
        head = self._head()
        return not head or not position.length or (raw_ts(head) or "") >= position.begun > ""

    def _head(self) -> bytes:
        if self._size is not None:
            return self.read(0, min(_HEAD, self._size))
        with contextlib.suppress(zlib.error):
            head: bytes = _gunzip().decompress(os.pread(self._file.fileno(), _HEAD_PACKED, 0), _HEAD)
            return head
        return b""

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
        """The end of the last whole line. What is of old is whole without a newline too; a record of today is not."""
        end = size
        while end > 0:
            start = max(0, end - _FIRST_BLOCK)
            newline = self.read(start, end).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        return end if TS_PREFIX.startswith(self.read(end, min(size, end + len(TS_PREFIX)))) else size


def chain(path: str) -> Iterator[LogFile]:
    """The files of a log that hold something, the newest first: NAME.jsonl, then NAME.jsonl.1 and NAME.jsonl.2.gz.

    Each is open until the next one is asked for.
    """
    for file in _opened(path):
        with file:
            if file.size:
                yield file


def beginning(path: str, since: str | None) -> Position:
    """The place of the first line that was stamped at `since` or later; None: of the first line there is."""
    if since is None:
        return Position()
    for file in chain(path):
        if (offset := file.first_at(since)) > 0:
            return file.position(offset)
    return Position()


def files_from(path: str, position: Position, number: int = 0) -> list[LogFile]:
    """The file that `position` is in and the one written after it, in this order and open: the caller closes them.

    Where that file is gone, the two that were begun first after it, or the newest alone. `number` is one that the file
    had at some time: from there on it is looked for, as files move to higher numbers only.
    """
    found = _from(path, position, max(0, number - 1))
    if number <= 1 or len(found) == 2:
        return found
    for file in found:
        file.close()
    return _from(path, position, 0)


def _from(path: str, position: Position, number: int) -> list[LogFile]:
    newer: list[LogFile] = []
    with contextlib.ExitStack() as undo:
        for file in _opened(path, number):
            undo.callback(file.close)
            is_in = file.begins_as(position)
            if not is_in and (newer or number) and not file.is_behind(position):
                file.close()
                break
            newer.insert(0, file)
            for far in newer[2:]:
                far.close()
            del newer[2:]
            if is_in:
                break
        undo.pop_all()
    return newer


def _opened(path: str, number: int = 0) -> Iterator[LogFile]:
    """The files with this number or a higher one, newest first, however much is rotated meanwhile.

    Whoever takes one closes it. Files move to higher numbers, and there from plain to compressed, so each is ahead of
    us until we have it. But what is ahead of us may be newer than what was given last, where that was moved beyond it:
    then that is looked for first.
    """
    names = _Names(path)
    place: _Place | None = _Place(number, "") if number else None
    with contextlib.ExitStack() as stack:
        last: _Given | None = None
        is_behind = True
        while (following := names.following(place)) is not None:
            try:
                raw = stack.enter_context(open(following.name, "rb", buffering=0, opener=_at_once))
            except (FileNotFoundError, NotADirectoryError):
                names.forget()  # it has moved on; and by its number there may be another by now
                place = following if following.number == 0 else place
                continue
            except OSError as error:
                raise LogNotReadable(following.name, (error.strerror or str(error)).lower()) from error
            place = following
            if not stat.S_ISREG(os.fstat(raw.fileno()).st_mode):  # no log, and one may wait for it for ever
                continue
            file = LogFile(_another(raw), place.number, is_packed=place.name.endswith(PACKED))
            is_new = last is None or not last.is_same(raw, file)
            if last is not None and is_new and not (is_behind and last.is_in_place()):
                if is_behind:
                    place, is_behind = last.place, False
                    names.forget()
                file.close()
                raw.close()
                continue
            if last is not None:
                last.raw.close()
            last, is_behind = _Given(place, raw, None if place.name.endswith(PACKED) else file.position()), True
            if is_new:
                yield file
            else:  # what was listed has moved on
                names.forget()
                file.close()


class _Place(NamedTuple):
    """A name of a file, in the order in which a file gets them."""

    number: int
    name: str


class _Given(NamedTuple):
    """The file that was given last. While `raw` is open, no other file gets its inode."""

    place: _Place
    raw: BinaryIO
    position: Position | None
    """Its end; None where it is compressed, and will not become so any more."""

    def is_same(self, raw: BinaryIO, file: LogFile) -> bool:
        """Whether it was met again, moved or compressed."""
        if os.path.samestat(os.fstat(raw.fileno()), os.fstat(self.raw.fileno())):
            return True
        return self.position is not None and file.has(self.position)

    def is_in_place(self) -> bool:
        """Whether it is still where it was, so that files with higher numbers are older."""
        try:
            return os.path.samestat(os.stat(self.place.name), os.fstat(self.raw.fileno()))
        except FileNotFoundError:
            return False


class _Names:
    """The names of a log's files, listed again only where there may be others."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._listed: deque[_Place] = deque()

    def following(self, place: _Place | None) -> _Place | None:
        """The next place at which there was a file when it was listed."""
        if place is None:
            return _Place(0, self._path)
        while self._listed and self._listed[0] <= place:
            self._listed.popleft()
        if not self._listed or self._listed[0].number > place.number + 1:  # there may be one between them by now
            self._listed.clear()
            self._listed.extend(each for each in (_Place(*found) for found in rotated(self._path)) if each > place)
        return self._listed[0] if self._listed else None

    def forget(self) -> None:
        """What was listed is no longer so."""
        self._listed.clear()


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _another(raw: BinaryIO) -> BinaryIO:
    """The same file, to be closed by itself."""
    return open(os.dup(raw.fileno()), "rb", buffering=0)


def _gunzip() -> Any:
    return zlib.decompressobj(wbits=31)  # 31: with the head and the end of gzip


def _unpacked(packed: BinaryIO) -> BinaryIO:
    """The content of a compressed file as one that can be read from its end, gone when it is closed."""
    import tempfile

    unpack = _gunzip()
    with contextlib.ExitStack() as undo:
        plain = undo.enter_context(tempfile.TemporaryFile(buffering=0))
        with contextlib.suppress(zlib.error):  # damaged or cut short: what there is of it
            packed.seek(0)
            while data := packed.read(_BLOCK):
                plain.write(unpack.decompress(data))
        undo.pop_all()
    return plain
