"""`mcp`: the server that AI assistants start, and what else there is for them."""

from __future__ import annotations

import os
import sys

import click

from runcept.cli.framework import Entry, Group, command
from runcept.cli.invocation import Invocation
from runcept.cli.target import current
from runcept.errors import ProjectNotFound
from runcept.paths import ensure_home

__all__ = ["http", "mcp"]

_HERE, _SETUP = "runcept.cli.commands.mcp", "runcept.cli.commands.mcp_setup"
_PORT = 7433


def _serve() -> None:
    """Bare `runcept mcp`: what a client starts and speaks to on stdin and stdout."""
    ctx = click.get_current_context()
    if ctx.invoked_subcommand is None:
        from runcept.client.mcp_relay import main

        invocation = ctx.ensure_object(Invocation)
        ctx.exit(main(invocation.home, invocation.options.environment))


mcp = Group(
    "mcp",
    {
        "install": Entry(_SETUP, "install", "Commands", "Add Runcept to the servers of a client."),
        "doctor": Entry(_SETUP, "doctor", "Commands", "Find where clients have it, and try it as they would."),
        "http": Entry(_HERE, "http", "Commands", "Serve over HTTP on the loopback interface."),
    },
    {},
    callback=_serve,
    help="The Model Context Protocol, by which AI assistants use Runcept. Alone, it is the server that they start.",
)


@command("http")
@click.option("--port", type=click.IntRange(0, 65535), default=_PORT, show_default=True, help="0: any free one.")
def http(invocation: Invocation, port: int) -> None:
    """Serve MCP as streamable HTTP on 127.0.0.1, for clients that start no programs, until Ctrl-C.

    Prints the address, and the header with the token that a client has to send. Calls that name no environment are
    about the project here, if there is one.
    """
    ensure_home(invocation.home)
    try:
        environment = [current(invocation)]
    except ProjectNotFound:
        environment = []
    command = [sys.executable, "-P", "-m", "runcept.mcp.http", invocation.home, str(port), *environment]
    os.execv(sys.executable, command)  # noqa: S606  our own program: one process starts another by exec
