"""`reload`: an edited project file."""

from __future__ import annotations

import os
from collections.abc import Iterator

import click

from runcept.api.messages import Reload, Reloaded
from runcept.cli.framework import command
from runcept.cli.invocation import Invocation
from runcept.cli.layout import Cell, Column, Row, Table
from runcept.cli.outcome import UP, ask, conclude, print_outcome
from runcept.cli.parameters import path_argument, waiting_options
from runcept.cli.shell_environment import captured
from runcept.cli.target import is_process, of_path
from runcept.core.changes import Changes
from runcept.errors import UsageError

__all__ = ["reload"]

_COLUMNS = (Column(""), Column("NAME"), Column("WHAT"))


@command("reload")
@path_argument
@click.option("--dry-run", is_flag=True, help="Say what would happen, and do nothing.")
@waiting_options
def reload(invocation: Invocation, path: str | None, dry_run: bool, no_wait: bool, timeout: float) -> int:
    """Take over an edited .runcept.toml: only processes that are new, gone or changed are touched.

    What is new is started and what is gone is stopped; what has changed is restarted if it runs and the change needs
    it. A file with a mistake changes nothing.
    """
    if path is not None and is_process(invocation, path):
        raise UsageError(f"{path} is a process, and reload takes a project", hint=f"Write `runcept restart {path}`.")
    environment = of_path(invocation, path, present=True)
    params = Reload(
        environment=environment,
        dry_run=dry_run,
        wait=not no_wait,
        timeout=timeout,
        progress=not invocation.options.json,
        environ=captured(invocation.surroundings.environ),
        umask=invocation.surroundings.umask,
    )
    asked = ask(invocation, "reload", params, UP, f"reloading {os.path.basename(environment)}")
    outcome: Reloaded = asked.outcome
    if invocation.options.json:
        invocation.print_json(outcome)
    else:
        changes = outcome.changes
        if not invocation.options.quiet:
            _print_changes(invocation, changes)
        touched = {*changes.restarts, *changes.starts}
        concerned = [view for view in outcome.processes if view.name in touched]
        if concerned and not dry_run:
            print_outcome(invocation, concerned, UP, asked)
        invocation.say(_summary(outcome, touched=bool(touched or changes.stops)))
    return conclude(invocation, outcome, params, UP)


def _print_changes(invocation: Invocation, changes: Changes) -> None:
    """A line for each process that the file has otherwise."""
    rows = [
        Row(
            [Cell(sign, style), Cell(name, "bold"), Cell(word, style if word in _ACTS else "dim")],
            remark=Cell(keys, "dim"),
        )
        for sign, style, name, word, keys in _lines(changes)
    ]
    Table(_COLUMNS, rows, titles=False).print(invocation)


_ACTS = {"starts", "stops", "restarts"}


def _lines(changes: Changes) -> Iterator[tuple[str, str, str, str, str]]:
    for name in changes.removed:
        yield "-", "red", name, "stops" if name in changes.stops else "removed", ""
    for each in changes.changed:
        word = "restarts" if each.restarts else "starts" if each.name in changes.starts else "taken over"
        yield "~", "yellow", each.name, word, ", ".join(each.keys)
    if changes.project:
        yield "~", "yellow", "[project]", "taken over", ", ".join(changes.project)
    for name in changes.added:
        yield "+", "green", name, "starts" if name in changes.starts else "added", ""
    for name in changes.starts:
        if name in changes.unchanged:
            yield "=", "green", name, "starts", "for those above"


def _summary(outcome: Reloaded, *, touched: bool) -> str:
    """What else there is to say, in a line."""
    changes = outcome.changes
    if changes.are_none:
        return "nothing has changed"
    left = f"{len(changes.unchanged)} unchanged"
    if outcome.dry_run:
        return f"{left}; nothing was done: `runcept reload` does it"
    return left if touched else f"{left}; nothing had to be started or stopped"
