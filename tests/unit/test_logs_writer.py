from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.records import decoded

from runcept.logs import writer as writer_module
from runcept.logs.testing import SpoolFeeder
from runcept.logs.writer import LogWriter

AT = 1_795_334_400_000_000  # 2026-11-22T08:00:00Z


@dataclass
class Run:
    """A project, and one run of its process `web` whose keeper is played by the test."""

    project: Path
    directory: Path
    feeder: SpoolFeeder

    @property
    def log(self) -> Path:
        """The log of `web`."""
        return self.project / ".runcept" / "logs" / "web.jsonl"

    def write(self, text: str | bytes, stream: int = 0, at: int = 0) -> None:
        """The process writes, and the keeper reads it `at` microseconds after AT."""
        self.feeder.feed(stream, AT + at, text.encode() if isinstance(text, str) else text)

    def writer(self) -> LogWriter:
        """A writer as a daemon makes it, when it starts the run or takes it over."""
        return LogWriter(str(self.log), str(self.directory))

    def messages(self) -> list[str]:
        """What is in the log."""
        return [record["message"] for record in self.records()]

    def records(self) -> list[dict[str, Any]]:
        """The records of the log; fails where one is torn."""
        return [json.loads(line) for line in self.log.read_bytes().splitlines()]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """A project that was never started before."""
    project = tmp_path / "project"
    project.mkdir()
    with SpoolFeeder(str(tmp_path / "run"), segment_bytes=1000) as feeder:
        yield Run(project, tmp_path / "run", feeder)


@pytest.fixture
def writer(run: Run) -> Iterator[LogWriter]:
    """The writer of the run."""
    made = run.writer()
    yield made
    made.close()


def test_what_was_spooled_becomes_records(run: Run, writer: LogWriter) -> None:
    """Pump moves what is there and says how much; lifecycle records stand where they were noted."""
    writer.note("started", "run 1 started", at=AT / 1e6, run=1, pid=42)
    run.write("one\ntw")
    run.write("oops\n", stream=1, at=5)
    assert writer.pump() == 11
    assert writer.pump() == 0
    run.write("o\n", at=7)
    assert writer.pump() == 2
    assert writer.offset == 13
    assert run.messages() == ["run 1 started", "one", "oops", "two"]
    assert [record["stream"] for record in run.records()] == ["runcept", "stdout", "stderr", "stdout"]
    assert run.records()[3]["ts"] == "2026-11-22T08:00:00.000007Z"


def test_the_end_of_a_run_leaves_nothing_behind(run: Run, writer: LogWriter) -> None:
    """Finish pumps the rest and writes lines that were never ended, of both streams."""
    run.write("done\nbye")
    run.write("trace", stream=1, at=1)
    writer.finish()
    assert run.messages() == ["done", "bye", "trace"]
    assert writer.finished
    again = run.writer()
    assert again.finished
    assert again.pump() == 0
    again.close()


def test_a_silent_run_ends_without_a_log(run: Run, writer: LogWriter) -> None:
    """A process that wrote nothing makes no file, and is finished all the same."""
    writer.finish()
    assert writer.finished
    assert not run.log.exists()


def test_a_pump_moves_no_more_than_it_was_asked_to(run: Run, writer: LogWriter) -> None:
    """The limit is in bytes of the spool, so that one noisy process leaves time for the others."""
    run.write("x" * 99 + "\n")
    assert [writer.pump(40), writer.pump(40), writer.pump(40), writer.pump(40)] == [40, 40, 20, 0]
    assert run.messages() == ["x" * 99]


def test_the_log_is_private_and_out_of_version_control(run: Run, writer: LogWriter) -> None:
    """Output may hold secrets: only its owner reads it, and git ignores it."""
    run.write("secret\n")
    writer.pump()
    assert stat.S_IMODE(run.log.stat().st_mode) == 0o600
    assert (run.project / ".runcept" / ".gitignore").read_text(encoding="utf-8") == "*\n"


