"""The operation `events`: what has happened, page by page, and what comes next to whoever waits for it.

Everything is read from the database by row id. So a follower that asks for what came after the last that it has seen
misses none and gets none twice, whatever happens between two of its questions. It is looked at in steps: a long history
does not keep the daemon from its work.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from fnmatch import fnmatchcase

from runcept.api import messages as m
from runcept.core.history import Choice
from runcept.daemon.engine import Engine
from runcept.daemon.inquiries import Inquiries, Notify
from runcept.database.queries import Database, EventRow, EventsAsked
from runcept.errors import ProcessNotFound
from runcept.logs.when import parse_when
from runcept.units import instant

__all__ = ["History"]

_STEP_ROWS = 500
_PAGE_BYTES = 4 << 20
"""Of messages and data; an answer is a quarter of what a line may have, at most."""


class _Reading:
    """What somebody asks for, and where it is; `now` in seconds since the epoch."""

    def __init__(self, database: Database, environment: str | None, params: m.Events, now: float) -> None:
        since, until = (None if text is None else parse_when(text, now) for text in (params.since, params.until))
        self._database = database
        self._lines = params.lines
        self._asked = EventsAsked(environment, params.daemon, Choice(params.processes, params.kinds, since, until))

    async def last(self, before: int | None) -> m.EventList:
        """The newest that are older than the event `before`."""
        cursor = self._database.newest_event()
        page = _Page(self._lines)
        edge: int | None = cursor + 1 if before is None else before
        while edge is not None and not page.is_full:
            rows, edge = self._database.events_before(edge, _STEP_ROWS, self._asked)
            page.add(rows)
            await asyncio.sleep(0)
        return m.EventList(events=[*map(_told, reversed(page.rows))], cursor=cursor, more=page.is_full)

    async def next(self, after: int) -> m.EventList:
        """The oldest that came after the event `after`."""
        page = _Page(self._lines)
        is_over = False
        while not is_over and not page.is_full:
            newest = self._database.newest_event()
            rows, last = self._database.events_after(after, _STEP_ROWS, self._asked)
            page.add(rows)
            is_over = last is None
            after = page.rows[-1].id if page.is_full else last or newest
            await asyncio.sleep(0)
        return m.EventList(events=[*map(_told, page.rows)], cursor=after, more=page.is_full)


class _Page:
    """Rows in the order in which they are found, up to a number and a size."""

    def __init__(self, lines: int) -> None:
        self.rows: list[EventRow] = []
        self._lines = lines
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        return len(self.rows) >= self._lines or self._bytes >= _PAGE_BYTES

    def add(self, rows: Iterable[EventRow]) -> None:
        """Those that fit."""
        for row in rows:
            if self.is_full:
                return
            self.rows.append(row)
            self._bytes += len(row.event.message) + len(str(row.event.data))


def _told(row: EventRow) -> m.Event:
    event = row.event
    return m.Event(
        id=row.id,
        ts=instant(event.at),
        environment=event.environment,
        process=event.process,
        kind=event.kind,
        message=event.message,
        actor=event.actor,
        data=event.data,
    )


class History:
    """The history of one home."""

    def __init__(self, engine: Engine, inquiries: Inquiries) -> None:
        self._engine = engine
        self._database = engine.database
        self._inquiries = inquiries

    async def events(self, params: m.Events, notify: Notify) -> m.EventList:
        """What has happened."""
        del notify
        path = None if params.environment is None else self._inquiries.path(params.environment)
        environment = self._engine.environments.get(path or "")
        if environment is not None and not params.follow:
            self._check_names(environment.path, params.processes)
            self._engine.touch(environment, params.actor)
        reading = _Reading(self._database, path, params, time.time())
        if params.after is None:
            return await reading.last(params.before)
        after = params.after
        if after > self._database.newest_event():  # of a history that was lost: all of this one is new
            after = 0
        woken = asyncio.Event()
        unlisten = self._engine.listen(lambda _: woken.set())
        try:
            page = await reading.next(after)
            with suppress(TimeoutError):
                async with asyncio.timeout(params.timeout if params.follow else 0):
                    while params.follow and not page.events:
                        await woken.wait()
                        woken.clear()
                        page = await reading.next(page.cursor)
        finally:
            unlisten()
        return page

    def _check_names(self, path: str, patterns: Iterable[str]) -> None:
        """ProcessNotFound for a name or glob that means none of the project's, and none that it had."""
        project = self._engine.environments[path].project
        known = [process.name for process in project.processes]
        for pattern in patterns:
            if any(fnmatchcase(name, pattern) for name in known):
                continue
            past = self._database.processes_in_history(path)
            if not any(fnmatchcase(name, pattern) for name in past):
                raise ProcessNotFound(pattern, project.name, path, known)
