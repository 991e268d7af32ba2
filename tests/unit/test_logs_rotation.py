from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runcept.api.messages import ClearLogs
from runcept.core.model import LogLimits
from runcept.logs import encoder as encoder_module
from runcept.logs.files import Position
from runcept.logs.follow import Tail
from runcept.logs.reader import follow, read
from runcept.logs.record import content
from runcept.logs.rotation import Rotation, reduce, remove, rotated
from runcept.logs.search import Query, Sieve
from runcept.logs.testing import SpoolFeeder
from runcept.logs.writer import LogWriter

AT = 1_795_334_400_000_000  # 2026-11-22T08:00:00Z


@dataclass
class Stage:
    """One run of `web`, whose log is rotated; the test plays the process and the keeper."""

    log: Path
    feeder: SpoolFeeder
    limits: LogLimits = field(default_factory=lambda: LogLimits(max_size=1000, keep=100))
    run: int = 1
    written: bytes = b""
    plain: list[str] = field(default_factory=list)
    """The logs whose rotations were to be compressed."""

    def request(self, path: str) -> None:
        self.plain.append(path)

    def let_go(self, descriptor: int) -> None:
        os.close(descriptor)

    def keep_within(self, directory: str, most: int, needed: frozenset[str]) -> None:
        reduce(directory, most, needed)

    def writer(self) -> LogWriter:
        rotation = Rotation(str(self.log), self.limits, self)
        return LogWriter(str(self.log), self.feeder.directory, run=self.run, rotation=rotation)

    def write(self, writer: LogWriter, count: int, length: int = 50) -> None:
        """`count` lines, each read at an instant of its own, into the log."""
        for _ in range(count):
            line = b"%06d" % len(self.written) + b"x" * length + b"\n"
            self.feeder.feed(0, AT + len(self.written), line)
            self.written += line
        while writer.pump():
            pass

    def names(self) -> list[str]:
        """The files of the log, and whatever else was left beside it."""
        return sorted(path.name for path in self.log.parent.iterdir())

    def output(self) -> bytes:
        """What a reader makes of all the files."""
        return b"".join(content(line) for line in read(self.logs, lines=None, stream="stdout").lines)

    @property
    def logs(self) -> dict[str, str]:
        """As the reader wants it."""
        return {"web": str(self.log)}


def records(path: Path | str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_bytes().splitlines()]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    log = tmp_path / ".runcept" / "logs" / "web.jsonl"
    with SpoolFeeder(str(tmp_path / "run")) as feeder:
        yield Stage(log, feeder)


@pytest.fixture
def writer(stage: Stage) -> Iterator[LogWriter]:
    made = stage.writer()
    yield made
    made.close()


def test_a_full_log_goes_on_in_a_new_file(stage: Stage, writer: LogWriter) -> None:
    """No file is larger than asked for, none much smaller, and all lines are there, in order, once."""
    stage.write(writer, 50)
    names = stage.names()
    assert names == sorted(["web.jsonl", *(f"web.jsonl.{n}" for n in range(1, len(names)))])
    sizes = [path.stat().st_size for path in stage.log.parent.iterdir() if path != stage.log]
    assert len(sizes) > 5
    assert max(sizes) <= 1000
    assert min(sizes) > 800
    assert stage.output() == stage.written
    stamps = [line.ts or "" for line in read(stage.logs, lines=None).lines]
    assert stamps == sorted(stamps)


def test_no_more_than_keep_rotations_are_kept(stage: Stage) -> None:
    """The newest lines stay, the oldest go, and the sum of all sizes is bounded."""
    stage.limits = LogLimits(max_size=1000, keep=2)
    writer = stage.writer()
    stage.write(writer, 200)
    assert stage.names() == ["web.jsonl", "web.jsonl.1", "web.jsonl.2"]
    kept = stage.output()
    assert len(kept) > 600
    assert stage.written.endswith(kept)
    writer.close()


def test_a_smaller_keep_removes_what_is_too_much(stage: Stage, writer: LogWriter) -> None:
    """At the next start, not only at the next rotation."""
    stage.write(writer, 100)
    assert len(stage.names()) > 5
    (stage.log.parent / "web.jsonl.20261122").write_bytes(b"made by somebody else\n")
    stage.limits = LogLimits(max_size=1_000_000, keep=3)
    with_less = stage.writer()
    stage.write(with_less, 1)
    assert stage.names() == ["web.jsonl", "web.jsonl.1", "web.jsonl.2", "web.jsonl.20261122", "web.jsonl.3"]
    with_less.close()


