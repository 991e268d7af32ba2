"""`explain` as a person reads it: the chain to where it began, what that one wrote last, and at the end what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runcept.cli import log_files
from runcept.cli.error_items import Paper
from runcept.cli.invocation import Invocation
from runcept.cli.layout import Cell, print_cells
from runcept.cli.log_lines import Painter
from runcept.cli.present import local_time, look, near_path
from runcept.client.inquiry import Explained, time_here
from runcept.core.explain import Cause
from runcept.core.printable import printable
from runcept.core.views import ProcessView
from runcept.core.why import how, limit, why
from runcept.errors import RunceptError
from runcept.logs.record import Line

__all__ = ["print_explained"]

_KEY_WIDTH = 9
_LINES = 10
"""Of its last output, where no error was found in it."""


def print_explained(invocation: Invocation, found: Explained) -> None:
    """The chain as an indented list, the facts, the last words, what comes by itself, and the nearest fix."""
    paper = Paper(invocation)
    for depth, cause in enumerate(found.causes):
        _print_link(invocation, paper, cause, depth)
    facts = [*_facts(invocation, found)]
    if facts:
        invocation.print()
    for key, text in facts:
        _print_fact(invocation, paper, key, text)
    stacks = [item for item in found.errors if item.kind != "log"]  # a single line is among the last ones
    if stacks:
        for item in stacks:
            invocation.print()
            for line in paper.paragraph(item):
                invocation.print(line)
    elif found.output:
        _print_output(invocation, found, [*found.output][-_LINES:])
    invocation.print()
    _print_fact(invocation, paper, "next", found.next)
    if found.fix:
        _print_fact(invocation, paper, "fix", found.fix, "bold")


def _print_link(invocation: Invocation, paper: Paper, cause: Cause, depth: int) -> None:
    """On a terminal "└ database is unhealthy: tcp://… refused the connection", in a pipe "because database …"."""
    shown = look(ProcessView("", cause.process, cause.state, cause.health))
    lead = "  " * depth + (("└ " if depth else f"{shown.symbol} ") if invocation.drawn else "because " if depth else "")
    head = f"{cause.process} {how(cause)}"
    reason = printable(why(cause, time_here), color=False)
    if not reason and not depth:
        reason = "nothing is wrong with it"
    rows = [*paper.rows(f"{head}: {reason}" if reason else head, len(lead))]
    name, rest = cause.process, rows[0][len(cause.process) :]
    state, rest = rest[: len(head) - len(name)], rest[len(head) - len(name) :]
    lead_style = "dim" if depth else shown.style
    print_cells(
        invocation, [Cell(lead, lead_style), Cell(name, "bold"), Cell(state, shown.style), Cell(rest)], plain=""
    )
    for row in rows[1:]:
        print_cells(invocation, [Cell(" " * len(lead)), Cell(row)], plain="")


def _print_fact(invocation: Invocation, paper: Paper, key: str, text: str, style: str = "") -> None:
    for number, row in enumerate(paper.rows(printable(text, color=False), _KEY_WIDTH + 4)):
        shown_key = "" if number else key
        print_cells(invocation, [Cell(f"  {shown_key.ljust(_KEY_WIDTH)}  ", "dim"), Cell(row, style)], plain="")


def _facts(invocation: Invocation, found: Explained) -> Iterator[tuple[str, str]]:
    view, cause = found.root, found.causes[-1]
    whose = "" if view.name == found.process.name else f"{view.name}: "
    if cause.failing is not None:
        yield "check", f"{whose}{cause.failing.check}"
    if cause.limiter is not None:
        yield "restarts", f"{whose}{limit(cause.limiter)}"
    if view.ended_at is not None and view.started_at is not None:  # else it could not be started
        yield "last exit", f"{whose}{_exit(view)} at {local_time(view.ended_at)}, run {view.run}"
    elif cause.run_before is not None:
        before = cause.run_before
        yield "last exit", f"{whose}{before.reason} at {local_time(before.ended_at)}, run {before.run}"
    if found.errors or found.output:
        surroundings = invocation.surroundings
        yield "log", near_path(view.log_path, surroundings.cwd, surroundings.environ.get("HOME"))


def _exit(view: ProcessView) -> str:
    if view.exit_signal is not None:
        return f"killed by {view.exit_signal}"
    return "exit status unknown" if view.exit_code is None else f"exit code {view.exit_code}"


def _print_output(invocation: Invocation, found: Explained, lines: Sequence[Line]) -> None:
    """As `logs` shows them."""
    name = found.root.name
    try:
        everybody = log_files.known(found.environment)
    except RunceptError:  # its colour is all that depends on it
        everybody = [name]
    width = invocation.surroundings.width if invocation.drawn else None
    painter = Painter([name], everybody, color=invocation.color, width=width)
    invocation.print()
    for line in lines:
        invocation.print(painter.text(line))
