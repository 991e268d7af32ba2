"""Log lines as a person reads them: when, whose they are, which stream, what was said.

A terminal gets one stable colour a process, ANSI colours of the process itself, and nothing that would move its
cursor. Elsewhere there are no escapes at all; JSON has the line as it was written. Without prefixes another program
gets what the process wrote, less the escapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runcept.cli.layout import shortened
from runcept.cli.present import local_time
from runcept.core.plain import ANSI
from runcept.core.printable import printable
from runcept.logs.record import LIFECYCLE, TS_LENGTH, Line, content

__all__ = ["Painter"]

_PALETTE = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")
_RESET = "\x1b[0m"
_DIM = "\x1b[2m"
_RED = "\x1b[31m"
_MARKS = {"stderr": "!", LIFECYCLE: "*"}
_NARROWEST_NAME = 12
_TO_SECONDS = 19  # characters of an instant up to its seconds
_TO_MILLISECONDS = 23


class Painter:
    """Turns lines into text. `everybody`: all processes of the project, so that a colour stays whoever is shown.

    `width`: the columns of the terminal, of which long names take a quarter at most; None where there is none.
    """

    def __init__(
        self,
        shown: Sequence[str],
        everybody: Sequence[str],
        *,
        color: bool,
        width: int | None = None,
        prefix: bool = True,
        timestamps: bool = False,
    ) -> None:
        self._color = color
        longest = max((len(name) for name in shown), default=0)
        self._room = longest if width is None else min(longest, max(_NARROWEST_NAME, width // 4))
        order = sorted(everybody)
        self._colors: Mapping[str, str] = {name: _PALETTE[index % len(_PALETTE)] for index, name in enumerate(order)}
        self._has_prefix = prefix
        self._has_timestamps = timestamps
        self._is_terminal = width is not None
        self._prefixes: dict[tuple[str, str], str] = {}
        self._seconds: dict[str, str] = {}
        self._parts: dict[tuple[str, str], list[bytes]] = {}
        """Of lines of which the end is still to come, by process and stream."""

    def output(self, line: Line) -> bytes:
        """What is to be printed now: nothing for a part of a line, where another program is to have lines."""
        if self._has_prefix or self._is_terminal or line.stream == LIFECYCLE:
            return f"{self.text(line)}\n".encode()
        key = (line.process, line.stream)
        if key not in self._parts:
            self._parts[key] = [self._instant(line.ts).encode()] if self._has_timestamps else []
        self._parts[key].append(content(line).removesuffix(b"\n"))
        return b"" if line.partial else _stripped(self._parts.pop(key))

    def rest(self) -> bytes:
        """The parts of lines that have no end yet."""
        rest, self._parts = self._parts, {}
        return b"".join(map(_stripped, rest.values()))

    def text(self, line: Line) -> str:
        """`name | message`; stderr has `!` in place of the bar; a record of our own has `*`. An instant comes first."""
        message = printable(line.message, color=self._color)
        if self._color and line.stream == LIFECYCLE:
            message = f"{_DIM}{message}{_RESET}"
        if self._has_prefix or line.stream == LIFECYCLE:  # which is asked for, or tells what is missing
            message = self._prefix(line.process, line.stream) + message
        return self._instant(line.ts) + message if self._has_timestamps else message

    def _prefix(self, process: str, stream: str) -> str:
        known = self._prefixes.get((process, stream))
        if known is None:
            name = shortened(printable(process, color=False), self._room).ljust(self._room)
            mark = _MARKS.get(stream, "|")
            if self._color:
                color = f"\x1b[{self._colors.get(process, _PALETTE[0])}m"
                style = {"stderr": _RED, LIFECYCLE: _DIM}.get(stream, color)
                name, mark = f"{color}{name}{_RESET}", f"{style}{mark}{_RESET}"
            known = self._prefixes[process, stream] = f"{name} {mark} "
        return known

    def _instant(self, ts: str | None) -> str:
        """On a terminal local time, to the millisecond; elsewhere as in the record. Blank where there is none."""
        if ts is None:
            return " " * (_TO_MILLISECONDS if self._is_terminal else TS_LENGTH) + " "
        if not self._is_terminal:
            return f"{ts} "
        second = ts[:_TO_SECONDS]
        if second not in self._seconds:
            self._seconds = {second: local_time(f"{second}Z")}
        text = f"{self._seconds[second]}{ts[_TO_SECONDS:_TO_MILLISECONDS]} "
        return f"{_DIM}{text}{_RESET}" if self._color else text


def _stripped(parts: list[bytes]) -> bytes:
    """A line to the byte, but for its escapes."""
    text = b"".join(parts).decode("utf-8", "surrogateescape")
    return ANSI.sub("", text).encode("utf-8", "surrogateescape") + b"\n"
