"""The life of one process as a table: state, event, reaction.

The file has two rules. What is not in the table does not happen: an event that the state does not list is an error
that names both, except facts about a run that is over, which are dropped. And only StartAllowed spawns: whatever else
wants a process to run makes it `stopped` and `wanted`, and the supervisor allows the start when its dependencies are
there. A deadline belongs to the state; leaving the state clears it.

Intent (`wanted`, `restarting`) is apart from state: requests change the intent, the supervisor turns it into
permissions, facts change the state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runcept.core import events as ev
from runcept.core import reactions as do
from runcept.core.life import Life
from runcept.core.model import State

__all__ = ["TRANSITIONS", "step"]

Handler = Callable[[Life, Any, do.Context], do.Effects]
"""(life, event of the type it is listed under, context)."""


def step(life: Life, event: ev.Event, context: do.Context) -> do.Effects:
    """Change `life` by the event and say what is to be done. Raises LookupError for what the table does not list."""
    is_late = life.state not in _OF_A_RUN and type(event) not in TRANSITIONS[life.state]
    if isinstance(event, ev.Fact) and (event.run != life.run or is_late):
        return []
    try:
        handler = TRANSITIONS[life.state][type(event)]
    except KeyError:
        message = f"{life.name}: no transition from {life.state} on {type(event).__name__}"
        raise LookupError(message) from None
    return handler(life, event, context)


_OF_A_RUN = frozenset({State.STARTING, State.RUNNING, State.STOPPING})

TRANSITIONS: Mapping[State, Mapping[type[ev.Event], Handler]] = {
    State.STOPPED: {
        ev.StartRequested: do.want,
        ev.RestartRequested: do.want_again,
        ev.StopRequested: do.rest,
        ev.StartAllowed: do.spawn,
        ev.Blocked: do.wait,
        ev.DependencyFailed: do.fail_with_dependency,
        ev.Exited: do.ended_at_last,
    },
    State.PENDING: {
        ev.StartRequested: do.keep,
        ev.RestartRequested: do.keep,
        ev.StopRequested: do.unwant,
        ev.StopAllowed: do.stop_waiting,
        ev.StartAllowed: do.spawn,
        ev.Blocked: do.wait,
        ev.DependencyFailed: do.fail_with_dependency,
        ev.Exited: do.ended_at_last,
    },
    State.STARTING: {
        ev.StartRequested: do.keep,
        ev.RestartRequested: do.restart,
        ev.StopRequested: do.unwant,
        ev.StopAllowed: do.stop,
        ev.Spawned: do.await_ready,
        ev.SpawnFailed: do.not_started,
        ev.DeadlineReached: do.settled,
        ev.HealthChanged: do.judge,
        ev.Exited: do.ended,
        ev.Lost: do.lost,
    },
    State.RUNNING: {
        ev.StartRequested: do.keep,
        ev.RestartRequested: do.restart,
        ev.StopRequested: do.unwant,
        ev.StopAllowed: do.stop,
        ev.HealthChanged: do.judge,
        ev.Exited: do.ended,
        ev.Lost: do.lost,
    },
    State.STOPPING: {
        ev.StartRequested: do.start_after,
        ev.RestartRequested: do.start_after,
        ev.StopRequested: do.unwant,
        ev.DeadlineReached: do.lose_patience,
        ev.Spawned: do.stop_newborn,
        ev.SpawnFailed: do.not_started,
        ev.HealthChanged: do.ignore,
        ev.Exited: do.ended_as_told,
        ev.Gone: do.all_gone,
        ev.Lost: do.lost,
    },
    State.BACKOFF: {
        ev.StartRequested: do.want,
        ev.RestartRequested: do.want_again,
        ev.StopRequested: do.unwant,
        ev.StopAllowed: do.stop_waiting,
        ev.DeadlineReached: do.wake,
    },
    State.EXITED: {
        ev.StartRequested: do.want,
        ev.RestartRequested: do.want_again,
        ev.StopRequested: do.rest,
    },
    State.FAILED: {
        ev.StartRequested: do.want,
        ev.RestartRequested: do.want_again,
        ev.StopRequested: do.rest,
        ev.Exited: do.ended_at_last,
    },
}
