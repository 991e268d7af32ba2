"""`runcept mcp http`: the same server over streamable HTTP, on the loopback interface, for those who hold the token.

The SDK refuses other Host and Origin headers than those of the loopback interface, so that a page in a browser cannot
reach it by a name of its own (DNS rebinding). The token stands before it: without, nothing is read.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import secrets
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from types import FrameType
from typing import Any

import uvicorn
from mcp.server import Server, ServerRequestContext

from runcept.mcp.calls import Caller
from runcept.mcp.server import make_server
from runcept.mcp.updates import Updates, Watcher

__all__ = ["PATH", "TOKEN_FILE", "App", "main", "make_http_server", "serve", "token_of"]

TOKEN_FILE = "mcp.token"  # noqa: S105  its name
"""In the home; whoever can read it may use the server."""
PATH = "/mcp"
_INTERRUPTED = 130
_BACKLOG = 128

_Message = MutableMapping[str, Any]
App = Callable[[_Message, Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]], Awaitable[None]]


def main(home: str, port: int, environment: str | None) -> int:
    """Serve until SIGINT or SIGTERM. `environment`: what calls mean by default; without it they have to name one."""
    token = token_of(home)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(_BACKLOG)  # whoever reads the address can connect at once
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        sys.stderr.write(f"runcept: port {port} cannot be used: {why}\n  hint: Choose another one with --port.\n")
        return 1
    address = f"http://127.0.0.1:{listener.getsockname()[1]}{PATH}"
    sys.stdout.write(f"{address}\nAuthorization: Bearer {token}\n")
    sys.stdout.flush()
    try:
        asyncio.run(_serve(home, listener, token, environment))
    except KeyboardInterrupt:  # which uvicorn raises again when it has ended as it should
        return _INTERRUPTED
    return 0


async def _serve(home: str, listener: socket.socket, token: str, environment: str | None) -> None:
    updates = Updates(home)
    server = make_http_server(home, updates, environment)
    await serve(_guarded(server.streamable_http_app(streamable_http_path=PATH), token), updates, listener)


def make_http_server(home: str, updates: Updates, environment: str | None) -> Server[Any]:
    """The one server of all who come over HTTP; whoever serves its application puts the token before it."""
    return make_server(home, Caller(None, environment), updates, lambda ctx: _watcher_of(ctx, updates))


async def serve(app: App, updates: Updates, listener: socket.socket) -> None:
    """Serve this application until SIGINT or SIGTERM, and tell its clients of changes."""
    watching = asyncio.ensure_future(updates.run())
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="on", ws="none", timeout_graceful_shutdown=1
    )
    try:
        await _Uvicorn(config).serve([listener])
    finally:
        watching.cancel()


class _Uvicorn(uvicorn.Server):
    """The web server, which does not complain that its end cuts off those who listen."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        super().handle_exit(sig, frame)


def _watcher_of(ctx: ServerRequestContext[Any], updates: Updates) -> Watcher:
    """The watcher of a request's session; it lives as long as that."""
    connection = ctx.session._connection  # noqa: SLF001  in 2.3 there is no public way to what lives as long
    watcher: Watcher | None = connection.state.get("watcher")
    if watcher is None:
        watcher = connection.state["watcher"] = Watcher()
        connection.exit_stack.enter_context(updates.connected(watcher))
    return watcher


def token_of(home: str) -> str:
    """The token of a home, made when it is first asked for; for its owner alone."""
    path = os.path.join(home, TOKEN_FILE)
    try:
        with open(path, encoding="ascii") as file:
            if token := file.read().strip():
                return token
    except FileNotFoundError:
        pass
    token = secrets.token_urlsafe(32)
    with open(path, "w", encoding="ascii", opener=_private) as file:
        file.write(token + "\n")
    return token


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _guarded(app: App, token: str) -> App:
    """Only requests that have the token reach the application; `lifespan` does, which starts it."""
    wanted = f"Bearer {token}".encode()

    async def guarded(
        scope: _Message, receive: Callable[[], Awaitable[_Message]], send: Callable[[_Message], Awaitable[None]]
    ) -> None:
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, wanted):
                headers = [(b"www-authenticate", b"Bearer"), (b"content-length", b"0")]
                await send({"type": "http.response.start", "status": 401, "headers": headers})
                await send({"type": "http.response.body", "body": b""})
                return
        await app(scope, receive, send)

    return guarded


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None))
