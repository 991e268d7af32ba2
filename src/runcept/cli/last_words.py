"""The last that a process wrote, from its log on disk: what a person looks for first when a start went wrong."""

from __future__ import annotations

from runcept.cli.invocation import Invocation
from runcept.cli.layout import Cell, print_cells
from runcept.cli.printable import printable
from runcept.core.views import ProcessView
from runcept.errors import LogNotReadable
from runcept.logs.reader import read

__all__ = ["print_last_words"]

_COUNT = 8


def print_last_words(invocation: Invocation, view: ProcessView) -> None:
    """The last lines of its stderr, else of its stdout, and where the rest is. Nothing where it wrote nothing."""
    paths = {view.name: view.log_path}
    for stream in ("stderr", "stdout"):
        try:
            lines = read(paths, lines=_COUNT, stream=stream, run=view.run).lines
        except LogNotReadable:
            return
        if lines:
            break
    else:
        return
    invocation.print()
    print_cells(
        invocation,
        [Cell(f"{view.name}, the end of its {stream}", "bold"), Cell(f"`runcept logs {view.name}`", "dim")],
        " · ",
    )
    for line in lines:
        bar = "\x1b[31m│\x1b[0m " if invocation.color else "│ " if invocation.drawn else "| "
        invocation.print(f"  {bar}{printable(line.message, color=invocation.color)}")
    invocation.print()
