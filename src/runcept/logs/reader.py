"""Reading logs straight from disk, with or without a daemon: the newest lines, what is new since, and what comes.

Several logs are merged by `ts`; lines of one log keep their order. Nothing here writes, and a log that does not exist
(yet) has no lines. Files that cannot be opened raise LogNotReadable.
"""

from __future__ import annotations

import contextlib
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from runcept.errors import CursorInvalid
from runcept.logs.files import Position, beginning
from runcept.logs.follow import REMOVED, Tail, looks, merged
from runcept.logs.record import Line, instant_text
from runcept.logs.search import OUTPUT, Query, Sieve, current_run, newest
from runcept.logs.watch import compile_pattern
from runcept.logs.when import parse_when

__all__ = ["OUTPUT", "Line", "LogPage", "follow", "parse_when", "query_of", "read"]

_POLL_SECONDS = 0.05
_LATE_SECONDS = 0.5
"""How long after its stamp a line may still be on its way into the file."""


class LogPage(msgspec.Struct, frozen=True):
    """What was read, oldest first, and where to go on: `read(…, after=cursor)` gives only what came since."""

    lines: list[Line]
    cursor: str


def read(
    paths: Mapping[str, str],
    *,
    lines: int | None = 100,
    since: float | str | None = None,
    until: float | str | None = None,
    grep: str | None = None,
    stream: str | None = None,
    run: int | str | None = None,
    after: str | None = None,
    reach: int | None = None,
    tell_runs: bool = True,
) -> LogPage:
    """The newest `lines` (None: all) of the logs at `paths`, by process, that pass every filter.

    `since` and `until` are epoch seconds or text for `parse_when`, both inclusive; `grep` is searched for in each
    message without its ANSI escapes; `stream` is stdout, stderr, runcept, or OUTPUT for the first two; `run` is a
    number or "last"; `after` is a cursor. With `reach`, only about so many of the newest bytes of each log are
    searched. Whoever does not need the run of each line says so with `tell_runs`: the record that tells it may be
    64 MiB before the line.
    Raises InstantUnclear, PatternInvalid, CursorInvalid.
    """
    query = query_of(
        lines=lines, since=since, until=until, grep=grep, stream=stream, run=run, reach=reach, tell_runs=tell_runs
    )
    return _page(paths, query, _positions(after))[0]


def follow(
    paths: Mapping[str, str],
    *,
    lines: int | None = 100,
    since: float | str | None = None,
    until: float | str | None = None,
    grep: str | None = None,
    stream: str | None = None,
    run: int | str | None = None,
    after: str | None = None,
    tell_runs: bool = True,
    stop: Callable[[], bool] | None = None,
) -> Iterator[Line]:
    """What `read` gives, then each line that passes the filters at most 0.1 s after it was written, until `until`.

    With `lines` None it begins with the first line there is, or that of `since`, and reads forwards: little is held.
    `stop` is asked after each look at the logs, twenty times a second where there is nothing new; once it is true and
    there is nothing new, the iterator ends. Closing the iterator gives back the files. Filters and errors are those of
    `read`; `run` "last" includes later runs. What rotation removes before it was given is told by a line of the event
    "removed", whatever the filters are.
    """
    query = query_of(lines=lines, since=since, until=until, grep=grep, stream=stream, run=run, tell_runs=tell_runs)
    return _follow(paths, query, _positions(after), stop or (lambda: False))


