"""What a client is told to start, so that it works with the little that a client gives: no shell, hardly any variables.

For a user it is the path of this installation's script: the PATH of a program that was started from the desktop may not
have it. A project's file is for everybody who works on the project, and other machines have it elsewhere: plain
`runcept`, as for any tool that a project takes for granted.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Mapping

from runcept.cli.mcp_clients.table import SERVER, Command, Scope
from runcept.errors import RunceptError

__all__ = ["our_command", "our_script", "trusted_programs", "warnings_about"]

_ARGUMENTS = ["mcp"]


def our_command(scope: Scope, cwd: str, environ: Mapping[str, str]) -> Command:
    """The command for an entry of this scope. Errors: RunceptError."""
    if scope is Scope.PROJECT:
        return Command([SERVER, *_ARGUMENTS])
    kept = {"RUNCEPT_HOME": os.path.join(cwd, environ["RUNCEPT_HOME"])} if environ.get("RUNCEPT_HOME") else {}
    return Command([our_script(cwd, environ), *_ARGUMENTS], kept)


def warnings_about(command: Command, environ: Mapping[str, str]) -> list[str]:
    """What stands in the way of it here, though it may work for others."""
    if os.path.isabs(command.arguments[0]):
        return []
    said = []
    if shutil.which(command.arguments[0], path=environ.get("PATH", "")) is None:
        said.append(f"{command.arguments[0]} is not on PATH here: put it there, or use --user, which writes its path")
    if environ.get("RUNCEPT_HOME"):
        said.append("RUNCEPT_HOME is set here, and a project's file cannot say so: clients may use another home")
    return said


def trusted_programs(cwd: str, environ: Mapping[str, str]) -> set[str]:
    """What may be started although a project's file names it: our script, by the names and paths that lead to it."""
    return {SERVER, "runit", _own_script(), our_script(cwd, environ)}


def our_script(cwd: str, environ: Mapping[str, str]) -> str:
    """The path of our script: the one on PATH where that leads to it, since it stays when an upgrade moves the rest."""
    own = _own_script()
    if not os.path.isfile(own):
        hint = "Install Runcept again, for example with `uv tool install --reinstall .` in its clone."
        raise RunceptError(f"the script of this installation is missing: {own}", hint=hint, path=own)
    found = shutil.which(SERVER, path=environ.get("PATH", ""))
    script = os.path.join(cwd, found) if found is not None and os.path.samefile(found, own) else own
    try:
        script.encode()
    except UnicodeEncodeError as error:
        hint = "Install Runcept at a path that is UTF-8."
        raise RunceptError(f"{script} is no text that a client's file could hold", hint=hint, path=script) from error
    return script


def _own_script() -> str:
    return os.path.join(sysconfig.get_path("scripts"), SERVER)
