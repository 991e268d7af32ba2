"""What a caller asks for, read from its message. No I/O.

A message is its length in four bytes and then fields that are ended by NUL, which no argument, variable or path can
hold: installation, world, pid, umask, the count of arguments, the arguments, encoding and error handler of each of the
three standard streams (nothing where it is closed), and the environment as execve(2) has it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

__all__ = ["MESSAGE_MAX", "Request", "RequestBroken", "read_request"]

MESSAGE_MAX = 16 << 20
"""Bytes; the kernel lets arguments and environment be 6 MiB together, execve(2)."""
_LENGTH_BYTES = 4
_STREAMS = 3


class RequestBroken(ValueError):
    """What arrived is no request; its sender is not answered."""


@dataclass(frozen=True, slots=True)
class Request:
    """One command and where it is to run; `streams` are (encoding, error handler), None for one that is closed."""

    installation: str
    world: str
    pid: int
    mask: int
    arguments: list[str]
    """The first is the name of the program."""
    streams: list[tuple[str, str] | None]
    environ: dict[bytes, bytes]


def read_request(received: bytes | bytearray) -> Request | None:
    """The request, or None while there is more to come. Errors: RequestBroken."""
    if len(received) < _LENGTH_BYTES:
        return None
    length = int.from_bytes(received[:_LENGTH_BYTES], "big")
    if length > MESSAGE_MAX or len(received) > _LENGTH_BYTES + length:
        raise RequestBroken
    if len(received) < _LENGTH_BYTES + length:
        return None
    try:
        return _parse(bytes(received[_LENGTH_BYTES:]).split(b"\0"))
    except (ValueError, IndexError) as error:
        raise RequestBroken from error


def _parse(fields: list[bytes]) -> Request:
    installation, world, pid, mask, count = map(os.fsdecode, fields[:5])
    arguments_end = 5 + int(count)
    streams_end = arguments_end + _STREAMS
    if int(count) < 1 or len(fields) < streams_end:
        raise RequestBroken
    return Request(
        installation=installation,
        world=world,
        pid=int(pid),
        mask=int(mask),
        arguments=[*map(os.fsdecode, fields[5:arguments_end])],
        streams=[*map(_stream, fields[arguments_end:streams_end])],
        environ=dict(_variable(each) for each in fields[streams_end:] if each),
    )


def _stream(field: bytes) -> tuple[str, str] | None:
    if not field:
        return None
    encoding, errors = field.decode().split(" ")
    return encoding, errors


def _variable(field: bytes) -> tuple[bytes, bytes]:
    name, _, value = field.partition(b"=")
    return name, value
