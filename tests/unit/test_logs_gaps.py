"""Output that was spooled and is not there: the log says how much of it, and between which instants, and goes on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runcept.logs.record import instant_text
from runcept.logs.spool import segment_path
from runcept.logs.testing import SpoolFeeder
from runcept.logs.writer import LogWriter

AT = 1_795_334_400_000_000  # 2026-11-22T08:00:00Z
LINE = b"0123456789\n"
UNREADABLE = Path("/sys/devices/software/power/autosuspend_delay_ms")
"""A regular file that says it has bytes, and answers a read with EIO."""


class Run:
    """A run whose keeper is played by the test: a line a second, three in a segment."""

    def __init__(self, root: Path) -> None:
        self.directory = str(root / "run")
        (root / "project").mkdir()
        self.log = root / "project" / ".runcept" / "logs" / "web.jsonl"
        self.feeder = SpoolFeeder(self.directory, segment_bytes=3 * len(LINE))
        self.lines = 0

    def write(self, count: int = 1, data: bytes = LINE) -> None:
        """The process writes this so often."""
        for _ in range(count):
            self.feeder.feed(0, AT + self.lines * 1_000_000, data)
            self.lines += 1

    def segment(self, number: int) -> str:
        """The path of a segment, counted from 0."""
        return segment_path(self.directory, number * 3 * len(LINE), "raw")

    def writer(self) -> LogWriter:
        """A writer as a daemon makes it."""
        return LogWriter(str(self.log), self.directory, run=7)

    def told(self) -> list[Any]:
        """The log: the bytes that each gap tells of, and the messages between; without what begins a file."""
        records = [json.loads(line) for line in self.log.read_bytes().splitlines()]
        return [
            record["bytes"] if record.get("event") == "gap" else record["message"]
            for record in records
            if record.get("event") != "continued"
        ]

    def gap(self) -> dict[str, Any]:
        """The only gap in the log."""
        records = [json.loads(line) for line in self.log.read_bytes().splitlines()]
        (gap,) = [record for record in records if record.get("event") == "gap"]
        return dict(gap)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """A run that has written nothing."""
    made = Run(tmp_path)
    yield made
    made.feeder.close()


@pytest.fixture
def writer(run: Run) -> Iterator[LogWriter]:
    """The writer of the run."""
    made = run.writer()
    yield made
    made.close()


TEXT = LINE.decode().strip()


def test_a_segment_that_is_gone_is_told_with_its_bytes_and_instants(run: Run, writer: LogWriter) -> None:
    """Between the last line before it and the first one behind it."""
    run.write(3)
    writer.pump()
    run.write(6)
    os.unlink(run.segment(1))
    while writer.pump(upto=run.feeder.offset):
        pass
    assert run.told() == [*[TEXT] * 3, 33, *[TEXT] * 3]
    gap = run.gap()
    assert (gap["stream"], gap["run"]) == ("runcept", 7)
    assert (gap["since"], gap["until"]) == (instant_text(AT + 2_000_000), instant_text(AT + 6_000_000))
    assert gap["ts"] == gap["until"]


def test_a_segment_that_was_cut_short_is_told(run: Run, writer: LogWriter) -> None:
    """What is left of it is logged, and the line that was cut does not go on with the next one."""
    run.write(6)
    os.truncate(run.segment(0), len(LINE) + 4)
    while writer.pump(upto=run.feeder.offset):
        pass
    assert run.told() == [TEXT, "0123", 18, *[TEXT] * 3]


def test_what_is_gone_at_the_end_is_told_once(run: Run, writer: LogWriter) -> None:
    """Nothing is behind it yet; what comes is logged."""
    run.write(4)
    os.truncate(run.segment(1), 0)
    assert writer.pump(upto=run.feeder.offset) == 33
    assert writer.pump(upto=run.feeder.offset) == 11
    assert writer.pump(upto=run.feeder.offset) == 0
    assert writer.offset == run.feeder.offset
    assert run.told() == [*[TEXT] * 3, 11]
    assert run.gap()["since"] == instant_text(AT + 2_000_000)


def test_what_was_not_told_of_is_waited_for(run: Run, writer: LogWriter) -> None:
    """An empty spool is no gap, nor is a beginning that was logged and deleted before there was a commit."""
    assert writer.pump() == 0
    run.write(4)
    os.unlink(run.segment(0))
    late = run.writer()
    late.finish()
    late.close()
    assert run.told() == [TEXT]


def test_a_new_writer_tells_of_a_gap_when_it_finishes(run: Run, writer: LogWriter) -> None:
    """Nobody tells it how much there should be: that a later segment is there says so."""
    run.write(3)
    writer.pump()
    run.write(6)
    os.unlink(run.segment(1))
    late = run.writer()
    late.finish()
    late.close()
    assert run.told() == [*[TEXT] * 3, 33, *[TEXT] * 3]


def test_a_gap_that_cannot_be_logged_is_told_when_it_can(run: Run, writer: LogWriter) -> None:
    """As everything else: once, and in its place."""
    run.write(3)
    run.write(1, b"unfinished ")
    writer.pump()
    run.write(2)
    os.truncate(run.segment(1), len("unfinished "))
    away = run.log.parents[2].rename(run.log.parents[2].with_name("away"))
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            writer.pump(upto=run.feeder.offset)
    away.rename(run.log.parents[2])
    while writer.pump(upto=run.feeder.offset):
        pass
    assert run.told() == [*[TEXT] * 3, "unfinished ", 22]


def test_a_commit_beyond_the_spool_waits_for_what_comes_behind_it(run: Run, writer: LogWriter) -> None:
    """Offsets are of the run, not of a file: what was logged is not logged again, though the file is shorter."""
    run.write(2)
    writer.pump()
    os.truncate(run.segment(0), len(LINE))
    late = run.writer()
    assert late.pump() == 0
    assert late.offset == 2 * len(LINE)
    late.finish()
    late.close()
    assert run.told() == [TEXT] * 2


def test_the_commit_outlives_a_directory_that_was_removed(run: Run, writer: LogWriter) -> None:
    """It is written into the directory that is there, so that a new writer does not begin anew."""
    run.write(3)
    writer.pump()
    shutil.rmtree(run.directory)
    os.mkdir(run.directory, 0o700)
    run.write(3)  # into a segment of its own, as the keeper does
    writer.pump(upto=run.feeder.offset)
    late = run.writer()
    late.finish()
    late.close()
    assert run.told() == [TEXT] * 6


@pytest.mark.skipif(not UNREADABLE.exists(), reason="there is no file here whose bytes cannot be read")
def test_a_disk_that_does_not_give_bytes_back_is_a_gap(run: Run, writer: LogWriter) -> None:
    """EIO costs the segment, not the log."""
    run.write(3)
    writer.pump()
    run.write(6)
    os.unlink(run.segment(1))
    os.symlink(UNREADABLE, run.segment(1))
    while writer.pump(upto=run.feeder.offset):
        pass
    assert run.told() == [*[TEXT] * 3, 33, *[TEXT] * 3]
