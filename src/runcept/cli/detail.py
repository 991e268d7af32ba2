"""One process in full, for `status NAME`: what it is doing, what it costs, what it needs, how it last ended."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec

from runcept.cli.idle import idle_stop
from runcept.cli.invocation import Invocation
from runcept.cli.layout import Cell, print_cells
from runcept.cli.present import address, local_time, look, remark, short_path
from runcept.core.printable import printable
from runcept.core.views import EnvironmentView, Health, ProcessView, RunView
from runcept.units import format_duration, format_size

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
    room = invocation.surroundings.width - _KEY_WIDTH - 4 if invocation.drawn else None
    for title, lines in (("runs", _runs(view)), ("tree", _tree(view))):
        for number, line in enumerate(lines):
            key = "" if number else title
            shown_line = line if room is None or len(line) <= room else line[: room - 1] + "…"
            print_cells(invocation, [Cell(f"  {key.ljust(_KEY_WIDTH)}  ", "dim"), Cell(shown_line)])


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
    yield "idle", Cell("" if view.idle_stop_at is None else idle_stop(view.idle_stop_at, time.time()))
    yield "log", Cell(view.log_path, "dim")
    yield "notice", Cell(printable(view.notice or "", color=False) if view.reason else "", "yellow")


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


def _runs(view: ProcessView) -> list[str]:
    """Its last runs, one a line, the newest first: number, when it began, how long it lived, how and why it ended."""
    runs = [] if isinstance(view.runs, msgspec.UnsetType) else view.runs
    rows = [
        (
            str(each.run),
            local_time(each.started_at) if each.started_at else "not started",
            "" if each.duration_seconds is None else format_duration(each.duration_seconds),
            *_how_it_ended(each, is_last=each.run == view.run, lives=view.pid is not None),
        )
        for each in runs
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _how_it_ended(run: RunView, *, is_last: bool, lives: bool) -> tuple[str, str]:
    """Its exit, and the reason where that says more."""
    if is_last and lives:
        return "running", ""
    reason = printable(run.reason or "", color=False)
    if run.exit_signal is None and run.exit_code is None:
        return "-", reason
    how = run.exit_signal or f"exit code {run.exit_code}"
    said = f"killed by {how}" if run.exit_signal else how
    return how, reason.removeprefix(said).removeprefix(": ")


def _tree(view: ProcessView) -> list[str]:
    """What lives of it, one a line, indented by descent; empty where that is the main process alone."""
    tree = [] if isinstance(view.tree, msgspec.UnsetType) else view.tree
    if [each.pid for each in tree] == [view.pid]:
        return []
    depths: dict[int, int] = {}
    lines = []
    for each in tree:
        depth = depths[each.pid] = 0 if each.parent is None else depths[each.parent] + 1
        has_left = each.parent is None and each.pid != view.pid
        command = printable(" ".join(each.command.split()), color=False)
        lines.append(f"{'  ' * depth}{each.pid}  {command}{'  (has left its parent)' if has_left else ''}")
    return lines
