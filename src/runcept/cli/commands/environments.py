"""`environments`: the projects that the daemon knows."""

from __future__ import annotations

from collections.abc import Sequence

import click

from runcept.api.messages import EnvironmentList, Environments, Forget
from runcept.cli.framework import command
from runcept.cli.invocation import Invocation
from runcept.cli.known_projects import path_of
from runcept.cli.layout import Cell, Column, Row, Table
from runcept.cli.parameters import complete_environment
from runcept.cli.present import short_path
from runcept.cli.target import of_environment
from runcept.core.printable import printable
from runcept.core.views import Counts, EnvironmentView

__all__ = ["environments"]


@command("environments")
@click.argument("text", default="")
@click.option("--active", is_flag=True, help="Only those that run.")
@click.option(
    "--forget", metavar="ENV", shell_complete=complete_environment, help="Drop an inactive one; its files stay."
)
def environments(invocation: Invocation, text: str, active: bool, forget: str | None) -> None:
    """Show the known projects, or those whose name, path or description contains TEXT."""
    forgotten = ""
    if forget is not None:
        forgotten = path_of(invocation, of_environment(invocation, forget))
        listed: EnvironmentList = invocation.call("forget", Forget(environment=forgotten))
    else:
        listed = invocation.call("environments", Environments(text=text, active=active))
    if invocation.options.json:
        invocation.print_json(listed)
    elif invocation.options.quiet:
        for each in listed.environments:
            invocation.print(printable(each.path, color=False) if invocation.drawn else each.path)
    elif forget is not None:
        invocation.say(f"forgot {forgotten}")
    else:
        _print(invocation, listed.environments, narrowed=bool(text) or active)


def _print(invocation: Invocation, found: Sequence[EnvironmentView], *, narrowed: bool) -> None:
    if not found:
        invocation.print("no such project" if narrowed else "no projects yet: `runcept activate` makes one known")
        return
    home = invocation.surroundings.environ.get("HOME") if invocation.drawn else None
    columns = [Column("NAME"), Column("STATE", 1), Column("PROCESSES", 2)]
    Table(columns, [_row(each, home) for each in found], remark="PATH").print(invocation)


def _row(view: EnvironmentView, home: str | None) -> Row:
    is_active = view.state == "active"
    failed = isinstance(view.counts, Counts) and view.counts.failed
    symbol = Cell("●" if is_active else "○", "red" if failed else "green" if is_active else "dim")
    cells = [Cell(view.name, "bold"), Cell(view.state, "green" if is_active else "dim"), Cell(_counts(view))]
    return Row(cells, symbol, Cell(short_path(view.path, home), "dim"))


def _counts(view: EnvironmentView) -> str:
    if not isinstance(view.counts, Counts):
        return ""
    counts = view.counts
    failed = f", {counts.failed} failed" if counts.failed else ""
    return f"{counts.running} of {counts.total} running{failed}"
