"""Log records as the writer makes them, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Iterable

from runcept.logs.encoder import Encoder
from runcept.logs.record import content, lifecycle, parse

__all__ = ["AT", "decoded", "said", "started"]

AT = 1_795_334_400_000_000  # 2026-11-22T08:00:00Z
SECOND = 1_000_000


def started(run: int, at: int = 0) -> bytes:
    """The record that begins a run, `at` seconds after AT."""
    return lifecycle(AT + at * SECOND, "started", f"run {run} started", {"run": run})


def said(numbers: Iterable[int], text: str = "line", stream: int = 0) -> bytes:
    """Records of lines "TEXT N", each N seconds after AT."""
    encoder = Encoder()
    return b"".join(encoder.feed(stream, AT + n * SECOND, f"{text} {n}\n".encode()) for n in numbers)


def decoded(records: Iterable[bytes]) -> dict[str, bytes]:
    """What each stream wrote, byte for byte, from the lines of a log."""
    streams: dict[str, list[bytes]] = {}
    for raw in records:
        line = parse(raw, "")
        streams.setdefault(line.stream, []).append(content(line))
    return {stream: b"".join(parts) for stream, parts in streams.items()}
