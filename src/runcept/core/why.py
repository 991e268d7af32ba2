"""An explanation in words: how a process is, why, and the whole chain in one sentence. Pure.

Instants are told by the `clock` of the caller, which turns RFC 3339 into what its reader has on the wall.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runcept.core.explain import Cause, Failing, Limiter
from runcept.core.model import Condition, Health, State
from runcept.units import format_duration

__all__ = ["Clock", "how", "limit", "summary", "why"]

Clock = Callable[[str], str]

_HOW = {
    State.STOPPED: "is stopped",
    State.PENDING: "is pending",
    State.STARTING: "is not ready",
    State.RUNNING: "is running",
    State.STOPPING: "is stopping",
    State.BACKOFF: "is in backoff",
    State.EXITED: "has exited",
    State.FAILED: "has failed",
}
_NEEDS = {
    Condition.READY: "to be ready",
    Condition.STARTED: "to be started",
    Condition.COMPLETED: "to end with success",
}

_COMING = {"start": "attempt", "check": "check"}


def how(cause: Cause) -> str:
    """How it is: "is pending"."""
    if cause.state is State.RUNNING and cause.health is Health.HEALTHY:
        return "is running and healthy"
    is_up = cause.state in {State.STARTING, State.RUNNING}
    return "is unhealthy" if is_up and cause.health is Health.UNHEALTHY else _HOW[cause.state]


def why(cause: Cause, clock: Clock) -> str:
    """Why it is so, without a full stop; "" where there is nothing to say."""
    if cause.blames:
        return _because_of_another(cause)
    if cause.failing is not None and _is_judged(cause):
        return _of_check(cause, cause.failing, clock)
    coming = f"; {_coming(cause)}" if cause.coming else ""
    return f"{cause.reason}{coming}" if cause.reason else ""


def summary(causes: Sequence[Cause], clock: Clock) -> str:
    """The chain as one sentence, from the process to where it began."""
    links = " because ".join(f"{each.process} {how(each)}" for each in causes)
    root = causes[-1]
    said = why(root, clock)
    if not said:
        return f"{links}; nothing is wrong with it." if len(causes) == 1 else f"{links}."
    if root.health is Health.HEALTHY:  # one failure is not yet what the health says
        return f"{links}, but {said}."
    return f"{links} because {said}." if root.failing is not None and _is_judged(root) else f"{links}: {said}."


def limit(limiter: Limiter) -> str:
    """How far the limit of restarts is used up: "4 of 10 within 5m"."""
    return f"{limiter.recent} of {limiter.most} within {format_duration(limiter.window_seconds)}"


def _is_judged(cause: Cause) -> bool:
    """What its health check says matters now."""
    return cause.state in {State.STARTING, State.RUNNING}


def _because_of_another(cause: Cause) -> str:
    if cause.state is State.PENDING:
        if cause.needs is None:  # not a dependency: it has what this one is to have
            return f"it {cause.reason}"
        what = _NEEDS[Condition.COMPLETED if cause.needs_end else cause.needs]
        also = f", and for {', '.join(cause.also_waits_for)}" if cause.also_waits_for else ""
        return f"it waits for {cause.blames} {what}{also}"
    if cause.state in {State.STARTING, State.RUNNING}:
        return f"it is to be stopped, and {cause.blames}, which depends on it, has to end before"
    return f"its {(cause.reason or '').partition(': ')[0]}"  # "its dependency db failed"; the next link tells why


def _of_check(cause: Cause, failing: Failing, clock: Clock) -> str:
    times = f", {failing.failures} times" if failing.failures > 1 else ""
    since = f" since {clock(failing.since)}" if failing.failures != 1 else f" at {clock(failing.since)}"
    said = f"{failing.detail}{times}{since}"
    if cause.health is Health.HEALTHY:
        said = f"its last check failed: {said}; {failing.retries} in a row make it unhealthy"
    if failing.counts_in_seconds is not None:
        counts = "it counts as unhealthy" if failing.failures == 0 else "failures count"
        said += f"; {counts} in {format_duration(failing.counts_in_seconds)}"
    if cause.coming == "check" and failing.failures:
        said += f"; {_coming(cause)}"
    return said


def _coming(cause: Cause) -> str:
    left = format_duration(cause.in_seconds or 0.0)
    return f"it is killed in {left}" if cause.coming == "kill" else f"next {_COMING[cause.coming]} in {left}"
