"""Questions that the daemon and the log files answer together: waiting for a line, and why a process is as it is.

Blocking, like `connection`. A regular expression of the user's is never run in the daemon: it could take for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from runcept.api import messages as m
from runcept.client.connection import Connection
from runcept.core.plain import plain
from runcept.core.remedy import remedy
from runcept.core.views import ProcessView, State
from runcept.core.why import summary
from runcept.errors import LogNotReadable
from runcept.logs.digest import ErrorItem
from runcept.logs.error_search import find_errors
from runcept.logs.reader import OUTPUT, follow, read
from runcept.logs.record import Line

__all__ = ["Evidence", "Explained", "Matched", "evidence", "explain", "explained", "time_here", "wait_for_line"]

_LOOK_SECONDS = 0.5
"""How often the process is looked at while its log is: it may end without a word."""
_LINES = 20
_ERRORS = 3
_REACH = 8 << 20
"""Bytes of the end of a log in which the last words of a run are looked for."""


class Matched(m.Waited, frozen=True, kw_only=True):
    """What was waited for was a line of its log."""

    line: Line


class Evidence(NamedTuple):
    """What the log of a process says about its end."""

    errors: Sequence[ErrorItem] = ()
    """The newest first."""
    output: Sequence[Line] = ()
    """The last lines of its last run, to stderr; to stdout where it wrote none there."""


class Explained(m.Explanation, frozen=True, kw_only=True):
    """Why a process is as it is, with what the process in which it began has written."""

    summary: str
    """The chain as one sentence; instants in it are local."""
    fix: str
    """What a person does about it; empty where nothing is wrong."""
    errors: Sequence[ErrorItem]
    output: Sequence[Line]


def wait_for_line(
    connection: Connection,
    params: m.Wait,
    pattern: str,
    stopped: Callable[[], bool] = lambda: False,
) -> m.Waited:
    """Wait for a line of output in which `pattern` is found; `until` of `params` does not matter.

    A run that is under way counts from its beginning; else what comes. Matched; or, without a line: exited, stopped (it
    is down and nothing starts it by itself), timeout. `stopped` is asked twenty times a second, and ends the wait like
    the time. Errors: those of `Connection.call`, PatternInvalid, LogNotReadable.
    """
    look = m.Wait(environment=params.environment, name=params.name, timeout=0, actor=params.actor)
    deadline = time.monotonic() + params.timeout
    seen: m.Waited = connection.call("wait", look)
    first = seen.process
    was_up = first.state is not State.STOPPED
    outcome: Literal["exited", "stopped", "timeout"] | None = _ended(first, was_up=was_up)
    look_again = time.monotonic() + _LOOK_SECONDS

    def is_over() -> bool:
        nonlocal seen, outcome, was_up, look_again
        if outcome is None and time.monotonic() >= look_again:
            seen = connection.call("wait", look)
            was_up = was_up or seen.process.state is not State.STOPPED
            outcome, look_again = _ended(seen.process, was_up=was_up), time.monotonic() + _LOOK_SECONDS
        if outcome is None and (time.monotonic() >= deadline or stopped()):
            outcome = "timeout"
        return outcome is not None

    paths = {first.name: first.log_path}
    for line in follow(paths, lines=None if was_up else 0, grep=pattern, stream=OUTPUT, stop=is_over):
        if line.run is None or first.run is None or line.run >= first.run:
            process = _now(connection, look)
            return Matched(environment=seen.environment, process=process, outcome="matched", line=line)
    return m.Waited(environment=seen.environment, process=_now(connection, look), outcome=outcome or "timeout")


def _now(connection: Connection, look: m.Wait) -> ProcessView:
    seen: m.Waited = connection.call("wait", look)
    return seen.process


def _ended(view: ProcessView, *, was_up: bool) -> Literal["exited", "stopped"] | None:
    if view.state in {State.EXITED, State.FAILED}:
        return "exited"
    return "stopped" if view.state is State.STOPPED and was_up else None


def explain(connection: Connection, params: m.Explain) -> Explained:
    """Ask the daemon for the causes, and the log of the process in which it began for its last words."""
    return explained(connection.call("explain", params))


def explained(told: m.Explanation) -> Explained:
    """What the daemon tells, with what is in the log of the process in which it began. Reads files."""
    found = evidence(told.root)
    return Explained(
        summary=summary(told.causes, time_here),
        fix=remedy(told.causes, told.root, [plain(line.message) for line in found.output]),
        environment=told.environment,
        process=told.process,
        causes=told.causes,
        root=told.root,
        next=told.next,
        errors=found.errors,
        output=found.output,
    )


def time_here(instant: str) -> str:
    """RFC 3339 as a clock here shows it: the time of a day, if that is today."""
    at, today = datetime.fromisoformat(instant).astimezone(), datetime.now().astimezone()
    return at.strftime("%H:%M:%S" if at.date() == today.date() else "%Y-%m-%d %H:%M:%S")


def evidence(view: ProcessView, lines: int = _LINES) -> Evidence:
    """What the last run of a process wrote at its end; nothing where all is well, or its log cannot be read."""
    if view.run is None or view.state is State.STOPPED or view.reason is None:
        return Evidence()
    paths = {view.name: view.log_path}
    try:
        errors = find_errors(paths, items=_ERRORS, run=view.run, reach=_REACH).errors
        for stream in ("stderr", "stdout"):
            if output := read(paths, lines=lines, stream=stream, run=view.run, reach=_REACH).lines:
                return Evidence(errors, output)
    except LogNotReadable:
        return Evidence()
    return Evidence(errors)
