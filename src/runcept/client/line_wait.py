"""Waiting until processes have written a line: the log files tell of lines, the daemon of what becomes of processes.

Blocking, like `connection`. A regular expression of the user's is never run in the daemon: it could take for ever.

No line is missed between a look into a log and following it, since there is one reading alone. It begins a moment
before the oldest run that counts, by the instants of the records; which lines are of such a run, their numbers tell.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Literal

from runcept.api import messages as m
from runcept.client.connection import Connection
from runcept.core.views import ProcessView, State
from runcept.logs.follow import REMOVED
from runcept.logs.reader import OUTPUT, follow
from runcept.logs.record import Line
from runcept.units import parse_instant

__all__ = ["Matched", "wait_for_line", "wait_for_lines"]

_LOOK_SECONDS = 0.5
"""How often the processes are looked at while their logs are: one may end without a word."""
_BEFORE_SECONDS = 1.0
"""A run's first line may be stamped so long before the instant that counts as its start."""
_READING_SECONDS = 10.0
"""Beyond the time, to come to the end of what was written by then: what is written as fast as it is read has none."""


class Matched(m.Waited, frozen=True, kw_only=True):
    """What was waited for was a line of its log."""

    line: Line


class _TimeUp(Exception):
    """Where the logs have no end."""


class _Search:
    """For a line of one process: of the run that is under way, or was the last; else of the next one."""

    def __init__(self, view: ProcessView) -> None:
        self.view = view
        has_begun = view.state not in {State.STOPPED, State.PENDING}
        self.since = parse_instant(view.started_at) if has_begun and view.started_at is not None else None
        """Wall clock; None: from now on."""
        self._least_run = (view.run or 0) + (0 if has_begun else 1)
        self._was_up = view.state is not State.STOPPED
        self._takes_unknown = has_begun
        self.line: Line | None = None
        self.ended: Literal["exited", "stopped"] | None = None
        self.look(view)

    @property
    def is_decided(self) -> bool:
        return self.line is not None or self.ended is not None

    def look(self, view: ProcessView) -> None:
        """Note what has become of the process."""
        self.view = view
        self._was_up = self._was_up or view.state is not State.STOPPED
        if view.state in {State.EXITED, State.FAILED}:
            self.ended = "exited"
        else:
            self.ended = "stopped" if view.state is State.STOPPED and self._was_up else None

    def take(self, line: Line) -> None:
        """A line in which the pattern was found; the first that counts is kept."""
        counts = self._takes_unknown if line.run is None else line.run >= self._least_run
        if self.line is None and counts:
            self.line = line

    def waited(self, environment: str, view: ProcessView, otherwise: Literal["timeout", "undecided"]) -> m.Waited:
        """What came of it."""
        if self.line is not None:
            return Matched(environment=environment, process=view, outcome="matched", line=self.line)
        return m.Waited(environment=environment, process=view, outcome=self.ended or otherwise)


def wait_for_line(
    connection: Connection, params: m.Wait, pattern: str, stopped: Callable[[], bool] = lambda: False
) -> m.Waited:
    """Wait for a line of one process in which `pattern` is found; `until` of `params` does not matter.

    As `wait_for_lines`; SeveralProcesses where the name is a glob that means more than one.
    """
    look = m.Wait(environment=params.environment, name=params.name, timeout=0, actor=params.actor)
    seen: m.Waited = connection.call("wait", look)
    one = m.WaitAll(
        environment=params.environment, names=[seen.process.name], timeout=params.timeout, actor=params.actor
    )
    return wait_for_lines(connection, one, pattern, stopped).waited[0]


def wait_for_lines(
    connection: Connection, params: m.WaitAll, pattern: str, stopped: Callable[[], bool] = lambda: False
) -> m.AllWaited:
    """Wait until each process has written a line of output in which `pattern` is found, or one will not.

    A run that is under way, or over, counts from its beginning; of what is stopped or pending, the next run. Of each
    process: Matched; or, without a line, exited, stopped (it is down and nothing starts it by itself), timeout,
    undecided (another one will write no such line). `stopped` is asked twenty times a second, and ends the wait like
    the time. Errors: those of `Connection.call`, PatternInvalid, LogNotReadable.
    """
    deadline = time.monotonic() + params.timeout
    look = m.WaitAll(environment=params.environment, names=params.names, timeout=0, actor=params.actor)
    asked_at = time.time()
    first = connection.call("wait_all", look)
    searches = {each.process.name: _Search(each.process) for each in first.waited}
    look_again = time.monotonic() + _LOOK_SECONDS
    is_late = False

    def is_over() -> bool:
        nonlocal look_again, is_late
        if time.monotonic() >= look_again:
            for each in _views(connection, look):
                searches[each.name].look(each)
            look_again = time.monotonic() + _LOOK_SECONDS
        is_late = is_late or stopped() or time.monotonic() >= deadline
        if time.monotonic() >= deadline + _READING_SECONDS:
            raise _TimeUp
        return is_late or _is_settled(searches.values())

    paths = {name: each.view.log_path for name, each in searches.items()}
    since = min(asked_at if each.since is None else each.since for each in searches.values()) - _BEFORE_SECONDS
    lines = follow(paths, lines=None, since=since, grep=pattern, stream=OUTPUT, stop=is_over)
    try:
        for line in lines:
            if line.event != REMOVED:
                searches[line.process].take(line)
            if all(each.line is not None for each in searches.values()):
                break
    except _TimeUp:
        is_late = True
    views = _views(connection, look)
    otherwise: Literal["timeout", "undecided"] = "timeout" if is_late else "undecided"
    waited = [searches[each.name].waited(first.environment, each, otherwise) for each in views]
    return m.AllWaited(environment=first.environment, waited=waited)


def _is_settled(searches: Iterable[_Search]) -> bool:
    """Each has its line, or one will not have it."""
    known = list(searches)
    return all(each.is_decided for each in known) or any(each.line is None and each.ended for each in known)


def _views(connection: Connection, look: m.WaitAll) -> list[ProcessView]:
    seen: m.AllWaited = connection.call("wait_all", look)
    return [each.process for each in seen.waited]