def test_segments_are_deleted_once_their_records_are_committed(run: Run, writer: LogWriter) -> None:
    """The spool does not grow with the run; a segment that an unfinished line is in stays."""
    run.write("prompt> ")
    for _ in range(30):
        run.write("e" * 199 + "\n", stream=1)
    writer.pump()
    assert (run.directory / f"{0:016x}.raw").exists()
    run.write("\n")
    writer.pump()
    assert len(list(run.directory.glob("*.raw"))) == 1


def test_an_unfinished_line_does_not_hold_the_spool_for_ever(
    run: Run, writer: LogWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once much of the other stream has passed, what there is of the line becomes a part, and its segment goes."""
    monkeypatch.setattr(writer_module, "_LAG_MAX", 3000)
    run.write("prompt> ")
    for _ in range(30):
        run.write("e" * 199 + "\n", stream=1)
    writer.pump(2000)
    assert "prompt> " not in run.messages()
    writer.pump()
    assert not (run.directory / f"{0:016x}.raw").exists()
    run.write("answer\n")
    writer.pump()
    assert decoded(run.log.read_bytes().splitlines())["stdout"] == b"prompt> answer\n"


def test_records_that_were_not_committed_are_cut_off_and_made_again(run: Run, writer: LogWriter) -> None:
    """A crash between append and commit doubles no line and leaves no torn one, to the byte."""
    run.write("one\n")
    writer.pump()
    before = (run.directory / "commit").read_bytes()
    run.write("two\nthr", at=1)
    run.write("err\n", stream=1, at=2)
    run.write("ee\n", at=3)
    writer.pump()
    whole = run.log.read_bytes()
    (run.directory / "commit").write_bytes(before)  # as if it had been killed just before
    run.log.write_bytes(whole[:-10])  # in the middle of the write
    second = run.writer()
    assert second.pump() > 0
    assert run.log.read_bytes() == whole
    second.close()


def test_a_line_in_the_making_survives_a_crash(run: Run, writer: LogWriter) -> None:
    """What one stream had not ended is read again, what the other wrote meanwhile is not doubled."""
    run.write("half ")
    run.write("err 1\nerr ", stream=1)
    writer.pump()
    second = run.writer()
    run.write("line\n")
    run.write("2\n", stream=1)
    second.finish()
    assert run.messages() == ["err 1", "half line", "err 2"]
    second.close()


def test_another_file_is_never_cut(run: Run, writer: LogWriter) -> None:
    """A log that was replaced, or that a later run has gone on with, is appended to."""
    run.write("one\n")
    writer.pump()
    committed = run.log.stat().st_size
    other = run.project / "other"
    other.write_text("a foreign text that is much longer than what was committed\n" * 3, encoding="utf-8")
    other.replace(run.log)
    run.write("two\n")
    writer.pump()
    assert run.log.read_text(encoding="utf-8").count("foreign") == 3

    later = LogWriter(str(run.log), str(run.directory.parent / "later"))
    later.note("started", "run 2 started", run=2)
    assert run.log.stat().st_size > committed
    run.write("three\n")
    second = run.writer()
    second.pump()
    assert [json.loads(line)["message"] for line in run.log.read_text().splitlines()[3:]] == [
        "two",
        "run 2 started",
        "three",
    ]
    later.close()
    second.close()


def test_notes_before_the_run_directory_exists_are_not_doubled_or_lost(run: Run) -> None:
    """A daemon notes the start before the keeper has made the run's directory."""
    directory = run.directory.parent / "next"
    writer = LogWriter(str(run.log), str(directory))
    writer.note("starting", "run 3 is about to start")
    with SpoolFeeder(str(directory)) as feeder:
        feeder.feed(0, AT, b"hello\n")
        writer.pump()
    second = LogWriter(str(run.log), str(directory))
    second.finish()
    assert run.messages() == ["run 3 is about to start", "hello"]
    writer.close()
    second.close()


def test_a_deleted_log_directory_is_made_again(run: Run, writer: LogWriter) -> None:
    """`rm -r .runcept` while a process runs costs what was in it and nothing more."""
    run.write("one\n")
    writer.pump()
    shutil.rmtree(run.project / ".runcept")
    run.write("two\n")
    writer.pump()
    assert run.messages() == ["two"]


def test_a_deleted_project_is_an_error_and_no_loss(run: Run, writer: LogWriter) -> None:
    """The project's directory is not made again; once it is back, pumping goes on where it was."""
    run.write("one\ntw")
    writer.pump()
    run.project.rename(run.project.with_name("away"))
    run.write("o\n")
    for _ in range(2):
        with pytest.raises(FileNotFoundError, match="project's directory is gone"):
            writer.pump()
    with pytest.raises(FileNotFoundError):
        writer.note("exited", "gone")
    assert not run.project.exists()
    run.project.with_name("away").rename(run.project)
    assert writer.pump() > 0
    assert run.messages() == ["one", "two"]


def test_a_full_disk_is_an_error_and_no_loss(run: Run, writer: LogWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a failed write left behind is taken back; nothing is lost or doubled once there is room."""
    run.write("one\ntw")
    run.write("err\n", stream=1)
    writer.pump()
    before = run.log.read_bytes()
    run.write("o\nthree\n", at=9)
    write, calls = os.write, []

    def full(file: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) % 2:
            return write(file, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        for _ in range(3):
            with pytest.raises(OSError, match="No space"):
                writer.pump()
            assert run.log.read_bytes() == before
    assert len(calls) == 6
    writer.pump()
    assert run.messages() == ["one", "err", "two", "three"]


def test_a_pipe_in_place_of_the_log_is_refused(run: Run, writer: LogWriter) -> None:
    """It would block the daemon."""
    run.log.parent.mkdir(parents=True)
    run.write("one\n")
    os.mkfifo(run.log)
    with pytest.raises(OSError, match="must be a regular file"):
        writer.pump()
    run.log.unlink()
    writer.pump()
    assert run.messages() == ["one"]


def test_a_link_in_place_of_the_log_gives_way(run: Run, writer: LogWriter, tmp_path: Path) -> None:
    """What it leads to is neither written to, nor made, nor removed: at the beginning as later."""
    precious = tmp_path / "precious"
    precious.write_text("mine\n")
    run.log.parent.mkdir(parents=True)
    run.log.symlink_to(precious)
    run.write("one\n")
    writer.pump()
    run.log.unlink()
    run.log.symlink_to(tmp_path / "nothing")
    run.write("two\n")
    writer.pump()
    assert run.messages() == ["two"]
    assert precious.read_text() == "mine\n"
    assert not (tmp_path / "nothing").exists()


def test_a_torn_end_of_the_log_does_not_swallow_what_follows(run: Run, writer: LogWriter) -> None:
    """Records begin on a line of their own, and no earlier than the newest in the file."""
    run.log.parent.mkdir(parents=True)
    run.log.write_text(
        '{"ts":"2030-01-01T00:00:00.000000Z","stream":"stdout","message":"fut"}\nplain', encoding="utf-8"
    )
    run.write("one\n")
    writer.pump()
    assert run.log.read_bytes().splitlines()[1] == b"plain"
    assert json.loads(run.log.read_bytes().splitlines()[2])["message"] == "one"
    run.log.write_text('{"ts":"2030-01-01T00:00:00.000000Z","stream":"stdout","message":"fut"}\n', encoding="utf-8")
    second = run.writer()
    run.write("two\n")
    second.pump()
    assert run.records()[1]["ts"] == "2030-01-01T00:00:00.000000Z"
    second.close()


def test_a_watch_is_told_once_when_its_line_is_in_the_log(run: Run, writer: LogWriter) -> None:
    """`log://ready` is searched in finished lines of both streams, however they were cut into reads."""
    told: list[tuple[str, bool]] = []
    writer.watch("ready in .* ms", lambda line: told.append((line, line in run.messages())))
    run.write("rea")
    run.write("not ready\n", stream=1)
    writer.pump()
    assert told == []
    run.write("dy in 300 ms\nready in 400 ms\n")
    writer.pump()
    run.write("ready in 500 ms\n")
    writer.pump()
    assert told == [("ready in 300 ms", True)]
    writer.watch("^Last words$", lambda line: told.append((line, True)))
    run.write("Last words", stream=1)
    writer.finish()
    assert told[1:] == [("Last words", True)]
