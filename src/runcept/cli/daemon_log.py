"""The daemon's own log as a person reads it: its last lines, and those to come. Asks no daemon."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import msgspec

from runcept.cli.present import local_time

__all__ = ["follow", "readable", "record", "tail"]

_BLOCK = 1 << 16
_POLL_SECONDS = 0.05


def tail(path: str, count: int | None) -> tuple[list[str], int]:
    """The last `count` lines of a file (None: all), and the offset behind them; none of a file that is not there."""
    try:
        with open(path, "rb") as file:
            return [_text(line) for line in deque(file, maxlen=count)], file.tell()
    except FileNotFoundError:
        return [], 0


def follow(path: str, offset: int, stop: Callable[[], bool]) -> Iterator[str]:
    """Each line that is written behind `offset`, through the rotation of the file, until `stop` says so."""
    while not stop():
        try:
            with open(path, "rb") as file:
                file.seek(offset)
                yield from _until_replaced(path, file, stop)
            offset = 0
        except FileNotFoundError:
            time.sleep(_POLL_SECONDS)


def _until_replaced(path: str, file: BinaryIO, stop: Callable[[], bool]) -> Iterator[str]:
    unfinished = b""
    while True:
        is_last = not _is_at(path, file) or stop()  # asked before reading: what came before the end is read still
        block = file.read(_BLOCK)
        *lines, unfinished = (unfinished + block).split(b"\n")
        yield from map(_text, lines)
        if not block and is_last:
            return
        if not block:
            time.sleep(_POLL_SECONDS)


def _is_at(path: str, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _text(line: bytes) -> str:
    return line.rstrip(b"\n").decode(errors="backslashreplace")


def record(line: str) -> dict[str, Any]:
    """A line of the log as its fields; of the daemon's stderr, as a message alone."""
    try:
        fields = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return {"message": line}
    return fields if isinstance(fields, dict) else {"message": line}


def readable(fields: dict[str, Any]) -> Iterator[str]:
    """The lines of a record: when, how bad, what; and the traceback, where there is one."""
    said = [str(fields[key]) for key in ("level", "message") if key in fields]
    yield "  ".join([local_time(fields["ts"]), *said] if isinstance(fields.get("ts"), str) else said)
    yield from str(fields.get("traceback", "")).splitlines()
