"""The MCP host of a home: one process that serves all relays, since the SDK takes half a second and 60 MB to load.

A relay says in its first line where its client works; what follows is MCP, a message a line. The host ends when nobody
has been connected for a while, or when its code is no longer what is on disk: then it accepts nobody, so that another
can be started, and stays for those that it has.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import socket

import anyio
import mcp_types as t
from mcp.shared.message import SessionMessage

from runcept.client.code import Code
from runcept.client.host_start import LOCK, listen
from runcept.client.peer import is_us
from runcept.mcp.calls import Caller
from runcept.mcp.server import make_server
from runcept.mcp.updates import Updates, Watcher
from runcept.paths import socket_path
from runcept.process.apart import stand_apart

__all__ = ["main"]

_log = logging.getLogger(__name__)
_LINE_MAX = 16 << 20
_HELLO_SECONDS = 5.0
_FINISH_SECONDS = 1.5
_LEAVE_SECONDS = 3.0
"""For the clients of a host that was told to end: then they are cut off, and their relays start another one."""
_LOOK_SECONDS = 2.0
"""How often it is looked whether anybody is there, and whether the code has changed."""


def main(home: str, idle_seconds: float, code: Code) -> None:
    """Serve until there is a reason to end. Descriptor LOCK is what makes us the only one of the home.

    `code` was taken before the first import.
    """
    os.chdir("/")
    stand_apart()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    code.keep_loaded()
    listener = listen(socket_path(home, "mcp"))
    gc.collect()
    gc.freeze()  # what was imported stays: there is no use in looking at it again
    asyncio.run(_Host(home, listener, code, idle_seconds).run())


class _Host:
    def __init__(self, home: str, listener: socket.socket, code: Code, idle_seconds: float) -> None:
        self._home = home
        self._listener = listener
        self._path: str = listener.getsockname()
        self._idle_seconds = idle_seconds
        self._updates = Updates(home)
        self._clients: set[asyncio.Task[None]] = set()
        self._closed = asyncio.Event()
        self._code = code

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._closed.set)
        server = await asyncio.start_unix_server(self._accept, sock=self._listener, limit=_LINE_MAX)
        watching = asyncio.ensure_future(self._updates.run())
        await self._until_closed()
        with contextlib.suppress(FileNotFoundError):  # the home may be gone altogether
            os.unlink(self._path)
        server.close()
        os.close(LOCK)
        await self._until_left()
        watching.cancel()

    async def _until_closed(self) -> None:
        idle = 0.0
        while not self._closed.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), _LOOK_SECONDS)
            idle = 0.0 if self._clients else idle + _LOOK_SECONDS
            if idle >= self._idle_seconds or not self._code.is_current():
                return

    async def _until_left(self) -> None:
        """Who is here is served on; once somebody wants us gone, for a moment, and the next host has them."""
        closed = asyncio.ensure_future(self._closed.wait())
        while self._clients and not closed.done():
            await asyncio.wait([*self._clients, closed], return_when=asyncio.FIRST_COMPLETED)
        closed.cancel()
        if self._clients:
            await asyncio.wait(self._clients, timeout=_LEAVE_SECONDS)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a callback of a server runs in one
        self._clients.add(task)
        try:
            if is_us(writer.get_extra_info("socket")):
                await self._serve(reader, writer)
        except Exception:  # noqa: BLE001
            # A defect that shows with one client must not end the others.
            _log.exception("a client's connection ended")
        finally:
            self._clients.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_HELLO_SECONDS):
            line = await reader.readline()
        if not line:  # somebody looked whether anybody is here
            return
        hello = json.loads(line)
        watcher = Watcher()
        caller = Caller(str(hello["cwd"]), hello.get("environment"))
        server = make_server(self._home, caller, self._updates, lambda _: watcher)
        transport = _Transport(reader, writer)
        with self._updates.connected(watcher):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(transport.read)
                tasks.start_soon(transport.write)
                await server.run(transport.inbound, transport.outbound, server.create_initialization_options())
                tasks.cancel_scope.cancel()


class _Transport:
    """Messages between a stream of lines and the streams that the SDK's server works with."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._unanswered = 0
        self._settled = asyncio.Event()
        self._to_server, self.inbound = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        self.outbound, self._from_server = anyio.create_memory_object_stream[SessionMessage](0)

    async def read(self) -> None:
        """Until the client says no more. What is no message is answered: the SDK would be silent about it."""
        async with self._to_server:
            with contextlib.suppress(OSError, anyio.BrokenResourceError):
                while line := await self._line():
                    message = _message(line)
                    if message is None:
                        self._writer.write(_refusal(line))
                        continue
                    self._unanswered += isinstance(message, t.JSONRPCRequest)
                    await self._to_server.send(SessionMessage(message))
            await self._finish()

    async def _finish(self) -> None:
        """The client has said all: give what it asked last a moment, before the SDK cancels it."""
        if self._unanswered:
            self._settled.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._settled.wait(), _FINISH_SECONDS)

    async def _line(self) -> bytes:
        try:
            return await self._reader.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            return b""
        except asyncio.LimitOverrunError:
            self._writer.write(_error(None, t.INVALID_REQUEST, f"A message is longer than {_LINE_MAX} bytes."))
            return b""

    async def write(self) -> None:
        """What the server says, until it has said all."""
        async with self._from_server:
            with contextlib.suppress(OSError):
                async for message in self._from_server:
                    if isinstance(message.message, t.JSONRPCResponse | t.JSONRPCError):
                        self._unanswered -= 1
                    text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                    self._writer.write(text.encode() + b"\n")
                    await self._writer.drain()
                    if not self._unanswered:
                        self._settled.set()


def _message(line: bytes) -> t.JSONRPCMessage | None:
    """The message, if it is one. A request whose id can be none is no notification, as which the SDK takes it."""
    try:
        message = t.jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValueError:
        return None
    if isinstance(message, t.JSONRPCNotification) and b'"id"' in line and "id" in json.loads(line):
        return None
    return message


def _refusal(line: bytes) -> bytes:
    """The answer to what is no message; with its id, where it has one."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return _error(None, t.PARSE_ERROR, "This is not JSON.")
    given = message.get("id") if isinstance(message, dict) else None
    return _error(
        given if isinstance(given, str | int) else None, t.INVALID_REQUEST, "This is no JSON-RPC 2.0 message."
    )


def _error(request: str | int | None, code: int, sentence: str) -> bytes:
    message = {"jsonrpc": "2.0", "id": request, "error": {"code": code, "message": sentence}}
    return json.dumps(message).encode() + b"\n"
