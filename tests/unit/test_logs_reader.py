from __future__ import annotations

import gzip
import json
import os
import re
from pathlib import Path

import msgspec
import pytest
from tests.records import AT, said, started

from runcept.errors import CursorInvalid, LogNotReadable, PatternInvalid
from runcept.logs import files as files_module
from runcept.logs.encoder import Encoder
from runcept.logs.reader import LogPage, read


def messages(page: LogPage) -> list[str]:
    """What a page says."""
    return [line.message for line in page.lines]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the log of `web` is, when it is."""
    return tmp_path / "web.jsonl"


@pytest.fixture(params=[64, 1 << 18], ids=["small blocks", "blocks"])
def _blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads so small that every line is longer than a block, and ordinary ones."""
    monkeypatch.setattr(files_module, "_FIRST_BLOCK", request.param)
    monkeypatch.setattr(files_module, "_BLOCK", request.param)


def test_the_newest_lines_come_oldest_first(log: Path) -> None:
    """A hundred of them unless asked for more or all."""
    log.write_bytes(said(range(1, 300)))
    assert messages(read({"web": str(log)})) == [f"line {n}" for n in range(200, 300)]
    assert messages(read({"web": str(log)}, lines=2)) == ["line 298", "line 299"]
    assert len(read({"web": str(log)}, lines=None).lines) == 299
    assert read({"web": str(log)}, lines=0).lines == []


def test_the_json_of_a_line_has_what_scripts_rely_on(log: Path) -> None:
    """ts, process, stream, run and message are always there; flags only where they say something."""
    log.write_bytes(started(4) + said([1], stream=1))
    page = json.loads(msgspec.json.encode(read({"web": str(log)})))
    assert page["lines"][1] == {
        "ts": "2026-11-22T08:00:01.000000Z",
        "process": "web",
        "stream": "stderr",
        "run": 4,
        "message": "line 1",
    }
    assert isinstance(page["cursor"], str)


def test_logs_are_merged_by_time(tmp_path: Path) -> None:
    """Several processes are one story; of equal instants the process that was named first comes first."""
    (tmp_path / "a").write_bytes(said([1, 4, 5], "a"))
    (tmp_path / "b").write_bytes(said([2, 3, 5, 6], "b"))
    paths = {name: str(tmp_path / name) for name in ("b", "a", "missing")}
    assert messages(read(paths)) == ["a 1", "b 2", "b 3", "a 4", "b 5", "a 5", "b 6"]
    assert messages(read(paths, lines=3)) == ["b 5", "a 5", "b 6"]


@pytest.mark.usefixtures("_blocks")
def test_since_and_until_are_inclusive(log: Path) -> None:
    """Whatever instants are asked for, exactly the lines between them come."""
    numbers = [n for n in range(60) for _ in range(3)]
    log.write_bytes(said(numbers))
    for low, high in [(0, 59), (-5, 100), (7, 7), (30, 31), (59, 80), (60, 80), (-9, -1), (40, 20)]:
        page = read({"web": str(log)}, lines=None, since=AT / 1e6 + low, until=AT / 1e6 + high)
        assert messages(page) == [f"line {n}" for n in numbers if low <= n <= high]


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize(
    "pattern", ["line 1", "line 1|line 2", r"^line \d$", r"9$", "(?i)LINE 42$", "nothing", 'say "x"']
)
def test_grep_finds_what_the_expression_finds(log: Path, pattern: str) -> None:
    """The expression is applied to messages, not to records: a quote is a quote, ^ is the message's beginning."""
    log.write_bytes(said(range(90)) + said([91], 'say "x" "stream":') + said([92], "\x1b[1mline 1"))
    expected = [text for text in messages(read({"web": str(log)}, lines=None)) if re.search(pattern, text)]
    assert messages(read({"web": str(log)}, lines=None, grep=pattern)) == expected
    assert messages(read({"web": str(log)}, lines=2, grep=pattern)) == expected[-2:]


def test_grep_looks_through_colours(log: Path) -> None:
    """What is searched is what is seen, without escapes; what is shown is as it was written."""
    written = ["GET \x1b[32m/index\x1b[0m.html\r", "GET /index.html", "GET /ind\x1b]8;;http://a\x07ex.html\x1b[K"]
    log.write_bytes(b"".join(Encoder().feed(0, AT + n, f"{text}\n".encode()) for n, text in enumerate(written)))
    for pattern in ("GET /index.html$", r"^GET .*l$", r"\bGET"):
        assert messages(read({"web": str(log)}, grep=pattern)) == written
    assert messages(read({"web": str(log)}, grep=r"\[32m")) == []


def test_one_stream_can_be_read_alone(log: Path) -> None:
    """stdout, stderr, or what Runcept noted; lines of old formats count as stdout."""
    log.write_bytes(b"plain\n" + started(1) + said([1, 2]) + said([3], "bad", stream=1) + said([4]))
    assert messages(read({"web": str(log)}, stream="stderr")) == ["bad 3"]
    assert messages(read({"web": str(log)}, stream="runcept")) == ["run 1 started"]
    assert messages(read({"web": str(log)}, stream="stdout")) == ["plain", "line 1", "line 2", "line 4"]


