"""Who is told of what changes: each client of what it watches, once a change, however slowly it reads.

The protocol has two ways to ask. With a handshake, a client subscribes to resources one by one, and we keep whom to
tell; a client that stops reading then holds up whoever writes to it, so each has a task of its own, and what changes
meanwhile is told once. Without, a client listens to a stream of events, which the SDK's bus keeps. Both are always
told: the SDK drops what is not of a client's protocol.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import mcp_types as t
from mcp.server import ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourcesListChanged, ResourceUpdated

from runcept.api import messages as m
from runcept.client.calls import call
from runcept.errors import RunceptError
from runcept.mcp.resources import parsed, status_uri
from runcept.paths import log_path

__all__ = ["Session", "Updates", "Watcher"]

_log = logging.getLogger(__name__)
_PAUSE = 0.25
"""Seconds between two tellings: what changes meanwhile is told together."""
_LOOK = 0.5
"""Seconds between two looks at the logs that somebody watches."""
_RETRY = 1.0
_LIST = "list"
_State = tuple[int, int]


class Session(Protocol):
    """What of an SDK's session is used: to tell one client of the protocol with a handshake."""

    async def send_resource_updated(self, uri: str) -> None:
        """This resource has changed."""

    async def send_resource_list_changed(self) -> None:
        """There are others."""


class Watcher:
    """One client. `session` is any of its sessions; `watched` the URIs that it subscribed to."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self.watched: set[str] = set()
        self._pending: set[str] = set()
        self._woken = asyncio.Event()

    def notice(self, what: str) -> None:
        """Have the client told, when it reads."""
        if what == _LIST or what in self.watched:
            self._pending.add(what)
            self._woken.set()

    async def tell(self) -> None:
        """Tell, for ever, what has been noticed."""
        await _tell_for_ever(self._woken, self._pending, self._send)

    async def _send(self, what: str) -> None:
        if self.session is None:
            return
        if what == _LIST:
            await self.session.send_resource_list_changed()
        else:
            await self.session.send_resource_updated(what)


class Updates:
    """The changes of one home, and all who want to hear of them."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._bus = InMemorySubscriptionBus()
        self._stream = ListenHandler(self._bus)
        self._listened: Counter[str] = Counter()
        """The resources that those want to hear of who listen to a stream, and how many do."""
        self._watchers: set[Watcher] = set()
        self._seen: dict[str, _State] = {}
        """Each resource that is looked at, as it was when somebody was last told, or began to watch it."""
        self._pending: set[str] = set()
        self._woken = asyncio.Event()
        self._known: dict[str, frozenset[str]] = {}
        """The processes of each project, as far as was heard."""

    @contextmanager
    def connected(self, watcher: Watcher) -> Iterator[None]:
        """Tell this client as long as it is there."""
        self._watchers.add(watcher)
        task = asyncio.ensure_future(watcher.tell())
        try:
            yield
        finally:
            self._watchers.discard(watcher)
            task.cancel()

    def watch(self, watcher: Watcher, uri: str) -> None:
        """Tell this client of the resource from now on, not only from the next look at it."""
        self._begin(uri)
        watcher.watched.add(uri)

    async def listen(
        self, context: ServerRequestContext[Any], params: t.SubscriptionsListenRequestParams
    ) -> t.SubscriptionsListenResult:
        """Answers `subscriptions/listen`, when the client wants to hear no more."""
        uris = params.notifications.resource_subscriptions or []
        for uri in uris:
            self._begin(uri)
        self._listened.update(uris)
        try:
            return await self._stream(context, params)
        finally:
            self._listened -= Counter(uris)

    def _begin(self, uri: str) -> None:
        self._seen.setdefault(uri, _state(uri))

    async def run(self) -> None:
        """Look for changes until cancelled. No daemon is started for it."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_daemon())
            tasks.create_task(self._watch_logs())
            tasks.create_task(_tell_for_ever(self._woken, self._pending, self._publish))

    def _notice(self, what: str) -> None:
        self._pending.add(what)
        self._woken.set()
        for watcher in self._watchers:
            watcher.notice(what)

    async def _publish(self, what: str) -> None:
        await self._bus.publish(ResourcesListChanged() if what == _LIST else ResourceUpdated(what))

    # ------------------------------------------------------------------------------------------- daemon

    async def _watch_daemon(self) -> None:
        was_lost = False
        while True:
            try:
                await self._learn(was_lost=was_lost)
                was_lost = False
                await call(self._home, "watch", m.Watch(actor="mcp"), self._changed, start=False)
            except RunceptError:  # there is none, or it has ended
                was_lost = True
                await asyncio.sleep(_RETRY)

    async def _learn(self, *, was_lost: bool) -> None:
        """What there is now. `was_lost`: nobody told us of what has happened, so all of it may have changed."""
        everything: m.Processes = await call(self._home, "ps", m.NoParams(actor="mcp"), start=False)
        before = dict(self._known)
        for view in everything.processes:
            self._known[view.environment] = self._known.get(view.environment, frozenset()) | {view.name}
        if was_lost:
            for project in self._known:
                self._notice(status_uri(project))
            if self._known != before:
                self._notice(_LIST)

    def _changed(self, change: m.Change) -> None:
        self._notice(status_uri(change.environment))
        before = self._known.get(change.environment)
        now = (before or frozenset()) | {view.name for view in change.processes}
        self._known[change.environment] = now
        if now != before or not change.processes:  # without a process that changed, it is the project itself
            self._notice(_LIST)

    # ---------------------------------------------------------------------------------------------- logs

    async def _watch_logs(self) -> None:
        """Look at the logs that somebody watches."""
        while True:
            await asyncio.sleep(_LOOK)
            uris = {uri for watcher in self._watchers for uri in watcher.watched} | self._listened.keys()
            for uri in uris:
                state = _state(uri)
                if self._seen.get(uri, state) != state:
                    self._notice(uri)
                self._seen[uri] = state
            for uri in self._seen.keys() - uris:
                del self._seen[uri]


def _state(uri: str) -> _State:
    """What changes when a log does: its file and its size."""
    place = parsed(uri)
    if place is None or place.kind != "logs":
        return (0, 0)
    try:
        status = os.stat(log_path(place.project, place.process))
    except OSError:
        return (0, 0)
    return (status.st_ino, status.st_size)


async def _tell_for_ever(woken: asyncio.Event, pending: set[str], send: Callable[[str], Awaitable[None]]) -> None:
    while True:
        await woken.wait()
        woken.clear()
        told = [*pending]
        pending.clear()
        for what in told:
            try:
                await send(what)
            except Exception as error:  # noqa: BLE001  a client that has gone is no concern of the others
                _log.debug("a client was not told of %s: %s", what, error)
        await asyncio.sleep(_PAUSE)
