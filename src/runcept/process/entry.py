"""One row of the process table, the same on every system. Data alone."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Entry"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One process. `start_time` is in the unit of `identity.start_time`; `cpu_seconds` user and system since then.

    `children_cpu_seconds` is of the children that it has waited for, and of theirs.
    """

    pid: int
    parent: int
    group: int
    session: int
    start_time: int
    is_zombie: bool
    cpu_seconds: float
    memory_bytes: int
    children_cpu_seconds: float = 0.0
