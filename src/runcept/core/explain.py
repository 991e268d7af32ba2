"""Why a process is as it is, and what would change it: read off the lives, the graph and the checks. Pure.

Here are the facts; the words are in `why`, and what to do about it in `remedy`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from runcept.core.backoff import recent
from runcept.core.check_standing import CheckStanding
from runcept.core.life import Life
from runcept.core.model import Condition, Health, Kind, Process, Restart, State
from runcept.core.supervisor import Supervisor
from runcept.units import format_duration, instant

__all__ = ["Cause", "Failing", "Limiter", "RunBefore", "Standings", "causes", "what_next"]

Standings = Callable[[str], CheckStanding | None]
"""How the health check of a process stands; None where none is under way."""


class Failing(msgspec.Struct, frozen=True):
    """A health check that has not succeeded since: of a log:// check, a line that has not come."""

    check: str
    """Its URL, with the port of the run."""
    detail: str
    """What the last failure said."""
    failures: int
    """In a row; 0 for log://, which is not asked but waited for."""
    since: str
    """When the first of them was noticed, or the wait began. RFC 3339."""
    retries: int
    """Failures in a row that make it unhealthy."""
    counts_in_seconds: float | None
    """When failures begin to count: the end of its start period; null: they do."""


class Limiter(msgspec.Struct, frozen=True):
    """How far the limit of restarts is used up."""

    recent: int
    """Restarts within the window."""
    most: int
    window_seconds: float


class RunBefore(msgspec.Struct, frozen=True):
    """The run before the one that lives, and how it was over."""

    run: int
    reason: str
    ended_at: str
    """RFC 3339."""


class Cause(msgspec.Struct, frozen=True):
    """One link of the chain: this process is so, because of that."""

    process: str
    state: State
    reason: str | None
    """Null while it runs and nothing is wrong with it."""
    hint: str = ""
    health: Health = Health.NONE
    blames: str = ""
    """The process of the next link; empty for the last one."""
    needs: Condition | None = None
    """What of that one it waits for; null where it does not wait for its start."""
    needs_end: bool = False
    """`needs` means that it has ended with success."""
    also_waits_for: list[str] = []
    """Others that it waits for as well."""
    failing: Failing | None = None
    limiter: Limiter | None = None
    """Null where it is not started again by itself, or never was of late."""
    run_before: RunBefore | None = None
    """Null where none lives or there was none before, and of a process that is well and was not restarted of late."""
    coming: Literal["", "start", "check", "kill"] = ""
    """What comes by itself: the next start, the next health check, SIGKILL."""
    in_seconds: float | None = None
    """When that comes."""


def causes(supervisor: Supervisor, name: str, standings: Standings, now: float, today: float) -> list[Cause]:
    """The process first, then the one that holds it up, and so on to the one where it began.

    `today` is the wall clock at `now`, which is monotonic.
    """
    found: list[Cause] = []
    chain = [name]
    while True:
        life = supervisor.lives[chain[-1]]
        following = _next_of(supervisor, life)
        following = "" if following in chain else following  # of lives that were stored in another order of things
        found.append(_cause(supervisor, life, following, standings(life.name), now, today))
        if not following:
            return found
        chain.append(following)


def _next_of(supervisor: Supervisor, life: Life) -> str:
    """Whom it blames: the dependency that it waits for or failed with; what has to end before it may."""
    if life.blamed in supervisor.lives:
        return life.blamed
    if life.state in {State.STARTING, State.RUNNING} and (not life.wanted or life.restarting):
        return next(iter(supervisor.holding_up(life.name)), "")
    return ""


def _cause(  # noqa: PLR0917  one place makes it
    supervisor: Supervisor, life: Life, following: str, standing: CheckStanding | None, now: float, today: float
) -> Cause:
    process = supervisor.project.process(life.name)
    failing = None if standing is None or not life.is_up else _failing(standing, now, today)
    coming, at = _coming(life, standing if failing is not None else None)
    waits = life.state is State.PENDING and bool(following)
    needed = next((each.condition for each in process.depends_on if each.name == following), None) if waits else None
    limiter = _limiter(process, life, now)
    return Cause(
        process=life.name,
        state=life.state,
        reason=life.reason or None,
        hint=life.hint,
        health=life.health,
        blames=following,
        needs=needed,
        needs_end=needed is not None and _means_end(supervisor, following, needed),
        also_waits_for=[each for each in supervisor.unmet(life.name) if each != following] if waits else [],
        failing=failing,
        limiter=limiter,
        run_before=_run_before(life) if life.reason or limiter is not None else None,
        coming=coming,
        in_seconds=None if at is None else round(max(0.0, at - now), 1),
    )


def _means_end(supervisor: Supervisor, dependency: str, condition: Condition) -> bool:
    is_task = supervisor.project.process(dependency).kind is Kind.TASK
    return condition is Condition.COMPLETED or (is_task and condition is Condition.READY)


def _failing(standing: CheckStanding, now: float, today: float) -> Failing | None:
    if standing.since is None:
        return None
    counts_from = standing.counts_from
    return Failing(
        check=standing.check.url,
        detail=standing.detail,
        failures=standing.failures,
        retries=standing.check.retries,
        since=instant(today - (now - standing.since)),
        counts_in_seconds=None if counts_from is None else round(max(0.0, counts_from - now), 1),
    )


