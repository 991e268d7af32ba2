"""Keeps the history bounded: drops its oldest events, by number and by age, a few at a time.

Each project has a history of its own, and so has the daemon: what is rare is not crowded out by what is not. Those of
forgotten projects are bounded as well. A step is a short transaction, and between two of them the daemon does its work.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from runcept.daemon.engine import Engine
from runcept.database.queries import Database, StoredEvent

__all__ = ["EVENTS_MAX", "Retention"]

EVENTS_MAX = 10_000
"""Events of a project that are kept, and of the daemon itself."""
_AGE_SECONDS = 90 * 86_400.0
"""For so long they are kept, and the runs of forgotten projects."""
_EVENTS_BETWEEN = 1_000
"""So many more are added before it is looked again."""
_SECONDS_BETWEEN = 3_600.0
"""It is looked again anyway: events grow old where none are added."""
_STEP_ROWS = 200
_STEP_PAUSE = 0.01
"""Seconds between two steps: most of the time is the daemon's."""


class Retention:
    """Of one daemon's database."""

    def __init__(self, engine: Engine, database: Database) -> None:
        self._engine = engine
        self._database = database
        self._added = 0
        self._is_due = asyncio.Event()

    async def run(self) -> None:
        """For ever."""
        unlisten = self._engine.listen(self._count)
        try:
            while True:
                await self.prune(time.time())
                with suppress(TimeoutError):
                    async with asyncio.timeout(_SECONDS_BETWEEN):
                        await self._is_due.wait()
                self._added = 0
                self._is_due.clear()
        finally:
            unlisten()

    async def prune(self, now: float) -> None:
        """Once through all histories; `now` is in seconds since the epoch."""
        oldest = now - _AGE_SECONDS
        for environment in self._histories():
            await _in_steps(partial(self._database.prune_events, environment, EVENTS_MAX, oldest, _STEP_ROWS))
        await _in_steps(partial(self._database.prune_runs, oldest, _STEP_ROWS))

    def _histories(self) -> Iterator[str | None]:
        """The daemon's own, then by path all environments that have one."""
        environment = None
        yield environment
        while (environment := self._database.next_history(environment or "")) is not None:
            yield environment

    def _count(self, _: StoredEvent) -> None:
        self._added += 1
        if self._added >= _EVENTS_BETWEEN:
            self._is_due.set()


async def _in_steps(drop: Callable[[], int]) -> None:
    """Until a step has nothing to drop any more."""
    dropped = 1
    while dropped:
        dropped = drop()
        await asyncio.sleep(_STEP_PAUSE if dropped else 0)
