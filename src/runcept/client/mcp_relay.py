"""`runcept mcp`: carries MCP messages between standard input and output and the home's MCP host, which may be replaced.

The relay answers nothing itself, and knows of MCP only what it needs when the host dies: which requests wait for their
answers (these fail, with a sentence that says what to do), and what the client has told once and for all (its
`initialize`, its subscriptions), which the next host is told in its place. In the protocol without a handshake, of
2026-07-28, there is nothing to tell again.

A client starts one for each of its windows, and waits for it: so this imports almost nothing. `_json` has the scanner
of `json` without the regular expressions around it, which are most of the cost.
"""

import os
import select
from _json import encode_basestring_ascii, make_scanner
from _socket import AF_UNIX, SHUT_WR, SOCK_STREAM, socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["main"]

_LINE_MAX = 16 << 20
_READ_BYTES = 1 << 18
_START_SECONDS = 20.0
_POLL_SECONDS = 0.01
_FINISH_SECONDS = 2.0
_OWN = "runcept-relay-"
"""The ids of what the relay itself says begin so."""
_LOST = "Runcept's MCP host ended during this call, which may have been done. Look at the status, then call again."
_TO_A_PERSON = b"""\
This is the server that AI assistants start; it waits for their messages here. Ctrl-C ends it.
`runcept mcp install claude` (or cursor, vscode, codex, gemini, opencode) sets it up.
"""
_UNHEARD_MAX = 3
_NO_HOST = -32001
_ENDED = -32000


class _How:
    """What `_json` wants to know of a `json.JSONDecoder`."""

    strict = False
    object_hook = object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: "dict[str, str]" = {}  # noqa: RUF012


_scan = make_scanner(_How)  # type: ignore[arg-type]


def main(home: str, environment: "str | None" = None) -> int:
    """Serve one client until it closes its end; the exit status. `environment`: what its calls mean by default."""
    if os.isatty(0):
        os.write(2, _TO_A_PERSON)
    relay = _Relay(home, environment)
    try:
        relay.run()
    except (BrokenPipeError, KeyboardInterrupt):  # the client has gone
        return 0
    except OverflowError:
        os.write(2, f"runcept: a message is longer than {_LINE_MAX} bytes\n".encode())
        return 1
    return 0


