"""`wait` and `explain`: until a process is as one wants it, and why it is not."""

from __future__ import annotations

import signal

import click

from runcept.api.messages import Explain, Wait, Waited
from runcept.cli.framework import command
from runcept.cli.invocation import Invocation
from runcept.cli.parameters import name_argument, timeout_option
from runcept.cli.target import current
from runcept.client.connection import PATIENCE
from runcept.core.printable import printable
from runcept.core.views import ProcessView
from runcept.errors import PatternInvalid, RunceptError, TimedOut, WillNotBeReady

__all__ = ["explain", "wait"]

_LINE = "log="
_UNKNOWN = 1
"""The exit status of `wait --for exited` where nobody knows that of the process."""


def _to_condition(_: click.Context, __: click.Parameter, value: str) -> str:
    if value not in {"ready", "stopped", "exited"} and not value.startswith(_LINE):
        raise click.BadParameter("expected ready, stopped, exited or log=REGEX")
    if value == _LINE:
        raise PatternInvalid("", "it is empty, and would be found in every line")
    return value


@command("wait")
@name_argument
@click.option(
    "--for",
    "condition",
    callback=_to_condition,
    default="ready",
    show_default=True,
    metavar="CONDITION",
    help="ready, stopped, exited, or log=REGEX.",
)
@timeout_option
def wait(invocation: Invocation, name: str, condition: str, timeout: float) -> int:
    """Wait until a process is ready, is stopped, has exited, or has written a line.

    Nothing is started by it. Exit status 0 when it has happened, 124 when the time is up, 1 when it will not happen;
    for exited, that of the process.
    """
    until = condition if condition in {"stopped", "exited"} else "ready"
    params = Wait(environment=current(invocation), name=name, until=until, timeout=timeout)  # type: ignore[arg-type]
    if condition.startswith(_LINE):
        from runcept.client.inquiry import wait_for_line

        with invocation.connected() as connection:
            waited = wait_for_line(connection, params, condition.removeprefix(_LINE))
    else:
        waited = invocation.call("wait", params, patience=PATIENCE)
    status, problem = _judged(waited, condition, timeout)
    if invocation.options.json:
        invocation.print_json(waited)
    elif problem is not None:
        return invocation.report(problem)
    else:
        _tell(invocation, waited)
    return status


def _judged(waited: Waited, condition: str, timeout: float) -> tuple[int, RunceptError | None]:
    """The exit status, and what to tell where it is not what was waited for."""
    view = waited.process
    if waited.outcome == "timeout":
        words = "wrote no such line" if condition.startswith(_LINE) else f"is not {condition}"
        error = TimedOut(f"{view.name} {words}", timeout, _now(view))
        return error.exit_status, error
    if condition == "exited":
        return _status_of(view), None
    if waited.outcome in {"exited", "stopped"} and waited.outcome != condition:
        what = "wrote no such line" if condition.startswith(_LINE) else "is not ready"
        return 1, WillNotBeReady(view.name, what, _now(view))
    return 0, None


def _now(view: ProcessView) -> str:
    return f"it is {view.state.value}" + (f": {view.reason}" if view.reason else "")


def _status_of(view: ProcessView) -> int:
    """As a shell has it: the exit code, or 128 and the number of the signal."""
    if view.exit_code is not None:
        return view.exit_code
    if view.exit_signal is None:
        return _UNKNOWN
    name, _, beyond = view.exit_signal.partition("+")
    number = getattr(signal, name, None)
    return _UNKNOWN if number is None else 128 + int(number) + int(beyond or 0)


def _tell(invocation: Invocation, waited: Waited) -> None:
    from runcept.client.inquiry import Matched

    if isinstance(waited, Matched):
        invocation.say(printable(waited.line.message, color=False))
    elif waited.outcome == "exited":
        view = waited.process
        how = f"killed by {view.exit_signal}" if view.exit_signal else f"exit code {view.exit_code}"
        known = view.exit_signal is not None or view.exit_code is not None
        invocation.say(f"{view.name} has exited: {how if known else 'nobody was there to see its exit status'}")
    else:
        invocation.say(f"{waited.process.name} is {waited.outcome}")


@command("explain")
@name_argument
def explain(invocation: Invocation, name: str) -> None:
    """Tell why a process is as it is: the chain of causes, its last words, and what would change it."""
    from runcept.client.inquiry import explain as ask

    with invocation.connected() as connection:
        found = ask(connection, Explain(environment=current(invocation), name=name))
    if invocation.options.json:
        invocation.print_json(found)
        return
    from runcept.cli.explained import print_explained

    print_explained(invocation, found)
