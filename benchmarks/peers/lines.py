"""Numbered lines, and what has become of them in a log: which are whole, which are torn, which are lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

__all__ = ["Books", "audit", "number", "write_source"]

_WORDS = b" GET /api/items?page=17&sort=name HTTP/1.1 200 5316 12.7ms worker-3 lorem ipsum dolor sit amet"
_DIGITS = 10
_CHUNK = 16 << 20


@dataclass
class Books:
    """What a log has of the lines that were written; all counts are of lines."""

    whole: int = 0
    """On a line of their own, behind the tool's head or none, nothing within them and nothing amiss."""
    torn: int = 0
    """Something of it is in the log: cut off, run into another, or with a timestamp in its middle."""
    lost: int = 0
    """Nothing of it is in the log."""
    doubled: int = 0
    """Whole ones that are there again, or behind a later one."""


def number(index: int) -> bytes:
    """How the line of that index begins; they count from 0."""
    return b"%0*d" % (_DIGITS, index)


def text(size: int) -> bytes:
    """What follows the number in a line of `size` bytes, without its newline; nothing that JSON has to escape."""
    return (_WORDS * (size // len(_WORDS) + 1))[: size - _DIGITS - 1]


def write_source(path: Path, size: int, total: int) -> None:
    """Lines of `size` bytes each, `total` bytes together."""
    some = 10_000
    template = (b"%010d" + text(size).replace(b"%", b"%%") + b"\n") * some
    with path.open("wb") as file:
        for first in range(0, total // size, some):
            file.write(template % tuple(range(first, first + some)))
        file.truncate(total - total % size)


def audit(log: Path, size: int, written: int | None, head: bytes = b"", tail: bytes = b"") -> Books:
    """Look through a log of numbered lines of `size` bytes, from 0 on.

    `written`: how many there were, None where some may still be on their way. `head` and `tail` are regular expressions
    of what the tool puts around a line.
    """
    line = re.compile(b"^" + head + rb"(\d{%d})" % _DIGITS + re.escape(text(size)) + tail + b"$", re.MULTILINE)
    inside = re.compile(head) if head else None
    books, expected, pieces = Books(), 0, 0

    def miss(until: int) -> None:
        """Lines before `until` are not whole: as many are torn as the pieces since the last whole one may be of."""
        missing = max(0, until - expected)
        torn = min(missing, -(-pieces // size))
        books.torn += torn
        books.lost += missing - torn

    with log.open("rb") as file:
        for chunk in _chunks(file):
            found = line.findall(chunk)
            following = [number(index) for index in range(expected, expected + len(found))]
            if not pieces and found == following and len(found) == chunk.count(b"\n"):
                expected += len(found)
                books.whole += len(found)
                continue
            for each in chunk.removesuffix(b"\n").split(b"\n"):
                if (match := line.fullmatch(each)) is None:
                    pieces += len(inside.sub(b"", each) if inside else each)
                elif int(match[1]) < expected:
                    books.doubled += 1
                else:
                    miss(int(match[1]))
                    books.whole += 1
                    expected, pieces = int(match[1]) + 1, 0
    if written is not None:
        miss(written)
    return books


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    """The file in pieces that end with a line."""
    rest = b""
    while data := file.read(_CHUNK):
        whole, newline, data = (rest + data).rpartition(b"\n")
        if newline:
            yield whole + newline
        rest = data
    if rest:
        yield rest
