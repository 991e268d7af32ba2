"""Looks for errors in log files, from the end backwards: fast over what has none, and not further than is quick.

Chunks of a file in which no word of an error stands are passed by. In others, the lines with such a word are read, the
few before them, and those behind them as long as they may belong to an error, half a mebibyte at most.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Mapping

import msgspec

from runcept.logs.digest import ErrorItem, Fold, LeftOut, newest_first
from runcept.logs.error_blocks import Block, Joiner
from runcept.logs.error_grammar import EXACT_NEEDLES, NEEDLES
from runcept.logs.files import LogFile, chain
from runcept.logs.grep import lines_with
from runcept.logs.reader import query_of
from runcept.logs.record import CONTINUED_MARK, LIFECYCLE, RUN_EVENTS, STARTED_MARK, parse, raw_ts
from runcept.logs.search import Query, Runs

__all__ = ["ErrorPage", "Searched", "find_errors"]

_REACH = 128 << 20  # bytes of each log that are looked through
_DECODED = 100_000  # lines of all logs together that are read
_LOOK_BACK = 64 << 20  # bytes before that in which the start of the run is looked for
_BEFORE = 8  # lines: an error may begin so many before the first word that tells it
_CHUNK = 1 << 20  # bytes that are looked through at once
_ASIDE = 512 << 10  # bytes of its neighbours in which its first and last errors are completed
_STAMPED = 64 << 10  # bytes in which a line with an instant is, where there is one
_NEAR = 4 << 10  # bytes of the next block in which the word may stand that tells an error at the end of this one
_SIZE = 64 << 10  # characters of all lines of an answer


class Searched(msgspec.Struct, frozen=True):
    """How far a log was looked through."""

    process: str
    bytes: int
    since: str | None
    """Instant of the first line that was looked at; null where none had one."""
    complete: bool
    """False: there is more before that, which was not looked at."""


class ErrorPage(msgspec.Struct, frozen=True):
    """The errors, newest first, and what the answer does not tell."""

    errors: list[ErrorItem]
    left_out: LeftOut
    searched: list[Searched]


def find_errors(
    paths: Mapping[str, str],
    *,
    items: int = 10,
    size: int = _SIZE,
    since: float | str | None = None,
    until: float | str | None = None,
    grep: str | None = None,
    stream: str | None = None,
    run: int | str | None = None,
    reach: int | None = None,
) -> ErrorPage:
    """The newest `items` errors in the logs at `paths`, by process, with `size` characters of lines at most.

    Of each log the newest `reach` bytes are looked through, by blocks. The filters are those of `reader.read`; `grep`
    is searched for in each line of an error.
    Raises InstantUnclear, PatternInvalid, LogNotReadable.
    """
    query = query_of(lines=None, since=since, until=until, grep=grep, stream=stream, run=run)
    searches: list[_Search] = []
    budget = _DECODED
    for number, (process, path) in enumerate(paths.items()):  # a quiet log leaves its share to those behind it
        search = _Search(process, query, _REACH if reach is None else reach, budget // (len(paths) - number))
        search.through(path)
        budget = max(0, budget - search.decoded)
        searches.append(search)
    errors, left_out = newest_first((item for each in searches for item in each.items()), items, size)
    beyond = sum(each.found.overflow for each in searches)
    left_out = LeftOut(left_out.errors + (beyond > 0), left_out.occurrences + beyond)
    return ErrorPage(errors, left_out, [each.searched() for each in searches])


class _Search:
    """Goes backwards through the files of one log.

    The run of an error is known only when the record that tells it is met, further back.
    """

    def __init__(self, process: str, query: Query, reach: int, budget: int) -> None:
        self.process = process
        self._reach = reach
        self.found = Fold()
        self._query = query
        self._waiting = Fold()
        """Errors of which the run is not known yet."""
        self._bytes = 0
        self._since: str | None = None
        self._budget = budget
        self.decoded = 0
        """Lines that were read; at least those of the newest chunk, whatever the budget is."""
        self._complete = True
        self._runs = Runs(query.run)

    def through(self, path: str) -> None:
        """Look through the log at `path`."""
        chunks = _joined(self._blocks(path))
        older: deque[tuple[bytes, bool]] = deque()
        newer = b""
        while True:
            while sum(len(each) for each, _ in itertools.islice(older, 1, None)) < _ASIDE:
                if (following := next(chunks, None)) is None:
                    break
                older.append(following)
            if not older:
                return
            chunk, is_in_time = older.popleft()
            if not is_in_time or self._bytes >= self._reach or (self._bytes and self.decoded >= self._budget):
                self._complete = not is_in_time
                self._look_back(each for each, _ in itertools.chain([(chunk, False)], older, chunks))
                return
            self._look([each for each, _ in older], chunk, newer)
            if self._runs.is_over:
                return
            newer = chunk[:_ASIDE] + newer[: max(0, _ASIDE - len(chunk))]

    def items(self) -> list[ErrorItem]:
        """What was found, newest first."""
        if self._query.run is None or (self._query.run == "last" and not self._runs.any):
            self.found.merge(self._waiting, None)
            self._waiting = Fold()
        return self.found.items(self.process)

    def searched(self) -> Searched:
        """How far that was."""
        return Searched(self.process, self._bytes, self._since, self._complete)

    def _blocks(self, path: str) -> Iterator[tuple[bytes, bool]]:
        """Whole lines, newest first, and whether the query wants lines of this time; those that are too new not."""
        is_older = False
        for file in chain(path):
            low, high = self._range(file) if not is_older else (0, 0)
            for _, block in file.backward(low, high):
                yield _ended(block), True
            is_before, is_older = low if not is_older else file.size, is_older or low > 0
            for _, block in file.backward(0, is_before):
                yield _ended(block), False

    def _range(self, file: LogFile) -> tuple[int, int]:
        until, since = self._query.until, self._query.since
        high = file.size if until is None else file.first_at(until, later=True)
        return (0 if since is None else min(file.first_at(since), high)), high

    def _look(self, older: list[bytes], chunk: bytes, newer: bytes) -> None:
        """Take the errors that begin in `chunk`; they may go on in `newer`, and those of `older` in it."""
        self._bytes += len(chunk)
        self._since = next(filter(None, map(raw_ts, chunk[:_STAMPED].split(b"\n"))), self._since)
        errors: list[Block] = []
        if _has_any(chunk) or _has_any(newer[:_NEAR]):
            before = _last_lines(b"".join(reversed(older)))
            after = newer if len(newer) < _ASIDE else newer[: newer.rfind(b"\n") + 1]
            errors = [*self._errors(before + chunk + after, len(before), len(before) + len(chunk))]
            errors.sort(key=lambda each: each.offset, reverse=True)
        for start, is_start, run in _runs(chunk):
            while errors and errors[0].offset > start:
                self._add(errors.pop(0))
            self._are_of(run, is_start=is_start)
            if self._runs.is_over:
                return
        for each in errors:
            self._add(each)

    def _errors(self, text: bytes, low: int, high: int) -> Iterator[Block]:
        """The errors that begin between two places of the text, with their offsets from the first of them."""
        joiner = Joiner()
        at = 0

        def begun_there(blocks: Iterator[Block]) -> Iterator[Block]:
            for block in blocks:
                if low <= block.offset < high:
                    block.offset -= low
                    yield block

        for candidate in _candidates(text[: high + _NEAR]):
            if candidate < at:
                continue
            if not joiner.waits:
                at = max(at, _lines_before(text, candidate))
            while at < len(text) and (at <= candidate or joiner.waits):
                end = text.find(b"\n", at)
                end = len(text) if end < 0 else end
                self.decoded += 1
                yield from begun_there(joiner.feed(parse(text[at:end], self.process), at))
                at = end + 1
        yield from begun_there(joiner.finish())

    def _add(self, block: Block) -> None:
        query = self._query
        if query.stream not in (None, block.stream):
            return
        if query.grep is not None and not any(map(query.grep.search, block.lines())):
            return
        self._waiting.add(block)

    def _are_of(self, run: int | None, *, is_start: bool) -> None:
        """All errors that wait are of this run, which begins here or further back."""
        if self._runs.meet(run, is_start=is_start):
            self.found.merge(self._waiting, run)
        self._waiting = Fold()

    def _look_back(self, blocks: Iterator[bytes]) -> None:
        """Find the run of the errors that wait."""
        looked = 0
        for block in blocks:
            if not self._waiting or looked > _LOOK_BACK:
                return
            looked += len(block)
            for _, is_start, run in _runs(block):
                self._are_of(run, is_start=is_start)
                if self._runs.is_over:
                    return


def _ended(block: bytes) -> bytes:
    """With the last newline, which text of old may lack."""
    return block if block.endswith(b"\n") else block + b"\n"


def _joined(blocks: Iterator[tuple[bytes, bool]]) -> Iterator[tuple[bytes, bool]]:
    """Larger ones: neighbours that are alike, together."""
    for is_in_time, alike in itertools.groupby(blocks, key=lambda each: each[1]):
        while parts := [*_taken(alike)]:
            yield b"".join(reversed(parts)), is_in_time


def _taken(blocks: Iterator[tuple[bytes, bool]]) -> Iterator[bytes]:
    size = 0
    while size < _CHUNK and (block := next(blocks, None)) is not None:
        size += len(block[0])
        yield block[0]


def _has_any(block: bytes) -> bool:
    lower = block.lower()
    return any(lower.rfind(each) >= 0 for each in NEEDLES) or any(block.rfind(each) >= 0 for each in EXACT_NEEDLES)


def _candidates(text: bytes) -> list[int]:
    """The first bytes of the lines in which a word of an error stands."""
    found = (*lines_with(text.lower(), NEEDLES), *lines_with(text, EXACT_NEEDLES))
    return sorted({start for start, _ in found})


def _lines_before(text: bytes, start: int) -> int:
    for _ in range(_BEFORE):
        if start == 0:
            break
        start = text.rfind(b"\n", 0, start - 1) + 1
    return start


def _last_lines(text: bytes) -> bytes:
    """As many whole lines as there is room for beside a chunk."""
    return text if len(text) <= _ASIDE else text[text.find(b"\n", len(text) - _ASIDE) + 1 :]


def _runs(block: bytes) -> Iterator[tuple[int, bool, int | None]]:
    """Where runs begin or go on, the last one first: the offset, whether it is the start, and the run."""
    at = len(block)
    while True:
        at = max(block.rfind(mark, 0, at) for mark in (STARTED_MARK, CONTINUED_MARK))
        if at < 0:
            return
        start, end = block.rfind(b"\n", 0, at) + 1, block.find(b"\n", at)
        line = parse(block[start : len(block) if end < 0 else end], "")
        if line.stream == LIFECYCLE and line.event in RUN_EVENTS:
            yield start, line.event == "started", line.run
        at = start