def test_keep_nothing_leaves_one_file(stage: Stage) -> None:
    """`keep = 0`: the newest lines alone, without an instant at which there is no file."""
    stage.limits = LogLimits(max_size=1000, keep=0)
    writer = stage.writer()
    stage.write(writer, 100)
    assert stage.names() == ["web.jsonl"]
    assert 100 < stage.log.stat().st_size <= 1000
    assert stage.written.endswith(stage.output())
    writer.close()


def test_a_new_file_tells_the_run_that_goes_on_in_it(stage: Stage) -> None:
    """The files before it may be gone: which run wrote a line is known without them, and runs are told apart."""
    stage.run = 3
    writer = stage.writer()
    writer.note("started", "run 3 started", run=3, at=AT / 1e6)
    stage.write(writer, 50)
    first = records(stage.log)[0]
    assert (first["stream"], first["event"], first["run"]) == ("runcept", "continued", 3)
    assert first["ts"] == records(stage.log)[1]["ts"]
    assert records(f"{stage.log}.{len(stage.names()) - 1}")[0]["event"] == "started"
    for lines in (1, 30, None):
        assert {line.run for line in read(stage.logs, lines=lines).lines} == {3}
    whole = read(stage.logs, lines=None).lines
    for run in (3, "last"):
        assert read(stage.logs, lines=None, run=run).lines == whole
    assert read(stage.logs, lines=None, run=2).lines == []
    for number, name in rotated(str(stage.log)):
        if number > 1:
            os.unlink(name)
    choices: list[dict[str, Any]] = [{"lines": None}, {"lines": 1}, {"lines": None, "grep": "xxx"}]
    for choice in choices:
        assert {line.run for line in read(stage.logs, **choice).lines} == {3}
    writer.close()


def test_a_follower_learns_the_run_from_a_file_that_goes_on_with_it(stage: Stage, writer: LogWriter) -> None:
    """Also one that was there before the log was."""
    tail = Tail("web", str(stage.log), Position(), None, Sieve(Query()))
    assert tail.poll() == []
    stage.write(writer, 3)
    assert [line.run for line in tail.poll()] == [1, 1, 1, 1]
    tail.close()


def test_a_log_that_is_deleted_does_not_bring_back_its_rotations(stage: Stage, writer: LogWriter) -> None:
    """A follower has shown them; it goes on with the new file."""
    stage.write(writer, 30)
    lines = follow(stage.logs, lines=1, stop=lambda: True)
    next(lines)
    stage.log.unlink()
    shown = len(stage.written)
    stage.write(writer, 25)
    assert b"".join(content(line) for line in lines if line.stream == "stdout") == stage.written[shown:]


def test_a_cursor_of_a_log_that_is_deleted_does_not_bring_back_its_rotations(stage: Stage, writer: LogWriter) -> None:
    """It was given behind them."""
    stage.write(writer, 30)
    cursor = read(stage.logs).cursor
    stage.log.unlink()
    shown = len(stage.written)
    stage.write(writer, 25)
    lines = read(stage.logs, lines=None, after=cursor, stream="stdout").lines
    assert b"".join(map(content, lines)) == stage.written[shown:]


@pytest.mark.parametrize("name", ["../web", "a/b", "", "."])
def test_a_log_outside_of_its_directory_cannot_be_cleared(name: str) -> None:
    """The daemon removes what has the name of a process, and nothing else."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"environment": "/shop", "names": [name]}, ClearLogs)


def test_runs_that_lie_in_several_files_are_told_apart(stage: Stage, writer: LogWriter, tmp_path: Path) -> None:
    """`--run N` and `--run last` begin and end in whatever file; each line is of the run that wrote it."""
    writer.note("started", "run 1 started", run=1)
    stage.write(writer, 30)
    writer.finish()
    with SpoolFeeder(str(tmp_path / "next")) as feeder:
        second = Stage(stage.log, feeder, run=2)
        later = second.writer()
        later.note("started", "run 2 started", run=2)
        second.write(later, 30)
        later.close()
    for run, output in ((1, stage.written), (2, second.written), ("last", second.written)):
        lines = read(stage.logs, lines=None, run=run, stream="stdout").lines
        assert b"".join(map(content, lines)) == output
        assert {line.run for line in lines} == {2 if run == "last" else run}
    assert [line.run for line in read(stage.logs, lines=None, stream="stdout").lines] == [1] * 30 + [2] * 30


def test_a_start_needs_no_other_record_before_it(stage: Stage, writer: LogWriter) -> None:
    """A file that a run's start is the first record of has nothing to add to that."""
    stage.write(writer, 12, 40)
    while stage.log.stat().st_size < 920:
        stage.write(writer, 1, 0)
    writer.note("started", "run 2 started, which makes the file too large", run=2)
    assert [record["event"] for record in records(stage.log)] == ["started"]


