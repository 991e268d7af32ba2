"""`completion bash|zsh|fish`: the script that makes a shell complete `runcept` and `runit`."""

from __future__ import annotations

import click

from runcept.cli.framework import command
from runcept.cli.invocation import Invocation

__all__ = ["completion"]

_NAMES = ("runcept", "runit")


@command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(invocation: Invocation, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    In ~/.bashrc:  eval "$(runcept completion bash)"
    In ~/.zshrc:   eval "$(runcept completion zsh)"
    For fish:      runcept completion fish > ~/.config/fish/completions/runcept.fish
    """  # noqa: D301  click's mark for lines that stay as they are
    from click.shell_completion import BashComplete, FishComplete, ZshComplete

    from runcept.cli.app import COMPLETION_VARIABLE, ROOT

    # BashComplete.source() would run bash to look at its version: the template is all that is wanted.
    kind = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}[shell]
    for name in _NAMES:
        made = kind(ROOT, {}, name, COMPLETION_VARIABLE)
        invocation.print((made.source_template % made.source_vars()).strip())
