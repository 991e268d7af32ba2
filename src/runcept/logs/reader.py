"""Reading logs straight from disk, with or without a daemon: the newest lines, what is new since, and what comes.

Several logs are merged by `ts`; lines of one log keep their order. Nothing here writes, and a log that does not exist
(yet) has no lines. Files that cannot be opened raise LogNotReadable.
"""

from __future__ import annotations

import contextlib
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import merge

import msgspec

from runcept.errors import CursorInvalid
from runcept.logs.files import Position
from runcept.logs.follow import Tail
from runcept.logs.record import Line, instant_text
from runcept.logs.search import Query, current_run, newest
from runcept.logs.watch import compile_pattern
from runcept.logs.when import parse_when

__all__ = ["Line", "LogPage", "follow", "parse_when", "query_of", "read"]

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
) -> LogPage:
    """The newest `lines` (None: all) of the logs at `paths`, by process, that pass every filter.

    `since` and `until` are epoch seconds or text for `parse_when`, both inclusive; `grep` is searched for in each
    message; `stream` is stdout, stderr or runcept; `run` is a number or "last"; `after` is a cursor. With `reach`,
    only about so many of the newest bytes of each log are searched.
    Raises InstantUnclear, PatternInvalid, CursorInvalid.
    """
    query = query_of(lines=lines, since=since, until=until, grep=grep, stream=stream, run=run, reach=reach)
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
    stop: Callable[[], bool] | None = None,
) -> Iterator[Line]:
    """What `read` gives, then each line that passes the filters at most 0.1 s after it was written, until `until`.

    `stop` is asked whenever there is nothing new, twenty times a second; once it is true, the iterator ends.
    Closing the iterator gives back the files. Filters and errors are those of `read`; `run` "last" includes later runs.
    """
    query = query_of(lines=lines, since=since, until=until, grep=grep, stream=stream, run=run)
    return _follow(paths, query, _positions(after), stop or (lambda: False))


def _follow(
    paths: Mapping[str, str], query: Query, after: dict[str, Position], stop: Callable[[], bool]
) -> Iterator[Line]:
    page, ends = _page(paths, query, after)
    yield from page.lines
    with contextlib.ExitStack() as stack:
        tails = [Tail(process, path, ends[process], current_run(process, path)) for process, path in paths.items()]
        for tail in tails:
            stack.callback(tail.close)
        while True:
            batches = [tail.poll() for tail in tails]
            yield from (line for line in _merged(batches) if _is_followed(line, query))
            if _is_over(query) or (not any(batches) and stop()):
                return
            if not any(batches):
                time.sleep(_POLL_SECONDS)


def _is_over(query: Query) -> bool:
    """Whether no line can come any more that is stamped in time."""
    return query.until is not None and (_ts(time.time() - _LATE_SECONDS) or "") > query.until


def _is_followed(line: Line, query: Query) -> bool:
    return query.wants(line) and (not isinstance(query.run, int) or line.run == query.run)


def query_of(
    *,
    lines: int | None,
    since: float | str | None,
    until: float | str | None,
    grep: str | None,
    stream: str | None,
    run: int | str | None,
    reach: int | None = None,
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
    lines = list(_merged(part for part, _ in found.values()))
    if query.lines is not None:
        lines = lines[max(0, len(lines) - query.lines) :]
    return LogPage(lines, _cursor(ends)), ends


def _merged(logs: Iterable[list[Line]]) -> Iterator[Line]:
    """All lines by time; a line without one comes right behind the line before it."""
    return merge(*logs, key=lambda line: line.ts or "")


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
