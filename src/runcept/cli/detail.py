"""One process in full, for `status NAME`: what it is doing, what it costs, what it needs, how it last ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from runcept.cli.invocation import Invocation
from runcept.cli.layout import Cell, print_cells
from runcept.cli.present import address, local_time, look, remark, short_path
from runcept.cli.printable import printable
from runcept.core.views import EnvironmentView, Health, ProcessView
from runcept.units import format_duration, format_size

if TYPE_CHECKING:
    from psutil import Process

__all__ = ["print_detail"]

_KEY_WIDTH = 10


def print_detail(invocation: Invocation, view: ProcessView, owner: EnvironmentView) -> None:
    """A heading, then one fact a line."""
    shown = look(view)
    state = view.state.value if view.health is Health.NONE else f"{view.state.value}, {view.health.value}"
    symbol = f"{shown.symbol} " if invocation.drawn else ""
    home = invocation.surroundings.environ.get("HOME") if invocation.drawn else None
    place = short_path(owner.path, home)
    heading = [Cell(symbol + view.name, f"bold {shown.style}"), Cell(state, shown.style)]
    print_cells(invocation, [*heading, Cell(owner.name), Cell(place, "dim")], " · ")
    for key, value in _facts(view):
        if value.text:
            print_cells(invocation, [Cell(f"  {key.ljust(_KEY_WIDTH)}  ", "dim"), value])
    if view.pid is not None:
        room = invocation.surroundings.width - _KEY_WIDTH - 4 if invocation.drawn else None
        for line in _tree(view.pid):
            print_cells(invocation, [Cell(f"  {'tree'.ljust(_KEY_WIDTH)}  ", "dim"), Cell(line[:room])])


def _facts(view: ProcessView) -> Iterator[tuple[str, Cell]]:
    yield "reason", remark(view)
    yield "hint", Cell(printable(view.hint, color=False))
    yield "pid", Cell("" if view.pid is None else str(view.pid))
    yield "run", Cell(_run(view))
    yield "started", Cell(_moment(view.started_at, view.uptime_seconds))
    yield "memory", Cell("" if view.memory_bytes is None else format_size(view.memory_bytes))
    yield "cpu", Cell("" if view.cpu_percent is None else f"{view.cpu_percent:.1f}% of a core")
    yield "address", Cell(address(view), "cyan")
    yield "needs", Cell(", ".join(view.depends_on))
    yield "last exit", Cell(_exit(view))
    yield "log", Cell(view.log_path, "dim")


def _run(view: ProcessView) -> str:
    if view.run is None:
        return ""
    if not view.restarts:
        return str(view.run)
    often = "once" if view.restarts == 1 else f"{view.restarts} times"
    return f"{view.run}, restarted {often} since it was last asked for"


def _exit(view: ProcessView) -> str:
    how = ""
    if view.exit_signal is not None:
        how = f"killed by {view.exit_signal}"
    elif view.exit_code is not None:
        how = f"exit code {view.exit_code}"
    return " at ".join(part for part in (how, local_time(view.ended_at or "")) if part)


def _moment(instant: str | None, seconds_ago: float | None) -> str:
    ago = "" if seconds_ago is None else f", {format_duration(seconds_ago)} ago"
    return f"{local_time(instant)}{ago}" if instant else ""


def _tree(pid: int) -> list[str]:
    """The process and all that it started, one a line, indented by descent; empty where it has no children."""
    import psutil

    try:
        root = psutil.Process(pid)
        return [*_descent(root, 0)] if root.children() else []
    except psutil.Error:  # it ended meanwhile
        return []


def _descent(process: Process, depth: int) -> Iterator[str]:
    yield f"{'  ' * depth}{process.pid}  {' '.join(process.cmdline()) or process.name()}"
    for child in process.children():
        yield from _descent(child, depth + 1)
