"""What a user is shown: the JSON shapes that scripts rely on. Fields may be added, never removed or renamed."""

from __future__ import annotations

from typing import Any

import msgspec

from runcept.core.check_port import resolved
from runcept.core.life import Life
from runcept.core.model import Health, Probe, Process, Project, State
from runcept.units import instant

__all__ = [
    "Counts",
    "Descendant",
    "EnvironmentView",
    "Health",
    "ProcessView",
    "ReloadError",
    "RunView",
    "State",
    "Usage",
    "count",
    "environment_view",
    "process_view",
]


class ProcessView(msgspec.Struct, frozen=True):
    """One process as it is now. Instants are RFC 3339; null where there is none."""

    environment: str
    name: str
    state: State = State.STOPPED
    health: Health = Health.NONE
    reason: str | None = None
    """One sentence to act on; null only while running and healthy."""
    hint: str = ""
    """What can be done about the reason, where something could not be started; else empty."""
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
    idle_stop_at: str | None = None
    """When it stops if it is not used until then; only where it has an inactivity timeout of its own."""
    notice: str | None = None
    """What else a user should know, though it runs: why its output is not in the log yet."""
    tree: list[Descendant] | msgspec.UnsetType = msgspec.UNSET
    """All that lives of it, parents first; only where it was asked for."""
    runs: list[RunView] | msgspec.UnsetType = msgspec.UNSET
    """Its last runs, newest first; only where they were asked for."""


class RunView(msgspec.Struct, frozen=True):
    """One run of a process."""

    run: int
    pid: int | None
    started_at: str | None
    """Null where it could not be started."""
    ended_at: str | None
    """Null while it lives, and where nobody saw it end."""
    duration_seconds: float | None
    exit_code: int | None
    exit_signal: str | None
    reason: str | None
    """Why it is over: how it ended by itself, or why it was stopped. Null while it lives."""


class Descendant(msgspec.Struct, frozen=True):
    """One living process of a run."""

    pid: int
    parent: int | None
    """Its parent, where that is of the run as well; null for the main process, and for what has left its parent."""
    command: str


class Usage(msgspec.Struct, frozen=True):
    """What the operating system says of a living process and its descendants."""

    memory_bytes: int | None = None
    cpu_percent: float | None = None
    ports: tuple[int, ...] = ()
    urls: tuple[str, ...] = ()


class Counts(msgspec.Struct, frozen=True):
    """Processes by what a person wants to know; stopped is all that is neither running nor failed."""

    running: int = 0
    failed: int = 0
    stopped: int = 0
    total: int = 0


class ReloadError(msgspec.Struct, frozen=True):
    """An edited project file that could not be taken over: what was in force is so still."""

    message: str
    """The first problem with its place, FILE:LINE:COLUMN."""
    hint: str
    code: str
    at: str
    """When it was tried; an instant."""
    problems: list[dict[str, Any]] = []
    """All of them, as the error of an invalid file has them."""


class EnvironmentView(msgspec.Struct, frozen=True, omit_defaults=False):
    """One environment. In `environments`, `processes` and `warnings` are left out."""

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
    """When the last of it stops if none of it is used until then; null where something would go on."""
    warnings: list[str] | msgspec.UnsetType = msgspec.UNSET
    """What a user should know beside it: that state is not kept, that changes of files are not seen."""
    reload_error: ReloadError | None = None
    """Why the project file as it is now is not in force; null where it is, or nothing was tried."""


def process_view(
    environment: str,
    process: Process,
    life: Life,
    *,
    now: float,
    log_path: str,
    notice: str,
    usage: Usage,
    idle_stop_at: float | None = None,
) -> ProcessView:
    """One process as it is at `now` (monotonic)."""
    alive = life.pid is not None
    ports = sorted({*(life.ports if alive else process.ports), *usage.ports})
    return ProcessView(
        environment=environment,
        name=process.name,
        state=life.state,
        health=life.health if alive or process.health_check is None else Health.UNKNOWN,
        reason=life.reason or None,
        hint=life.hint,
        pid=life.pid,
        run=life.run or None,
        restarts=life.restarts,
        exit_code=life.exit_code,
        exit_signal=life.exit_signal,
        started_at=None if life.started_at is None else instant(life.started_at),
        ended_at=None if life.ended_at is None else instant(life.ended_at),
        uptime_seconds=round(now - life.started, 3) if alive else None,
        memory_bytes=usage.memory_bytes,
        cpu_percent=usage.cpu_percent,
        ports=ports,
        urls=[url for url in usage.urls if not _speaks_otherwise(process, life, url)],
        depends_on=[dependency.name for dependency in process.depends_on],
        log_path=log_path,
        idle_stop_at=None if idle_stop_at is None else instant(idle_stop_at),
        notice=notice or None,
    )


def _speaks_otherwise(process: Process, life: Life, url: str) -> bool:
    """Its health check connects there without HTTP: then it is no address for a browser."""
    check = process.health_check
    if check is None or check.probe is not Probe.TCP:
        return False
    return url.endswith(f":{resolved(check, life.ports).target.rpartition(':')[2]}")


def count(views: list[ProcessView]) -> Counts:
    """How many run, have failed, and neither."""
    running = sum(view.state is State.RUNNING for view in views)
    failed = sum(view.state is State.FAILED for view in views)
    return Counts(running=running, failed=failed, stopped=len(views) - running - failed, total=len(views))


def environment_view(
    project: Project,
    *,
    active: bool,
    processes: list[ProcessView],
    activated_at: float | None,
    last_activity_at: float | None,
    idle_stop_at: float | None,
    reload_error: ReloadError | None = None,
) -> EnvironmentView:
    """One environment with its processes; instants are seconds since the epoch."""
    return EnvironmentView(
        path=project.path,
        name=project.name,
        description=project.description,
        state="active" if active else "inactive",
        processes=processes,
        counts=count(processes),
        activated_at=None if activated_at is None else instant(activated_at),
        last_activity_at=None if last_activity_at is None else instant(last_activity_at),
        inactivity_timeout_seconds=project.inactivity_timeout,
        idle_stop_at=None if idle_stop_at is None else instant(idle_stop_at),
        reload_error=reload_error,
    )
