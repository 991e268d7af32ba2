"""`exec`: a command on this terminal, with what a process of the project gets."""

from __future__ import annotations

import errno
import os
import shlex
import signal
from collections.abc import Sequence
from typing import NoReturn

import click

from runcept.api.messages import Exec, Surroundings
from runcept.cli.framework import Command
from runcept.cli.invocation import Invocation
from runcept.cli.parameters import optional_name_argument
from runcept.cli.project_names import declared
from runcept.cli.shell_environment import captured, of_the_terminal
from runcept.cli.target import current
from runcept.errors import (
    CommandIsDirectory,
    CommandNotExecutable,
    CommandNotFound,
    RunceptError,
    SpawnRefused,
    UsageError,
    WorkingDirectoryUnusable,
)

__all__ = ["exec_"]

_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
"""As a shell has it, POSIX 2.8.2."""
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


class _WithCommand(Command):
    """A command whose arguments behind `--` are another command with its own options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        words = args[at + 1 :]
        try:
            rest = super().parse_args(ctx, args[:at])
        except click.UsageError:
            if at < len(args) or not args or args[0].startswith("-"):
                raise
            raise _unclear(ctx.ensure_object(Invocation), args, ()) from None
        if not ctx.resilient_parsing:
            name, extra = ctx.params["name"], ctx.params["words"]
            if at == len(args) or extra:
                raise _unclear(ctx.ensure_object(Invocation), [each for each in (name, *extra) if each], words)
            if not words:
                hint = f"Write `runcept exec {name + ' ' if name else ''}-- COMMAND…`."
                raise UsageError("exec needs a command behind the --", hint=hint)
        ctx.params["words"] = words
        return rest


def _unclear(invocation: Invocation, before: Sequence[str], words: Sequence[str]) -> UsageError:
    """The command is not where it should be: show how it is written."""
    is_name = bool(before) and _is_process(invocation, before[0])
    name, command = (before[:1], [*before[1:], *words]) if is_name else ((), [*before, *words])
    shown = shlex.join([*name, "--", *command]) if command else " ".join([*name, "--", "COMMAND…"])
    return UsageError("exec needs -- before the command", hint=f"Write `runcept exec {shown}`.")


def _is_process(invocation: Invocation, word: str) -> bool:
    try:
        return word in declared(current(invocation))
    except RunceptError:  # then there is no process
        return False


@click.command("exec", cls=_WithCommand)
@optional_name_argument
@click.argument("words", nargs=-1, metavar="-- COMMAND…", type=click.UNPROCESSED)
@click.pass_obj
def exec_(invocation: Invocation, name: str | None, words: Sequence[str]) -> int:
    """Run a command here, with the environment and the directory of a process, or without NAME of the project.

    It is as if the process were started now with another command; of one that runs, it gets the ports. Terminal,
    signals and exit status are the command's own: 127 where there is no such command, 126 where it cannot be executed.
    """
    if invocation.options.json:
        raise UsageError("exec has no --json: what the command prints is its own", hint="Leave --json out.")
    environ = invocation.surroundings.environ
    found: Surroundings = invocation.call(
        "exec",
        Exec(
            environment=current(invocation),
            name=name,
            environ=captured(environ),
            umask=invocation.surroundings.umask,
            terminal=of_the_terminal(environ),
        ),
    )
    try:
        _become(words, found)
    except (CommandNotFound, CommandNotExecutable, CommandIsDirectory, SpawnRefused) as error:
        invocation.report(error)
        return _NOT_FOUND if isinstance(error, CommandNotFound) else _NOT_EXECUTABLE


def _become(words: Sequence[str], found: Surroundings) -> NoReturn:
    """Replace this process by the command. Errors: StartError."""
    try:
        os.chdir(found.working_dir)
    except OSError as error:
        raise WorkingDirectoryUnusable(found.working_dir, _why(error)) from error
    os.umask(found.umask)
    for number in _IGNORED_BY_PYTHON:  # else it would never hear that nobody reads what it writes
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(words[0], [*words], found.environ)  # noqa: S606  no shell wanted
    except OSError as error:
        raise _refused(words[0], error) from error
    except ValueError as error:  # an empty name
        raise _hinted(CommandNotFound(repr(words[0]))) from error


def _hinted(error: RunceptError) -> RunceptError:
    """Not what a project file should say is wrong, but what was typed."""
    error.hint = "Behind the -- stands a program; it is looked for in the PATH of the process or project."
    return error


def _refused(command: str, error: OSError) -> RunceptError:
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return _hinted(CommandNotFound(command))
    if error.errno == errno.EACCES:
        is_directory = os.path.isdir(command)
        return _hinted(CommandIsDirectory(command)) if is_directory else CommandNotExecutable(command)
    return SpawnRefused(command, _why(error))


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