class _Lines:
    """Bytes as they come, lines as they are whole."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> "list[bytes]":
        """The lines that `data` completes, with their ends. OverflowError for one that never ends."""
        first, *others = data.split(b"\n")
        self._parts.append(first)
        self._size += len(first)
        if self._size > _LINE_MAX:
            raise OverflowError
        if not others:
            return []
        lines = [b"".join(self._parts), *others[:-1]]
        self._parts, self._size = [others[-1]], len(others[-1])
        return [line + b"\n" for line in lines]


class _Relay:
    """One client and its way to the host, which may be another one from time to time."""

    def __init__(self, home: str, environment: "str | None") -> None:
        self._home = home
        self._environment = environment
        self._socket: socket | None = None
        self._from_client, self._from_host = _Lines(), _Lines()
        self._handshake = self._initialized = b""
        """What the client has said to begin with, to be said again: as a request of our own, and as it was."""
        self._subscribed: dict[str, bytes] = {}
        self._beginning = b""
        """The client's `initialize`, as long as it has no answer."""
        self._is_heard = False
        """The host has said something since it was connected to; one that is dying listens for a moment yet."""
        self._unheard = 0
        """Hosts in a row that ended without a word."""
        self._waiting: dict[object, bytes] = {}
        """The ids of the client's requests that have no answer yet, but for that one."""
        self._asked = 0
        self._trouble = ""
        """Why there is no host, as of the last try."""

    def run(self) -> None:
        """Until the client has closed its end, or reads no more."""
        self._connect()
        while True:
            descriptors = [0] if self._socket is None else [0, self._socket.fileno()]
            ready, _, _ = select.select(descriptors, [], [])
            if self._socket is not None and self._socket.fileno() in ready:
                self._hear_host(self._socket)
            if 0 in ready and not self._hear_client():
                self._finish()
                return

    def _finish(self) -> None:
        """The client has said all: what it asked last is answered, if that is quick; the host cancels what is not."""
        if self._socket is None or not (self._waiting or self._beginning):
            return
        self._socket.shutdown(SHUT_WR)
        while select.select([self._socket.fileno()], [], [], _FINISH_SECONDS)[0]:
            data = self._socket.recv(_READ_BYTES)
            if not data:
                return
            self._pass_on(data)

    # ------------------------------------------------------------------------------------------- client

    def _hear_client(self) -> bool:
        """False: it has said its last."""
        data = os.read(0, _READ_BYTES)
        for line in self._from_client.feed(data):
            if line.strip():
                self._client_said(line)
        return bool(data)

    def _client_said(self, line: bytes) -> None:
        message = _parsed(line)
        method, request = message.get("method"), message.get("id")
        if method == "initialize":
            self._beginning = line
        elif method == "notifications/cancelled":
            cancelled = _given(message, "requestId")
            self._waiting = {each: asked for each, asked in self._waiting.items() if each != cancelled}
        elif method is not None and isinstance(request, str | int):
            self._waiting[request] = line
        if self._socket is None:
            self._connect()
        self._tell_host(line)
        self._remember(message, line)  # after it is on its way: this takes longer

    def _tell_host(self, line: bytes) -> None:
        if self._socket is None:
            self._fail(_NO_HOST, self._trouble)
            return
        try:
            self._socket.sendall(line)
        except OSError:
            self._host_died()

    def _remember(self, message: "dict[str, Any]", line: bytes) -> None:
        """What the next host has to hear as well."""
        method = message.get("method")
        if method == "initialize":
            self._handshake = self._as_own(message)
        elif method == "notifications/initialized":
            self._initialized = line
        elif method in {"resources/subscribe", "resources/unsubscribe"}:
            uri = str(_given(message, "uri"))
            self._subscribed.pop(uri, None)
            if method == "resources/subscribe":
                self._subscribed[uri] = self._as_own(message)

    def _as_own(self, message: "dict[str, Any]") -> bytes:
        self._asked += 1
        return _written(message | {"id": f"{_OWN}{self._asked}"})

    # --------------------------------------------------------------------------------------------- host

    def _hear_host(self, connection: socket) -> None:
        try:
            data = connection.recv(_READ_BYTES)
        except OSError:
            data = b""
        if data:
            self._pass_on(data)
        else:
            self._host_died()

    def _pass_on(self, data: bytes) -> None:
        self._is_heard = True
        for line in self._from_host.feed(data):
            message = _parsed(line)
            request = message.get("id")
            if "method" not in message and isinstance(request, str) and request.startswith(_OWN):
                continue
            if "method" not in message:
                self._waiting.pop(request, None)
                if self._beginning and _parsed(self._beginning).get("id") == request:
                    self._beginning = b""
            _write(line)

    def _host_died(self) -> None:
        """Tell those who wait, and go on with the next host; what the client began with is asked of that one."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._from_host = None, _Lines()
        waiting, self._waiting = self._waiting, {}
        self._unheard = 0 if self._is_heard else self._unheard + 1
        if self._is_heard or self._unheard > _UNHEARD_MAX:
            _answer({*waiting}, _ENDED, _LOST)
            waiting = {}
        beginning = self._beginning
        if beginning:
            self._handshake = b""
        self._connect()
        if beginning:
            self._tell_host(beginning)
        for request, line in waiting.items():
            self._waiting[request] = line
            self._tell_host(line)

    def _fail(self, code: int, sentence: str) -> None:
        """There is no host, and none can be had now."""
        waiting, self._waiting = {*self._waiting}, {}
        if self._beginning:
            waiting.add(_parsed(self._beginning).get("id"))
            self._beginning = b""
        _answer(waiting, code, sentence)

    def _connect(self) -> None:
        """Have a host, and tell it who asks and what its forerunner knew. Without one, `_trouble` says why."""
        found = _host(self._home)
        if isinstance(found, str):
            self._trouble = found
            return
        default = "null" if self._environment is None else encode_basestring_ascii(self._environment)
        hello = f'{{"cwd":{encode_basestring_ascii(os.getcwd())},"environment":{default}}}\n'.encode()
        try:
            found.sendall(hello + self._handshake + self._initialized + b"".join(self._subscribed.values()))
        except OSError as error:
            found.close()
            self._trouble = f"Runcept's MCP host does not listen: {error}"
            return
        self._socket, self._is_heard = found, False


def _host(home: str) -> "socket | str":
    """A connection to the host, which is started where there is none; or why there is none."""
    connection = _connected(home)
    if connection is not None:
        return connection
    import time

    from runcept.client.host_start import host_stderr, start_host
    from runcept.errors import RunceptError
    from runcept.paths import ensure_home

    try:
        ensure_home(home)
    except RunceptError as error:
        return f"{error}. {error.hint}"
    pid = None
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        pid = pid or start_host(home, kind="mcp")
        connection = _connected(home)
        if connection is not None:
            return connection
        if pid is not None and os.waitpid(pid, os.WNOHANG)[0]:
            return f"Runcept's MCP host could not start: {_last_line(host_stderr(home, 'mcp'))}"
        time.sleep(_POLL_SECONDS)
    return f"Runcept's MCP host did not start within {_START_SECONDS:g} s; {host_stderr(home, 'mcp')} may tell why"


def _connected(home: str) -> "socket | None":
    """A connection to a host of ours that listens."""
    from runcept.client.peer import is_us
    from runcept.paths import socket_path

    connection = socket(AF_UNIX, SOCK_STREAM)
    connection.setblocking(False)  # a listener that takes nobody in would keep us waiting
    try:
        connection.connect(socket_path(home, "mcp"))
        connection.setblocking(True)
        if is_us(connection):
            return connection
    except OSError:  # nobody listens
        pass
    connection.close()
    return None


def _last_line(path: str) -> str:
    with open(path, "rb") as file:
        lines = file.read().decode(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "it said nothing")


# ------------------------------------------------------------------------------------------------ messages


def _parsed(line: bytes) -> "dict[str, Any]":
    """The message; empty where it is none, or several: the host will say so."""
    try:
        message = _scan(line.decode().strip(), 0)[0]
    except (StopIteration, ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _given(message: "dict[str, Any]", key: str) -> object:
    """A parameter; None where it has none, or where they are no object: to refuse that is up to the host."""
    params = message.get("params")
    return params.get(key) if isinstance(params, dict) else None


def _written(message: "dict[str, Any]") -> bytes:
    import json

    return json.dumps(message).encode() + b"\n"


def _answer(requests: "set[object]", code: int, sentence: str) -> None:
    """The same error to all of them."""
    for request in requests:
        _write(_written({"jsonrpc": "2.0", "id": request, "error": {"code": code, "message": sentence}}))


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]