@pytest.mark.usefixtures("_blocks")
def test_a_line_knows_its_run(log: Path) -> None:
    """The run of a line is that of the last start before it, however far back; before the first start it is null."""
    log.write_bytes(
        said([0]) + started(6, 1) + said([2, 3]) + started(7, 4) + said(range(5, 40)) + said([40], "bad", stream=1)
    )
    runs = {line.message: line.run for line in read({"web": str(log)}, lines=None).lines}
    assert [runs["line 0"], runs["run 6 started"], runs["line 3"], runs["run 7 started"]] == [None, 6, 6, 7]
    assert {runs[f"line {n}"] for n in range(5, 40)} == {7}
    assert [line.run for line in read({"web": str(log)}, lines=1).lines] == [7]
    assert [line.run for line in read({"web": str(log)}, stream="stderr").lines] == [7]
    assert [line.run for line in read({"web": str(log)}, grep="line 2$").lines] == [6]
    assert [line.run for line in read({"web": str(log)}, since=AT / 1e6 + 39).lines] == [7, 7]


@pytest.mark.usefixtures("_blocks")
def test_one_run_can_be_read_alone(log: Path) -> None:
    """By its number or as the last one, also when lines are limited, searched or few."""
    log.write_bytes(
        said([0]) + started(6, 1) + said([2, 3]) + started(7, 4) + said([5, 6, 7]) + started(8, 8) + said([9])
    )
    web = {"web": str(log)}
    assert messages(read(web, run="last")) == ["run 8 started", "line 9"]
    assert messages(read(web, run=7)) == ["run 7 started", "line 5", "line 6", "line 7"]
    assert messages(read(web, run=7, lines=2)) == ["line 6", "line 7"]
    assert messages(read(web, run=6, lines=1)) == ["line 3"]
    assert messages(read(web, run=6, grep="[25]$")) == ["line 2"]
    assert messages(read(web, run=7, until=AT / 1e6 + 5)) == ["run 7 started", "line 5"]
    assert messages(read(web, run="last", since=AT / 1e6 + 9)) == ["line 9"]
    assert read(web, run=9).lines == []


def test_the_last_run_of_a_log_without_starts_is_all_of_it(log: Path) -> None:
    """A log of an older version tells of no runs."""
    log.write_text("one\ntwo\n", encoding="utf-8")
    assert messages(read({"web": str(log)}, run="last")) == ["one", "two"]
    assert read({"web": str(log)}, run=1).lines == []


def test_rotated_files_are_read_too(log: Path) -> None:
    """Plain and compressed ones, in their order, for lines, times, searches and runs alike."""
    Path(f"{log}.10.gz").write_bytes(gzip.compress(started(3) + said(range(1, 11))))
    Path(f"{log}.2.gz").write_bytes(gzip.compress(said(range(11, 21)))[:-4])  # cut short by a crash
    Path(f"{log}.1").write_bytes(said(range(21, 31)))
    log.write_bytes(said(range(31, 41)))
    Path(f"{log}.bak").write_bytes(said([99]))
    web = {"web": str(log)}
    assert messages(read(web)) == ["run 3 started", *(f"line {n}" for n in range(1, 41))]
    assert messages(read(web, lines=15)) == [f"line {n}" for n in range(26, 41)]
    assert {line.run for line in read(web, lines=15).lines} == {3}
    assert messages(read(web, since=AT / 1e6 + 9, until=AT / 1e6 + 12)) == ["line 9", "line 10", "line 11", "line 12"]
    assert messages(read(web, grep="line .5")) == ["line 15", "line 25", "line 35"]
    log.unlink()
    assert messages(read(web))[-1] == "line 30"


