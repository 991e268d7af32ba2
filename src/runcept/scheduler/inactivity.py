"""What has not been used for long enough to be stopped, and when that will be. Pure.

Each process has an instant of its last use. A use counts where its source is in the process's `activity`; being started
counts always. The use of a process is a use of all that it depends on, and nothing is stopped for inactivity under a
dependent that goes on. `wanted` are the processes that are up or about to be; instants are monotonic seconds.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from runcept.core.model import Activity
from runcept.core.plan import Plan

__all__ = ["Ending", "Inactivity", "Need", "Uses", "interval", "needs"]

_WARNED_AT = 0.9
"""Of the time."""
_LOOKS = 20
"""Within the shortest timeout, so that a use that is noticed late is so by a twentieth of it."""
_SHORTEST, _LONGEST = 2.0, 30.0
_KEPT_WITHIN = 0.05
"""Of the timeout: what is stored may lag by so much, for a use that goes on is not worth a write at each look."""


class Uses(msgspec.Struct):
    """What is stored, so that a new daemon goes on with the time that was left."""

    used: dict[str, float] = {}
    """By process: its last use."""
    warned: dict[str, float] = {}
    """By process, "" for the project: the last use before the idle time whose end was announced."""


class Ending(NamedTuple):
    """One timeout that runs: what it stops, and when, unless it is used before."""

    process: str
    """Whose timeout it is; "" for the project's."""
    names: tuple[str, ...]
    """What it stops."""
    since: float
    """The last use."""
    limit: float
    at: float

    @property
    def warning_at(self) -> float:
        """When it is announced."""
        return self.at - (1 - _WARNED_AT) * self.limit


class Need(NamedTuple):
    """What has to be looked for at a process: `limit` is the shortest timeout that its use puts off."""

    sources: frozenset[Activity]
    limit: float


