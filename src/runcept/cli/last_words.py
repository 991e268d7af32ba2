"""The last that a process wrote, from its log on disk: what a person looks for first when a start went wrong."""

from __future__ import annotations

from runcept.cli.invocation import Invocation
from runcept.cli.layout import Cell, print_cells
from runcept.cli.log_files import reading
from runcept.core.printable import printable
from runcept.core.views import ProcessView
from runcept.errors import LogNotReadable
from runcept.logs.reader import Line, read

__all__ = ["print_last_words"]

_COUNT = 8


def print_last_words(invocation: Invocation, view: ProcessView) -> bool:
    """A blank line, the last lines of its stderr, else of its stdout, and where the rest is; whether there were any.

    Nothing where it wrote nothing, or one line that its reason tells already. A log that cannot be read is told.
    """
    try:
        stream, lines = _last(view)
    except LogNotReadable as error:  # what came of the start has been told, and is what counts
        invocation.report(error)
        return False
    if not lines or (len(lines) == 1 and lines[0].message.strip() in (view.reason or "")):
        return False
    invocation.print()
    print_cells(
        invocation,
        [Cell(f"{view.name}, the end of its {stream}", "bold"), Cell(f"`runcept logs {view.name}`", "dim")],
        " · ",
    )
    for line in lines:
        bar = "\x1b[31m│\x1b[0m " if invocation.color else "│ " if invocation.drawn else "| "
        invocation.print(f"  {bar}{printable(line.message, color=invocation.color)}")
    return True


def _last(view: ProcessView) -> tuple[str, list[Line]]:
    """The stream, and its last lines."""
    paths = {view.name: view.log_path}
    with reading(view.log_path):
        for stream in ("stderr", "stdout"):
            if lines := read(paths, lines=_COUNT, stream=stream, run=view.run).lines:
                return stream, lines
    return "", []
