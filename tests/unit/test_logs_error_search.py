"""Errors found in log files: across blocks, rotations and formats, of a run or time, and no further than is quick."""

from __future__ import annotations

import gzip
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.records import AT, said, started

from runcept.logs import error_search as search_module
from runcept.logs import files as files_module
from runcept.logs.encoder import Encoder
from runcept.logs.error_grammar import opening
from runcept.logs.error_search import ErrorPage, find_errors
from runcept.logs.level import SEVERE

CRASHES = Path(__file__).parents[1] / "crashes"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the log of `web` is, when it is."""
    return tmp_path / "web.jsonl"


def records(text: str, at: int, stream: int = 1) -> bytes:
    """The records of lines that were written at once, `at` seconds after AT."""
    return Encoder().feed(stream, AT + at * 1_000_000, text.encode())


def crash(name: str, at: int) -> bytes:
    """The records of what a program printed when it failed (tests/crashes)."""
    return records((CRASHES / f"{name}.txt").read_text(encoding="utf-8"), at)


def told(page: ErrorPage) -> list[tuple[str, int, int | None]]:
    """Title, count and run of each error."""
    return [(item.title, item.count, item.run) for item in page.errors]


@pytest.fixture(params=[64, 1 << 18], ids=["small blocks", "blocks"])
def _blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads so small that every error is in many of them, and ordinary ones."""
    monkeypatch.setattr(files_module, "_FIRST_BLOCK", request.param)
    monkeypatch.setattr(files_module, "_BLOCK", request.param)
    monkeypatch.setattr(search_module, "_CHUNK", request.param)


@pytest.mark.usefixtures("_blocks")
def test_errors_are_found_wherever_reading_cuts_them(log: Path) -> None:
    """Each once, whole, newest first, with the run in which it occurred last."""
    log.write_bytes(
        started(1)
        + crash("python-chained", 1)
        + said(range(2, 40), "GET /")
        + crash("go-panic", 50)
        + started(2, 51)
        + crash("python-chained", 52)
        + crash("node-uncaught", 53)
        + said(range(60, 90), "GET /")
    )
    page = find_errors({"web": str(log)})
    assert told(page) == [("TypeError", 1, 2), ("RuntimeError", 2, 2), ("panic", 1, 1)]
    assert [len(item.lines) for item in page.errors] == [17, 22, 7]
    assert (page.left_out.errors, page.left_out.occurrences) == (0, 0)
    assert page.searched[0].complete
    assert (page.errors[1].first_ts, page.errors[1].last_ts) == (
        "2026-11-22T08:00:01.000000Z",
        "2026-11-22T08:00:52.000000Z",
    )


