"""When to probe, and what the answers amount to: readiness at first, then liveness. Pure.

Until its first success a check is repeated fast, from 10 ms apart growing to the interval, and a failure within the
start period does not count; from the first success on every failure counts (as Docker's HEALTHCHECK has it).
`retries` failures in a row make a process unhealthy, one success makes it healthy again.
A `log://` check is not probed: its answer comes from the output, and its only deadline is the end of the start period.
"""

from __future__ import annotations

import msgspec

from runcept.core.check_standing import CheckStanding
from runcept.core.events import HealthChanged
from runcept.core.model import Health, HealthCheck, Probe
from runcept.units import format_duration

__all__ = ["HealthSchedule", "ProbeDue"]

_FIRST_DELAY = 0.01
_GROWTH = 1.5


class ProbeDue(msgspec.Struct, frozen=True):
    """A probe is to be made now; its answer goes to `probed`."""

    name: str
    run: int
    check: HealthCheck


class _Watch(msgspec.Struct):
    run: int
    check: HealthCheck
    started: float
    next_at: float | None
    delay: float = _FIRST_DELAY
    failures: int = 0
    """That count, in a row."""
    row: int = 0
    """All in a row."""
    row_since: float | None = None
    detail: str = ""
    """Of the last of the row."""
    succeeded: bool = False
    health: Health = Health.UNKNOWN


class HealthSchedule:
    """The health checks of one environment's living processes."""

    def __init__(self) -> None:
        self._watches: dict[str, _Watch] = {}

    def begin(self, name: str, run: int, check: HealthCheck, started: float, *, known: Health, now: float) -> None:
        """Watch a run that started at `started`; `known` is what an earlier daemon knew of it, else UNKNOWN."""
        next_at = started + check.start_period if check.probe is Probe.LOG else now
        watch = _Watch(run=run, check=check, started=started, next_at=next_at, health=known)
        if known in {Health.HEALTHY, Health.UNHEALTHY}:
            watch.succeeded = known is Health.HEALTHY
            watch.next_at = None if check.probe is Probe.LOG and watch.succeeded else next_at
        self._watches[name] = watch

    def end(self, name: str) -> None:
        """Watch it no longer."""
        self._watches.pop(name, None)

    def next_deadline(self) -> float | None:
        """The earliest instant at which `tick` has something to do."""
        return min((watch.next_at for watch in self._watches.values() if watch.next_at is not None), default=None)

    def tick(self, now: float) -> list[ProbeDue | HealthChanged]:
        """The probes that are due; each is under way until `probed`. And the log checks whose time is up."""
        due: list[ProbeDue | HealthChanged] = []
        for name, watch in self._watches.items():
            if watch.next_at is None or watch.next_at > now:
                continue
            watch.next_at = None
            if watch.check.probe is Probe.LOG:
                watch.health = Health.UNHEALTHY
                period = format_duration(watch.check.start_period)
                reason = f"no line matched {watch.check.target} within {period}"
                due.append(HealthChanged(name, watch.run, Health.UNHEALTHY, reason))
            else:
                due.append(ProbeDue(name, watch.run, watch.check))
        return due

    def probed(self, name: str, run: int, *, ok: bool, detail: str, now: float) -> HealthChanged | None:
        """The answer to a probe (or a matching line): what it changes, if anything."""
        watch = self._watches.get(name)
        if watch is None or watch.run != run:
            return None
        if ok:
            watch.failures, watch.succeeded, watch.delay = 0, True, watch.check.interval
            watch.row, watch.row_since = 0, None
        else:
            in_start_period = not watch.succeeded and now - watch.started < watch.check.start_period
            watch.failures += 0 if in_start_period else 1
            watch.row, watch.detail = watch.row + 1, detail
            watch.row_since = now if watch.row_since is None else watch.row_since
        if watch.check.probe is not Probe.LOG:
            watch.next_at = now + min(watch.delay, watch.check.interval)
        if not watch.succeeded:
            watch.delay = min(watch.delay * _GROWTH, watch.check.interval)
        return self._judge(name, watch, ok=ok, detail=detail)

    def standing(self, name: str, now: float) -> CheckStanding | None:
        """How the check of a living run stands; None: there is none."""
        watch = self._watches.get(name)
        if watch is None:
            return None
        counts_from = watch.started + watch.check.start_period
        counts = watch.succeeded or now >= counts_from
        standing = CheckStanding(watch.check, None if counts else counts_from, next_at=watch.next_at)
        if watch.check.probe is not Probe.LOG:
            replace = msgspec.structs.replace
            return replace(standing, failures=watch.row, since=watch.row_since, detail=watch.detail)
        if watch.succeeded:
            return standing
        detail = f"no line has matched {watch.check.target} yet"
        return msgspec.structs.replace(standing, since=watch.started, detail=detail)

    @staticmethod
    def _judge(name: str, watch: _Watch, *, ok: bool, detail: str) -> HealthChanged | None:
        if ok:
            changed = watch.health is not Health.HEALTHY
            watch.health = Health.HEALTHY
            return HealthChanged(name, watch.run, Health.HEALTHY, detail) if changed else None
        if watch.failures >= watch.check.retries:
            watch.health = Health.UNHEALTHY
            times = f"{watch.failures} times in a row" if watch.failures > 1 else "once"
            return HealthChanged(name, watch.run, Health.UNHEALTHY, f"{detail} ({times})")
        if watch.health is Health.UNKNOWN:
            return HealthChanged(name, watch.run, Health.UNKNOWN, f"not ready yet: {detail}")
        return None
