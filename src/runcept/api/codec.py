"""JSON-RPC 2.0 in lines: one message a line, UTF-8, of bounded length (https://www.jsonrpc.org/specification).

Requests have an id and are answered with a result or an error; `change` notifications come from the daemon only.
An error's `data` is the RunceptError: `{"code", "message", "hint", "exit_status", "fields"}`.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from runcept.errors import BadRequest, RemoteError, RunceptError, UnknownMethod

__all__ = [
    "FRAME_MAX",
    "REQUEST_MAX",
    "Reply",
    "Request",
    "decode_reply",
    "decode_request",
    "encode_error",
    "encode_notification",
    "encode_request",
    "encode_result",
]

FRAME_MAX = 16 * 1024 * 1024
"""Bytes of any message; a status of ten thousand processes is shorter."""
REQUEST_MAX = 4 * 1024 * 1024
"""Bytes of a request. The longest carry the environment of a shell, of which execve(2) takes 2 MiB as a rule."""
_APPLICATION_ERROR = -32000
_METHOD_NOT_FOUND = -32601
_INVALID_REQUEST = -32600


class Request(msgspec.Struct, frozen=True):
    """A request as read; `params` is still raw: the operation knows its type."""

    method: Annotated[str, msgspec.Meta(max_length=64)]
    id: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | Annotated[str, msgspec.Meta(max_length=128)]
    params: msgspec.Raw = msgspec.Raw(b"{}")
    jsonrpc: str = "2.0"


class _Problem(msgspec.Struct, frozen=True):
    code: int
    message: str
    data: dict[str, Any] | None = None


class Reply(msgspec.Struct, frozen=True):
    """What a client reads: a result, an error, or (with a method) a notification."""

    id: int | str | None = None
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: _Problem | None = None
    method: str | None = None
    params: msgspec.Raw = msgspec.Raw(b"{}")

    def unwrap(self) -> bytes:
        """The JSON of the result; raises the error that the daemon answered with."""
        if self.error is not None:
            data = self.error.data or {}
            raise RemoteError(
                str(data.get("code", "failed")),
                self.error.message,
                str(data.get("hint", "")),
                int(data.get("exit_status", 1)),
                dict(data.get("fields", {})),
            )
        return b"null" if isinstance(self.result, msgspec.UnsetType) else bytes(self.result)


_requests = msgspec.json.Decoder(Request)
_replies = msgspec.json.Decoder(Reply)
_encoder = msgspec.json.Encoder()


def encode_request(request_id: int, method: str, params: object) -> bytes:
    """One line that asks."""
    return _encoder.encode({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}) + b"\n"


def encode_result(request_id: int | str, result: object) -> bytes:
    """One line that answers."""
    return _encoder.encode({"jsonrpc": "2.0", "id": request_id, "result": result}) + b"\n"


def encode_error(request_id: int | str | None, error: RunceptError) -> bytes:
    """One line that refuses."""
    number = {UnknownMethod: _METHOD_NOT_FOUND, BadRequest: _INVALID_REQUEST}.get(type(error), _APPLICATION_ERROR)
    data = {"code": error.code, "hint": error.hint, "exit_status": error.exit_status, "fields": error.fields}
    problem = {"code": number, "message": error.message, "data": data}
    return _encoder.encode({"jsonrpc": "2.0", "id": request_id, "error": problem}) + b"\n"


def encode_notification(method: str, params: object) -> bytes:
    """One line that tells and expects no answer."""
    return _encoder.encode({"jsonrpc": "2.0", "method": method, "params": params}) + b"\n"


def decode_request(line: bytes) -> Request:
    """A request from one line; BadRequest where it is none."""
    try:
        return _requests.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadRequest(f"not a JSON-RPC request: {error}") from error


def decode_reply(line: bytes) -> Reply:
    """What the daemon said in one line; BadRequest where it is none."""
    try:
        return _replies.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadRequest(f"not a JSON-RPC reply: {error}") from error
