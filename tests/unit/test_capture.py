"""The thread that moves output into logs tells how far it is, whatever has made it move."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from runcept.core.model import LogLimits
from runcept.daemon.capture import Capture, Note, Output
from runcept.logs.testing import SpoolFeeder


def test_output_that_a_note_has_taken_along_is_reported(tmp_path: Path) -> None:
    """Who waits for the last byte waits for no more than that, though it was written for the sake of a record."""

    async def scene() -> tuple[bool, float]:
        consumed: list[int] = []
        capture = Capture(asyncio.get_running_loop(), lambda _key, offset: consumed.append(offset), lambda *_: None)
        try:
            output = Output(str(tmp_path / "run"), str(tmp_path / ".runcept" / "logs" / "web.jsonl"), 1, LogLimits())
            await capture.open("web", output, Note("started", "run 1, pid 1", {"run": 1}), None)
            with SpoolFeeder(output.directory) as feeder:
                feeder.feed(0, 1_795_334_400_000_000, b"last words\n")
            size = feeder.offset
            begun = time.monotonic()
            capture.more("web", size)
            capture.note("web", Note("exited", "run 1: exit code 0", {"run": 1}))
            is_drained = await capture.drained("web", size, 30)
            assert consumed[-1] == size
            return is_drained, time.monotonic() - begun
        finally:
            capture.end()

    is_drained, seconds = asyncio.run(scene())
    assert is_drained
    assert seconds < 15
    lines = [json.loads(line) for line in (tmp_path / ".runcept" / "logs" / "web.jsonl").read_text().splitlines()]
    assert [line["message"] for line in lines] == ["run 1, pid 1", "last words", "run 1: exit code 0"]
