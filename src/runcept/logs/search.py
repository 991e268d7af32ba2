"""The newest lines of one process's log that a query wants, read from the end backwards through its rotations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from runcept.core.plain import plain
from runcept.logs.files import LogFile, Position, chain
from runcept.logs.grep import Grep, lines_with
from runcept.logs.record import (
    CONTINUED_MARK,
    LIFECYCLE,
    LIFECYCLE_MARK,
    RUN_EVENTS,
    STARTED_MARK,
    STREAMS,
    Line,
    instant_micros,
    instant_text,
    parse,
)

__all__ = ["OUTPUT", "Query", "Runs", "Sieve", "current_run", "newest"]

OUTPUT = "output"
"""Both streams of the process."""
_LOOK_BACK = 64 << 20
"""Bytes before the first line found in which the start of its run is looked for."""


class Query(msgspec.Struct, frozen=True):
    """What lines are wanted; the default is all of them."""

    lines: int | None = None
    """At most this many, the newest; None: all."""
    since: str | None = None
    """Stamped then or later: text as in `ts`."""
    until: str | None = None
    """Stamped then or earlier."""
    grep: re.Pattern[str] | None = None
    """Found in the message as it is seen (`plain`)."""
    stream: str | None = None
    """stdout, stderr, runcept, or OUTPUT."""
    run: int | str | None = None
    """Of this run alone, or of the "last"."""
    reach: int | None = None
    """Among so many of the newest bytes, rounded up to a block."""
    tells_runs: bool = True
    """Whether the run of each line is looked for; where not, it may be null."""
    far: bool = False
    """However far back the run began."""

    def wants(self, line: Line) -> bool:
        """Whether a line is wanted, its run and the number of lines apart."""
        return (
            self._is_of_stream(line)
            and (self.since is None or line.ts is None or line.ts >= self.since)
            and (self.until is None or line.ts is None or line.ts <= self.until)
            and (self.grep is None or self.grep.search(plain(line.message)) is not None)
        )

    def _is_of_stream(self, line: Line) -> bool:
        if self.stream == OUTPUT:
            return line.stream != LIFECYCLE
        return self.stream is None or line.stream == self.stream


def newest(process: str, path: str, query: Query, after: Position | None = None) -> tuple[list[Line], Position]:
    """The wanted lines, oldest first, and where the log ended. `after`: only lines behind that place."""
    search = _Search(process, query)
    end: Position | None = None
    for file in chain(path):
        if after is not None and end is not None and not file.has(after) and not file.is_behind(after):
            break  # the file of that place is gone, and this one is older
        end = end or file.position()
        search.through(file, after)
        if search.is_done():
            break
    return search.result(), end or Position()


def current_run(process: str, path: str, *, far: bool = False, before: str | None = None) -> int | None:
    """The run that the end of the log belongs to, or the last line stamped before an instant.

    None where its start is too far back; with `far` it is looked for wherever it is.
    """
    until = None if before is None else instant_text(instant_micros(before) - 1)
    lines, _ = newest(process, path, Query(lines=1, until=until, far=far))
    return lines[0].run if lines else None


class Sieve:
    """What of a block need not be looked at for a query."""

    def __init__(self, query: Query) -> None:
        self._grep = None if query.grep is None else Grep(query.grep)
        self._stream = query.stream

    def spans(self, block: bytes) -> list[tuple[int, int]] | None:
        """Where lines are that may be wanted, or tell a run, the last one first; None: anywhere."""
        if self._grep is not None:
            return sorted({*self._grep.spans(block), *lines_with(block, (LIFECYCLE_MARK,))}, reverse=True)
        if self._stream in (STREAMS[1], LIFECYCLE):  # lines of old formats count as stdout, and say so nowhere
            return lines_with(block, (f'"stream":"{self._stream}"'.encode(), LIFECYCLE_MARK))
        return None


class Runs:
    """The runs that one meets on the way back through a log, of which one is wanted, or the last, or all."""

    def __init__(self, wanted: int | str | None) -> None:
        self.any = False
        """Whether one was met."""
        self.is_over = False
        """What is further back is of earlier runs than the one that is wanted: they are numbered in order."""
        self._is_any_wanted = wanted is None
        self._wanted = wanted

    def meet(self, run: int | None, *, is_start: bool) -> bool:
        """It begins here or further back: whether what lies between here and the last one that was met is wanted."""
        if not self.any and self._wanted == "last":
            self._wanted = run
        self.any = True
        if self._is_any_wanted:
            return True
        is_earlier = isinstance(self._wanted, int) and run is not None and run < self._wanted
        self.is_over = is_earlier or (self._wanted == run and is_start)
        return self._wanted == run


class _Search:
    """Goes backwards through the files of one log.

    The run of a line is known only when the record that tells it is met, further back: until then it is waiting.
    """

    def __init__(self, process: str, query: Query) -> None:
        self._process = process
        self._query = query
        self._sieve = Sieve(query)
        self._found: list[Line] = []
        """The newest first."""
        self._settled = 0
        """How many of them have their run; the rest is waiting."""
        self._runs = Runs(query.run)
        self._past = False
        """What comes is older than the query or the cursor wants."""
        self._looked_at = 0
        self._looked_back = 0

    def through(self, file: LogFile, after: Position | None) -> None:
        """Take the next older file."""
        low, high = 0, file.size
        if not self._past:
            if self._query.until is not None:
                high = file.first_at(self._query.until, later=True)
            if self._query.since is not None:
                low = file.first_at(self._query.since)
            known = after is not None and file.has(after)
            low = min(max(low, after.offset if known and after is not None else 0), high)
            self._walk(file, low, high)
            self._past |= known or low > 0
            high = low
        self._walk(file, 0, high)

    def is_done(self) -> bool:
        """Whether going on can bring nothing: no more lines, and no start of a run that a line waits for."""
        if self._runs.is_over or not self._full():
            return self._runs.is_over
        waiting = len(self._found) - self._settled if self._query.tells_runs else 0
        if self._query.run is not None:
            return self._past and not waiting
        return not waiting or (self._looked_back > _LOOK_BACK and not self._query.far)

    def result(self) -> list[Line]:
        """The lines found, oldest first."""
        if isinstance(self._query.run, int) or (self._query.run is not None and self._runs.any):
            del self._found[self._settled :]
        return self._found[::-1]

    def _full(self) -> bool:
        return self._past or (self._query.lines is not None and len(self._found) >= self._query.lines)

    def _walk(self, file: LogFile, low: int, high: int) -> None:
        blocks = file.backward(low, high)
        while not self.is_done() and (found := next(blocks, None)) is not None:
            if self._full():
                self._looked_back += len(found[1])
            self._through_block(found[1])
            self._looked_at += len(found[1])
            self._past |= self._query.reach is not None and self._looked_at >= self._query.reach

    def _through_block(self, block: bytes) -> None:
        end = len(block)
        while end > 0:
            full = self._full()
            rest, end = block[:end], 0
            for start, stop in self._candidates(rest, full=full):
                self._take(rest[start:stop], full=full)
                if self.is_done():
                    return
                if self._full() != full:  # look for something else in what is left
                    end = start
                    break

    def _candidates(self, block: bytes, *, full: bool) -> Iterable[tuple[int, int]]:
        """Where the lines are that may be wanted, or tell a run, the last one first."""
        if full:
            return lines_with(block, (LIFECYCLE_MARK,))
        found = self._sieve.spans(block)
        return _all_lines(block) if found is None else found

    def _take(self, raw: bytes, *, full: bool) -> None:
        tells_run = STARTED_MARK in raw or CONTINUED_MARK in raw
        if full and not tells_run:
            return
        line = parse(raw, self._process)
        if not full and self._query.wants(line):
            self._found.append(line)
        if tells_run and line.stream == LIFECYCLE and line.event in RUN_EVENTS:
            self._are_of(line.run, is_start=line.event == "started")

    def _are_of(self, run: int | None, *, is_start: bool) -> None:
        """All lines that wait are of this run, which begins here or further back."""
        if self._runs.meet(run, is_start=is_start):
            waiting = self._found[self._settled :]
            self._found[self._settled :] = [msgspec.structs.replace(line, run=run) for line in waiting]
        else:
            del self._found[self._settled :]
        self._settled = len(self._found)


def _all_lines(block: bytes) -> Iterator[tuple[int, int]]:
    """Where the lines of a block are, the last one first."""
    stop = len(block) - block.endswith(b"\n")
    while True:
        start = block.rfind(b"\n", 0, stop) + 1
        yield start, stop
        if start == 0:
            return
        stop = start - 1
