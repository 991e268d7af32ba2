"""How a process and an environment look to a person: words, symbols, colours. No I/O; styles are rich's names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from runcept.cli.layout import Cell, Column, Row, Table
from runcept.core.views import EnvironmentView, Health, ProcessView, State
from runcept.units import format_duration, format_size

__all__ = [
    "Look",
    "address",
    "counted",
    "environment_line",
    "local_time",
    "look",
    "near_path",
    "process_table",
    "remark",
    "short_path",
]


class Look(NamedTuple):
    """How a state is drawn."""

    symbol: str
    style: str


_LOOKS = {
    State.RUNNING: Look("●", "green"),
    State.STARTING: Look("◐", "yellow"),
    State.PENDING: Look("○", "yellow"),
    State.STOPPING: Look("◑", "yellow"),
    State.BACKOFF: Look("↻", "yellow"),
    State.EXITED: Look("✔", "cyan"),
    State.FAILED: Look("✖", "red"),
    State.STOPPED: Look("○", "dim"),
}
_HEALTH_STYLES = {Health.HEALTHY: "green", Health.UNHEALTHY: "red", Health.UNKNOWN: "yellow", Health.NONE: "dim"}


def look(view: ProcessView) -> Look:
    """The symbol and colour of a process; a running one that is unhealthy is not green."""
    if view.state is State.RUNNING and view.health is Health.UNHEALTHY:
        return Look("●", "red")
    return _LOOKS[view.state]


def remark(view: ProcessView) -> Cell:
    """The reason, in the colour that its state deserves, and what else there is to know."""
    bad = view.state is State.FAILED or view.health is Health.UNHEALTHY
    worth_a_look = view.state in _UNDER_WAY or view.notice or not view.reason
    return Cell(
        "; but ".join(filter(None, (view.reason, view.notice))), "red" if bad else "yellow" if worth_a_look else "dim"
    )


_UNDER_WAY = {State.STARTING, State.PENDING, State.BACKOFF, State.STOPPING}


def address(view: ProcessView) -> str:
    """Where it can be reached."""
    return ", ".join(view.urls or [str(port) for port in view.ports])


def short_path(path: str, home: str | None) -> str:
    """The path with the user's home as `~`, as a shell writes it."""
    if home and home != "/" and (path == home or path.startswith(home.rstrip("/") + os.sep)):
        return "~" + path[len(home.rstrip("/")) :]
    return path


def near_path(path: str, cwd: str, home: str | None) -> str:
    """The path as one would type it here: from the working directory on where it is below that."""
    return os.path.relpath(path, cwd) if path.startswith(cwd.rstrip("/") + os.sep) else short_path(path, home)


def local_time(instant: str) -> str:
    """An instant as a clock on the wall here shows it; what is none, as it is."""
    from datetime import datetime

    try:
        return datetime.fromisoformat(instant).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        return instant


def counted(views: Iterable[ProcessView]) -> list[Cell]:
    """For the states that occur, in the order of interest: "3 running", "1 failed"."""
    states = [view.state for view in views]
    return [
        Cell(f"{states.count(state)} {state.value}", shown.style) for state, shown in _LOOKS.items() if state in states
    ]


def process_table(views: Sequence[ProcessView], owners: Mapping[str, str] | None = None) -> Table:
    """Processes, one a row; with `owners` (environment path → label) the first column tells whose."""
    columns = [
        *([Column("ENVIRONMENT")] if owners is not None else []),
        Column("NAME"),
        Column("STATE"),
        Column("HEALTH", 2),
        Column("PID", 4, right=True),
        Column("UPTIME", 3, right=True),
        Column("CPU", 5, right=True),
        Column("MEM", 6, right=True),
        Column("RESTARTS", 7, right=True),
        Column("ADDRESS", 1),
    ]
    rows = [
        Row(
            [*([Cell(owners[view.environment], "dim")] if owners is not None else []), *_cells(view)],
            Cell(*look(view)),
            remark(view),
        )
        for view in views
    ]
    return Table(columns, rows, remark="REASON")


def _cells(view: ProcessView) -> list[Cell]:
    shown = look(view)
    return [
        Cell(view.name, "bold"),
        Cell(view.state.value, shown.style),
        Cell("" if view.health is Health.NONE else view.health.value, _HEALTH_STYLES[view.health]),
        Cell("" if view.pid is None else str(view.pid)),
        Cell("" if view.uptime_seconds is None else format_duration(view.uptime_seconds)),
        Cell("" if view.cpu_percent is None else f"{view.cpu_percent:.1f}%"),
        Cell("" if view.memory_bytes is None else format_size(view.memory_bytes)),
        Cell(str(view.restarts) if view.restarts else "", "yellow"),
        Cell(address(view), "cyan"),
    ]


def environment_line(view: EnvironmentView, home: str | None) -> list[Cell]:
    """Its name, state, counts and place."""
    state = Cell(view.state, "green" if view.state == "active" else "dim")
    processes = view.processes or []
    return [Cell(view.name, "bold"), state, *counted(processes), Cell(short_path(view.path, home), "dim")]
