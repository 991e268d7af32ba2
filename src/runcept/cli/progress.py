"""Processes as they change, while a command waits: redrawn in place on stderr, and gone when the wait is over.

Off a terminal nothing is drawn, but when each process settled is noted all the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runcept.cli.invocation import Invocation
from runcept.cli.layout import Cell, Column, Row, Table, drawn_lines
from runcept.cli.present import look, remark
from runcept.core.printable import printable
from runcept.core.views import Health, ProcessView, State
from runcept.units import format_duration

if TYPE_CHECKING:
    from rich.console import Group

__all__ = ["Key", "Progress", "key_of", "watching"]

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAMES_A_SECOND = 10
_COLUMNS = (Column("NAME"), Column("STATE"), Column("TIME", 1, right=True))
_MOVING = {State.STARTING, State.STOPPING, State.BACKOFF, State.PENDING}


Key = tuple[str, str]


def key_of(view: ProcessView) -> Key:
    """What tells a process from all others: its environment and its name."""
    return view.environment, view.name


class Progress:
    """What has been seen since the question was asked. Times are seconds since then."""

    def __init__(self, title: str) -> None:
        self.title = printable(title, color=False)
        self.seen: dict[Key, ProcessView] = {}
        self.since: dict[Key, float] = {}
        """When each entered the state that it is in."""
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the question."""
        return time.monotonic() - self._began

    def changed(self, view: ProcessView) -> None:
        """A process is as `view` says."""
        key = key_of(view)
        before = self.seen.get(key)
        if before is None or before.state is not view.state:
            self.since[key] = self.elapsed
        self.seen[key] = view

    def render(self, width: int, rows: int) -> Group:
        """The board as it is now: a title, then a line for each process, those that move first where not all fit."""
        from rich.console import Group
        from rich.text import Text

        frame = _FRAMES[int(self.elapsed * _FRAMES_A_SECOND) % len(_FRAMES)]
        passed = f"  {format_duration(int(self.elapsed))}" if self.elapsed >= 1 else ""
        title = Text.assemble((f"{frame} ", "cyan"), self.title, (passed, "dim"))
        views = list(self.seen.values())
        if len(views) > rows:
            views.sort(key=lambda view: view.state not in _MOVING)
        shown = [self._row(view, frame) for view in views[:rows]]
        lines = drawn_lines(Table(_COLUMNS, shown, titles=False), width, one_line_a_row=True)
        left_out = len(views) - len(shown)
        more = [Text(f"  and {left_out} more", "dim")] if left_out else []
        return Group(title, *lines, *more)

    def _row(self, view: ProcessView, frame: str) -> Row:
        shown = look(view)
        moves = view.state in _MOVING
        took = format_duration(self.since[key_of(view)]) if not moves else ""
        why = remark(view) if moves or view.state is State.FAILED or view.health is Health.UNHEALTHY else Cell("")
        cells = [Cell(view.name, "bold"), Cell(view.state.value, shown.style), Cell(took, "dim")]
        return Row(cells, Cell(frame if moves else shown.symbol, shown.style), why)


@contextmanager
def watching(invocation: Invocation, title: str) -> Iterator[Progress]:
    """Feed `changed` while the `with` lasts; on a terminal the board is drawn meanwhile."""
    progress = Progress(title)
    if not invocation.progress:
        yield progress
        return
    from rich.live import Live

    from runcept.cli.drawing import error_console

    console = error_console(invocation)
    console.width = max(console.width - len("^C"), 1)  # the terminal's echo of it must not make a line wrap
    live = Live(
        get_renderable=lambda: progress.render(console.width, max(console.height - 4, 3)),
        console=console,
        refresh_per_second=_FRAMES_A_SECOND,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with live:
        yield progress
