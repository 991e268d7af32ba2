from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.records import AT, said, started

from runcept.core.model import LogLimits
from runcept.logs.compressor import Compressor
from runcept.logs.reader import follow
from runcept.logs.record import lifecycle
from runcept.logs.rotation import Rotation
from runcept.logs.testing import SpoolFeeder
from runcept.logs.writer import LogWriter


@dataclass
class Kept:
    """A log of which three files of 5 KB are kept; the test plays the process."""

    log: Path
    feeder: SpoolFeeder
    writer: LogWriter

    def prints(self, data: bytes, stream: int = 0) -> None:
        """The process writes, and that comes into the log."""
        self.feeder.feed(stream, AT + self.feeder.offset, data)
        self.writer.pump()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    """Run 1 has begun."""
    log = tmp_path / ".runcept" / "logs" / "web.jsonl"
    compressor = Compressor()
    rotation = Rotation(str(log), LogLimits(max_size=5000, keep=2, compress=False), compressor)
    with (
        SpoolFeeder(str(tmp_path / "run")) as feeder,
        closing(LogWriter(str(log), str(tmp_path / "run"), run=1, rotation=rotation)) as writer,
    ):
        writer.note("started", "run 1 started", run=1, at=AT / 1e6)
        yield Kept(log, feeder, writer)
    compressor.end()


def text(number: int) -> bytes:
    """A line whose length is known."""
    return b"%06d\n" % number


def test_a_follower_is_told_how_much_was_removed_before_it_came(kept: Kept) -> None:
    """To the byte, in the place of what is missing, whatever it filters for, and each time that it happens."""
    kept.prints(text(0))
    lines = follow({"web": str(kept.log)}, grep=r"^\d+$", stop=lambda: True)
    got = [next(lines)]
    for number in range(1, 1001):
        kept.prints(text(number))
    got += [next(lines) for _ in range(80)]
    for number in range(1001, 2001):
        kept.prints(text(number))
    got += lines
    numbers = [int(line.message) for line in got if line.event is None]
    told = [position for position, line in enumerate(got) if line.event == "removed"]
    assert len(told) == 2
    for position in told:
        before, after = int(got[position - 1].message), int(got[position + 1].message)
        missing = (after - before - 1) * len(text(0))
        assert got[position].message.startswith(f"{missing} bytes of output were removed before")
        assert (got[position].stream, got[position].run, missing > 0) == ("runcept", 1, True)
    assert (numbers[0], numbers[-1]) == (0, 2000)
    assert numbers == sorted(set(numbers))


def test_a_follower_that_has_seen_all_is_told_nothing(kept: Kept) -> None:
    """Its file may be gone and nothing missing: rotated away, or cleared, also while lines are unfinished."""
    kept.prints(text(0))
    lines = follow({"web": str(kept.log)}, lines=None, stop=lambda: True)
    got = [next(lines), next(lines)]
    kept.prints(b"half a line ")
    kept.prints(b"a warning\n", stream=1)
    kept.writer.clear()
    got += lines
    assert [line.event for line in got if line.stream == "runcept"] == ["started", "continued"]


def test_runs_of_which_some_may_be_gone_are_told_too(tmp_path: Path) -> None:
    """Where it cannot be known how much is missing, it is said that something may be; not between whole runs."""
    log = tmp_path / "logs" / "web.jsonl"
    for runs, ended, told in [((1, 2), True, 0), ((1, 2), False, 1), ((1, 3), True, 1)]:
        shutil.rmtree(log.parent, ignore_errors=True)
        end = lifecycle(AT, "exited", "run 1: exit code 0", {"run": 1}) if ended else said([1])
        log.parent.mkdir()
        log.write_bytes(started(runs[0]) + said([0]) + end)
        lines = follow({"web": str(log)}, stop=lambda: True)
        got = [next(lines)]
        log.unlink()
        log.write_bytes(started(runs[1], 5) + said([6]))
        got += lines
        removed = [line for line in got if line.event == "removed"]
        assert [line.message.startswith("some output may have been removed") for line in removed] == [True] * told
        assert got[-1].message == "line 6"
