"""`explain` as a person reads it: what is so, because of what, with which last words, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from runcept.cli.error_items import Paper
from runcept.cli.invocation import Invocation
from runcept.cli.layout import Cell, print_cells
from runcept.cli.present import local_time, look, near_path
from runcept.client.inquiry import Explained
from runcept.core.diagnosis import diagnose
from runcept.core.printable import printable
from runcept.core.views import Health, ProcessView
from runcept.logs.record import Line

__all__ = ["print_explained"]

_KEY_WIDTH = 9
_LINES = 10
"""Of its last output, where no error was found in it."""


def print_explained(invocation: Invocation, found: Explained) -> None:
    """A heading, the causes, the facts, and what the process in which it began has written."""
    view = found.process
    shown = look(view)
    symbol = f"{shown.symbol} " if invocation.drawn else ""
    state = view.state.value if view.health is Health.NONE else f"{view.state.value}, {view.health.value}"
    print_cells(invocation, [Cell(symbol + view.name, f"bold {shown.style}"), Cell(state, shown.style)], " · ")
    paper = Paper(invocation)
    for key, text in _facts(invocation, found):
        for number, row in enumerate(paper.rows(printable(text, color=False), _KEY_WIDTH + 4)):
            shown_key = "" if number else key
            print_cells(invocation, [Cell(f"  {shown_key.ljust(_KEY_WIDTH)}  ", "dim"), Cell(row)])
    if found.errors:
        for item in found.errors:
            invocation.print()
            for line in paper.paragraph(item):
                invocation.print(line)
    elif found.output:
        _print_output(invocation, found.root, [*found.output][-_LINES:])


def _facts(invocation: Invocation, found: Explained) -> Iterator[tuple[str, str]]:
    for number, cause in enumerate(found.causes):
        reason = cause.reason or "it runs, and nothing is wrong with it"
        yield ("because" if number == 0 else ""), f"{cause.process}: {reason}" if number else reason
        if cause.hint:
            yield "", cause.hint
    view = found.root
    if view.ended_at is not None and (view.exit_signal is not None or view.exit_code is not None):
        how = f"killed by {view.exit_signal}" if view.exit_signal is not None else f"exit code {view.exit_code}"
        whose = "" if view.name == found.process.name else f"{view.name}: "
        yield "last exit", f"{whose}{how} at {local_time(view.ended_at)}, run {view.run}"
    if advice := diagnose(view, [line.message for line in found.output]):
        yield "advice", advice
    yield "next", found.next
    if found.errors or found.output:
        surroundings = invocation.surroundings
        yield "log", near_path(view.log_path, surroundings.cwd, surroundings.environ.get("HOME"))


def _print_output(invocation: Invocation, view: ProcessView, lines: list[Line]) -> None:
    bar = "│" if invocation.drawn else "|"
    invocation.print()
    invocation.print(f"the last it wrote to {lines[-1].stream}, run {view.run}:")
    for line in lines:
        invocation.print(f"  {bar} {printable(line.message.expandtabs(4), color=False)}".rstrip())