class Inactivity:
    """When the processes of one environment were used last; `since` where nothing is known of one."""

    def __init__(self, since: float, uses: Uses | None = None) -> None:
        self._since = since
        self.uses = Uses() if uses is None else uses
        self._kept = dict(self.uses.used)
        self._found: tuple[Plan, Collection[str], list[Ending]] | None = None
        """What `endings` was asked last, and said; None: that is not so any more."""

    def last_use(self, name: str) -> float:
        """Of this process alone."""
        return self.uses.used.get(name, self._since)

    def begin(self, names: Iterable[str], now: float) -> None:
        """Somebody has them started: their time begins."""
        self._found = None
        self.uses.used |= dict.fromkeys(names, now)

    def use(self, plan: Plan, source: Activity, seen: Mapping[str, float]) -> bool:
        """They were used, each at its instant; whether that counts for any of them."""
        counts, self._found = False, None
        for process in plan.project.processes:
            if process.name in seen and source in process.activity:
                counts = True
                self.uses.used[process.name] = max(self.last_use(process.name), seen[process.name])
        return counts

    # ------------------------------------------------------------------------------------------ deciding

    def endings(self, plan: Plan, wanted: Collection[str]) -> list[Ending]:
        """The timeouts that run, each process's own only where it ends before the project's.

        It is asked for after every change of any process, most of which change nothing about it.
        """
        if self._found is None or self._found[0] is not plan or self._found[1] != wanted:
            self._found = (plan, wanted, list(self._endings(plan, wanted)))
        return self._found[2]

    def _endings(self, plan: Plan, wanted: Collection[str]) -> Iterator[Ending]:
        limit, whole = plan.project.inactivity_timeout, math.inf
        if limit is not None and wanted:
            since = max(self.last_use(name) for name in plan.order)
            whole = since + limit
            yield Ending("", tuple(plan.sort(wanted)), since, limit, whole)
        own_limits = _own_limits(plan)
        since_of: dict[str, float] = {}
        end_of: dict[str, float] = {}
        for name in reversed(plan.order if own_limits else ()):  # dependents first
            if name not in wanted:
                continue
            above = plan.dependents(name) & since_of.keys()
            since_of[name] = max([self.last_use(name), *(since_of[each] for each in above)])
            own = own_limits.get(name)
            at = math.inf if own is None else max([since_of[name] + own, *(end_of[each] for each in above)])
            end_of[name] = min(at, whole)
            if own is not None and at < whole:
                yield Ending(name, (name,), since_of[name], own, at)

    def due(self, plan: Plan, wanted: Collection[str], now: float) -> tuple[list[Ending], list[Ending]]:
        """(those whose time is up, those that have to be announced)."""
        upcoming = [ending for ending in self.endings(plan, wanted) if ending.warning_at <= now]
        over = [ending for ending in upcoming if ending.at <= now]
        return over, [ending for ending in upcoming if ending.at > now and not self._is_announced(ending)]

    def announce(self, ending: Ending) -> None:
        """It was said that this will be."""
        self.uses.warned[ending.process] = ending.since

    def next_deadline(self, plan: Plan, wanted: Collection[str]) -> float | None:
        """The earliest instant at which `due` names something."""
        instants = (e.at if self._is_announced(e) else e.warning_at for e in self.endings(plan, wanted))
        return min((instant for instant in instants if instant < math.inf), default=None)

    def _is_announced(self, ending: Ending) -> bool:
        return self.uses.warned.get(ending.process) == ending.since

    def end(self, plan: Plan, wanted: Collection[str]) -> float | None:
        """When the last of them stops if none is used until then; None where one would go on."""
        endings = self.endings(plan, wanted)
        stops = {name: ending.at for ending in endings for name in ending.names}
        last = max((stops.get(name, math.inf) for name in wanted), default=math.inf)
        return None if last == math.inf else last

    # ------------------------------------------------------------------------------------------- keeping

    def is_worth_keeping(self, plan: Plan, wanted: Collection[str]) -> bool:
        """Whether what is stored has become too old to go on with."""
        lags = ((each, self.last_use(name) - self._kept.get(name, -math.inf)) for name, each in _limits(plan, wanted))
        return any(lag > _KEPT_WITHIN * limit for limit, lag in lags)

    def kept(self) -> None:
        """`uses` has been stored."""
        self._kept = dict(self.uses.used)


def _limits(plan: Plan, wanted: Iterable[str]) -> Iterator[tuple[str, float]]:
    """The processes whose use puts off a timeout, and the shortest of them: of it, of what it needs, of the project."""
    whole = math.inf if plan.project.inactivity_timeout is None else plan.project.inactivity_timeout
    own_limits = _own_limits(plan)
    for name in wanted:
        needed = plan.with_dependencies([name]) if own_limits else ()
        limit = min((own_limits[each] for each in needed if each in own_limits), default=math.inf)
        if (shortest := min(limit, whole)) < math.inf:
            yield name, shortest


def _own_limits(plan: Plan) -> dict[str, float]:
    """The timeouts of single processes."""
    limits = ((process.name, process.inactivity_timeout) for process in plan.project.processes)
    return {name: limit for name, limit in limits if limit is not None}


def needs(plan: Plan, wanted: Iterable[str]) -> dict[str, Need]:
    """What has to be looked for, by process: nothing that no timeout depends on, no requests, which are heard of."""
    limits = dict(_limits(plan, wanted))
    found = {}
    for process in plan.project.processes if limits else ():
        sources = frozenset(process.activity) - {Activity.REQUESTS}
        if sources and process.name in limits:
            found[process.name] = Need(sources, limits[process.name])
    return found


def interval(needed: Iterable[Need]) -> float | None:
    """Seconds from one look to the next; None: nobody needs one."""
    shortest = min((need.limit for need in needed), default=None)
    return None if shortest is None else min(max(shortest / _LOOKS, _SHORTEST), _LONGEST)
