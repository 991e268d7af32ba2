"""`hook bash|zsh|fish`: the code that makes a shell show how a project is when it enters the project's directory."""

from __future__ import annotations

import os
import shlex

import click

from runcept.cli import shells
from runcept.cli.framework import command
from runcept.cli.invocation import Invocation

__all__ = ["hook"]


@command("hook")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.option("--enter", metavar="PATH", hidden=True)
def hook(invocation: Invocation, shell: str, enter: str | None) -> None:
    """Print the hook of a shell: entering a project shows its state in one line, and activates it where it may.

    That takes `auto_activate = true` in the project file, and `runcept trust` once.

    \b
    At the end of ~/.bashrc:            eval "$(runcept hook bash)"
    At the end of ~/.zshrc:             eval "$(runcept hook zsh)"
    In ~/.config/fish/config.fish:      runcept hook fish | source
    """  # noqa: D301  click's mark for lines that stay as they are
    if enter is None:
        invocation.print(_code(invocation, shell))
        return
    from runcept.cli.entering import enter_project  # what the hook itself calls

    enter_project(invocation, enter)


def _code(invocation: Invocation, shell: str) -> str:
    from runcept.cli.mcp_clients.our_command import our_script

    script = our_script(invocation.surroundings.cwd, invocation.surroundings.environ)
    with open(os.path.join(os.path.dirname(shells.__file__), f"hook.{shell}"), encoding="utf-8") as file:
        code = file.read()
    if shell == "fish":
        quoted = script.replace("\\", "\\\\").replace("'", "\\'")
        return f"set -g __runcept_command '{quoted}'\n{code}".rstrip("\n")
    return f"__runcept_command={shlex.quote(script)}\n{code}".rstrip("\n")
