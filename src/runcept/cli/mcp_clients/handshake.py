"""What a client and a server say to each other first: initialize, initialized, tools/list. No I/O.

Messages are JSON-RPC 2.0, one a line (Model Context Protocol, stdio). What the server says besides is answered as far
as it must be: a client that is asked something may not stay silent.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from runcept import __version__

__all__ = ["Broken", "Handshake", "Works"]

_PROTOCOL = "2025-11-25"
_LINE_BYTES_MAX = 16 << 20
_SHOWN = 80
_STEPS = ("initialize", "tools/list")
_METHOD_NOT_FOUND = -32601
_LOGS = "Its own log may tell more; for Runcept that is `runcept daemon logs`."


class Works(NamedTuple):
    """It said what it is, and which tools it has; `name` and `version` are its own words, or empty."""

    name: str
    version: str
    tools: int


class Broken(NamedTuple):
    """Why a client could not use it: one sentence, and what to do."""

    reason: str
    hint: str


class Handshake:
    """Feed it what the server writes, send what it gives, until there is a `verdict`."""

    def __init__(self) -> None:
        self.verdict: Works | Broken | None = None
        self._step = 0
        self._rest = b""
        self._name = ""
        self._version = ""

    @property
    def waits_for(self) -> str:
        """The request that is not answered yet."""
        return _STEPS[self._step]

    def begin(self) -> bytes:
        """What is sent first."""
        client = {"name": "runcept mcp doctor", "version": __version__}
        return self._request({"protocolVersion": _PROTOCOL, "capabilities": {}, "clientInfo": client})

    def feed(self, block: bytes) -> bytes:
        """What is to be sent after these bytes."""
        *lines, self._rest = (self._rest + block).split(b"\n")
        answer = b"".join(self._heard(line) for line in lines if line.strip() and self.verdict is None)
        if len(self._rest) > _LINE_BYTES_MAX and self.verdict is None:
            self.verdict = _garbage(self._rest)
        return answer

    def _heard(self, line: bytes) -> bytes:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            self.verdict = _garbage(line)
            return b""
        if "method" in message:
            return _reply(message)
        if message.get("id") != self._step + 1:
            return b""
        return self._answered(message)

    def _answered(self, message: dict[str, Any]) -> bytes:
        result = message.get("result")
        if not isinstance(result, dict):
            self.verdict = Broken(f"it answered {self.waits_for} with {_refusal(message)}", _LOGS)
            return b""
        if self._step == 0:
            info = result.get("serverInfo")
            told = info if isinstance(info, dict) else {}
            self._name, self._version = str(told.get("name", "")), str(told.get("version", ""))
            self._step = 1
            return _line({"method": "notifications/initialized"}) + self._request({})
        tools = result.get("tools")
        self.verdict = Works(self._name, self._version, len(tools) if isinstance(tools, list) else 0)
        return b""

    def _request(self, params: dict[str, object]) -> bytes:
        return _line({"id": self._step + 1, "method": self.waits_for, "params": params})


def _reply(message: dict[str, Any]) -> bytes:
    if "id" not in message:
        return b""
    if message["method"] == "ping":
        return _line({"id": message["id"], "result": {}})
    return _line({"id": message["id"], "error": {"code": _METHOD_NOT_FOUND, "message": "this client only looks"}})


def _refusal(message: dict[str, Any]) -> str:
    error = message.get("error")
    return f"an error: {_shortened(str(error.get('message')))}" if isinstance(error, dict) else "nothing that it could"


def _line(message: dict[str, object]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"


def _garbage(line: bytes) -> Broken:
    said = _shortened(line[: 4 * _SHOWN].decode(errors="replace").strip())
    return Broken(
        f"it wrote to stdout what is no message: {said}",
        "Its stdout is for the protocol alone: whatever else is printed there has to go to stderr.",
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
