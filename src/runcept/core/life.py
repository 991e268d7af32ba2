"""The state of one process: what is stored, and what a new daemon goes on with."""

from __future__ import annotations

from typing import Literal

import msgspec

from runcept.core.model import Health, Process, State

__all__ = ["SUPERVISOR", "Cause", "Ended", "Life"]

SUPERVISOR = "supervisor"
"""The actor of what nobody asked for: an end of its own accord, and what follows from it."""

Cause = Literal["", "request", "restart", "unhealthy", "ended"]
"""Why a process is being stopped: somebody asked, it is to be started again, its health, or it ended by itself."""


class Ended(msgspec.Struct, frozen=True):
    """How a run was over."""

    run: int
    reason: str
    at: float
    """Wall clock."""


class Life(msgspec.Struct, kw_only=True):
    """Where one process is in its life; stored as it is, so that a new daemon goes on where the last one was."""

    name: str
    state: State = State.STOPPED
    reason: str = "never started"
    hint: str = ""
    """What a person can do about the reason, where it is an error that has one."""
    blamed: str = ""
    """The dependency that is the reason, where one is."""
    wanted: bool = False
    """Somebody wants it to run, and has not been told that it will not."""
    restarting: bool = False
    """It is to be stopped once before it is started again."""
    health: Health = Health.NONE
    run: int = 0
    pid: int | None = None
    """Null as well between Exited and Gone."""
    ports: tuple[int, ...] = ()
    """Of its run: those that were declared, and once it has a pid those that it was given."""
    restarts: int = 0
    failures: list[float] = []
    """Instants, monotonic, of what counts against the restart limit."""
    kill: bool = False
    """It gets no grace: SIGKILL is the signal that stops it."""
    outdated: Process | None = None
    """What this run was started as, where the project file has it otherwise by now and only a restart helps."""
    asked: bool = False
    """This run got its stop signal before it was known to have begun."""
    deadline: float | None = None
    """Monotonic; what it means is a matter of the state."""
    stopping_for: Cause = ""
    """Why it is `stopping`."""
    ready: bool = False
    """This run was ready once."""
    exit_code: int | None = None
    exit_signal: str | None = None
    exit_reason: str = ""
    """Why the run is over: how it ended by itself, or why it was stopped."""
    before: Ended | None = None
    """The run before this one, where it was over."""
    stop_reason: str = ""
    """Why somebody wants it down."""
    actor: str = SUPERVISOR
    """Who asked for what is under way, or has come of it."""
    asleep: bool = False
    """It was stopped, or is being, because nobody used it; nobody has started or stopped it since."""
    started_at: float | None = None
    """Wall clock, like ended_at."""
    started: float = 0.0
    """Monotonic; while it has no pid yet, when the start was allowed."""
    ended_at: float | None = None

    @property
    def is_up(self) -> bool:
        """Something of it lives, or is about to."""
        return self.state in {State.STARTING, State.RUNNING, State.STOPPING}
