"""The table of commands, and `run`: one command line to one exit status, wherever it runs.

Imports no command, no rich, no configuration and no daemon: each command brings what it needs.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

import click

from runcept.cli.framework import Entry, Group, usage_error
from runcept.cli.invocation import Invocation, Options
from runcept.cli.surroundings import Surroundings
from runcept.errors import RunceptError

__all__ = ["COMPLETION_VARIABLE", "INTERRUPTED", "ROOT", "run"]

COMPLETION_VARIABLE = "_RUNCEPT_COMPLETE"
INTERRUPTED = 130
_PIPE_CLOSED = 141
"""What a shell shows for `git log | head`: 128 + SIGPIPE."""

_ENVIRONMENT, _PROCESSES, _LOGS, _DAEMON, _SETUP = "Environment", "Processes", "Logs", "Daemon", "Setup"
_COMMANDS = "runcept.cli.commands"

_ENTRIES = {
    "activate": Entry(
        f"{_COMMANDS}.environment", "activate", _ENVIRONMENT, "Start the project, wait until it is ready."
    ),
    "deactivate": Entry(f"{_COMMANDS}.environment", "deactivate", _ENVIRONMENT, "Stop everything in the project."),
    "reload": Entry(f"{_COMMANDS}.reload", "reload", _ENVIRONMENT, "Take over an edited .runcept.toml."),
    "status": Entry(f"{_COMMANDS}.status", "status", _ENVIRONMENT, "How the project is, or one process in full."),
    "environments": Entry(f"{_COMMANDS}.environments", "environments", _ENVIRONMENT, "Known projects (also: envs)."),
    "start": Entry(f"{_COMMANDS}.processes", "start", _PROCESSES, "Start processes and what they depend on."),
    "stop": Entry(f"{_COMMANDS}.processes", "stop", _PROCESSES, "Stop processes and what depends on them."),
    "restart": Entry(f"{_COMMANDS}.processes", "restart", _PROCESSES, "Stop and start processes."),
    "wait": Entry(f"{_COMMANDS}.waiting", "wait", _PROCESSES, "Wait until a process is ready, or has exited."),
    "exec": Entry(f"{_COMMANDS}.running", "exec_", _PROCESSES, "Run a command as a process would run."),
    "explain": Entry(f"{_COMMANDS}.waiting", "explain", _PROCESSES, "Why a process is as it is."),
    "list": Entry(f"{_COMMANDS}.status", "list_processes", _PROCESSES, "The project's processes (also: ls)."),
    "ps": Entry(f"{_COMMANDS}.status", "ps", _PROCESSES, "The processes of all projects."),
    "kill-all": Entry(f"{_COMMANDS}.processes", "kill_all", _PROCESSES, "Stop every process of every project."),
    "logs": Entry(f"{_COMMANDS}.logs", "logs", _LOGS, "What the processes wrote."),
    "events": Entry(f"{_COMMANDS}.events", "events", _LOGS, "What has happened, and who asked for it."),
    "daemon": Entry(f"{_COMMANDS}.daemon", "daemon", _DAEMON, "Start, stop, restart or look at the daemon."),
    "mcp": Entry(f"{_COMMANDS}.mcp", "mcp", _SETUP, "The server for AI assistants, and its set-up in their programs."),
    "init": Entry(f"{_COMMANDS}.setup", "init", _SETUP, "Write a .runcept.toml from what is here."),
    "validate": Entry(f"{_COMMANDS}.setup", "validate", _SETUP, "Check the .runcept.toml."),
    "config": Entry(f"{_COMMANDS}.config", "config", _SETUP, "Settings: where they are, what is in force, the schema."),
    "help": Entry(f"{_COMMANDS}.help", "help_", _SETUP, "The help of a command."),
    "completion": Entry(f"{_COMMANDS}.completion", "completion", _SETUP, "Completion for bash, zsh or fish."),
    "hook": Entry(f"{_COMMANDS}.hook", "hook", _SETUP, "Show a project's state when bash, zsh or fish enters it."),
    "trust": Entry(f"{_COMMANDS}.trust", "trust_project", _SETUP, "Let entering the project activate it."),
}


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from runcept import __version__

        invocation = ctx.ensure_object(Invocation)
        if invocation.options.json:
            invocation.print_json({"version": __version__})
        else:
            invocation.print(f"runcept {__version__}")
        ctx.exit()


ROOT = Group(
    "runcept",
    _ENTRIES,
    {"envs": "environments", "ls": "list"},
    help="Runs the programs of a development project as one thing.",
    epilog="`runcept COMMAND --help` tells more of a command.",
    params=[
        click.Option(
            ["--version"], is_flag=True, expose_value=False, callback=_show_version, help="Show the version and exit."
        )
    ],
)


def run(arguments: Sequence[str], surroundings: Surroundings) -> int:
    """Run one command line; everything it says goes to the streams of its surroundings. Gives the exit status."""
    invocation = Invocation(surroundings, Options(json="--json" in _own(arguments)))
    try:
        return _run(arguments, invocation)
    except BrokenPipeError:
        return _PIPE_CLOSED
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EIO, errno.EBADF} or error.filename is not None:
            raise  # it is about a file, and not about what our output goes to
        invocation.tell(f"runcept: the output cannot be written: {error.strerror}")  # with --json as well: it is full
        return 1


def _run(arguments: Sequence[str], invocation: Invocation) -> int:
    try:
        status = _invoke(arguments, invocation)
    except RunceptError as error:
        status = invocation.report(error)
    except click.UsageError as error:
        status = invocation.report(usage_error(error))
    except KeyboardInterrupt:
        status = INTERRUPTED
    invocation.surroundings.stdout.flush()
    invocation.surroundings.stderr.flush()
    return status


def _invoke(arguments: Sequence[str], invocation: Invocation) -> int:
    if COMPLETION_VARIABLE in invocation.surroundings.environ:
        from click.shell_completion import shell_complete

        instruction = invocation.surroundings.environ[COMPLETION_VARIABLE]
        return shell_complete(ROOT, {"obj": invocation}, "runcept", COMPLETION_VARIABLE, instruction)
    try:
        with ROOT.make_context("runcept", [*arguments], obj=invocation) as context:
            outcome = ROOT.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    return outcome if isinstance(outcome, int) else 0


def _own(arguments: Sequence[str]) -> Sequence[str]:
    """The arguments that are ours: those before `--`."""
    return arguments[: arguments.index("--")] if "--" in arguments else arguments
