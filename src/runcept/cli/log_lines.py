"""Log lines as a person reads them: whose they are, which stream, what was said.

A terminal gets one stable colour a process, ANSI colours of the process itself, and nothing that would move its
cursor. Elsewhere there are no escapes at all; JSON has the line as it was written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runcept.cli.printable import printable
from runcept.logs.record import Line

__all__ = ["Painter"]

_PALETTE = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")
_RESET = "\x1b[0m"
_DIM = "\x1b[2m"
_RED = "\x1b[31m"


class Painter:
    """Turns lines into text. `everybody`: all processes of the project, so that a colour stays whoever is shown."""

    def __init__(self, shown: Sequence[str], everybody: Sequence[str], *, color: bool) -> None:
        self._color = color
        self._width = max((len(name) for name in shown), default=0)
        order = sorted(everybody)
        self._colors: Mapping[str, str] = {name: _PALETTE[index % len(_PALETTE)] for index, name in enumerate(order)}

    def text(self, line: Line) -> str:
        """`name | message`; stderr has `!` in place of the bar; a record of our own has `*`."""
        name = printable(line.process, color=False).ljust(self._width)
        mark = {"stderr": "!", "runcept": "*"}.get(line.stream, "|")
        message = printable(line.message, color=self._color)
        if not self._color:
            return f"{name} {mark} {message}"
        color = self._colors.get(line.process, _PALETTE[0])
        if line.stream == "runcept":
            return f"\x1b[{color}m{name}{_RESET} {_DIM}{mark} {message}{_RESET}"
        bar = f"{_RED}{mark}{_RESET}" if line.stream == "stderr" else f"\x1b[{color}m{mark}{_RESET}"
        return f"\x1b[{color}m{name}{_RESET} {bar} {message}"
