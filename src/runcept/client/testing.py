"""A daemon that answers from a script, over a real socket and the real codec: for tests of what asks.

It ships beside `connection` because both obey one contract; it starts no process and keeps no state.
"""

from __future__ import annotations

import json
import os
import socketserver
from collections.abc import Callable, Mapping
from threading import Thread
from typing import Any, Self

from runcept.api.codec import decode_request, encode_error, encode_notification, encode_result
from runcept.api.messages import Change
from runcept.core.views import ProcessView
from runcept.errors import RunceptError, UnknownMethod
from runcept.paths import ensure_home, socket_path

__all__ = ["Answer", "Notify", "ScriptedDaemon"]

Notify = Callable[[ProcessView], None]
Answer = Callable[[dict[str, Any], Notify], object]
"""Given the params of a request and a way to send progress, the result; or raises the RunceptError to answer with."""


class ScriptedDaemon:
    """Listens at the socket of `home` while the `with` lasts; `requests` holds (method, params) in order of arrival."""

    def __init__(self, home: str, answers: Mapping[str, Answer | object]) -> None:
        self.home = home
        self.answers = dict(answers)
        self.requests: list[tuple[str, dict[str, Any]]] = []

    def __enter__(self) -> Self:
        ensure_home(self.home)
        self._server = _Server(socket_path(self.home), _Handler)
        self._server.script = self
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        os.unlink(socket_path(self.home))

    def result(self, method: str, params: dict[str, Any], notify: Notify) -> object:
        """What the script says to a request."""
        self.requests.append((method, params))
        if method not in self.answers:
            raise UnknownMethod(method)
        answer = self.answers[method]
        return answer(params, notify) if callable(answer) else answer


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    script: ScriptedDaemon


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        script = self.server.script
        for line in self.rfile:
            request = decode_request(line)

            def notify(process: ProcessView, request_id: int | str = request.id) -> None:
                change = Change(request=request_id, environment=process.environment, processes=[process])
                self._send(encode_notification("change", change))

            try:
                result = script.result(request.method, json.loads(bytes(request.params)), notify)
            except RunceptError as error:
                self._send(encode_error(request.id, error))
            else:
                self._send(encode_result(request.id, result))

    def _send(self, line: bytes) -> None:
        self.wfile.write(line)
        self.wfile.flush()
