"""The encoder: what a process wrote, in blocks as read, to finished log records. It does no I/O and keeps no clock.

It works on blocks, not on lines. A block that is UTF-8 and holds no 0x7F becomes records in four passes of C over its
bytes: newlines to 0x7F, decode, one `orjson.dumps` that escapes everything, each 0x7F to the end of one record and the
head of the next. orjson leaves 0x7F as it is, as RFC 8259 allows. Where a block does not qualify it is halved at a
newline, so that one odd line makes 4 KiB slow, not a block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import orjson

from runcept.logs.record import PART_MAX, STREAMS, escape, instant_text

__all__ = ["Encoder"]

_SEPARATOR = b"\x7f"
_SMALL = 4096  # bytes: below this, lines are encoded one by one


class Encoder:
    """Turns blocks of both streams of one run into records, in the order read; keeps what no newline has ended yet.

    Instants are microseconds since the epoch. No record is stamped earlier than the one before it, or than `floor`.
    """

    def __init__(self, floor: int = 0) -> None:
        self.last = floor
        """The instant of the newest record."""
        self.tap: Callable[[bytes], object] | None = None
        """Called with each stretch of finished lines, newlines between them, as it is encoded."""
        self._tails = (bytearray(), bytearray())
        self._read_at = [0, 0]
        self._split = [False, False]
        self._heads: list[tuple[int, bytes]] = [(-1, b""), (-1, b"")]
        self._second = (-1, "")

    def feed(self, stream: int, micros: int, data: bytes) -> bytes:
        """The records of the lines that `data`, read at `micros` from `stream` (0 stdout, 1 stderr), ends."""
        tail = self._tails[stream]
        self._read_at[stream] = micros
        end = data.rfind(b"\n")
        if end < 0:
            tail += data
            return self._overflow(stream)
        body = data[:end]
        if tail:
            body = bytes(tail) + body
            tail.clear()
        tail += data[end + 1 :]
        self._split[stream] = False
        return self._lines(stream, micros, body) + self._overflow(stream)

    @property
    def in_parts(self) -> bool:
        """Whether the first parts of a line are in records, and its end is not."""
        return any(self._split)

    def pending(self, stream: int) -> int:
        """How many of the last bytes of a stream are in no record yet."""
        return len(self._tails[stream])

    def cut(self, stream: int) -> bytes:
        """End the unfinished line of a stream as a part; what follows is its next part."""
        self._split[stream] = True
        return self._end(stream, b',"partial":true')

    def flush(self) -> bytes:
        """End the unfinished lines, the one read earlier first: there will be no more bytes."""
        order = sorted((0, 1), key=self._read_at.__getitem__)
        self._split = [False, False]
        return b"".join(self._end(stream, b',"newline":false') for stream in order)

    def stamp(self, micros: int) -> int:
        """The instant of a record that is made now: `micros`, unless one has been stamped later."""
        self.last = max(self.last, micros)
        return self.last

    def _end(self, stream: int, flag: bytes) -> bytes:
        tail = self._tails[stream]
        if not tail:
            return b""
        line = bytes(tail)
        tail.clear()
        if self.tap is not None:
            self.tap(line)
        return _record(self._head(stream, self._read_at[stream]), line, flag)

    def _overflow(self, stream: int) -> bytes:
        """Parts of an unfinished line that has grown past what a record holds."""
        tail = self._tails[stream]
        if len(tail) <= PART_MAX:
            return b""
        *parts, rest = _parts(bytes(tail))
        tail[:] = rest
        self._split[stream] = True
        if self.tap is not None:
            for part in parts:
                self.tap(part)
        head = self._head(stream, self._read_at[stream])
        return b"".join(_record(head, part, b',"partial":true') for part in parts)

    def _head(self, stream: int, micros: int) -> bytes:
        """A record up to its message."""
        micros = self.stamp(micros)
        known, head = self._heads[stream]
        if known != micros:
            second, micro = divmod(micros, 1_000_000)
            if self._second[0] != second:
                self._second = (second, instant_text(second * 1_000_000)[:20])
            head = f'{{"ts":"{self._second[1]}{micro:06d}Z","stream":"{STREAMS[stream]}","message":'.encode()
            self._heads[stream] = (micros, head)
        return head

    def _lines(self, stream: int, micros: int, body: bytes) -> bytes:
        if self.tap is not None:
            self.tap(body)
        return b"".join(_block(self._head(stream, micros), body))


def _block(head: bytes, body: bytes) -> Iterator[bytes]:
    """Records of the lines of `body`, which has newlines between lines alone."""
    if len(body) <= PART_MAX and (whole := _at_once(head, body)) is not None:
        yield whole
    elif len(body) <= _SMALL or (middle := _newline_near_the_middle(body)) < 0:
        for line in body.split(b"\n"):
            *parts, rest = _parts(line)
            for part in parts:
                yield _record(head, part, b',"partial":true')
            yield _record(head, rest)
    else:
        yield from _block(head, body[:middle])
        yield from _block(head, body[middle + 1 :])


def _at_once(head: bytes, body: bytes) -> bytes | None:
    """All records of a block in one go, or None where that cannot be."""
    if _SEPARATOR in body:
        return None
    try:
        text = body.replace(b"\n", _SEPARATOR).decode()
    except UnicodeDecodeError:
        return None
    return b"".join((head, orjson.dumps(text).replace(_SEPARATOR, b'"}\n' + head + b'"'), b"}\n"))


def _newline_near_the_middle(body: bytes) -> int:
    middle = body.find(b"\n", len(body) // 2)
    return middle if middle >= 0 else body.rfind(b"\n")


def _record(head: bytes, line: bytes, flag: bytes = b"") -> bytes:
    try:
        return b"".join((head, orjson.dumps(line.decode()), flag, b"}\n"))
    except UnicodeDecodeError:
        return b"".join((head, orjson.dumps(escape(line)), flag, b',"binary":true}\n'))


def _parts(line: bytes) -> Iterator[bytes]:
    """The line in pieces of at most PART_MAX bytes, none ending within a UTF-8 character where that can be helped."""
    start = 0
    while len(line) - start > PART_MAX:
        end = start + PART_MAX
        for back in range(4):  # a character has at most four bytes; the last three look like 10xxxxxx
            if line[end - back] & 0xC0 != 0x80:
                end -= back
                break
        yield line[start:end]
        start = end
    yield line[start:]
