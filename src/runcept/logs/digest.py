"""The errors of a log, each told once: what differs only in numbers, paths and the like is one error. Pure.

Blocks come newest first, so of each error the newest occurrence is what is shown. What is kept is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from runcept.logs.error_blocks import Block

__all__ = ["ErrorItem", "Fold", "LeftOut", "newest_first", "pattern_of"]

_DIFFERENT = 500
"""Errors that are told apart; of further ones only the number of occurrences is known."""

_VARIES = re.compile(
    r"""[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}                                # UUID
      | \d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|\ ?[+-]\d\d:?\d\d)?)?     # an instant
      | 0x[0-9a-fA-F]+
      | \b(?=[0-9a-f]*\d)[0-9a-f]{7,}\b                                                     # a hash
      | (?:\b(?<![a-z0-9+.-])[a-z][a-z0-9+.-]*+://)[^\s"'<>)]+                              # a URL
      | (?:\.{0,2}/|\b[A-Za-z]:\\|(?<![\w.-])[\w.-]++/)[\w.@+~/\\-]+                       # a path
      | \d+(?:\.\d+)*""",
    re.VERBOSE,
)


class ErrorItem(msgspec.Struct, frozen=True):
    """One error of one process, as often as it occurred."""

    process: str
    run: int | None
    """In which it occurred last; null where its start is too far back to be found."""
    kind: str
    """python, node, java, go, rust; stack for frames of other languages; log for a line that says so itself."""
    title: str
    """The type of the exception, panic, or the level."""
    message: str
    lines: list[str]
    """Of the last occurrence, without colours; a long one has a line that says how many are missing."""
    count: int
    first_ts: str | None
    last_ts: str | None
    stream: str


class LeftOut(msgspec.Struct, frozen=True):
    """What was found and is not told."""

    errors: int = 0
    """At least so many different ones."""
    occurrences: int = 0
    """Of these."""


class _Entry:
    __slots__ = ("block", "count", "first_ts", "run")

    def __init__(self, block: Block) -> None:
        self.block = block
        self.count = 0
        self.first_ts = block.ts
        self.run: int | None = None


class Fold:
    """Occurrences in, newest first; errors out."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], _Entry] = {}
        self.overflow = 0
        """Occurrences of errors beyond those that are told apart."""

    def __bool__(self) -> bool:
        return bool(self._entries)

    def add(self, block: Block) -> None:
        """One more occurrence, older than those before."""
        self._count(pattern_of(block), _Entry(block), 1)

    def merge(self, older: Fold, run: int | None) -> None:
        """All of `older`, which is of `run`."""
        self.overflow += older.overflow
        for pattern, entry in older._entries.items():
            entry.run = run
            self._count(pattern, entry, entry.count)

    def items(self, process: str) -> list[ErrorItem]:
        """The errors, newest first."""
        return [_item(process, entry) for entry in self._entries.values()]

    def _count(self, pattern: tuple[str, str], entry: _Entry, count: int) -> None:
        known = self._entries.get(pattern)
        if known is None:
            if len(self._entries) >= _DIFFERENT:
                self.overflow += count
                return
            known = self._entries[pattern] = entry
            known.count = 0
        known.count += count
        known.first_ts = entry.first_ts or known.first_ts


def pattern_of(block: Block) -> tuple[str, str]:
    """What is the same in all occurrences of an error: its name, its words and where it happened, less what varies."""
    words = _VARIES.sub("#", f"{block.title}: {block.message}")
    return f"{block.kind} {words}", _VARIES.sub("#", block.site())


def newest_first(items: Iterable[ErrorItem], most: int, size: int) -> tuple[list[ErrorItem], LeftOut]:
    """At most `most` errors with `size` characters of lines together, at least one; and what that leaves out."""
    ordered = sorted(items, key=lambda item: item.last_ts or "", reverse=True)
    taken = 0
    for item in ordered[:most]:
        size -= sum(len(line) + 1 for line in item.lines)
        if taken and size < 0:
            break
        taken += 1
    left = ordered[taken:]
    return ordered[:taken], LeftOut(len(left), sum(item.count for item in left))


def _item(process: str, entry: _Entry) -> ErrorItem:
    block = entry.block
    return ErrorItem(
        process=process,
        run=entry.run,
        kind=block.kind,
        title=block.title,
        message=block.message,
        lines=block.lines(),
        count=entry.count,
        first_ts=entry.first_ts,
        last_ts=block.ts,
        stream=block.stream,
    )
