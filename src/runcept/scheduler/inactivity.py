"""When something has not been used for long enough to be stopped. Pure.

What counts as use is decided by the caller, which says when the environment was used last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runcept.core.model import Project

__all__ = ["idle_deadline", "idle_processes"]


def _timeouts(project: Project, wanted: Iterable[str]) -> Mapping[str, float]:
    """Seconds of inactivity after which each wanted process stops: the shorter of its own and the project's."""
    names = set(wanted)
    found = {}
    for process in project.processes:
        limits = [limit for limit in (process.inactivity_timeout, project.inactivity_timeout) if limit is not None]
        if process.name in names and limits:
            found[process.name] = min(limits)
    return found


def idle_processes(project: Project, wanted: Iterable[str], last_activity: float, now: float) -> list[str]:
    """The wanted processes whose time is up."""
    return [name for name, limit in _timeouts(project, wanted).items() if now - last_activity >= limit]


def idle_deadline(project: Project, wanted: Iterable[str], last_activity: float) -> float | None:
    """The earliest instant at which `idle_processes` names one."""
    return min((last_activity + limit for limit in _timeouts(project, wanted).values()), default=None)