def test_a_line_that_is_larger_than_a_file_is_not_torn(stage: Stage, writer: LogWriter) -> None:
    """It has a file of its own, and goes the way of all."""
    stage.write(writer, 3)
    stage.write(writer, 1, 5000)
    stage.write(writer, 20)
    assert [record["message"][:6] for record in records(f"{stage.log}.{len(stage.names()) - 2}")[1:]] == ["000171"]
    assert stage.output() == stage.written


def test_the_parts_of_a_line_stay_together(stage: Stage, writer: LogWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may become a quarter too large for it; a line without an end is torn all the same."""
    monkeypatch.setattr(encoder_module, "PART_MAX", 100)
    stage.write(writer, 5)
    stage.write(writer, 1, 170)
    assert [record.get("partial") for record in records(stage.log)] == [None] * 6 + [True, None]
    assert 1000 < stage.log.stat().st_size <= 1250
    stage.write(writer, 1, 5000)
    assert max(path.stat().st_size for path in stage.log.parent.iterdir()) <= 1250
    assert stage.output() == stage.written


@pytest.mark.parametrize("line", [b"\n", b"\x00\xff\n", b"a\n" * 3 + b"\n"], ids=["blank", "binary", "short"])
def test_no_output_makes_a_file_too_large(stage: Stage, line: bytes) -> None:
    """However much larger its records are than what was read."""
    stage.limits = LogLimits(max_size=20_000, keep=1000)
    writer = stage.writer()
    stage.feeder.feed(0, AT, line * 5000)
    while writer.pump():
        pass
    assert len(stage.names()) > 5
    assert max(path.stat().st_size for path in stage.log.parent.iterdir()) <= 20_000
    assert stage.output() == line * 5000
    writer.close()


def test_files_of_one_instant_are_told_apart(stage: Stage) -> None:
    """A cursor knows its file even where all of several files was read at once, and so has one `ts`."""
    stage.limits = LogLimits(max_size=2000, keep=1000)
    writer = stage.writer()
    stage.feeder.feed(0, AT, b"".join(b"%d\n" % number for number in range(2000)))
    got: list[str] = []
    cursor = None
    while writer.pump(500):
        page = read(stage.logs, lines=None, after=cursor, stream="stdout")
        cursor = page.cursor
        got += [line.message for line in page.lines]
    assert got == [str(number) for number in range(2000)]
    writer.close()


def test_a_free_number_is_filled(stage: Stage, writer: LogWriter) -> None:
    """As a kill between two renames leaves it: nothing beyond it moves."""
    stage.write(writer, 40)
    before = {number: os.stat(name).st_ino for number, name in rotated(str(stage.log))}
    os.rename(f"{stage.log}.2", f"{stage.log}.aside")
    stage.write(writer, 8)
    after = {number: os.stat(name).st_ino for number, name in rotated(str(stage.log))}
    assert after[2] == before[1]
    assert {number: after[number] for number in before if number > 2} == {n: i for n, i in before.items() if n > 2}


def test_a_file_that_is_there_twice_is_read_once_and_cleared_up(stage: Stage, writer: LogWriter) -> None:
    """As a kill of the compressor leaves it: compressed, and not yet removed."""
    import gzip

    stage.write(writer, 40)
    Path(f"{stage.log}.2.gz").write_bytes(gzip.compress(Path(f"{stage.log}.2").read_bytes()))
    assert stage.output() == stage.written
    stage.write(writer, 8)
    assert "web.jsonl.3.gz" in stage.names()
    assert "web.jsonl.3" not in stage.names()
    assert stage.output() == stage.written


def test_what_is_to_be_compressed_is_told(stage: Stage, writer: LogWriter) -> None:
    """At each rotation, and at a start that finds plain files; never with `compress = false`."""
    stage.write(writer, 30)
    assert stage.plain == [str(stage.log)] * (len(stage.names()) - 1)
    stage.plain.clear()
    again = stage.writer()
    stage.write(again, 1)
    assert stage.plain
    again.close()
    stage.limits = LogLimits(max_size=1000, compress=False)
    stage.plain.clear()
    never = stage.writer()
    stage.write(never, 30)
    assert stage.plain == []
    never.close()


def test_a_full_disk_delays_a_rotation(stage: Stage, writer: LogWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new file cannot be made: an error, nothing lost; it is made once there is room."""
    stage.write(writer, 5)
    opened = os.open

    def full(path: str, *rest: Any) -> int:
        if str(path).endswith(".new"):
            raise OSError(28, "No space left on device")
        return opened(path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", full)
        for _ in range(3):
            with pytest.raises(OSError, match="No space"):
                stage.write(writer, 20)
    stage.write(writer, 1)
    assert stage.output() == stage.written


def test_a_log_is_emptied_while_its_run_goes_on(stage: Stage, writer: LogWriter) -> None:
    """All that was is gone, what comes is there, and its run is known."""
    stage.write(writer, 50)
    gone = len(stage.written)
    writer.clear()
    assert stage.names() == ["web.jsonl"]
    assert [record["event"] for record in records(stage.log)] == ["continued"]
    stage.write(writer, 3)
    assert stage.output() == stage.written[gone:]
    assert {line.run for line in read(stage.logs).lines} == {1}


def test_a_writer_goes_on_after_others_emptied_its_log(stage: Stage, writer: LogWriter) -> None:
    """`--clear` without a daemon, or a person's rm: the next line begins a new file."""
    stage.write(writer, 50)
    gone = len(stage.written)
    remove(str(stage.log))
    assert stage.names() == []
    stage.write(writer, 30)
    assert stage.output() == stage.written[gone:]
    assert records(stage.log)[0]["event"] == "continued"


@pytest.mark.parametrize("reach", [500, 5000])
def test_a_reader_may_look_at_the_newest_bytes_alone(stage: Stage, reach: int) -> None:
    """What is beyond is not searched, but a line's run is."""
    stage.limits = LogLimits(max_size=1_000_000)
    long = stage.writer()
    long.note("started", "run 1 started", run=1)
    stage.write(long, 2000)
    lines = read(stage.logs, lines=None, stream="stdout", run=1, reach=reach).lines
    assert 0 < len(lines) < 1000
    assert b"".join(map(content, lines)) == stage.written[-57 * len(lines) :]
    long.close()


def test_rotations_are_found_by_their_names_alone(tmp_path: Path) -> None:
    """What else begins like a log is another's."""
    for name in (
        "web.jsonl.1",
        "web.jsonl.2.gz",
        "web.jsonl.10",
        "web.jsonl.gz.new",
        "web.jsonl.new",
        "web.jsonl.1.jsonl",
    ):
        (tmp_path / name).touch()
    (tmp_path / "web.jsonl.3").mkdir()
    found = rotated(str(tmp_path / "web.jsonl"))
    assert [(number, os.path.basename(name)) for number, name in found] == [
        (1, "web.jsonl.1"),
        (2, "web.jsonl.2.gz"),
        (10, "web.jsonl.10"),
    ]
    assert rotated(str(tmp_path / "nowhere" / "web.jsonl")) == []


def test_all_logs_of_a_project_together_are_bounded(stage: Stage) -> None:
    """The oldest go first, rotations and logs of processes that are no more, whosever they are; no other file does."""
    directory = stage.log.parent
    directory.mkdir(parents=True)
    dropped, idle = directory / "dropped.jsonl", directory / "idle.jsonl"
    others = [directory / "notes.txt", directory / "web.jsonl.20261122", directory / "link.jsonl"]
    for path, age in ((Path(f"{dropped}.2.gz"), 9), (Path(f"{idle}.1"), 8), (Path(f"{dropped}.1"), 7), (dropped, 6)):
        path.write_bytes(b"x" * 3000)
        os.utime(path, (1e9 - age, 1e9 - age))
    idle.write_bytes(b"x" * 3000)
    others[0].write_bytes(b"x" * 50_000)
    others[1].write_bytes(b"x" * 50_000)
    others[2].symlink_to(others[0])

    def total() -> int:
        return sum(path.stat().st_size for path in directory.iterdir() if path not in others)

    def written(most: int, count: int) -> set[str]:
        stage.limits = LogLimits(max_size=2000, keep=100, max_total=most)
        rotation = Rotation(str(stage.log), stage.limits, stage, frozenset([str(idle)]))
        writer = LogWriter(str(stage.log), stage.feeder.directory, run=1, rotation=rotation)
        stage.write(writer, count)
        writer.close()
        return {path.name for path in directory.iterdir() if path not in others}

    assert {"dropped.jsonl.2.gz", "idle.jsonl.1", "dropped.jsonl.1"} < written(30_000, 20)
    left = written(14_000, 20)
    assert not left & {"dropped.jsonl.2.gz", "idle.jsonl.1"}
    assert {"dropped.jsonl", "idle.jsonl", "web.jsonl", "web.jsonl.1"} <= left
    assert total() <= 14_000 + 2000
    assert stage.written.endswith(stage.output()[-500:])
    assert written(2000, 20) == {"idle.jsonl", "web.jsonl"}
    assert all(path.exists() for path in others)