def test_a_directory_of_many_rotations_is_read_once_or_twice(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for each of them."""
    for number in range(1, 300):
        log.with_name(f"web.jsonl.{number}").write_bytes(said([1000 - number]))
    log.write_bytes(said([1000]))
    looks = []
    real = files_module.rotated
    monkeypatch.setattr(files_module, "rotated", lambda path: looks.append(path) or real(path))
    assert messages(read({"web": str(log)}, lines=None)) == [f"line {n}" for n in range(701, 1001)]
    assert len(looks) <= 2


def test_a_rotation_that_is_half_done_hides_no_file(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number is free while files move up: what gets it is read, though it was not there when they were listed."""
    for number, name in ((4, "web.jsonl"), (3, "web.jsonl.1"), (2, "web.jsonl.3"), (1, "web.jsonl.4")):
        log.with_name(name).write_bytes(said([number]))
    moves = [("web.jsonl.1", "web.jsonl.2"), ("web.jsonl", "web.jsonl.1")]
    real = files_module.rotated

    def listed_then_moved(path: str) -> list[tuple[int, str]]:
        found = real(path)
        while moves:
            name, to = moves.pop(0)
            log.with_name(name).rename(log.with_name(to))
        return found

    monkeypatch.setattr(files_module, "rotated", listed_then_moved)
    assert messages(read({"web": str(log)})) == ["line 1", "line 2", "line 3", "line 4"]


def test_a_record_in_the_making_is_not_shown(log: Path) -> None:
    """Half a record is no line; text of old without a last newline is."""
    log.write_bytes(said([1]) + said([2])[:-20])
    assert messages(read({"web": str(log)})) == ["line 1"]
    log.write_bytes(b"old\ntext")
    assert messages(read({"web": str(log)})) == ["old", "text"]


def test_old_and_broken_lines_stay_where_they_are(log: Path, tmp_path: Path) -> None:
    """A line without an instant keeps its place behind the line before it, when logs are merged too."""
    old = b'{"timestamp":"2026-11-22T08:00:02+00:00","level":"info","message":"old 2"}\n'
    log.write_bytes(b"first\n" + said([1]) + old + b"  Traceback\n{broken\n" + said([9]))
    (tmp_path / "b").write_bytes(said([0, 5], "b"))
    paths = {"web": str(log), "b": str(tmp_path / "b")}
    assert messages(read(paths)) == ["first", "b 0", "line 1", "old 2", "  Traceback", "{broken", "b 5", "line 9"]


@pytest.mark.usefixtures("_blocks")
def test_a_cursor_gives_only_what_is_new(log: Path) -> None:
    """Each line comes once, over rotation and compression, and with whatever filters."""
    web = {"web": str(log)}
    empty = read(web)
    log.write_bytes(said(range(1, 6)))
    first = read(web, after=empty.cursor)
    assert messages(first) == [f"line {n}" for n in range(1, 6)]
    assert read(web, after=first.cursor).lines == []
    with log.open("ab") as file:
        file.write(said([6, 7]))
    log.rename(f"{log}.1")
    log.write_bytes(said([8]))
    second = read(web, after=first.cursor)
    assert messages(second) == ["line 6", "line 7", "line 8"]
    Path(f"{log}.2.gz").write_bytes(gzip.compress(Path(f"{log}.1").read_bytes()))
    log.rename(f"{log}.1")
    log.write_bytes(said([9]))
    assert messages(read(web, after=first.cursor)) == ["line 6", "line 7", "line 8", "line 9"]
    assert messages(read(web, after=first.cursor, grep="[79]")) == ["line 7", "line 9"]
    assert messages(read(web, after=second.cursor)) == ["line 9"]


def test_a_cursor_of_an_empty_file_does_not_bring_the_rotated_ones(log: Path) -> None:
    """What was rotated away before the cursor was given is not new."""
    Path(f"{log}.1").write_bytes(said([1]))
    log.write_bytes(b"")
    cursor = read({"web": str(log)}).cursor
    log.write_bytes(said([2]))
    assert messages(read({"web": str(log)}, after=cursor)) == ["line 2"]


def test_a_cursor_of_a_file_that_is_gone_gives_the_new_one(log: Path) -> None:
    """A log that was deleted and begun anew is new from its beginning."""
    log.write_bytes(said(range(1, 6)))
    cursor = read({"web": str(log)}).cursor
    log.write_bytes(said(range(20, 40)))
    assert messages(read({"web": str(log)}, after=cursor)) == [f"line {n}" for n in range(20, 40)]


@pytest.mark.parametrize("cursor", ["", "nonsense", "!!!", "gqNhYmM"])
def test_a_cursor_that_is_none_is_refused(log: Path, cursor: str) -> None:
    """What `read` did not give is an error of the caller, not of ours."""
    with pytest.raises(CursorInvalid):
        read({"web": str(log)}, after=cursor)


def test_an_expression_that_does_not_compile_is_refused(log: Path) -> None:
    """`--grep '('` is told so."""
    with pytest.raises(PatternInvalid):
        read({"web": str(log)}, grep="(")


def test_the_end_of_a_huge_log_is_read_without_the_rest(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last lines cost a few blocks whatever the size of the file, even where it is damaged."""
    record = said([5])
    with log.open("wb") as file:
        file.write(started(1) + record)
        file.seek(3 << 30)  # a hole: 3 GiB of zero bytes, one line
        file.write(b"\n" + said(range(10, 1000)))
    pread, count = os.pread, [0]

    def counted(file: int, length: int, offset: int) -> bytes:
        data = pread(file, length, offset)
        count[0] += len(data)
        return data

    monkeypatch.setattr(os, "pread", counted)
    monkeypatch.setattr("runcept.logs.search._LOOK_BACK", 1 << 20)
    assert messages(read({"web": str(log)}, lines=3)) == ["line 997", "line 998", "line 999"]
    assert count[0] < 48 << 20


def test_a_log_that_cannot_be_opened_is_an_error_with_words(log: Path) -> None:
    """It names the file and says why: here it is a directory."""
    log.mkdir()
    with pytest.raises(LogNotReadable, match=f"{log} cannot be read: is a directory"):
        read({"web": str(log)})
