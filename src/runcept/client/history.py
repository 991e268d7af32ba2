"""The history as a client reads it: the last events, however many, and then each new one, across daemons.

Blocking, like `connection`. What comes next is asked for by the cursor of the last answer, so that none is missed and
none is told twice, also where the daemon was killed in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from runcept.api.messages import Event, EventList, Events
from runcept.client.connection import Connection
from runcept.errors import DaemonUnreachable

__all__ = ["follow", "last"]

_PAGE_LINES = 1000
_LOOK_SECONDS = 0.5
"""How often `pause` is called, where nothing happens."""
_RETRY_SECONDS = 0.1


def last(ask: Callable[[Events], EventList], params: Events, count: int | None) -> tuple[list[Event], int]:
    """The newest `count` events (None: all), oldest first, and the cursor behind which `follow` goes on."""
    found: list[Sequence[Event]] = []
    cursor: int | None = None
    page: EventList | None = None
    left = count
    while page is None or (page.more and page.events and left != 0):
        before = page.events[0].id if page is not None else None
        lines = _PAGE_LINES if left is None else min(left, _PAGE_LINES)
        page = ask(msgspec.structs.replace(params, lines=lines, before=before))
        found.append(page.events)
        left = None if left is None else left - len(page.events)
        cursor = page.cursor if cursor is None else cursor
    return [event for events in reversed(found) for event in events], cursor or 0


def follow(
    home: str,
    params: Events,
    cursor: int,
    *,
    until: float | None,
    pause: Callable[[], None],
    lost: Callable[[], None],
) -> Iterator[Event]:
    """What is asked for and comes behind the cursor, up to `until` (seconds since the epoch; None: for ever).

    Where the daemon ends, `lost` is called, and the next one is waited for, but not started. `pause` is called after
    each look, at least every half second. Errors: RemoteError, HomeUnsafe, BadRequest.
    """
    connection: Connection | None = None
    try:
        is_over, had_one = False, True
        while not is_over:
            left = _LOOK_SECONDS if until is None else min(_LOOK_SECONDS, until - time.time())
            is_over = left <= 0
            connection = connection or Connection.if_running(home)
            if connection is None:
                if had_one:
                    lost()
                had_one = False
                pause()
                time.sleep(_RETRY_SECONDS)
                continue
            had_one = True
            asked = msgspec.structs.replace(
                params, lines=_PAGE_LINES, after=cursor, follow=True, timeout=max(0.0, left)
            )
            try:
                page: EventList = connection.call("events", asked)
            except DaemonUnreachable:
                connection.close()
                connection = None
                continue
            cursor = page.cursor
            yield from page.events
            is_over = is_over and not page.more
            pause()
    finally:
        if connection is not None:
            connection.close()
