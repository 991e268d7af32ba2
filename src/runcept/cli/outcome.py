"""Operations that start or stop: ask, show what happens, then say what came of it, and why where it went wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from runcept.api.messages import KillAll, Outcome, Processes, Status, Waiting
from runcept.cli.invocation import Invocation
from runcept.cli.layout import Cell, Column, Row, Table, print_cells
from runcept.cli.present import address, look, remark
from runcept.cli.progress import Key, Progress, key_of, watching
from runcept.core.printable import printable
from runcept.core.views import EnvironmentView, ProcessView, State
from runcept.errors import Interrupted, TimedOut
from runcept.units import format_duration, parse_instant

__all__ = ["DOWN", "UP", "Direction", "ask", "conclude", "perform", "print_outcome"]

_COLUMNS = (Column("NAME"), Column("STATE"), Column("TIME", 1, right=True))
_TROUBLED = {State.FAILED, State.BACKOFF, State.STARTING}


class Direction(NamedTuple):
    """Which way an operation goes, in words."""

    words: dict[State, str]
    """What a process is called that has arrived."""
    nothing: str
    late: str
    """What was not reached when the time was up, and what happens all the same."""
    goes_on: str
    interrupted: str
    hint: str


UP = Direction(
    words={State.RUNNING: "ready", State.EXITED: "done"},
    nothing="nothing to start",
    late="not ready",
    goes_on="it goes on starting",
    interrupted="interrupted; what was started goes on running",
    hint="`runcept status` shows it, `runcept deactivate` stops it.",
)
DOWN = Direction(
    words={State.STOPPED: "stopped", State.EXITED: "stopped", State.FAILED: "stopped"},
    nothing="nothing was running",
    late="not stopped",
    goes_on="it goes on stopping",
    interrupted="interrupted; what was told to stop goes on stopping",
    hint="`runcept status` shows how far it is.",
)


def perform(invocation: Invocation, method: str, params: Waiting | KillAll, direction: Direction, title: str) -> int:
    """Ask the daemon for `method`, wait, and print what came of it. Gives the exit status: 0, 1 or 124.

    Errors: what the daemon answers with; Interrupted.
    """
    up_before = _up(invocation, params) if direction is DOWN and not invocation.options.json else set()
    asked = ask(invocation, method, params, direction, title)
    if invocation.options.json:
        invocation.print_json(asked.outcome)
    else:
        concerned = [view for view in asked.outcome.processes if _is_concerned(view, direction, up_before)]
        print_outcome(invocation, concerned, direction, asked)
    return conclude(invocation, asked.outcome, params, direction)


class Asked(NamedTuple):
    """What the daemon has answered, what was seen meanwhile, and when it was asked."""

    outcome: Any
    progress: Progress
    at: float


def ask(invocation: Invocation, method: str, params: Waiting | KillAll, direction: Direction, title: str) -> Asked:
    """Ask the daemon for `method` and show what happens. Errors: what it answers with; Interrupted."""
    asked_at = time.time()
    try:
        with watching(invocation, title) as progress:
            return Asked(invocation.call(method, params, progress.changed), progress, asked_at)
    except KeyboardInterrupt:
        raise Interrupted(direction.interrupted, hint=direction.hint) from None


def print_outcome(invocation: Invocation, concerned: Sequence[ProcessView], direction: Direction, asked: Asked) -> None:
    """What has become of these processes."""
    _print(invocation, concerned, direction, asked.progress, asked.at, ok=asked.outcome.ok)


def conclude(
    invocation: Invocation, outcome: Outcome | Processes, params: Waiting | KillAll, direction: Direction
) -> int:
    """The exit status: 0, 1 or 124, which is said."""
    if outcome.timed_out:
        late = TimedOut(direction.late, params.timeout, direction.goes_on)
        return late.exit_status if invocation.options.json else invocation.report(late)
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
    invocation: Invocation,
    concerned: Sequence[ProcessView],
    direction: Direction,
    progress: Progress,
    asked_at: float,
    *,
    ok: bool,
) -> None:
    several = len({view.environment for view in concerned}) > 1
    if invocation.options.quiet:
        concerned = [] if ok else [view for view in concerned if view.state not in direction.words]
    rows = [_row(view, direction, progress, asked_at, several=several) for view in concerned]
    Table(_COLUMNS, rows, titles=False).print(invocation)
    for hint in dict.fromkeys(view.hint for view in concerned if view.hint):
        print_cells(invocation, [Cell("  hint: ", "cyan"), Cell(printable(hint, color=False))], plain="")
    spoke = direction is UP and _print_last_words(
        invocation, [view for view in concerned if view.run is not None and view.state in _TROUBLED]
    )
    if not invocation.options.quiet:
        if spoke:
            invocation.print()
        _print_summary(invocation, rows, direction, progress.elapsed)


def _print_last_words(invocation: Invocation, troubled: Sequence[ProcessView]) -> bool:
    if not troubled:
        return False
    from runcept.cli.last_words import print_last_words  # reads logs: only where something went wrong

    spoke = [print_last_words(invocation, view) for view in troubled]
    return any(spoke)


def _row(view: ProcessView, direction: Direction, progress: Progress, asked_at: float, *, several: bool) -> Row:
    shown = look(view)
    arrived = view.state in direction.words
    before = direction is UP and arrived and view.started_at is not None and parse_instant(view.started_at) < asked_at
    word = "running" if before and view.state is State.RUNNING else direction.words.get(view.state, view.state.value)
    took = progress.since.get(key_of(view)) if arrived and not before else None
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
    words = [row.cells[1].text for row in rows]
    styles = {row.cells[1].text: row.cells[1].style for row in reversed(rows)}
    counts = [Cell(f"{words.count(word)} {word}", styles[word]) for word in dict.fromkeys(words)]
    parts = [part for count in counts for part in (Cell(", ", "dim"), count)][1:]
    print_cells(invocation, [*parts, Cell(f" in {format_duration(elapsed)}", "dim")], plain="")