@pytest.mark.usefixtures("_blocks")
def test_an_error_is_found_on_both_sides_of_a_rotation(log: Path) -> None:
    """One that begins at the end of a file goes on in the next."""
    text = (CRASHES / "python-chained.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    Path(f"{log}.2.gz").write_bytes(gzip.compress(started(4) + crash("java-caused", 1)))
    Path(f"{log}.1").write_bytes(records("".join(text[:9]), 2))
    log.write_bytes(records("".join(text[9:]), 2) + said([3]))
    page = find_errors({"web": str(log)})
    assert told(page) == [("RuntimeError", 1, 4), ("java.lang.RuntimeException", 1, 4)]
    assert len(page.errors[0].lines) == 22


@pytest.mark.usefixtures("_blocks")
def test_one_run_can_be_searched_alone(log: Path) -> None:
    """By its number, or the last one."""
    log.write_bytes(
        b"".join(
            started(run, run * 10) + records(f"ERROR {word}\n", run * 10 + 1) for run, word in [(6, "a"), (7, "b")]
        )
        + started(8, 80)
        + records("ERROR a\n", 81)
    )
    web = {"web": str(log)}
    assert told(find_errors(web)) == [("ERROR", 2, 8), ("ERROR", 1, 7)]
    assert told(find_errors(web, run=6)) == [("ERROR", 1, 6)]
    assert told(find_errors(web, run=7)) == [("ERROR", 1, 7)]
    assert told(find_errors(web, run="last")) == [("ERROR", 1, 8)]
    assert told(find_errors(web, run=9)) == []


def test_what_is_before_the_wanted_run_is_not_read(log: Path) -> None:
    """The last run of a large log is searched as fast as a small log."""
    log.write_bytes(started(1) + records("GET /\n" * 150_000, 1) + started(2, 9000) + records("ERROR a\n", 9001))
    (searched,) = find_errors({"web": str(log)}, run="last").searched
    assert searched.complete
    assert searched.bytes < log.stat().st_size / 4


@pytest.mark.usefixtures("_blocks")
def test_times_streams_and_words_choose(log: Path) -> None:
    """As they do for lines; an error counts when its first line does, and its run is found before `since`."""
    log.write_bytes(
        started(3) + b"".join(records(f"ERROR {word}\n", at, stream) for at, (word, stream) in enumerate(ABC))
    )
    web = {"web": str(log)}
    assert [item.message for item in find_errors(web, since=AT / 1e6 + 1).errors] == ["c", "b"]
    assert {item.run for item in find_errors(web, since=AT / 1e6 + 1).errors} == {3}
    assert [item.message for item in find_errors(web, until=AT / 1e6 + 1).errors] == ["b", "a"]
    assert [item.message for item in find_errors(web, stream="stdout").errors] == ["b"]
    assert [item.message for item in find_errors(web, grep="[ac]$").errors] == ["c", "a"]
    assert [item.message for item in find_errors(web, items=1).errors] == ["c"]
    assert find_errors(web, items=1).left_out.errors == 2


ABC = [("a", 1), ("b", 0), ("c", 1)]


def test_several_logs_are_one_answer(tmp_path: Path) -> None:
    """The newest first whoever it was; the same error of two processes is two."""
    (tmp_path / "a").write_bytes(started(1) + records("ERROR x\n", 1) + records("ERROR y\n", 5))
    (tmp_path / "b").write_bytes(started(2) + records("ERROR x\n", 3))
    page = find_errors({name: str(tmp_path / name) for name in ("a", "b", "missing")})
    assert [(item.process, item.message) for item in page.errors] == [("a", "y"), ("b", "x"), ("a", "x")]
    assert [each.process for each in page.searched] == ["a", "b", "missing"]


PLACES = [
    *("{} no tea", "2026-11-22 {}: no tea", "a|{}|b", "[{}] no tea", "<{}> no tea", "\t{}\tno tea", "({}) no tea"),
    *("level={} msg=x", 'lvl="{}" msg=x', "severity={}", "no {}: tea"),
    *('"level":"{}"', '"severity": "{}"', '"a":{"level":"{}"}', '"log.level":"{}","a":1'),
    *('"level":50,"a":"tea"', '"level": 60,"a":"tea"'),
]


def test_every_line_that_says_it_is_severe_is_found(log: Path) -> None:
    """Alone in a log: of what is read only because a word of an error stands there, no word is missing."""
    count = 0
    for place, word in itertools.product(PLACES, sorted(SEVERE)):
        for written in {word, word.upper(), word.capitalize()}:
            for shown in (written, f"\x1b[31m{written}\x1b[0m"):
                text = place.replace("{}", shown)
                text = f"{{{text}}}" if text.startswith('"') else text
                if shown != written and text.startswith("{"):
                    continue
                log.write_bytes(records(f"{text}\n", 1))
                is_severe = opening(text.replace("\x1b[31m", "").replace("\x1b[0m", "")) is not None
                assert len(find_errors({"web": str(log)}).errors) == is_severe, text
                count += is_severe
    assert count > 500


@pytest.mark.usefixtures("_blocks")
def test_text_of_old_is_searched_too(log: Path) -> None:
    """Plain lines, records with a level, and records of today, in one file; without a last newline too."""
    old = b'{"timestamp":"2026-11-22T08:00:00Z","level":"%s","message":"%s","process_name":"web"}\n'
    trace = (CRASHES / "python-plain.txt").read_bytes()
    log.write_bytes(trace + old % (b"ERROR", b"no tea") + old % (b"INFO", b"tea") + started(1, 1) + crash("go-nil", 2))
    assert told(find_errors({"web": str(log)})) == [("panic", 1, 1), ("ERROR", 1, None), ("ZeroDivisionError", 1, None)]
    log.write_bytes(b"text\nERROR no end")
    Path(f"{log}.1").write_bytes(trace.rstrip())
    page = find_errors({"web": str(log)}, run="last")
    assert [(item.title, item.message, item.last_ts) for item in page.errors] == [
        ("ERROR", "no end", None),
        ("ZeroDivisionError", "division by zero", None),
    ]


@pytest.mark.parametrize("lines_before", [0, 3_000, 4_000, 5_000, 9_000])
def test_an_error_is_one_however_deep_its_calls_are(log: Path, lines_before: int) -> None:
    """Two functions that call each other are no repeated frame that Python folds: 148 KB for a traceback."""
    frame = '  File "/srv/app.py", line {}, in {}\n    return {}(number)\n'
    frames = "".join(frame.format(1, "even", "odd") + frame.format(4, "odd", "even") for _ in range(500))
    text = f"Traceback (most recent call last):\n{frames}RecursionError: maximum recursion depth exceeded\n"
    before = "GET /items/1 200 in 1 ms, which is said at some length so that lines are as long as those of others\n"
    log.write_bytes(records(before * lines_before, 1) + records(text, 2) + records("GET /\n" * 20, 3) * 400)
    (error,) = find_errors({"web": str(log)}).errors
    assert (error.title, error.count) == ("RecursionError", 1)
    assert error.lines[0] == "Traceback (most recent call last):"
    assert error.lines[-1] == "RecursionError: maximum recursion depth exceeded"


def test_it_is_told_how_far_a_log_was_searched(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No further than is quick: a number of bytes, or of lines that had to be read; what is older is left."""
    log.write_bytes(
        started(5) + records("ERROR old\n", 1) + said(range(2, 9000), "GET /") + records("ERROR new\n", 9001)
    )
    web = {"web": str(log)}
    assert [item.message for item in find_errors(web).errors] == ["new", "old"]
    monkeypatch.setattr(search_module, "_CHUNK", 1)
    monkeypatch.setattr(search_module, "_REACH", 100_000)
    page = find_errors(web)
    assert told(page) == [("ERROR", 1, 5)]
    (searched,) = page.searched
    assert not searched.complete
    assert 100_000 <= searched.bytes < log.stat().st_size
    assert "2026-11-22T08:00:01" < (searched.since or "") < "2026-11-22T10:30:00"
    assert not find_errors(web, since=AT / 1e6 + 5000).searched[0].complete
    assert find_errors(web, since=AT / 1e6 + 8990).searched[0].complete
    monkeypatch.setattr(search_module, "_REACH", 1 << 30)
    monkeypatch.setattr(search_module, "_DECODED", 1)
    assert not find_errors(web).searched[0].complete


def test_several_logs_share_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty logs cost no more than one; what a quiet one leaves is for the others, and each has its newest errors."""
    monkeypatch.setattr(search_module, "_CHUNK", 10_000)
    monkeypatch.setattr(search_module, "_ASIDE", 10_000)
    monkeypatch.setattr(search_module, "_DECODED", 4_000)
    paths = {name: str(tmp_path / name) for name in ("a", "quiet", "b")}
    for name, path in paths.items():
        text = "GET /\n" if name == "quiet" else "".join(f"ERROR {name}\n" for _ in range(100))
        Path(path).write_bytes(b"".join(records(text, n) for n in range(200)))
    together = {each.process: each for each in find_errors(paths).searched}
    alone = find_errors({"a": paths["a"]}).searched[0]
    assert together["quiet"].complete
    assert together["a"].bytes < alone.bytes / 2
    assert together["a"].bytes < together["b"].bytes < alone.bytes
    assert together["a"].bytes + together["b"].bytes < 1.5 * alone.bytes
    assert {each.process for each in find_errors(paths).errors} == {"a", "b"}


def _clean(number: int) -> str:
    return f"GET /items/{number} 200 in {number % 97} ms"


def _severe(number: int) -> str:
    return f"ERROR item {number} is gone from /srv/{number}"


def _unfinished(number: int) -> str:
    return "Error: deep" if number == 0 else "    at f (/srv/app.js:1:2)"


def _long(number: int) -> str:
    return f"Error: {number} " + "a.b/c: " * 2000


@pytest.mark.parametrize("make", [_clean, _severe, _unfinished, _long])
def test_twice_the_log_costs_about_twice_the_time(log: Path, make: Callable[[int], str]) -> None:
    """Of what is searched, however many errors there are and however long they are. Time is that of this process."""
    count = 200 if make is _long else 5_000

    def seconds(lines: int) -> float:
        log.write_bytes(b"".join(records(f"{make(n)}\n", n // 100) for n in range(lines)))
        best = 1e9
        for _ in range(3):
            begin = time.process_time()
            find_errors({"web": str(log)})
            best = min(best, time.process_time() - begin)
        return best

    assert seconds(4 * count) < 12 * seconds(count) + 0.1
