from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from runcept.core.model import LogLimits
from runcept.logs.compressor import Compressor
from runcept.logs.reader import follow, read
from runcept.logs.record import Line
from runcept.logs.rotation import Rotation
from runcept.logs.testing import SpoolFeeder
from runcept.logs.writer import LogWriter

AT = 1_795_334_400_000_000
LINES = 6000


@contextmanager
def written(tmp_path: Path, keep: int) -> Iterator[tuple[dict[str, str], threading.Event]]:
    """A log that is written meanwhile, rotated every 5 KB and compressed at once; the event tells that it is done."""
    log = tmp_path / ".runcept" / "logs" / "web.jsonl"
    compressor, done = Compressor(settle_seconds=0), threading.Event()
    rotation = Rotation(str(log), LogLimits(max_size=5000, keep=keep), compressor)

    def write() -> None:
        try:
            with (
                SpoolFeeder(str(tmp_path / "run")) as feeder,
                closing(LogWriter(str(log), str(tmp_path / "run"), run=1, rotation=rotation)) as writer,
            ):
                writer.note("started", "run 1 started", run=1, at=AT / 1e6)
                for number in range(LINES):
                    feeder.feed(0, AT + number // 7, b"%d\n" % number)
                    writer.pump()
        finally:
            done.set()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield {"web": str(log)}, done
    finally:
        thread.join()
        compressor.end()


def numbers(lines: list[Line]) -> list[int]:
    return [int(line.message) for line in lines if line.stream == "stdout"]


def test_a_follower_gets_each_line_once_however_often_the_log_is_rotated(tmp_path: Path) -> None:
    """From the first line to the last, in order, with its run."""
    with written(tmp_path, keep=10_000) as (logs, done):
        lines = list(follow(logs, lines=None, stop=done.is_set))
    assert numbers(lines) == list(range(LINES))
    assert {line.run for line in lines[1:]} == {1}


def test_a_cursor_gives_each_line_once_however_often_the_log_is_rotated(tmp_path: Path) -> None:
    """Asking again and again for what is new adds up to everything."""
    with written(tmp_path, keep=10_000) as (logs, done):
        got: list[int] = []
        cursor, is_last = None, False
        while not is_last:
            is_last = done.is_set()
            page = read(logs, lines=None, after=cursor)
            cursor = page.cursor
            got += numbers(page.lines)
    assert got == list(range(LINES))


@pytest.mark.parametrize("lines", [None, 200])
def test_what_is_read_meanwhile_has_no_gaps(tmp_path: Path, lines: int | None) -> None:
    """At every instant the newest lines that are kept, one behind the other."""
    with written(tmp_path, keep=4) as (logs, done):
        rounds = 0
        while not done.is_set():
            found = numbers(read(logs, lines=lines).lines)
            assert found == list(range(found[0], found[-1] + 1)) if found else True
            rounds += 1
    found = numbers(read(logs, lines=lines).lines)
    assert found == list(range(LINES - len(found), LINES))
    assert len(found) > 100
    assert rounds > 5


def test_a_follower_that_is_overtaken_goes_on_with_what_is_kept(tmp_path: Path) -> None:
    """What was removed before it came is lost to it; nothing that is kept is, and nothing comes twice."""
    with written(tmp_path, keep=2) as (logs, done):
        lines = follow(logs, lines=None, stop=lambda: True)
        first = next((line for line in lines if line.stream == "stdout"), None)
        while first is None:
            lines = follow(logs, lines=None, stop=lambda: True)
            first = next((line for line in lines if line.stream == "stdout"), None)
        done.wait(60)
        got = numbers([first, *lines])
    kept = numbers(read(logs, lines=None).lines)
    assert got == sorted(set(got))
    assert len(kept) > 50
    assert got[-len(kept) :] == kept
