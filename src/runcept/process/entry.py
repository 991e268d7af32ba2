"""One row of the process table, the same on every system. Data alone."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Entry"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One process. `start_time` is in the unit of `identity.start_time`; `cpu_seconds` user and system since then."""

    pid: int
    parent: int
    group: int
    session: int
    start_time: int
    is_zombie: bool
    cpu_seconds: float
    memory_bytes: int