def _follow(
    paths: Mapping[str, str], query: Query, after: dict[str, Position], stop: Callable[[], bool]
) -> Iterator[Line]:
    is_whole = query.lines is None and not after
    page, ends = (LogPage([], ""), {}) if is_whole else _page(paths, query, after)
    with contextlib.ExitStack() as stack:
        tails: list[Tail] = []
        starts: dict[str, _Start] = {}
        for process, path in paths.items():  # before anything is shown, which may take long, and rotation goes on
            start = starts[process] = _beginning(process, path, query) if is_whole else _end(process, path, query, ends)
            tails.append(Tail(process, path, start.place, start.run, Sieve(query)))
            stack.callback(tails[-1].close)
        yield from page.lines
        is_late = False
        for lines in looks(tails):
            yield from (line for line in lines if _is_followed(line, query, starts[line.process].wanted_run))
            is_stopped = stop()
            if (is_stopped and not lines) or (is_late and _has_passed(lines, query)):
                return
            if not lines:
                time.sleep(_POLL_SECONDS)
            is_late = _is_late(query)  # before the next look: what is not there by then is stamped later


def _is_late(query: Query) -> bool:
    """Whether every line that is stamped in time is in its file by now."""
    return query.until is not None and (_ts(time.time() - _LATE_SECONDS) or "") > query.until


def _has_passed(lines: list[Line], query: Query) -> bool:
    """Whether no line in time is behind those of a look."""
    oldest = next((line.ts for line in lines if line.ts is not None), None)
    return not lines or (oldest is not None and query.until is not None and oldest > query.until)


class _Start(NamedTuple):
    """From where on a log is followed."""

    place: Position
    run: int | None
    """Of the lines there."""
    wanted_run: int | None = None
    """Of a log that is shown from its beginning: what is of an earlier run is not wanted."""


def _beginning(process: str, path: str, query: Query) -> _Start:
    far = query.run is not None
    last = current_run(process, path, far=far) if query.run == "last" else None
    run = current_run(process, path, far=far, before=query.since) if query.since and query.tells_runs else None
    return _Start(beginning(path, query.since), run, last)


def _end(process: str, path: str, query: Query, ends: Mapping[str, Position]) -> _Start:
    return _Start(ends[process], current_run(process, path, far=query.run is not None) if query.tells_runs else None)


def _is_followed(line: Line, query: Query, wanted_run: int | None) -> bool:
    if line.event == REMOVED:
        return True
    if isinstance(query.run, int):
        return line.run == query.run and query.wants(line)
    return (wanted_run is None or (line.run or 0) >= wanted_run) and query.wants(line)


def query_of(
    *,
    lines: int | None,
    since: float | str | None,
    until: float | str | None,
    grep: str | None,
    stream: str | None,
    run: int | str | None,
    reach: int | None = None,
    tell_runs: bool = True,
) -> Query:
    """The filters as `read` takes them. Raises InstantUnclear, PatternInvalid."""
    return Query(
        lines=lines,
        since=_ts(since),
        until=_ts(until),
        grep=None if grep is None else compile_pattern(grep),
        stream=stream,
        run=run,
        reach=reach,
        tells_runs=tell_runs or run is not None,
    )


def _ts(when: float | str | None) -> str | None:
    if when is None:
        return None
    seconds = parse_when(when, time.time()) if isinstance(when, str) else when
    return instant_text(round(seconds * 1_000_000))


def _page(paths: Mapping[str, str], query: Query, after: dict[str, Position]) -> tuple[LogPage, dict[str, Position]]:
    """The page, and where each log ended."""
    found = {process: newest(process, path, query, after.get(process)) for process, path in paths.items()}
    ends = {**after, **{process: end for process, (_, end) in found.items()}}
    lines = list(merged([part for part, _ in found.values()]))
    if query.lines is not None:
        lines = lines[max(0, len(lines) - query.lines) :]
    return LogPage(lines, _cursor(ends)), ends


def _cursor(positions: dict[str, Position]) -> str:
    return urlsafe_b64encode(msgspec.msgpack.encode(positions)).decode().rstrip("=")


def _positions(cursor: str | None) -> dict[str, Position]:
    if cursor is None:
        return {}
    try:
        packed = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        return msgspec.msgpack.decode(packed, type=dict[str, Position])
    except (ValueError, msgspec.DecodeError) as error:
        raise CursorInvalid(cursor) from error
