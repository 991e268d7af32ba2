"""Joins lines of one log to error blocks: a traceback, a panic with its goroutines, an ERROR line. Pure.

Lines come in the order of the log. What the streams wrote is told apart, and so are programs whose lines one process
passes on with their names before them (`web-1  | …`, as docker compose and foreman do). What is kept is bounded: the
first and last lines of a block, and so many blocks at once. Each line is looked at once.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from runcept.core.plain import plain
from runcept.logs.error_grammar import STATES, Opening, opening
from runcept.logs.level import severe
from runcept.logs.record import LIFECYCLE, Line, instant_micros

__all__ = ["Block", "Joiner"]

_KEPT = 30  # lines at the beginning of a block, and as many at its end
_CHARACTERS = 1000  # of a line that is kept
_LOOKED_AT = 2000  # characters of a line that is searched; a record of JSON is taken as a whole
_JSON_MAX = 64 << 10
_PATIENCE = 12  # lines that say nothing, between two of a block
_LEAD_IN = 1  # such lines between what a logger says and the traceback that belongs to it
_PAUSE_MICROS = 5_000_000  # after which what comes is something else
_FOREIGN = 500  # lines of others after which a block is over
_OPEN = 32  # blocks at once

_PASSED_ON = re.compile(r"(?:\d\d:\d\d:\d\d )?[\w.-]{1,64} *\| ?")
_JAVA_FRAME = re.compile(r".*\((?:[\w$]+\.(?:java|kt|scala|groovy|clj):\d+|Native Method|Unknown Source)\)")
_NODE_FRAME = re.compile(r".*:\d+\)?(?: \{)?$|.*<anonymous>")


@dataclass(slots=True)
class Block:
    """An error as it stands in the log."""

    offset: int
    """Of its first line, as `Joiner.feed` was told."""
    ts: str | None
    stream: str
    kind: str
    title: str
    message: str
    sites: list[str] = field(default_factory=list)
    """The first and the last of its frames."""
    first: list[str] = field(default_factory=list)
    last: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT))
    omitted: int = 0
    """Lines between `first` and `last` that were not kept."""

    def lines(self) -> list[str]:
        """Its lines; where some are missing, one says how many."""
        gap = [f"… {self.omitted} lines …"] if self.omitted else []
        return [*self.first, *gap, *self.last]

    def site(self) -> str:
        """The frame in which it happened."""
        return self.sites[-1 if self.kind == "python" else 0] if self.sites else ""

    def add(self, text: str) -> None:
        """One more line."""
        text = text if len(text) <= _CHARACTERS else text[: _CHARACTERS - 1] + "…"
        if len(self.first) < _KEPT:
            self.first.append(text)
            return
        self.omitted += len(self.last) == _KEPT
        self.last.append(text)

    def add_site(self, site: str) -> None:
        """One more frame."""
        self.sites[1:] = [site]


@dataclass(slots=True)
class _Open:
    """A block to which lines may come."""

    block: Block
    state: str
    number: int
    """Of its last line, among all lines."""
    micros: int | None
    pending: list[str] = field(default_factory=list)

    def step(self, text: str) -> bool:
        """Take the line along if it goes on with the block."""
        for step in STATES[self.state]:
            if (step.far or not self.pending) and (found := step.pattern.match(text)):
                self._take(text)
                self.state = step.to
                self._tell(found, names=step.names)
                return True
        return False

    def adopt(self, text: str, found: Opening) -> None:
        """What a logger said was the first line of this."""
        self._take(text)
        self.state = found.state
        self.block.kind, self.block.title, self.block.message = found.kind, found.title, found.message
        if found.site:
            self.block.add_site(found.site)

    def _take(self, text: str) -> None:
        for each in (*self.pending, text):
            self.block.add(each)
        self.pending.clear()

    def _tell(self, found: re.Match[str], *, names: bool) -> None:
        groups = found.groupdict()
        if groups.get("site"):
            self.block.add_site(groups["site"])
        if "title" in groups and (names or not self.block.title):
            self.block.title, self.block.message = groups["title"], groups.get("message") or ""
        elif groups.get("message") and not self.block.message:
            self.block.message = groups["message"]


class Joiner:
    """Lines in, blocks out, in the order in which they end."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], _Open] = {}
        """By stream and name before the line, the one that got a line last at the end."""
        self._in_parts: set[str] = set()
        """Streams of which the last record was a part of a line."""
        self._number = 0

    @property
    def waits(self) -> bool:
        """Whether the next line may belong to a block."""
        return bool(self._open)

    def feed(self, line: Line, offset: int = 0) -> Iterator[Block]:
        """The blocks that this line ends. Not all of them have a place in the log before it."""
        self._number += 1
        if line.stream == LIFECYCLE:
            if line.event == "started":
                yield from self.finish()
            return
        if self._open:
            yield from self._over()
        if line.stream in self._in_parts:
            if not line.partial:
                self._in_parts.discard(line.stream)
            return
        if line.partial:
            self._in_parts.add(line.stream)
        prefix, text = _said(line.message)
        yield from self._said((line.stream, prefix), text, line, offset)

    def finish(self) -> Iterator[Block]:
        """The blocks that are open: nothing more belongs to them."""
        while self._open:
            yield from self._end(next(iter(self._open)))

    def _said(self, channel: tuple[str, str], text: str, line: Line, offset: int) -> Iterator[Block]:
        micros = None if line.ts is None else instant_micros(line.ts)
        there = self._open.get(channel)
        if there is not None and _has_paused(there.micros, micros):
            yield from self._end(channel)
            there = None
        if there is not None and there.step(text):
            self._touch(channel, there, micros)
            return
        if (found := opening(text, line.level)) is not None:
            if there is not None and found.state != "log" and _leads_in(there):
                there.adopt(text, found)
                self._touch(channel, there, micros)
                return
            yield from self._end(channel)
            block = Block(offset, line.ts, line.stream, found.kind, found.title, found.message)
            for each in (found.message, *found.stack.splitlines()) if found.stack else (text,):
                block.add(each)
            if found.site:
                block.add_site(found.site)
            self._touch(channel, _Open(block, found.state, 0, micros), micros)
            if len(self._open) > _OPEN:
                yield from self._end(next(iter(self._open)))
        elif there is not None:
            there.pending.append(text)
            if len(there.pending) > _PATIENCE:
                yield from self._end(channel)

    def _touch(self, channel: tuple[str, str], there: _Open, micros: int | None) -> None:
        there.number, there.micros = self._number, micros
        self._open.pop(channel, None)
        self._open[channel] = there

    def _over(self) -> Iterator[Block]:
        """Blocks to which nothing has come for long."""
        while self._open:
            channel, there = next(iter(self._open.items()))
            if self._number - there.number <= _FOREIGN:
                return
            yield from self._end(channel)

    def _end(self, channel: tuple[str, str]) -> Iterator[Block]:
        there = self._open.pop(channel, None)
        if there is not None and there.block.title:
            yield _named(there.block)


def _said(message: str) -> tuple[str, str]:
    """The name that stands before a line that was passed on, and the line, without colours."""
    text = plain(message[: _JSON_MAX + 1] if message.startswith("{") else message[:_LOOKED_AT])
    if (found := _PASSED_ON.match(text)) is not None:
        return found[0], text[found.end() :].rstrip()
    return "", text.rstrip()


def _has_paused(before: int | None, now: int | None) -> bool:
    return before is not None and now is not None and now - before > _PAUSE_MICROS


def _leads_in(there: _Open) -> bool:
    """Whether a traceback that comes now belongs to what a logger said."""
    return there.state == "log" and len(there.pending) <= _LEAD_IN and not any(severe(text) for text in there.pending)


def _named(block: Block) -> Block:
    """With its kind: that of a stack trace is told by its frames, and what has none is a line of a log."""
    block.title, block.message = block.title[:_CHARACTERS], block.message[:_CHARACTERS]
    if block.kind in ("node", "go") and not block.sites:
        block.kind = "log"
    elif block.kind in ("node", "log") and block.sites:
        site = block.sites[-1]
        block.kind = "java" if _JAVA_FRAME.match(site) else "node" if _NODE_FRAME.match(site) else "stack"
    return block
