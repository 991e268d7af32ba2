"""A blocking connection to the daemon of one home: one question at a time, one line each way.

Not asyncio: a command asks once and waits, and the import alone would cost it 50 ms. Nothing here starts a daemon;
that is `autostart`.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, Self, TypeVar

import msgspec

from runcept.api.codec import FRAME_MAX, REQUEST_MAX, Reply, decode_reply, encode_request
from runcept.api.messages import Change, NoParams, Params
from runcept.api.operations import OPERATIONS
from runcept.client.peer import is_us
from runcept.core.views import ProcessView
from runcept.errors import BadRequest, DaemonUnreachable, HomeUnsafe, UsageError
from runcept.paths import ensure_private, socket_path

__all__ = ["PATIENCE", "Connection", "OnProgress", "rest"]

PATIENCE = 30.0
"""Seconds that an answer may take beyond the time that the request itself allows."""
_CONNECT_SECONDS = 5.0
_RETRY_SECONDS = 0.005
_READ_BYTES = 1 << 16

OnProgress = Callable[[ProcessView], None]
_P = TypeVar("_P", bound=Params)


def rest(params: _P, elapsed: float) -> _P:
    """The request to ask again after so many seconds of it: with what is left of its `timeout`, if it has one."""
    timeout = getattr(params, "timeout", None)
    return params if timeout is None else msgspec.structs.replace(params, timeout=max(0.0, timeout - elapsed))


class Connection:
    """The socket of a home's daemon, open. Use it with `with`; one call at a time, no threads.

    Errors: DaemonUnreachable when nobody listens, or the daemon goes silent or away; HomeUnsafe when somebody else
    could have put the socket there.
    """

    def __init__(self, home: str, opened: socket.socket | None = None) -> None:
        self.path = socket_path(home)
        found = opened or _open(self.path)
        if found is None:
            raise DaemonUnreachable(self.path, "no daemon runs")
        self._socket = found
        self._unread = bytearray()
        self._asked = 0

    @classmethod
    def if_running(cls, home: str) -> Self | None:
        """A connection, or None where no daemon listens (no socket, or one that a dead daemon left)."""
        opened = _open(socket_path(home))
        return None if opened is None else cls(home, opened)

    def call(
        self,
        method: str,
        params: Params | None = None,
        on_progress: OnProgress | None = None,
        *,
        patience: float | None = PATIENCE,
    ) -> Any:
        """Ask, and wait for the result: a value of the type that OPERATIONS names for the method.

        `on_progress` is called with each process that changes meanwhile, where `params.progress` asks for it.
        `patience`: seconds beyond `params.timeout` until the daemon counts as stuck; None: wait without end.
        Errors: RemoteError (the daemon's own answer), DaemonUnreachable, BadRequest (not of our protocol). A
        KeyboardInterrupt passes through; the daemon goes on with what it was asked.
        """
        params = NoParams() if params is None else params
        self._asked += 1
        self._socket.settimeout(None if patience is None else patience + getattr(params, "timeout", 0.0))
        try:
            self._socket.sendall(_encode(self._asked, method, params))
            result = self._result(on_progress)
        except TimeoutError as error:
            raise DaemonUnreachable(self.path, "it did not answer in time") from error
        except OSError as error:
            raise DaemonUnreachable(self.path, (error.strerror or str(error)).lower(), has_died=True) from error
        return _convert(result, OPERATIONS[method].result)

    def peer_pid(self) -> int | None:
        """The pid of the daemon, where the system tells (unix(7), SO_PEERCRED)."""
        if not hasattr(socket, "SO_PEERCRED"):
            return None
        credentials = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int.from_bytes(credentials[:4], sys.byteorder)

    def wait_closed(self, seconds: float) -> bool:
        """Whether the daemon hung up within this many seconds; a stopping daemon does so as it ends."""
        self._socket.settimeout(seconds)
        try:
            while self._socket.recv(_READ_BYTES):
                pass
        except TimeoutError:
            return False
        except OSError:  # reset: it is gone as well
            return True
        return True

    def close(self) -> None:
        """Hang up; what was asked goes on."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _result(self, on_progress: OnProgress | None) -> bytes:
        """The JSON of the result that answers the last question."""
        while True:
            reply = self._reply()
            if reply.method == "change" and on_progress is not None:
                for process in _convert(bytes(reply.params), Change).processes:
                    on_progress(process)
            elif reply.method is None and reply.id in {self._asked, None}:  # null: it could not read the question
                return reply.unwrap()

    def _reply(self) -> Reply:
        end = self._unread.find(b"\n")
        while end < 0:
            seen = len(self._unread)
            if seen > FRAME_MAX:
                raise BadRequest(f"the daemon sent a line of more than {FRAME_MAX} bytes")
            block = self._socket.recv(_READ_BYTES)
            if not block:
                raise DaemonUnreachable(self.path, "it ended before it answered", has_died=True)
            self._unread += block
            end = self._unread.find(b"\n", seen)
        line = bytes(self._unread[:end])
        del self._unread[: end + 1]
        return decode_reply(line)


def _open(path: str) -> socket.socket | None:
    """A connected socket; None where nobody listens."""
    if not os.path.lexists(path):
        return None
    ensure_private(os.path.dirname(path))
    deadline = time.monotonic() + _CONNECT_SECONDS
    while time.monotonic() < deadline:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.settimeout(_CONNECT_SECONDS)
        try:
            made.connect(path)
            return _ours(made, path)
        except BlockingIOError:  # its queue of connections is full, unix(7)
            made.close()
            time.sleep(_RETRY_SECONDS)
        except (FileNotFoundError, ConnectionRefusedError):
            made.close()
            return None
        except OSError as error:
            made.close()
            raise DaemonUnreachable(path, (error.strerror or str(error)).lower()) from error
    raise DaemonUnreachable(path, "too many wait for it")


def _ours(made: socket.socket, path: str) -> socket.socket:
    """The socket, if a process of our own listens at its other end: what we say there holds our environment."""
    if not is_us(made):
        made.close()
        raise HomeUnsafe(path, "another user listens there", "Set RUNCEPT_HOME to a directory of your own.")
    return made


def _encode(request_id: int, method: str, params: Params) -> bytes:
    try:
        line = encode_request(request_id, method, params)
    except UnicodeEncodeError as error:
        raise UsageError(f"{error.object!r} is not UTF-8", hint="JSON cannot carry it: rename it.") from error
    if len(line) > REQUEST_MAX:
        raise UsageError(
            f"a request of {len(line)} bytes is too long", hint="Is the environment of this shell so large?"
        )
    return line


def _convert(document: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(document, type=kind)
    except msgspec.DecodeError as error:
        raise BadRequest(f"the daemon's answer is not understood: {error}") from error
