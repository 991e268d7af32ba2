"""How the health check of a living run stands: what the schedule knows, and an explanation tells."""

from __future__ import annotations

import msgspec

from runcept.core.model import HealthCheck

__all__ = ["CheckStanding"]


class CheckStanding(msgspec.Struct, frozen=True):
    """Instants are monotonic."""

    check: HealthCheck
    counts_from: float | None
    """When failures begin to count; None: they do."""
    failures: int = 0
    """In a row up to now, those that do not count as well."""
    since: float | None = None
    """When the first of that row was noticed; None: the last check succeeded, or there was none yet."""
    detail: str = ""
    """What the last of them said."""
    next_at: float | None = None
    """When it is asked again; None: it is being asked, or will not be."""
