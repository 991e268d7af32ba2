"""What runs use: memory, CPU, listening ports, for any number of them with one look at the process table."""

from __future__ import annotations

import time
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from runcept.process import system
from runcept.process.entry import Entry
from runcept.process.members import Census, census, tree_of

__all__ = ["CpuMeter", "Sampler", "Usage", "resident", "urls"]

_FRESH_SECONDS = 0.05
_FRESH_COSTS = 3
_WELL_TOLD_SECONDS = 0.5
Key = TypeVar("Key", bound=Hashable)

_DATABASES = frozenset({1433, 1521, 3306, 5432, 5433, 5672, 6379, 9042, 11211, 26257, 27017})
"""Ports of servers that do not speak HTTP: SQL Server, Oracle, MySQL, PostgreSQL, AMQP, Redis, Cassandra, memcached,
CockroachDB, MongoDB."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the process tree of one run uses."""

    memory_bytes: int
    """Resident, summed over its processes: what they share counts for each."""
    cpu_percent: float | None
    """Of one core, since the sample before of the main process; None in the first."""
    ports: tuple[int, ...]
    """TCP ports, ascending, that one of its processes listens on."""
    pids: tuple[int, ...]


class Sampler(Generic[Key]):
    """Remembers the sample before of each process, which its CPU time is counted from."""

    def __init__(self) -> None:
        self._before: dict[tuple[int, int], tuple[float, float]] = {}
        """By pid and start time: when it was looked at, and its CPU seconds then."""
        self._known: dict[int, Usage] = {}
        self._fresh_until = 0.0

    def sample(self, leaders: Mapping[Key, int]) -> dict[Key, Usage]:
        """The usage of each key's process tree, by the pid of its main process. What has ended uses nothing.

        A twentieth of a second old at most, or three times what looking took: many who ask at once cost as much as one,
        and whoever asks again and again, on a machine with thousands of processes, leaves time for the others.
        """
        if not leaders:
            return {}
        if time.monotonic() < self._fresh_until and self._known.keys() >= set(leaders.values()):
            return {key: self._known[pid] for key, pid in leaders.items()}
        taken = census()
        trees = {key: tree_of(taken, pid) for key, pid in leaders.items()}
        everyone = [pid for tree in trees.values() for pid in tree]
        holders = system.listening(everyone) if everyone else {}
        usages = {key: self._usage(taken, pid, trees[key], holders) for key, pid in leaders.items()}
        living = {(entry.pid, entry.start_time) for entry in taken.entries.values()}
        now = {(e.pid, e.start_time): (taken.taken_at, e.cpu_seconds) for tree in trees.values() for e in tree.values()}
        self._before = {who: before for who, before in self._before.items() if who in living} | now
        self._known = {pid: usages[key] for key, pid in leaders.items()}
        self._fresh_until = taken.taken_at + max(_FRESH_SECONDS, _FRESH_COSTS * taken.cost)
        return usages

    def _usage(self, taken: Census, pid: int, tree: Mapping[int, Entry], holders: Mapping[int, set[int]]) -> Usage:
        percent = None
        leader = tree.get(pid)
        before = self._before.get((leader.pid, leader.start_time)) if leader is not None else None
        if before is not None and taken.taken_at > before[0]:  # what is new since then has used all of it since then
            used = sum(e.cpu_seconds - self._before.get((e.pid, e.start_time), (0.0, 0.0))[1] for e in tree.values())
            percent = round(max(0.0, used) / (taken.taken_at - before[0]) * 100, 1)
        return Usage(
            memory_bytes=sum(entry.memory_bytes for entry in tree.values()),
            cpu_percent=percent,
            ports=tuple(sorted({port for pid in tree for port in holders.get(pid, ())})),
            pids=tuple(sorted(tree)),
        )


class CpuMeter(Generic[Key]):
    """How busy process trees are from one look to the next. Less than a sampler, which also looks for ports."""

    def __init__(self) -> None:
        self._before: dict[tuple[Key, int], float] = {}
        """By key and pid of the main process: its CPU seconds, with all that it has waited for."""
        self._looked_at = 0.0

    def look(self, leaders: Mapping[Key, int]) -> dict[Key, float]:
        """Percent of a core since the look before, by key; of those that are new, and of all of them too soon, none.

        Seconds are counted in hundredths: what is told of less than a second is not told well.
        """
        now = time.monotonic()
        elapsed = now - self._looked_at
        if not leaders or elapsed < _WELL_TOLD_SECONDS:
            return {}
        taken = census()
        used = {}
        for key, pid in leaders.items():
            tree = tree_of(taken, pid).values()
            used[key, pid] = sum(entry.cpu_seconds + entry.children_cpu_seconds for entry in tree)
        before, self._before, self._looked_at = self._before, used, now
        return {who[0]: max(0.0, used[who] - before[who]) / elapsed * 100 for who in used.keys() & before.keys()}


def urls(ports: Collection[int]) -> list[str]:
    """Where a browser may find something: every port but those of well-known databases and queues."""
    return [f"http://localhost:{port}" for port in ports if port not in _DATABASES]


def resident(pids: Collection[int]) -> int:
    """Bytes of resident memory of just these processes, without their descendants."""
    return sum(found.memory_bytes for found in map(system.entry, pids) if found)
