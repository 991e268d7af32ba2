"""Logs of old, and files that mix formats: everything that reads, follows, searches or rotates logs takes them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import msgspec
import pytest
from tests.records import AT, said, started
from tests.unit.test_logs_follow import Follower

from runcept.core.model import LogLimits
from runcept.logs import files as files_module
from runcept.logs.reader import LogPage, read
from runcept.logs.rotation import Rotation
from runcept.logs.testing import SpoolFeeder
from runcept.logs.writer import LogWriter


def old(text: str, second: int, level: str = "INFO", zone: str = "Z") -> bytes:
    """A record as older versions wrote it, so many seconds after AT."""
    stamp = f"2026-11-22T08:{second // 60:02d}:{second % 60:02d}.5{zone}"
    return json.dumps({"timestamp": stamp, "level": level, "message": text, "process_name": "web"}).encode() + b"\n"


def messages(page: LogPage) -> list[str]:
    """What a page says."""
    return [line.message for line in page.lines]


class Uncompressed:
    """Answers for the compressor, and compresses nothing."""

    def request(self, path: str) -> None:
        """A rotation may be compressed."""

    def let_go(self, descriptor: int) -> None:
        """A descriptor is not needed any more."""

    def keep_within(self, directory: str, most: int, needed: frozenset[str]) -> None:
        """All logs together may be too large."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the log of `web` is, when it is."""
    log = tmp_path / ".runcept" / "logs" / "web.jsonl"
    log.parent.mkdir(parents=True)
    return log


@pytest.fixture(params=[64, 1 << 18], ids=["small blocks", "blocks"])
def _blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads so small that every line is longer than a block, and ordinary ones."""
    monkeypatch.setattr(files_module, "_FIRST_BLOCK", request.param)
    monkeypatch.setattr(files_module, "_BLOCK", request.param)


@pytest.fixture
def mixed(log: Path) -> dict[str, str]:
    """A log whose process was first run by an older version; plain text, records of old, and today's."""
    log.write_bytes(
        b"plain one\n  indented\n\n"
        + old("old 10", 10)
        + b"plain two\n"
        + old("old 20", 20, "ERROR")
        + started(1, 30)
        + said([31, 32])
        + b'{"note":"no message"}\n[1,2]\n{broken\n\xff\xfe\n'
        + said([40], "bad", stream=1)
    )
    return {"web": str(log)}


ALL = ["plain one", "  indented", "", "old 10", "plain two", "old 20", "run 1 started", "line 31", "line 32"]
ALL += ['{"note":"no message"}', "[1,2]", "{broken", r"\xff\xfe", "bad 40"]


@pytest.mark.usefixtures("_blocks")
def test_every_line_is_shown_where_it_stands(mixed: dict[str, str]) -> None:
    """What is no record is text; what is one of old has its instant, and its level for scripts."""
    page = read(mixed)
    assert messages(page) == ALL
    assert messages(read(mixed, lines=6)) == ALL[-6:]
    assert {line.stream for line in page.lines} == {"stdout", "stderr", "runcept"}
    assert [line.ts for line in page.lines[2:5]] == [None, "2026-11-22T08:00:10.500000Z", None]
    as_json = json.loads(msgspec.json.encode(page))["lines"]
    assert as_json[5]["level"] == "ERROR"
    assert not any("level" in line for line in as_json[6:])
    assert as_json[12]["binary"] is True


@pytest.mark.usefixtures("_blocks")
def test_lines_of_old_are_chosen_by_time_words_stream_and_run(mixed: dict[str, str]) -> None:
    """A line without an instant goes with the line before it."""
    at = AT / 1e6
    assert messages(read(mixed, since=at + 10)) == ALL[3:]
    assert messages(read(mixed, since=at + 11)) == ALL[5:]
    assert messages(read(mixed, until=at + 19)) == ALL[:5]
    assert messages(read(mixed, since=at + 32, until=at + 39)) == ALL[8:13]
    assert messages(read(mixed, grep="^(plain|old)")) == ["plain one", "old 10", "plain two", "old 20"]
    assert messages(read(mixed, grep="broken")) == ["{broken"]
    assert messages(read(mixed, stream="stderr")) == ["bad 40"]
    assert "old 20" in messages(read(mixed, stream="stdout"))
    assert messages(read(mixed, run="last")) == ALL[6:]
    assert {line.run for line in read(mixed).lines[:6]} == {None}


def test_logs_of_old_are_merged_by_time(mixed: dict[str, str], tmp_path: Path) -> None:
    """With those of other processes, whatever zone their instants are written in."""
    (tmp_path / "b").write_bytes(
        old("b 5", 5, zone="+00:00") + b"b text\n" + old("b 3615", 15, zone="-01:00") + old("no zone 3616", 16)[:-1]
    )
    found = messages(read({**mixed, "b": str(tmp_path / "b")}))
    assert found[:6] == ["plain one", "  indented", "", "b 5", "b text", "old 10"]
    assert found.index("bad 40") < found.index("b 3615")


def test_logs_of_old_are_followed(log: Path) -> None:
    """From the end of the old text into what is written today, over a rotation."""
    log.write_bytes(b"plain one\n" + old("old 10", 10))
    follower = Follower({"web": str(log)})
    follower.start()
    with log.open("ab") as file:
        file.write(b"plain two\n" + old("old 20", 20) + said([21]))
    follower.settle()
    log.rename(f"{log}.1")
    log.write_bytes(b"plain three\n" + said([30]))
    follower.settle()
    follower.end()
    assert follower.messages() == ["plain one", "old 10", "plain two", "old 20", "line 21", "plain three", "line 30"]


@pytest.mark.usefixtures("_blocks")
def test_rotations_may_be_of_another_format(log: Path) -> None:
    """And may lack their last newline."""
    Path(f"{log}.2.gz").write_bytes(gzip.compress(b"plain one\nplain two"))
    Path(f"{log}.1").write_bytes(old("old 10", 10).rstrip())
    log.write_bytes(said([20]))
    web = {"web": str(log)}
    assert messages(read(web)) == ["plain one", "plain two", "old 10", "line 20"]
    assert messages(read(web, grep="plain")) == ["plain one", "plain two"]


@pytest.mark.parametrize("end", [b"plain text", b"plain text\n", old("old 10", 10), old("old 10", 10)[:-1]])
def test_a_log_of_old_goes_on_with_records_of_today(log: Path, tmp_path: Path, end: bytes) -> None:
    """Nothing of it is lost or changed, whether or not its last line is ended; then it is rotated like any other."""
    log.write_bytes(b"plain one\n" * 20 + end)
    web = {"web": str(log)}
    before = messages(read(web, lines=None))
    assert len(before) == 21
    with SpoolFeeder(str(tmp_path / "run")) as feeder:
        rotation = Rotation(str(log), LogLimits(max_size=600, keep=100), Uncompressed())
        writer = LogWriter(str(log), feeder.directory, run=1, rotation=rotation)
        writer.note("started", "run 1", at=AT / 1e6 + 100, run=1)
        for number in range(20):
            feeder.feed(0, AT + 101_000_000 + number, f"today {number}\n".encode())
            writer.flush()
        writer.close()
    assert Path(f"{log}.3").exists()
    today = ["run 1", *(f"today {number}" for number in range(20))]
    shown = [line for line in read(web, lines=None).lines if line.event != "continued"]
    assert [line.message for line in shown] == [*before, *today]
    assert messages(read(web, run=1, stream="stdout", lines=None)) == today[1:]
    assert messages(read(web, grep="plain (one|text)$", lines=None)) == [each for each in before if "plain" in each]
