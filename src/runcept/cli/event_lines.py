"""Events as a person reads them, one a line: when, of which project and process, what, by whom, and its sentence.

Columns have the same width from line to line, so that a history that is followed looks as one that is shown; a longer
name widens its column from there on. On a terminal there are symbols and colours, and a sentence that does not fit goes
on below itself; a pipe gets one line an event, with `-` where there is nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import NamedTuple

from runcept.api.messages import Event
from runcept.cli.invocation import paint
from runcept.cli.layout import shortened
from runcept.cli.present import local_time
from runcept.core.columns import width_of
from runcept.core.history import KINDS
from runcept.core.printable import printable

__all__ = ["EventPainter"]

_GAP = "  "
_KIND_WIDTH = max(map(len, KINDS))
_ACTOR_WIDTH = len("by supervisor")
_NARROWEST_NAME = 12
_NARROWEST_MESSAGE = 24


class _Look(NamedTuple):
    symbol: str
    color: str


_LOOKS = {
    "ready": _Look("●", "green"),
    "healthy": _Look("●", "green"),
    "unhealthy": _Look("●", "red"),
    "failed": _Look("✖", "red"),
    "starting": _Look("◐", "yellow"),
    "pending": _Look("○", "yellow"),
    "stopping": _Look("◑", "yellow"),
    "restarting": _Look("↻", "yellow"),
    "exited": _Look("◌", "cyan"),
    "stopped": _Look("○", "dim"),
    "inactivity_stop": _Look("○", "yellow"),
    "activated": _Look("▸", "bold"),
    "deactivated": _Look("▸", "bold"),
    "reloaded": _Look("▸", "bold"),
}
_OTHER = _Look("·", "dim")


class EventPainter:
    """Turns events into lines.

    `label`: what an environment is called, where there is a column for that. `width`: the columns of the terminal; None
    where there is none, and then no symbols either.
    """

    def __init__(self, *, color: bool, width: int | None, label: Callable[[str], str] | None = None) -> None:
        self._color = color
        self._width = width
        self._label = label
        self._rooms = {"environment": 0, "process": 0}

    def make_room(self, events: Sequence[Event], processes: Sequence[str]) -> None:
        """Widen the columns for these, before the first of them is shown."""
        for event in events:
            self._cells(event)
        for process in processes:
            self._padded("process", process)

    def text(self, event: Event) -> str:
        """One event: one line, or several on a terminal."""
        look = _LOOKS.get(event.kind, _OTHER)
        symbol = "" if self._width is None else f"{look.symbol} "
        kind = f"{symbol}{printable(event.kind, color=False)}".ljust(_KIND_WIDTH + len(symbol))
        actor = f"by {printable(event.actor, color=False)}".ljust(_ACTOR_WIDTH)
        cells = [local_time(event.ts), *self._cells(event), kind, actor]
        colors = ["dim", *([] if self._label is None else ["dim"]), "bold", look.color, "dim"]
        indent = sum(width_of(cell) + len(_GAP) for cell in cells)
        painted = [paint(cell, color) if self._color else cell for cell, color in zip(cells, colors, strict=True)]
        first, *others = self._wrapped(printable(event.message, color=False), indent)
        return "\n".join([_GAP.join([*painted, first]).rstrip(), *(" " * indent + other for other in others)])

    def _cells(self, event: Event) -> list[str]:
        """Whose it is, in as wide columns as have been needed by now."""
        nothing = "-" if self._width is None else ""
        cells = []
        if self._label is not None:
            label = nothing if event.environment is None else printable(self._label(event.environment), color=False)
            cells.append(self._padded("environment", label))
        cells.append(self._padded("process", printable(event.process or nothing, color=False)))
        return cells

    def _padded(self, column: str, text: str) -> str:
        if self._width is not None:
            text = shortened(text, max(_NARROWEST_NAME, self._width // 4))
        room = self._rooms[column] = max(self._rooms[column], width_of(text))
        return text + " " * (room - width_of(text))

    def _wrapped(self, message: str, indent: int) -> list[str]:
        if self._width is None or self._width - indent < _NARROWEST_MESSAGE:
            return [message]
        return wrap(message, self._width - indent, break_on_hyphens=False) or [""]
