"""`help [COMMAND]`: what `COMMAND --help` shows, for those who ask as git lets them."""

from __future__ import annotations

from collections.abc import Sequence

import click

from runcept.cli.framework import command
from runcept.cli.invocation import Invocation

__all__ = ["help_"]


def _complete_command(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    from runcept.cli.app import ROOT

    return [name for name in ROOT.entries if name.startswith(incomplete)]


@command("help")
@click.argument("words", nargs=-1, metavar="[COMMAND]", shell_complete=_complete_command)
def help_(invocation: Invocation, words: Sequence[str]) -> None:
    """Show the help of a command; without COMMAND, what there is."""
    from runcept.cli.app import ROOT

    with ROOT.make_context("runcept", [*words, "--help"], obj=invocation) as context:
        ROOT.invoke(context)
