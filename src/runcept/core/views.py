"""What a user is shown: the JSON shapes that scripts rely on. Fields may be added, never removed or renamed."""

from __future__ import annotations

from enum import StrEnum

import msgspec

__all__ = ["Counts", "EnvironmentView", "Health", "ProcessView", "State"]


class State(StrEnum):
    """Where a process is in its life."""

    STOPPED = "stopped"
    PENDING = "pending"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    BACKOFF = "backoff"
    EXITED = "exited"
    FAILED = "failed"


class Health(StrEnum):
    """What the health check says; none where there is no check."""

    NONE = "none"
    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class ProcessView(msgspec.Struct, frozen=True):
    """One process as it is now. Instants are RFC 3339; null where there is none."""

    environment: str
    name: str
    state: State = State.STOPPED
    health: Health = Health.NONE
    reason: str | None = None
    """One sentence to act on; null only while running and healthy."""
    pid: int | None = None
    run: int | None = None
    """Number of its last run, counted from 1; null before the first."""
    restarts: int = 0
    """Restarts by the supervisor since the last start by a person."""
    exit_code: int | None = None
    exit_signal: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    uptime_seconds: float | None = None
    memory_bytes: int | None = None
    """Resident memory of the process and all its descendants."""
    cpu_percent: float | None = None
    """Of one core, over the last sampling interval."""
    ports: list[int] = []
    urls: list[str] = []
    depends_on: list[str] = []
    log_path: str = ""


class Counts(msgspec.Struct, frozen=True):
    """Processes by what a person wants to know; stopped is all that is neither running nor failed."""

    running: int = 0
    failed: int = 0
    stopped: int = 0
    total: int = 0


class EnvironmentView(msgspec.Struct, frozen=True, omit_defaults=False):
    """One environment. In `environments`, `processes` is null and left out by the renderer, `counts` is set."""

    path: str
    name: str
    description: str = ""
    state: str = "inactive"
    """active or inactive."""
    processes: list[ProcessView] | msgspec.UnsetType = msgspec.UNSET
    counts: Counts | msgspec.UnsetType = msgspec.UNSET
    activated_at: str | None = None
    last_activity_at: str | None = None
    inactivity_timeout_seconds: float | None = None
    idle_stop_at: str | None = None