def _coming(life: Life, standing: CheckStanding | None) -> tuple[Literal["", "start", "check", "kill"], float | None]:
    if life.state is State.BACKOFF:
        return "start", life.deadline
    if life.state is State.STOPPING:
        return ("", None) if life.deadline is None else ("kill", life.deadline)
    return ("", None) if standing is None or standing.next_at is None else ("check", standing.next_at)


def _run_before(life: Life) -> RunBefore | None:
    if life.before is None or not life.is_up or life.before.run >= life.run:
        return None
    return RunBefore(life.before.run, life.before.reason, instant(life.before.at))


def _limiter(process: Process, life: Life, now: float) -> Limiter | None:
    policy = process.restart
    failures = recent(life.failures, policy, now)
    if policy.when is Restart.NO or not failures:
        return None
    return Limiter(min(len(failures), policy.max_restarts), policy.max_restarts, policy.window)


# ---------------------------------------------------------------------------------------------------- next


def what_next(supervisor: Supervisor, name: str, now: float) -> str:
    """One sentence: what becomes of it by itself, or what somebody has to do."""
    life = supervisor.lives[name]
    process = supervisor.project.process(name)
    if life.state is State.STOPPING:
        return _while_stopping(life)
    if life.is_up:
        return _while_up(supervisor, life, process)
    if life.state in {State.PENDING, State.BACKOFF}:
        return _while_waiting(supervisor, life, process, now)
    if life.wanted and life.state is State.STOPPED:
        return "It is being started."
    return _while_down(supervisor, life, process)


def _while_waiting(supervisor: Supervisor, life: Life, process: Process, now: float) -> str:
    if not life.wanted:
        return "It is about to be stopped."
    if life.state is State.PENDING:
        return f"It starts by itself when {_awaited(supervisor, process, life.blamed)}."
    left = format_duration(round(max(0.0, (life.deadline or now) - now), 1))
    return f"It is started again by itself in {left}; `runcept start {life.name}` starts it at once."


def _while_up(supervisor: Supervisor, life: Life, process: Process) -> str:
    if not life.wanted or life.restarting:
        again = ", and is started again" if life.wanted else ""
        if first := supervisor.holding_up(life.name):
            return f"It is stopped when {_listed(first)} {'has' if len(first) == 1 else 'have'} ended{again}."
        return f"It is about to be stopped{again}."
    if life.state is State.STARTING:
        return _until_ready(process)
    if life.health is not Health.UNHEALTHY:
        return "Nothing needs to be done."
    if process.restart.on_unhealthy:
        return "It is restarted for its health."
    return f"It is left as it is until a check succeeds again; `runcept restart {life.name}` restarts it."


def _until_ready(process: Process) -> str:
    if process.kind is Kind.TASK:
        return "It is a task: it is ready when it has ended with success."
    if process.health_check is None:
        return "It is ready when it has lived for a moment."
    return "It is ready when its health check succeeds for the first time."


def _while_stopping(life: Life) -> str:
    if life.restarting or life.stopping_for == "restart":
        return "It is started again when it has ended."
    if life.wanted and life.stopping_for == "unhealthy":
        return "It is started again for its health when it has ended, unless it was too often of late."
    if life.wanted:
        return "What becomes of it is decided when all of it has ended."
    return f"It ends; `runcept start {life.name}` starts it again."


def _while_down(supervisor: Supervisor, life: Life, process: Process) -> str:
    start = f"`runcept start {life.name}` starts it"
    if process.depends_on:
        start += ", with what it needs"
    if life.state is State.FAILED:
        return f"Nothing starts it by itself. {_mended(supervisor, life)}, {start}."
    if life.state is State.EXITED and process.kind is Kind.SERVICE:
        task = 'If it is to end, make it kind = "task"; if it is to run on, restart = "always".'
        return f"It ended by itself, so nothing starts it again; {start}. {task}"
    if life.asleep and process.doorstep:
        return f"A connection to {process.doorstep} starts it; so does `runcept start {life.name}`."
    if not process.autostart:
        needed = supervisor.plan.sort(supervisor.plan.dependents(life.name))
        also = f", or for {_listed(needed, 'or')}" if needed else ""
        return f"It has autostart = false, so it is started by name alone{also}; {start}."
    if not any(each.wanted or each.is_up for each in supervisor.lives.values()):
        return f"Nothing starts it by itself; {start}; `runcept activate` starts all of the project."
    return f"Nothing starts it by itself; {start}."


def _mended(supervisor: Supervisor, life: Life) -> str:
    blamed = life
    while blamed.blamed in supervisor.lives:
        blamed = supervisor.lives[blamed.blamed]
    if blamed is life:
        return "When the cause is mended"
    if blamed.state is State.FAILED:
        return f"When {blamed.name} is mended"
    return f"As {blamed.name} is {blamed.state} now" if blamed.state is State.RUNNING else "When that is wanted"


def _awaited(supervisor: Supervisor, process: Process, dependency: str) -> str:
    if not dependency:
        return f"what it needs is {Condition.READY}"
    wanted = next((each.condition for each in process.depends_on if each.name == dependency), None)
    if wanted is None:
        return f"{dependency} has ended, and given up its port"
    return f"{dependency} {'has ended with success' if _means_end(supervisor, dependency, wanted) else f'is {wanted}'}"


def _listed(names: list[str], last: str = "and") -> str:
    return f" {last} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
