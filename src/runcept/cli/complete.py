"""What a shell offers for a half-typed word. Starts no daemon, and never fails: the command itself will say why."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from runcept.api.messages import EnvironmentList, Environments
from runcept.cli.invocation import Invocation
from runcept.cli.project_names import declared
from runcept.cli.target import current
from runcept.client.connection import Connection
from runcept.errors import RunceptError

__all__ = ["directories", "environments", "processes"]

_PATIENCE = 1.0


def directories(incomplete: str) -> list[CompletionItem]:
    """Tells the shell to offer its own directories."""
    return [CompletionItem(incomplete, type="dir")]


def environments(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Names of environments that a running daemon knows."""
    try:
        connection = Connection.if_running(ctx.ensure_object(Invocation).home)
        if connection is None:
            return []
        with connection:
            known: EnvironmentList = connection.call("environments", Environments(), patience=_PATIENCE)
    except RunceptError:
        return []
    return [CompletionItem(e.name, help=e.path) for e in known.environments if e.name.startswith(incomplete)]


def processes(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Names of the project's processes that are not on the line yet, from its file."""
    try:
        directory = current(ctx.ensure_object(Invocation))
    except RunceptError:
        return []
    taken = ctx.params.get("names") or ()
    return [
        CompletionItem(name, help=description or None)
        for name, description in declared(directory).items()  # nothing for a name that only the daemon can resolve
        if name.startswith(incomplete) and name not in taken
    ]
