"""The control socket: lines in, lines out, many clients, none of which can hold the daemon up.

A line is bounded (codec.FRAME_MAX), and so is what a client may have under way: one that does not read its answers is
not read from either, and cut off when notifications pile up. Only our own uid gets in: by the modes of directory and
socket, and by the peer credentials (unix(7), SO_PEERCRED).
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
    FRAME_MAX,
    Request,
    decode_request,
    encode_error,
    encode_notification,
    encode_result,
)
from runcept.api.messages import Progress
from runcept.api.operations import OPERATIONS
from runcept.core.views import ProcessView
from runcept.daemon.handlers import Handlers
from runcept.errors import BadRequest, RunceptError, UnknownMethod
from runcept.paths import ensure_private

__all__ = ["bind", "serve"]

_log = logging.getLogger(__name__)
_BACKLOG = 1024
_ACCEPT_PAUSE = 0.1
_UNDER_WAY_MAX = 100
_PILE_MAX = FRAME_MAX


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
        reader, writer = await asyncio.open_unix_connection(sock=connection, limit=FRAME_MAX)
        spawn_task(_Client(reader, writer, handlers).run())


def _peer_uid(connection: socket.socket) -> int:
    if not hasattr(socket, "SO_PEERCRED"):
        return os.geteuid()  # the directory and the socket have let it in; macOS has no SO_PEERCRED
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    uid: int = struct.unpack("3i", credentials)[1]
    return uid


class _Client:
    """One connection; its requests run side by side, and end with it where they only wait."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handlers: Handlers) -> None:
        self._reader = reader
        self._writer = writer
        self._handlers = handlers
        self._resolved: set[asyncio.Task[None]] = set()
        """Those that do more than wait: they end what they have begun, whoever listens."""

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as requests:
                under_way: set[asyncio.Task[None]] = set()
                while line := await self._line():
                    if len(under_way) >= _UNDER_WAY_MAX:
                        await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                    task = requests.create_task(self._answer(line))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
                for task in under_way - self._resolved:  # the client has gone: nobody waits for these
                    task.cancel()
        finally:
            self._writer.close()

    async def _line(self) -> bytes:
        """The next line; empty at the end, also where the client dies in the middle of one."""
        try:
            await self._writer.drain()
            return await self._reader.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            return b""
        except asyncio.LimitOverrunError:
            self._send(encode_error(None, BadRequest(f"a request is longer than {FRAME_MAX} bytes")))
            return b""
        except OSError:
            return b""

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
        if operation is None:
            raise UnknownMethod(request.method)
        try:
            params = msgspec.json.decode(request.params, type=operation.params)
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadRequest(f"{request.method}: {error}") from error

        if operation.destructive and (task := asyncio.current_task()):
            self._resolved.add(task)

        def notify(view: ProcessView) -> None:
            self._send(encode_notification("progress", Progress(request=request.id, process=view)))

        return await self._handlers.methods[request.method](params, notify)

    def _send(self, line: bytes) -> None:
        if self._writer.is_closing():
            return
        if self._writer.transport.get_write_buffer_size() > _PILE_MAX:
            _log.warning("a client does not read its answers: it is cut off")
            self._writer.transport.abort()
            return
        self._writer.write(line)
