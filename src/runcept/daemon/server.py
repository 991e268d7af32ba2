"""The control socket: lines in, lines out, many clients, none of which can hold the daemon up.

What a client can have us keep is bounded, and so is what all of them can. A request of the usual length is read into
the buffer of its client; of the long ones, which carry a large environment, all clients together have a few under way.
Who does not read his answers is not read from either, and gets no notifications. Beyond a number of clients, the one
goes that has been idle for longest. Only our own uid gets in: by the modes of directory and socket,
and by the peer credentials (unix(7), SO_PEERCRED).
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from runcept.api.codec import (
    REQUEST_MAX,
    Request,
    decode_request,
    encode_error,
    encode_notification,
    encode_result,
)
from runcept.api.messages import Change
from runcept.api.operations import OPERATIONS
from runcept.core.views import ProcessView
from runcept.daemon.handlers import Handlers
from runcept.errors import BadRequest, RunceptError, UnknownMethod
from runcept.paths import ensure_private
from runcept.process.limits import clients_that_fit

__all__ = ["bind", "serve"]

_log = logging.getLogger(__name__)
_BACKLOG = 1024
_ACCEPT_PAUSE = 0.1
_CLIENTS_MAX = 500
_USUAL_BYTES = 1 << 16
"""Of a line; its client's buffer holds at most two of them."""
_UNDER_WAY_MAX = 100
_UNDER_WAY_BYTES = 4 * _USUAL_BYTES
"""Of the requests of one client that are not answered yet."""
_LONG_MAX = 16
"""Longer requests, of all clients, from their second part to their answer."""
_LONG_SECONDS = 10.0
"""For the whole of one to arrive: nobody else can use its place meanwhile."""
_PILE_MAX = 1 << 18
"""Bytes that wait to be read by a client: beyond that, no notifications are added."""


def bind(path: str) -> socket.socket:
    """The socket, mode 0600 from its first instant; the caller holds the lock, so an old one is stale.

    Nobody gets in before it listens.
    """
    ensure_private(os.path.dirname(path))
    if os.path.lexists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(mask)
    listener.setblocking(False)
    return listener


async def serve(
    listener: socket.socket, handlers: Handlers, spawn_task: Callable[[Coroutine[Any, Any, None]], Any]
) -> None:
    """Listen, and accept clients for ever."""
    listener.listen(_BACKLOG)
    loop = asyncio.get_running_loop()
    clients: dict[_Client, None] = {}
    most = min(_CLIENTS_MAX, clients_that_fit())
    long_requests = asyncio.Semaphore(_LONG_MAX)
    while True:
        try:
            connection, _ = await loop.sock_accept(listener)
        except OSError as error:  # no descriptors left, accept(2): those who wait are served when there are
            _log.warning("no client can be accepted: %s", error)
            await asyncio.sleep(_ACCEPT_PAUSE)
            continue
        if _peer_uid(connection) not in {os.geteuid(), 0}:
            _log.warning("a client of uid %d was refused", _peer_uid(connection))
            connection.close()
            continue
        if len(clients) >= most:
            next((each for each in clients if each.is_idle), next(iter(clients))).hang_up()
        reader, writer = await asyncio.open_unix_connection(sock=connection, limit=_USUAL_BYTES)
        client = _Client(reader, writer, handlers, long_requests)
        clients[client] = None
        spawn_task(_serve(client, clients))


async def _serve(client: _Client, clients: dict[_Client, None]) -> None:
    try:
        await client.run()
    finally:
        del clients[client]


def _peer_uid(connection: socket.socket) -> int:
    if not hasattr(socket, "SO_PEERCRED"):
        return os.geteuid()  # the directory and the socket have let it in; macOS has no SO_PEERCRED
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    uid: int = struct.unpack("3i", credentials)[1]
    return uid


