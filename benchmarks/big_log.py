"""A log of a gigabyte, as the daemon would have written it: many different lines, some of them on stderr."""

from __future__ import annotations

from pathlib import Path

from runcept.logs.encoder import Encoder
from runcept.logs.record import lifecycle

__all__ = ["BEGUN", "SIZE", "big_log"]

SIZE = 1_000_000_000
BEGUN = 1_795_334_400_000_000  # 2026-11-22T08:00:00Z
_STEP = 4_000  # microseconds from one read of the keeper to the next
_LINES = 40  # of one read
_PATHS = ("/api/items", "/api/users", "/static/app.css", "/health", "/api/orders", "/login", "/search")


def big_log(path: Path, size: int = SIZE) -> int:
    """Write the log of a run that goes on; the instant of its last record, microseconds since the epoch."""
    path.parent.mkdir(parents=True)
    encoder, at, number = Encoder(), BEGUN, 0
    with path.open("wb") as file:
        written = file.write(lifecycle(at, "started", "run 1, pid 4711", {"run": 1, "pid": 4711}))
        while written < size:
            at, number = at + _STEP, number + 1
            block = encoder.feed(0, at, _lines(number))
            if number % 50 == 0:
                warning = f'worker-{number % 7}: slow query: "SELECT * FROM item WHERE id = {number}"\n'
                block += encoder.feed(1, at + 1, warning.encode())
            written += file.write(block)
    return at


def _lines(number: int) -> bytes:
    """What a web server says about so many requests, of about 100 bytes each."""
    path = _PATHS[number % len(_PATHS)]
    request = f"127.0.0.{number % 250} - GET {path}?page={number % 97}&sort=name HTTP/1.1 {200 + number % 5} "
    return "".join(
        f"{request}{number * 7919 % 100_000} {each}.7ms {number:08x}{each:02x}\n" for each in range(_LINES)
    ).encode()
