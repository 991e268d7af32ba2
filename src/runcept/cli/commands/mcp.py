"""`mcp`: the server that clients start; its commands set it up in them."""

from __future__ import annotations

import click

from runcept.cli.framework import Entry, Group
from runcept.cli.invocation import Invocation

__all__ = ["mcp"]

_MODULE = "runcept.cli.commands.mcp_setup"


def _serve() -> None:
    """Bare `runcept mcp`: what a client starts and speaks to on stdin and stdout."""
    ctx = click.get_current_context()
    if ctx.invoked_subcommand is None:
        ctx.ensure_object(Invocation).print(ctx.get_help())  # the relay's place


mcp = Group(
    "mcp",
    {
        "install": Entry(_MODULE, "install", "Commands", "Add Runcept to the servers of a client."),
        "doctor": Entry(_MODULE, "doctor", "Commands", "Find where clients have it, and try it as they would."),
    },
    {},
    callback=_serve,
    help="The Model Context Protocol, by which AI assistants use Runcept, and its set-up in their programs.",
)