class _Client:
    """One connection; its requests run side by side, and end with it where they only wait."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        handlers: Handlers,
        long_requests: asyncio.Semaphore,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._handlers = handlers
        self._resolved: set[asyncio.Task[None]] = set()
        """Those that do more than wait: they end what they have begun, whoever listens."""
        self._long_requests = long_requests
        self._under_way: dict[asyncio.Task[None], int] = {}
        """The bytes of each request that is not answered yet."""

    @property
    def is_idle(self) -> bool:
        """It waits for no answer."""
        return not self._under_way

    def hang_up(self) -> None:
        """End it."""
        self._writer.transport.abort()

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as requests:
                while line := await self._line():
                    is_long = len(line) > _USUAL_BYTES + 1
                    task = requests.create_task(self._answer(line))
                    self._under_way[task] = 0 if is_long else len(line)
                    task.add_done_callback(self._answered_long if is_long else self._answered)
                    del line  # it may be long, and the next one long in coming
                    await asyncio.sleep(0)  # who asks a lot at once is served in turn with those who ask once
                for task in self._under_way.keys() - self._resolved:  # the client has gone: nobody waits for these
                    task.cancel()
        finally:
            self._writer.close()

    def _answered(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]

    def _answered_long(self, task: asyncio.Task[None]) -> None:
        self._answered(task)
        self._long_requests.release()

    async def _line(self) -> bytes:
        """The next line; empty at the end, also where the client dies in the middle of one.

        One that is longer than usual has a place among the long requests when it is given.
        """
        try:
            await self._writer.drain()
            while len(self._under_way) >= _UNDER_WAY_MAX or sum(self._under_way.values()) >= _UNDER_WAY_BYTES:
                await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
            return await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            return await self._long_line()
        except (OSError, asyncio.IncompleteReadError):
            return b""

    async def _long_line(self) -> bytes:
        """A line of which more than the usual was received and no end."""
        await self._long_requests.acquire()
        line, why = bytearray(), f"a request is longer than {REQUEST_MAX} bytes"
        try:
            async with asyncio.timeout(_LONG_SECONDS):
                while len(line) <= REQUEST_MAX:
                    line += await self._part()
                    if line.endswith(b"\n"):
                        return bytes(line)
        except TimeoutError:
            why = f"a long request took more than {_LONG_SECONDS:g} s to arrive"
        except (OSError, asyncio.IncompleteReadError):
            why = ""
        except BaseException:  # whatever it was, a client that is hung up on too: others wait for its place
            self._long_requests.release()
            raise
        self._long_requests.release()
        if why:
            self._send(encode_error(None, BadRequest(why)))
        return b""

    async def _part(self) -> bytes:
        """What there is of a line, or the end of it."""
        try:
            return await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as more:
            return await self._reader.readexactly(more.consumed)

    async def _answer(self, line: bytes) -> None:
        request_id: int | str | None = None
        try:
            request = decode_request(line)
            request_id = request.id
            result = await self._perform(request)
            self._send(encode_result(request_id, result))
        except RunceptError as error:
            self._send(encode_error(request_id, error))
        except Exception:  # noqa: BLE001
            # A defect of ours in one request must not end the daemon: it is logged, and the client is told.
            _log.exception("request failed")
            self._send(encode_error(request_id, RunceptError("internal error; the daemon's log has it")))

    async def _perform(self, request: Request) -> Any:
        operation = OPERATIONS.get(request.method)
        if operation is None or operation.is_local:
            raise UnknownMethod(request.method)
        try:
            params = msgspec.json.decode(request.params, type=operation.params)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise BadRequest(f"{request.method}: {error}") from error

        if operation.destructive and (task := asyncio.current_task()):
            self._resolved.add(task)

        def notify(environment: str, processes: list[ProcessView]) -> None:
            if self._writer.transport.get_write_buffer_size() < _PILE_MAX:
                change = Change(request=request.id, environment=environment, processes=processes)
                self._send(encode_notification("change", change))

        return await self._handlers.methods[request.method](params, notify)

    def _send(self, line: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(line)
