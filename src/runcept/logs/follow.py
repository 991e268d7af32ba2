"""Following logs as they grow: through rotation, truncation, replacement and absence. It never waits.

A follower that is slower than the log is rotated loses what is removed before it comes. It is told so, by a line of the
stream "runcept" with the event "removed", in the place of what is missing.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import takewhile

import msgspec

from runcept.logs.files import LogFile, Position, files_from
from runcept.logs.grep import lines_with
from runcept.logs.record import LIFECYCLE, LIFECYCLE_MARK, RUN_EVENTS, Line, content_size, parse
from runcept.logs.search import Sieve

__all__ = ["REMOVED", "Tail", "looks", "merged"]

REMOVED = "removed"
"""The event of a line that tells what the follower has missed."""
_GIVEN = 256 << 10  # bytes that are remembered: what a writer takes back is not much longer
_GIVEN_BEFORE = 32 << 10  # bytes, of those that were given before we began
_ENDS = ("exited", "failed")
"""The events after which a run writes no more."""


class Tail:
    """Gives the lines from a place in a log on once, in order, less what is sifted out. Every record is whole by then.

    A file that was replaced is read to its end before the next one. One that was truncated is taken up where it ends
    now if it still begins as before, else at its beginning. A writer that takes records back writes them again: as far
    as the same bytes come, of the last 256 KiB that were given, they are passed by.
    """

    def __init__(self, process: str, path: str, position: Position, run: int | None, sieve: Sieve) -> None:
        self._process = process
        self._path = path
        self._position = position
        self._run = run
        self._sieve = sieve
        self._files: deque[LogFile] = deque()
        """The one that is read, and the one written after it, which is unpacked only when its turn comes."""
        self._number = 0
        """Of the name of the first, when it was looked for."""
        self._missed: list[Line] = []
        self._given = b""
        """The newest bytes of the file before our place in it."""
        self._taken_back = b""
        """Bytes that were given and are not there any more."""
        self._reopen()
        if self._files and not self._files[0].is_packed and self._files[0].has(position):
            self._given = self._files[0].read(max(0, position.offset - _GIVEN_BEFORE), position.offset)

    def poll(self) -> list[Line]:
        """The next lines, at most about 32 KiB of them unless one is longer; empty where there is nothing new."""
        while True:
            if lines := self._told() or self._read():
                return lines
            if len(self._files) > 1:
                self._files.popleft().close()
                self._number = self._files[0].number
                self._begin()
            elif not self._replaced():
                return []
            elif lines := self._read():  # written between the last look and the replacement
                return lines
            else:
                self._reopen()

    def _told(self) -> list[Line]:
        missed, self._missed = self._missed, []
        return missed

    def close(self) -> None:
        """Give back the files."""
        while self._files:
            self._files.pop().close()

    def _read(self) -> list[Line]:
        if not self._files:
            return []
        file = self._files[0]
        if not file.refresh() and self._position.offset >= file.size:
            return []
        if not file.has(self._position):
            self._go_back(file)
        for offset, block in file.forward(self._position.offset):
            self._position = file.position(offset + len(block))
            self._given = b"" if file.is_packed else (self._given + block)[-_GIVEN:]
            if new := block[self._again(block) :]:
                return [*map(self._line, self._sifted(new))]
        return []

    def _begin(self) -> None:
        """Be at the beginning of the first file."""
        self._position = self._files[0].position(0)
        self._given = self._taken_back = b""

    def _go_back(self, file: LogFile) -> None:
        """It was truncated."""
        kept = file.size if file.has(self._position._replace(offset=0)) else 0
        count = self._position.offset - kept
        is_known = 0 < count <= len(self._given)
        self._taken_back = self._given[-count:] + self._taken_back if is_known else b""
        self._given = self._given[:-count] if is_known else b""
        self._position = file.position(kept)

    def _again(self, block: bytes) -> int:
        """How many of the bytes are those that were taken back."""
        expected, self._taken_back = self._taken_back, b""
        if expected.startswith(block):
            self._taken_back = expected[len(block) :]
            return len(block)
        pairs = zip(expected.split(b"\n")[:-1], block.split(b"\n"), strict=False)
        return sum(len(line) + 1 for line, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

    def _sifted(self, block: bytes) -> list[bytes]:
        """The lines that may be wanted, and the last one, which tells how far we are."""
        spans = self._sieve.spans(block)
        if spans is None:
            return block.removesuffix(b"\n").split(b"\n")
        stop = len(block.removesuffix(b"\n"))
        last = (block.rfind(b"\n", 0, stop) + 1, stop)
        return [block[slice(*span)] for span in sorted({*spans, last})]

    def _line(self, raw: bytes) -> Line:
        line = parse(raw, self._process, self._run)
        if line.stream == LIFECYCLE and line.event in RUN_EVENTS:
            self._run = line.run
        return line

    def _replaced(self) -> bool:
        """Whether the path names a file that is not open here."""
        try:
            status = os.stat(self._path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return not self._files or not os.path.samestat(status, self._files[-1].status)

    def _reopen(self) -> None:
        files = deque(files_from(self._path, self._position, self._number))
        if files:
            self._number = files[0].number
        if files and not files[0].begins_as(self._position):
            if self._position.length and (told := self._removed_before(files[0])):
                self._missed.append(told)
            self.close()
            self._files = files
            self._begin()
            return
        if files and self._files and files[0].is_packed and self._files[0].is_packed:  # and that is unpacked
            files.popleft().close()
            files.appendleft(self._files.popleft())
        self.close()
        self._files = files

    def _removed_before(self, file: LogFile) -> Line | None:
        """What is missing between the file that was read to its end, and is open still, and the next one there is."""
        raw = _first_line(file)
        first = parse(raw, self._process)
        end = _end_of_run(self._files[-1]) if self._files else _End()
        how_much = "some output may have been"
        if first.stream != LIFECYCLE or (first.event == "started" and end.is_over and first.run == (end.run or 0) + 1):
            return None
        if first.event == "continued" and first.run == end.run and end.offset is not None:
            missing = _offset(raw) - end.offset
            if missing <= 0:
                return None
            how_much = f"{missing} bytes of output were"
        message = f"{how_much} removed before it could be shown: the log is kept up to its max_size and keep"
        return Line(first.ts, self._process, LIFECYCLE, first.run, message, event=REMOVED)


class _End(msgspec.Struct, frozen=True):
    """Up to where a file goes."""

    run: int | None = None
    is_over: bool = False
    """Whether the run has ended by then."""
    offset: int | None = None
    """How many bytes of the run's output are in this file and those before; None where that cannot be told."""


