"""When changes of watched files restart a process: once a burst, and not for ever. Pure.

A burst is over when nothing has changed for `QUIET_SECONDS`; one that does not end counts as over now and then. A
process that is restarted again and again within a short time, or whose files change all the time, writes them itself:
it is not restarted for them any more until somebody starts it again.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from runcept.units import format_duration

__all__ = ["BURST_SECONDS", "QUIET_SECONDS", "RESTARTS_MAX", "RESTARTS_SECONDS", "FileWatch", "RestartDue", "Suspended"]

QUIET_SECONDS = 0.2
BURST_SECONDS = 10.0
"""A burst is over after this long, whether or not it goes on."""
_ENDLESS_MAX = 3
"""So many bursts in a row that had to be ended: something writes all the time."""
RESTARTS_MAX = 10
RESTARTS_SECONDS = 30.0
"""More than so many restarts within so many seconds are not for what a person has edited."""


class RestartDue(msgspec.Struct, frozen=True):
    """A burst is over."""

    name: str
    reason: str
    at: float
    """When the last file changed: a run that has begun since has seen it."""


class Suspended(msgspec.Struct, frozen=True):
    """It is not restarted for changes any more."""

    name: str
    reason: str


class _Burst(msgspec.Struct):
    began: float
    last: float
    """When it was heard of last."""
    changed_at: float
    paths: dict[str, None] = {}

    @property
    def due_at(self) -> float:
        return min(self.last + QUIET_SECONDS, self.began + BURST_SECONDS)

    @property
    def is_endless(self) -> bool:
        return self.last + QUIET_SECONDS > self.began + BURST_SECONDS

    def reason(self) -> str:
        """What has changed."""
        first = next(iter(self.paths))
        more = len(self.paths) - 1
        return f"{first} changed" + (f", and {more} more file{'s' if more > 1 else ''}" if more else "")


class FileWatch:
    """The watched files of one environment's processes."""

    def __init__(self) -> None:
        self.suspended: dict[str, str] = {}
        """By name: why it is not restarted for changes, and what can be done."""
        self._bursts: dict[str, _Burst] = {}
        self._restarts: dict[str, list[float]] = {}
        self._endless: dict[str, int] = {}

    def changed(self, name: str, paths: Iterable[str], now: float, changed_at: float) -> None:
        """It is heard that files of a process have changed, then or earlier; paths as a person is to read them."""
        if name in self.suspended:
            return
        burst = self._bursts.setdefault(name, _Burst(now, now, changed_at))
        burst.last, burst.changed_at = now, max(burst.changed_at, changed_at)
        burst.paths |= dict.fromkeys(sorted(paths))

    def resume(self, names: Iterable[str]) -> None:
        """Somebody has started these, or said otherwise what is watched: what was before does not count."""
        for name in names:
            for each in (self.suspended, self._restarts, self._endless):
                each.pop(name, None)

    def next_deadline(self) -> float | None:
        """The earliest instant at which `tick` has something to do."""
        return min((burst.due_at for burst in self._bursts.values()), default=None)

    def tick(self, now: float) -> list[RestartDue | Suspended]:
        """What is to be done for the bursts that are over."""
        over = {name: burst for name, burst in self._bursts.items() if burst.due_at <= now}
        for name in over:
            del self._bursts[name]
        return [self._judge(name, burst, now) for name, burst in over.items()]

    def _judge(self, name: str, burst: _Burst, now: float) -> RestartDue | Suspended:
        self._endless[name] = self._endless.get(name, 0) + 1 if burst.is_endless else 0
        recent = [at for at in self._restarts.get(name, ()) if at > now - RESTARTS_SECONDS]
        self._restarts[name] = [*recent, now]
        often = f"restarted {len(recent)} times within {format_duration(RESTARTS_SECONDS)}"
        if self._endless[name] >= _ENDLESS_MAX:
            often = "they change all the time"
        elif len(recent) < RESTARTS_MAX:
            return RestartDue(name, burst.reason(), burst.changed_at)
        self.resume([name])
        self.suspended[name] = (
            f"not restarted for changed files any more: {often}, last because {burst.reason()}; "
            f'exclude what it writes itself ("!PATH" in watch), then `runcept restart {name}`'
        )
        return Suspended(name, self.suspended[name])
