"""`start`, `stop`, `restart`, `kill-all`: processes by name, and all of them."""

from __future__ import annotations

from collections.abc import Sequence

import click

from runcept.api.messages import KillAll, Processes, Restart, Start, Stop
from runcept.cli.framework import command
from runcept.cli.invocation import Invocation
from runcept.cli.outcome import DOWN, UP, perform
from runcept.cli.parameters import names_argument, timeout_option, waiting_options
from runcept.cli.shell_environment import captured
from runcept.cli.target import current
from runcept.core.views import ProcessView, State
from runcept.errors import ConfirmationNeeded

__all__ = ["kill_all", "restart", "start", "stop"]


@command("start")
@names_argument
@waiting_options
def start(invocation: Invocation, names: Sequence[str], no_wait: bool, timeout: float) -> int:
    """Start processes, what they depend on first, and wait until each is ready. Names may be globs."""
    params = Start(
        environment=current(invocation, present=True),
        names=[*names],
        wait=not no_wait,
        timeout=timeout,
        progress=not invocation.options.json,
        environ=captured(invocation.surroundings.environ),
        umask=invocation.surroundings.umask,
    )
    return perform(invocation, "start", params, UP, f"starting {_some(names)}")


@command("stop")
@names_argument
@waiting_options
def stop(invocation: Invocation, names: Sequence[str], no_wait: bool, timeout: float) -> int:
    """Stop processes, what depends on them first, and wait until they are gone. Names may be globs."""
    params = Stop(
        environment=current(invocation),
        names=[*names],
        wait=not no_wait,
        timeout=timeout,
        progress=not invocation.options.json,
    )
    return perform(invocation, "stop", params, DOWN, f"stopping {_some(names)}")


@command("restart")
@names_argument
@click.option("--dependents", is_flag=True, help="Take along what depends on them.")
@waiting_options
def restart(invocation: Invocation, names: Sequence[str], dependents: bool, no_wait: bool, timeout: float) -> int:
    """Stop processes and start them again; one that is stopped is started. Names may be globs."""
    params = Restart(
        environment=current(invocation, present=True),
        names=[*names],
        dependents=dependents,
        wait=not no_wait,
        timeout=timeout,
        progress=not invocation.options.json,
        environ=captured(invocation.surroundings.environ),
        umask=invocation.surroundings.umask,
    )
    return perform(invocation, "restart", params, UP, f"restarting {_some(names)}")


@command("kill-all")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@timeout_option
def kill_all(invocation: Invocation, yes: bool, timeout: float) -> int:
    """Stop every process of every project."""
    if not yes and not _confirmed(invocation):
        return 1
    params = KillAll(timeout=timeout, progress=not invocation.options.json)
    return perform(invocation, "kill_all", params, DOWN, "stopping everything")


def _confirmed(invocation: Invocation) -> bool:
    if invocation.options.json or not invocation.surroundings.stdin_is_terminal:
        raise ConfirmationNeeded("kill-all")
    everywhere: Processes = invocation.call("ps")
    living = [view for view in everywhere.processes if _lives(view)]
    places = {view.environment for view in living}
    if not living:
        return True
    what = "1 process" if len(living) == 1 else f"{len(living)} processes"
    where = "1 project" if len(places) == 1 else f"{len(places)} projects"
    if invocation.ask(f"Stop {what} of {where}?"):
        return True
    invocation.tell("nothing was stopped")
    return False


def _lives(view: ProcessView) -> bool:
    return view.state not in {State.STOPPED, State.EXITED, State.FAILED}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} processes"
