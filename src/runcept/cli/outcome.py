"""Operations that start or stop: ask, show what happens, then say what came of it, and why where it went wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import NamedTuple

from runcept.api.messages import KillAll, Outcome, Processes, Status, Waiting
from runcept.cli.invocation import Invocation
from runcept.cli.layout import Cell, Column, Row, Table, print_cells
from runcept.cli.present import address, look, remark
from runcept.cli.progress import Key, Progress, key_of, watching
from runcept.core.views import EnvironmentView, ProcessView, State
from runcept.errors import Interrupted
from runcept.units import format_duration, parse_instant

__all__ = ["DOWN", "UP", "Direction", "perform"]

_TIMED_OUT = 124
_COLUMNS = (Column("NAME"), Column("STATE"), Column("TIME", 1, right=True))
_TROUBLED = {State.FAILED, State.BACKOFF, State.STARTING}


class Direction(NamedTuple):
    """Which way an operation goes, in words."""

    words: dict[State, str]
    """What a process is called that has arrived."""
    nothing: str
    interrupted: str
    hint: str


UP = Direction(
    words={State.RUNNING: "ready", State.EXITED: "done"},
    nothing="nothing to start",
    interrupted="interrupted; what was started goes on running",
    hint="`runcept status` shows it, `runcept deactivate` stops it.",
)
DOWN = Direction(
    words={State.STOPPED: "stopped", State.EXITED: "stopped", State.FAILED: "stopped"},
    nothing="nothing was running",
    interrupted="interrupted; what was told to stop goes on stopping",
    hint="`runcept status` shows how far it is.",
)


def perform(invocation: Invocation, method: str, params: Waiting | KillAll, direction: Direction, title: str) -> int:
    """Ask the daemon for `method`, wait, and print what came of it. Gives the exit status: 0, 1 or 124.

    Errors: what the daemon answers with; Interrupted.
    """
    asked_at = time.time()
    up_before = _up(invocation, params) if direction is DOWN and not invocation.options.json else set()
    try:
        with watching(invocation, title) as progress:
            outcome: Outcome | Processes = invocation.call(method, params, progress.changed)
    except KeyboardInterrupt:
        raise Interrupted(direction.interrupted, hint=direction.hint) from None
    if invocation.options.json:
        invocation.print_json(outcome)
    else:
        concerned = [view for view in outcome.processes if _is_concerned(view, direction, up_before)]
        _print(invocation, concerned, direction, progress, asked_at)
    if isinstance(outcome, Outcome) and outcome.timed_out:
        return _TIMED_OUT
    return 0 if outcome.ok else 1


def _up(invocation: Invocation, params: Waiting | KillAll) -> set[Key]:
    """The processes that there is something to stop of."""
    if isinstance(params, Waiting):
        status: EnvironmentView = invocation.call("status", Status(environment=params.environment))
        return _not_down(status.processes or [])
    everywhere: Processes = invocation.call("ps")
    return _not_down(everywhere.processes)


def _not_down(views: Sequence[ProcessView]) -> set[Key]:
    return {key_of(view) for view in views if view.state not in DOWN.words}


def _is_concerned(view: ProcessView, direction: Direction, up_before: set[Key]) -> bool:
    return direction is UP or key_of(view) in up_before or view.state not in DOWN.words


def _print(
    invocation: Invocation, concerned: Sequence[ProcessView], direction: Direction, progress: Progress, asked_at: float
) -> None:
    several = len({view.environment for view in concerned}) > 1
    rows = [_row(view, direction, progress, asked_at, several=several) for view in concerned]
    if not invocation.options.quiet:
        Table(_COLUMNS, rows, titles=False).print(invocation)
    if direction is UP:
        _print_last_words(invocation, [view for view in concerned if view.run is not None and view.state in _TROUBLED])
    if not invocation.options.quiet:
        _print_summary(invocation, rows, direction, progress.elapsed)


def _print_last_words(invocation: Invocation, troubled: Sequence[ProcessView]) -> None:
    if troubled:
        from runcept.cli.last_words import print_last_words  # reads logs: only where something went wrong

        for view in troubled:
            print_last_words(invocation, view)


def _row(view: ProcessView, direction: Direction, progress: Progress, asked_at: float, *, several: bool) -> Row:
    shown = look(view)
    arrived = view.state in direction.words
    before = direction is UP and arrived and view.started_at is not None and parse_instant(view.started_at) < asked_at
    word = "running" if before else direction.words.get(view.state, view.state.value)
    took = progress.since.get(key_of(view)) if arrived else None
    beside = Cell(address(view), "cyan") if arrived and direction is UP else remark(view)
    if arrived and direction is DOWN:
        beside = Cell("")
    if before:
        beside = Cell("  ".join(part for part in ("already", address(view)) if part), "dim")
    name = f"{os.path.basename(view.environment)}/{view.name}" if several else view.name
    cells = [Cell(name, "bold"), Cell(word, shown.style), Cell("" if took is None else format_duration(took), "dim")]
    return Row(cells, Cell(*shown), beside)


def _print_summary(invocation: Invocation, rows: Sequence[Row], direction: Direction, elapsed: float) -> None:
    if not rows:
        invocation.print(direction.nothing)
        return
    words = [row.cells[1] for row in rows]
    counts = [Cell(f"{words.count(word)} {word.text}", word.style) for word in dict.fromkeys(words)]
    parts = [part for count in counts for part in (Cell(", ", "dim"), count)][1:]
    print_cells(invocation, [*parts, Cell(f" in {format_duration(elapsed)}", "dim")], plain="")
