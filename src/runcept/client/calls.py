"""Calls to the daemon from an event loop: a connection a call, so that a daemon may be restarted between any two.

The twin of `connection` for programs that serve many at once. Cancelling a call hangs up, and the daemon stops waiting.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any

import msgspec

from runcept.api.codec import FRAME_MAX, Reply, decode_reply, encode_request
from runcept.api.messages import Change, NoParams, Params
from runcept.api.operations import OPERATIONS
from runcept.client.autostart import ensure_daemon
from runcept.client.connection import PATIENCE, rest
from runcept.client.peer import is_us
from runcept.errors import BadRequest, DaemonUnreachable, RemoteError
from runcept.paths import socket_path

__all__ = ["OnChange", "call"]

OnChange = Callable[[Change], None]
_STOPPING_TRIES = 100
_STOPPING_SECONDS = 0.1
_LOSSES_MAX = 3


async def call(
    home: str,
    method: str,
    params: Params | None = None,
    on_change: OnChange | None = None,
    *,
    start: bool = True,
    patience: float = PATIENCE,
) -> Any:
    """Ask the home's daemon, and give its answer: a value of the type that OPERATIONS names for the method.

    It is started where none runs, unless `start` is false; where it dies meanwhile, what can be asked twice is asked of
    the next. `on_change` is called with what changes meanwhile, where the request asks for that; `patience`: seconds
    beyond the `timeout` of the request until the daemon counts as stuck.
    Errors: RemoteError, DaemonUnreachable, DaemonStartFailed, HomeUnsafe, BadRequest.
    """
    params = NoParams() if params is None else params
    began = time.monotonic()
    asked = params
    losses = 0
    for _ in range(_STOPPING_TRIES):
        reader, writer = await _connected(home, start=start)
        try:
            async with asyncio.timeout(patience + getattr(asked, "timeout", 0.0)):
                writer.write(encode_request(1, method, asked))
                return _converted(await _result(home, reader, on_change), method)
        except TimeoutError as error:
            raise DaemonUnreachable(socket_path(home), "it did not answer in time") from error
        except RemoteError as error:
            if error.code != "daemon-stopping" or not start:
                raise
        except (DaemonUnreachable, OSError) as error:  # it has died meanwhile: what can be asked twice is asked again
            losses += 1
            asked = rest(params, time.monotonic() - began)
            if losses == _LOSSES_MAX or not start or not OPERATIONS[method].idempotent:
                raise _unreachable(home, error) from error
        finally:
            writer.close()
        await asyncio.sleep(_STOPPING_SECONDS)  # the one that follows it is asked
    raise DaemonUnreachable(socket_path(home), "it is ending, and has been for long")


def _unreachable(home: str, error: DaemonUnreachable | OSError) -> DaemonUnreachable:
    if isinstance(error, DaemonUnreachable):
        return error
    return DaemonUnreachable(socket_path(home), (error.strerror or str(error)).lower())


async def _connected(home: str, *, start: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    path = socket_path(home)
    for is_last in (not start, True):
        try:
            reader, writer = await asyncio.open_unix_connection(path, limit=FRAME_MAX)
        except OSError as error:
            if is_last:
                raise DaemonUnreachable(path, "no daemon runs") from error
        else:
            if not is_us(writer.get_extra_info("socket")):
                writer.close()
                raise DaemonUnreachable(path, "another user listens there")
            return reader, writer
        await asyncio.to_thread(lambda: ensure_daemon(home, os.environ).close())
    raise DaemonUnreachable(path, "no daemon runs")


async def _result(home: str, reader: asyncio.StreamReader, on_change: OnChange | None) -> bytes:
    while True:
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            raise DaemonUnreachable(socket_path(home), "it ended before it answered") from error
        except asyncio.LimitOverrunError as error:
            raise BadRequest(f"the daemon sent a line of more than {FRAME_MAX} bytes") from error
        reply: Reply = decode_reply(line)
        if reply.method is None:
            return reply.unwrap()
        if reply.method == "change" and on_change is not None:
            on_change(msgspec.json.decode(reply.params, type=Change))


def _converted(result: bytes, method: str) -> Any:
    try:
        return msgspec.json.decode(result, type=OPERATIONS[method].result)
    except msgspec.DecodeError as error:
        raise BadRequest(f"{method}: the daemon's answer is not of our version: {error}") from error
