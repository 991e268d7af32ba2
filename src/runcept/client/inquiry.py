"""Why a process is as it is, which the daemon and the log files tell together. Blocking, like `connection`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from runcept.api import messages as m
from runcept.client.connection import Connection
from runcept.core.plain import plain
from runcept.core.remedy import remedy
from runcept.core.views import ProcessView, State
from runcept.core.why import summary
from runcept.errors import LogNotReadable
from runcept.logs.digest import ErrorItem
from runcept.logs.error_search import find_errors
from runcept.logs.reader import read
from runcept.logs.record import Line

__all__ = ["Evidence", "Explained", "evidence", "explain", "explained", "time_here"]

_LINES = 20
_ERRORS = 3
_REACH = 8 << 20
"""Bytes of the end of a log in which the last words of a run are looked for."""


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
