"""Which process a pid means: (pid, start time, boot id). A pid alone is recycled, and a database outlives a reboot."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from runcept.process import system

__all__ = ["Identity", "boot_id", "is_alive", "start_time"]


class Identity(NamedTuple):
    """One process of one boot. `start_time` is in the unit of `start_time()`."""

    pid: int
    start_time: int
    boot_id: str


def start_time(pid: int) -> int | None:
    """When it started, also of a zombie; None where it is gone.

    On Linux in clock ticks since the boot (proc_pid_stat(5), field 22), elsewhere in 1/100 s since the epoch.
    """
    found = system.entry(pid)
    return found.start_time if found else None


@cache
def boot_id() -> str:
    """Changes with every boot."""
    return system.boot_id()


def is_alive(identity: Identity) -> bool:
    """Whether that very process still runs. A zombie does not, be it held by the keeper or not: it has ended."""
    found = system.entry(identity.pid)
    if identity.boot_id != boot_id() or found is None:
        return False
    return not found.is_zombie and found.start_time == identity.start_time