def _end_of_run(file: LogFile) -> _End:
    """It is read as a whole for that, which is needed only once what comes behind it is gone.

    To count while lines are given would be no cheaper: whoever follows begins in the middle of a run, and passes by
    most lines without decoding them.
    """
    run: int | None = None
    offset: int | None = None
    is_over = False
    for _, block in file.forward(0):
        at = 0
        for start, stop in [*reversed(lines_with(block, (LIFECYCLE_MARK,))), (len(block), len(block))]:
            between, at = block[at:start], stop + 1
            if between:
                is_over = False
                offset = None if offset is None else offset + content_size(between)
            if not (raw := block[start:stop]):
                break
            line = parse(raw, "")
            is_over = line.event in _ENDS
            if line.event in RUN_EVENTS:
                run, offset = line.run, _offset(raw)
            elif line.event == "gap":
                offset = None
    return _End(run, is_over, offset)


def _offset(raw: bytes) -> int:
    """Of a record that begins a file or a run."""
    return int(msgspec.json.decode(raw).get("offset", 0))


def _first_line(file: LogFile) -> bytes:
    return next((block.partition(b"\n")[0] for _, block in file.forward(0)), b"")


def looks(tails: Sequence[Tail]) -> Iterator[list[Line]]:
    """What is new in several logs, a list a look, by time; empty where there is nothing new.

    Of a log from which a look has brought something there may be more: lines later than that wait for the next look.
    """
    waiting: list[list[Line]] = [[] for _ in tails]
    while True:
        waiting = [lines or tail.poll() for lines, tail in zip(waiting, tails, strict=True)]
        limit = min((_newest(lines) for lines in waiting if lines), default="")
        cuts = [_count_up_to(limit, lines) for lines in waiting]
        yield list(merged([lines[:cut] for lines, cut in zip(waiting, cuts, strict=True)]))
        waiting = [lines[cut:] for lines, cut in zip(waiting, cuts, strict=True)]


def _newest(lines: list[Line]) -> str:
    return next((line.ts for line in reversed(lines) if line.ts is not None), "")


def _count_up_to(limit: str, lines: list[Line]) -> int:
    if not lines or _newest(lines) <= limit:
        return len(lines)
    return next(number for number, line in enumerate(lines) if line.ts is not None and line.ts > limit)


def merged(logs: Sequence[list[Line]]) -> Iterator[Line]:
    """All lines by time; a line without one comes right behind the line before it."""
    return merge(*logs, key=lambda line: line.ts or "")
