"""`status`, `list`, `ps`: what the processes are doing."""

from __future__ import annotations

import time
from collections.abc import Sequence

from runcept.api.messages import EnvironmentList, Environments, Processes, ProcessList, Status
from runcept.cli.framework import command
from runcept.cli.invocation import Invocation, paint
from runcept.cli.layout import Cell, print_cells
from runcept.cli.parameters import path_and_names_argument
from runcept.cli.present import environment_line, near_path, process_table, short_path
from runcept.cli.target import current, of_arguments
from runcept.core.printable import printable
from runcept.core.views import EnvironmentView, ProcessView, ReloadError
from runcept.errors import ProcessNotFound, UsageError
from runcept.paths import PROJECT_FILE

__all__ = ["list_processes", "ps", "status"]

_RUNS = 5
"""Of a process in full."""


@command("status")
@path_and_names_argument
def status(invocation: Invocation, names: Sequence[str]) -> None:
    """Show the project and its processes; with NAME, one process in full.

    An argument that holds a / or names a directory is the path of a project.
    """
    target = of_arguments(invocation, names)
    if len(target.names) > 1:
        raise UsageError("status shows one process at a time", hint="Without a name it shows them all.")
    in_full = bool(target.names) or invocation.options.verbose
    params = Status(environment=target.environment, tree=in_full, runs=_RUNS if in_full else 0)
    view: EnvironmentView = invocation.call("status", params)
    if target.names:
        _one(invocation, view, target.names[0])
    elif invocation.options.json:
        invocation.print_json(view)
    else:
        _all(invocation, view)
    if not invocation.options.json:
        invocation.warn(view.warnings or [])
        if view.reload_error is not None:
            _warn_of_file(invocation, view.reload_error)


@command("list")
def list_processes(invocation: Invocation) -> None:
    """Show the processes of the project; with --quiet their names alone."""
    listed: ProcessList = invocation.call("list", Status(environment=current(invocation)))
    if invocation.options.json:
        invocation.print_json(listed)
    else:
        _print_processes(invocation, listed.processes)


@command("ps")
def ps(invocation: Invocation) -> None:
    """Show the processes of all projects."""
    everywhere: Processes = invocation.call("ps")
    if invocation.options.json:
        invocation.print_json(everywhere)
        return
    if not everywhere.processes:
        invocation.say("no processes: no project has been activated yet")
        return
    if invocation.options.quiet:
        _print_processes(invocation, everywhere.processes)
        return
    known: EnvironmentList = invocation.call("environments", Environments())
    process_table(everywhere.processes, _owners(invocation, everywhere.processes, known)).print(invocation)


def _one(invocation: Invocation, view: EnvironmentView, name: str) -> None:
    processes = view.processes or []
    found = next((process for process in processes if process.name == name), None)
    if found is None:
        raise ProcessNotFound(name, view.name, view.path, [process.name for process in processes])
    if invocation.options.json:
        invocation.print_json(found)
        return
    from runcept.cli.detail import print_detail

    print_detail(invocation, found, view)


def _all(invocation: Invocation, view: EnvironmentView) -> None:
    processes = view.processes or []
    if not invocation.options.quiet:
        environ = invocation.surroundings.environ
        home = environ.get("HOME") if invocation.drawn else None
        print_cells(invocation, environment_line(view, home), " · ")
        _print_idle(invocation, view)
        if invocation.drawn and processes:
            invocation.print()
    if invocation.options.verbose:
        from runcept.cli.detail import print_detail

        for process in processes:
            print_detail(invocation, process, view)
            invocation.print()
    else:
        _print_processes(invocation, processes)


def _print_idle(invocation: Invocation, view: EnvironmentView) -> None:
    """When it stops, if there is a timeout."""
    from runcept.cli.idle import idle_lines

    for line in idle_lines(view, time.time()):
        print_cells(invocation, [Cell(line, "dim")])


def _warn_of_file(invocation: Invocation, error: ReloadError) -> None:
    """The project file as it is now is not what runs."""
    place, home = invocation.surroundings.cwd, invocation.surroundings.environ.get("HOME")
    path, rest = error.message.partition(PROJECT_FILE)[0], error.message.partition(PROJECT_FILE)[2]
    near = near_path(path + PROJECT_FILE, place, home) if path.startswith("/") and rest else path
    invocation.warn([f"the file was changed and is not in force: {near}{rest or error.message.removeprefix(path)}"])
    if error.hint:
        hint = paint("hint:", "cyan" if invocation.error_color else "")
        invocation.tell(f"  {hint} {printable(error.hint, color=False)}")


def _print_processes(invocation: Invocation, processes: Sequence[ProcessView]) -> None:
    if invocation.options.quiet:
        for process in processes:
            invocation.print(process.name)
    elif processes:
        process_table(processes).print(invocation)


def _owners(invocation: Invocation, processes: Sequence[ProcessView], known: EnvironmentList) -> dict[str, str]:
    """What to call each environment: its name, or its path where another has the same name."""
    names = [each.name for each in known.environments]
    home = invocation.surroundings.environ.get("HOME")
    labels = {process.environment: short_path(process.environment, home) for process in processes}
    return labels | {each.path: each.name for each in known.environments if names.count(each.name) == 1}
