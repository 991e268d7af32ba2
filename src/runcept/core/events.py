"""What can happen to a process. Requests are named `…Requested`, permissions `…Allowed`, facts are in the past tense.

Every event names its process. Facts about a run name the run as well: one that speaks of an earlier run is dropped.
Instants in facts (`at`) are wall-clock seconds, for the records alone; the time that decides is the argument `now`.
"""

from __future__ import annotations

import msgspec

from runcept.core.life import SUPERVISOR
from runcept.core.model import Health

__all__ = [
    "Blocked",
    "DeadlineReached",
    "DependencyFailed",
    "Event",
    "Exited",
    "Fact",
    "Gone",
    "HealthChanged",
    "Lost",
    "RestartRequested",
    "SpawnFailed",
    "Spawned",
    "StartAllowed",
    "StartRequested",
    "StopAllowed",
    "StopRequested",
]


class StartRequested(msgspec.Struct, frozen=True):
    """Somebody wants it to run. It takes up a failed process again and forgets its earlier failures."""

    name: str
    rerun: bool = False
    """Run a task again that has ended with success."""
    actor: str = SUPERVISOR
    """Who it is, for the history; so in the other requests."""


class StopRequested(msgspec.Struct, frozen=True):
    """Somebody wants it down."""

    name: str
    reason: str
    kill: bool = False
    """At once: SIGKILL instead of its stop signal and its grace."""
    actor: str = SUPERVISOR
    idle: bool = False
    """Because nobody used it."""


class RestartRequested(msgspec.Struct, frozen=True):
    """Somebody wants it down and up again."""

    name: str
    actor: str = SUPERVISOR
    reason: str = ""
    """What for, where it is more than that somebody wants it."""


class StartAllowed(msgspec.Struct, frozen=True):
    """The supervisor: all that it depends on is there."""

    name: str


class StopAllowed(msgspec.Struct, frozen=True):
    """The supervisor: nothing that depends on it runs any more."""

    name: str


class Blocked(msgspec.Struct, frozen=True):
    """The supervisor: it waits for a dependency."""

    name: str
    reason: str
    blamed: str
    """The dependency."""


class DependencyFailed(msgspec.Struct, frozen=True):
    """The supervisor: a dependency will not become what it waits for."""

    name: str
    reason: str
    blamed: str
    """The dependency."""


class DeadlineReached(msgspec.Struct, frozen=True):
    """The deadline of its state has come."""

    name: str


class Spawned(msgspec.Struct, frozen=True):
    """It has a pid: the command was executed."""

    name: str
    run: int
    pid: int
    at: float
    ports: tuple[int, ...] = ()


class SpawnFailed(msgspec.Struct, frozen=True):
    """It could not be started."""

    name: str
    run: int
    reason: str
    at: float
    is_final: bool = False
    """Another try would not help: a person has to do something."""
    hint: str = ""
    """What a person can do."""


class Exited(msgspec.Struct, frozen=True):
    """Its main process ended; both null: nobody was there to see how."""

    name: str
    run: int
    code: int | None
    signal: str | None
    at: float
    leftovers: bool = False
    """Processes that it started still live."""
    last_line: str = ""
    """The last line that it wrote to stderr, or to stdout where it wrote none there."""
    out_of_memory: bool = False
    """The kernel has killed for want of memory while it ran; with SIGKILL, it will have been this one."""


class Gone(msgspec.Struct, frozen=True):
    """Of what the main process left behind nothing lives any more, or only what cannot be killed."""

    name: str
    run: int
    survivors: str = ""
    """Pids and commands of what cannot be killed; empty: nothing."""


class Lost(msgspec.Struct, frozen=True):
    """The whole run is over and nobody saw it end: a reboot, or a spawn that a crash of the daemon cut short."""

    name: str
    run: int
    reason: str


class HealthChanged(msgspec.Struct, frozen=True):
    """What the health check says now."""

    name: str
    run: int
    health: Health
    reason: str


Fact = Spawned | SpawnFailed | Exited | Gone | Lost | HealthChanged
Event = (
    StartRequested
    | StopRequested
    | RestartRequested
    | StartAllowed
    | StopAllowed
    | Blocked
    | DependencyFailed
    | DeadlineReached
    | Fact
)
