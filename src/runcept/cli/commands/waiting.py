"""`wait` and `explain`: until a process is as one wants it, and why it is not."""

from __future__ import annotations

import signal
from collections.abc import Sequence

import click

from runcept.api.messages import Explain, WaitAll, Waited
from runcept.cli.framework import command
from runcept.cli.invocation import Invocation
from runcept.cli.parameters import name_argument, names_argument, timeout_option
from runcept.cli.target import current
from runcept.client.connection import PATIENCE, rest
from runcept.core.printable import printable
from runcept.core.views import ProcessView
from runcept.errors import NotAwaited, PatternInvalid, RunceptError, TimedOut, WillNotBeReady

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
@names_argument
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
def wait(invocation: Invocation, names: tuple[str, ...], condition: str, timeout: float) -> int:
    """Wait until each process is ready, is stopped, has exited, or has written a line.

    Nothing is started by it. A line counts from the beginning of the run that is under way, or was the last; of what is
    stopped, the next run counts. Exit status 0 when it has happened to each, 124 when the time is up, 1 as soon as it
    will not happen to one; for exited that of the process, of several the first that is not 0.

    --json: of one process {process, outcome, line}; of several, or of a glob, {waited: [the same of each], ok}.
    """
    until = condition if condition in {"stopped", "exited"} else "ready"
    environment = current(invocation)
    params = WaitAll(environment=environment, names=[*names], until=until, timeout=timeout)  # type: ignore[arg-type]
    if condition.startswith(_LINE):
        from runcept.client.line_wait import wait_for_lines

        pattern = condition.removeprefix(_LINE)
        found = invocation.asked(lambda daemon, elapsed: wait_for_lines(daemon, rest(params, elapsed), pattern))
    else:
        found = invocation.call("wait_all", params, patience=PATIENCE)
    judged = [_judged(each, condition, timeout) for each in found.waited]
    status = _status(found.waited, [each for each, _ in judged], condition)
    if invocation.options.json:
        is_one = [*names] == [each.process.name for each in found.waited] and len(names) == 1
        shape = {"environment": found.environment, "waited": found.waited, "ok": status == 0}
        invocation.print_json(found.waited[0] if is_one else shape)
        return status
    for waited, (_, problem) in zip(found.waited, judged, strict=True):
        if problem is None:
            _tell(invocation, waited, several=len(found.waited) > 1)
    problems = [problem for _, problem in judged if problem is not None]
    for problem in sorted(problems, key=lambda each: isinstance(each, NotAwaited)):  # first what ended the wait
        invocation.report(problem)
    return status


def _status(waited: Sequence[Waited], statuses: Sequence[int], condition: str) -> int:
    """Of all: that something will not happen says more than that it has not yet; of exits, that all are known."""
    is_late = any(each.outcome == "timeout" for each in waited)
    if condition == "exited" and is_late:
        return TimedOut.exit_status
    if condition != "exited" and 1 in statuses:
        return 1
    return next((status for status in statuses if status), 0)


def _judged(waited: Waited, condition: str, timeout: float) -> tuple[int, RunceptError | None]:
    """The exit status, and what to tell where it is not what was waited for."""
    view = waited.process
    is_line = condition.startswith(_LINE)
    if waited.outcome == "timeout":
        words = "wrote no such line" if is_line else f"is not {condition}"
        error: RunceptError = TimedOut(f"{view.name} {words}", timeout, _now(view))
        return error.exit_status, error
    if waited.outcome == "undecided":
        words = "has written no such line yet" if is_line else f"is not {condition} yet"
        return 1, NotAwaited(view.name, words, _now(view))
    if condition == "exited":
        return _status_of(view), None
    if waited.outcome in {"exited", "stopped"} and waited.outcome != condition:
        what = "wrote no such line" if is_line else "is not ready"
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


def _tell(invocation: Invocation, waited: Waited, *, several: bool) -> None:
    from runcept.client.line_wait import Matched

    view = waited.process
    if isinstance(waited, Matched):
        line = printable(waited.line.message, color=False)
        invocation.say(f"{view.name}: {line}" if several else line)
    elif waited.outcome == "exited":
        how = f"killed by {view.exit_signal}" if view.exit_signal else f"exit code {view.exit_code}"
        known = view.exit_signal is not None or view.exit_code is not None
        invocation.say(f"{view.name} has exited: {how if known else 'nobody was there to see its exit status'}")
    else:
        invocation.say(f"{view.name} is {waited.outcome}")


@command("explain")
@name_argument
def explain(invocation: Invocation, name: str) -> None:
    """Tell why a process is as it is: the chain of causes, its last words, and what would change it."""
    from runcept.client.inquiry import explain as ask

    params = Explain(environment=current(invocation), name=name)
    found = invocation.asked(lambda daemon, _: ask(daemon, params))
    if invocation.options.json:
        invocation.print_json(found)
        return
    from runcept.cli.explained import print_explained

    print_explained(invocation, found)
