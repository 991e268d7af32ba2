"""Lines in, errors out: what real programs print when they fail, what loggers write, and what is no error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.records import AT

from runcept.logs.error_blocks import Block, Joiner
from runcept.logs.record import Line, instant_text

CRASHES = Path(__file__).parents[1] / "crashes"


def line(text: str, *, stream: str = "stderr", at: float = 0, **flags: bool | str) -> Line:
    """One line, `at` seconds after AT."""
    return Line(instant_text(AT + round(at * 1e6)), "web", stream, None, text, **flags)  # type: ignore[arg-type]


def joined(lines: Sequence[Line | str]) -> list[Block]:
    """The errors in the order in which they begin."""
    joiner = Joiner()
    blocks = []
    for number, each in enumerate(lines):
        blocks += joiner.feed(line(each) if isinstance(each, str) else each, number)
    return sorted([*blocks, *joiner.finish()], key=lambda block: block.offset)


def crash(name: str) -> list[str]:
    """What a program printed when it failed (tests/crashes)."""
    return (CRASHES / f"{name}.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")


class Crash(NamedTuple):
    """What is to be told of a program that failed."""

    name: str
    kind: str
    title: str
    message: str
    lines: slice
    """Of all that it printed."""

    def printed(self) -> list[str]:
        """The lines of the error."""
        return crash(self.name)[self.lines]


CASES = [
    Crash("python-plain", "python", "ZeroDivisionError", "division by zero", slice(1, 8)),
    Crash("python-chained", "python", "RuntimeError", "the shop cannot open", slice(0, 22)),
    Crash(
        "python-group", "python", "ExceptionGroup", "unhandled errors in a TaskGroup (2 sub-exceptions)", slice(0, 28)
    ),
    Crash("python-thread", "python", "OSError", "no socket", slice(0, 9)),
    Crash("python-syntax", "python", "SyntaxError", "invalid syntax", slice(0, 4)),
    Crash("python-recursion", "python", "RecursionError", "maximum recursion depth exceeded", slice(0, 14)),
    Crash("python-interrupt", "python", "Halt", "", slice(0, 6)),
    Crash("python-fatal", "python", "Fatal Python error", "Segmentation fault", slice(0, 5)),
    Crash("node-uncaught", "node", "TypeError", "Cannot read properties of undefined (reading 'value')", slice(1, 18)),
    Crash("node-rejection", "node", "Error", "upstream is gone", slice(0, 11)),
    Crash("node-thrown-value", "node", "out of tea", "", slice(1, 8)),
    Crash("node-code", "node", "Error", "ENOENT: no such file or directory, open '/nowhere/prices.json'", slice(0, 21)),
    Crash("node-assertion", "node", "AssertionError", "Expected values to be strictly equal:", slice(0, 23)),
    Crash("node-syntax", "node", "SyntaxError", "Unexpected token '='", slice(0, 14)),
    Crash("go-panic", "go", "panic", "runtime error: index out of range [5] with length 2", slice(1, 8)),
    Crash("go-goroutines", "go", "panic", "no stock", slice(0, 7)),
    Crash("go-deadlock", "go", "fatal error", "all goroutines are asleep - deadlock!", slice(0, 5)),
    Crash("go-nil", "go", "panic", "runtime error: invalid memory address or nil pointer dereference", slice(0, 8)),
    Crash("java-caused", "java", "java.lang.RuntimeException", "the shop cannot open", slice(1, 12)),
    Crash("java-suppressed", "java", "java.io.IOException", "no paper", slice(0, 5)),
    Crash("rust-panic", "rust", "panic", "index out of bounds: the len is 2 but the index is 5", slice(2, 5)),
    Crash("rust-backtrace", "rust", "panic", "a shop", slice(1, 20)),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_what_a_program_prints_when_it_fails_is_one_error(case: Crash) -> None:
    """From its first line to its last, without what stands around it, and with the name that people search for."""
    (block,) = joined(["starting", *crash(case.name), "", "a line behind it", "and one more"])
    assert (block.kind, block.title, block.message) == (case.kind, case.title, case.message)
    assert block.offset == 1 + case.lines.start
    assert block.lines() == case.printed()


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_it_is_so_behind_the_name_of_a_container_and_in_colours(case: Crash) -> None:
    """A process may be `docker compose up`, whose containers write at the same time: each has its own errors."""
    lines = []
    for text in crash(case.name):
        lines += [f"web-1  | \x1b[31m{text}\x1b[0m", f"db-1   | {text}"]
    blocks = joined(lines)
    assert [(block.kind, block.title, block.message) for block in blocks] == [(case.kind, case.title, case.message)] * 2
    assert all(block.lines() == [each.rstrip() for each in case.printed()] for block in blocks)


def test_errors_behind_each_other_are_told_apart() -> None:
    """What a logger says and the traceback that belongs to it are one; the next record is another."""
    assert [(each.title, len(each.lines())) for each in joined(crash("python-logging"))] == [
        ("ValueError", 5),
        ("ValueError", 5),
        ("ValueError", 5),
        ("ERROR", 1),
        ("CRITICAL", 1),
    ]
    assert [each.lines()[0][:6] for each in joined(crash("java-logging"))] == ["SEVERE", "SEVERE"]
    assert [len(each.lines()) for each in joined(crash("node-logged"))] == [9, 9]
    assert [(each.kind, len(each.lines())) for each in joined(crash("go-http"))] == [("go", 16), ("go", 16)]
    assert [(each.kind, each.title) for each in joined(crash("rust-result"))] == [("log", "Error")]


def test_streams_do_not_disturb_each_other() -> None:
    """Lines of stdout between those of a traceback on stderr are no part of it, and may be an error themselves."""
    lines: list[Line | str] = []
    other = crash("java-caused")
    for number, text in enumerate(crash("python-chained")):
        lines += [text, line(other[number % len(other)] if number < len(other) else f"GET /{number}", stream="stdout")]
    assert [(each.kind, each.stream, len(each.lines())) for each in joined(lines)] == [
        ("python", "stderr", 22),
        ("java", "stdout", 11),
    ]


def test_a_line_of_another_thread_does_not_end_an_error() -> None:
    """It stands where it stood; the error is one."""
    text = crash("go-panic")
    (block,) = joined([*text[:5], "2026/11/22 08:00:00 GET /", *text[5:]])
    assert len(block.lines()) == 8
    frames = crash("python-plain")
    (block,) = joined([*frames[:4], "2026-11-22 08:00:00,000 GET / 200", *frames[4:]])
    assert block.title == "ZeroDivisionError"


def test_lines_that_only_look_like_more_of_it_do_not_belong_to_it() -> None:
    """What is indented behind something else, and a frame that comes after many other lines."""
    (block,) = joined(["Error: no tea", "GET / 200", "    accept: */*"])
    assert block.lines() == ["Error: no tea"]
    (block,) = joined(["Error: no tea", *["GET / 200"] * 13, "    at f (/srv/app.js:1:1)"])
    assert block.lines() == ["Error: no tea"]
    (block,) = joined(["Error: no tea", *["GET / 200"] * 12, "    at f (/srv/app.js:1:1)"])
    assert len(block.lines()) == 14


LEVELS = [
    ("2026-11-22 08:00:00,123 ERROR shop: no tea", "ERROR", "shop: no tea"),
    ("ERROR:root:no tea", "ERROR", "root:no tea"),
    ("[2026-11-22 08:00:00,123: CRITICAL/MainProcess] no tea", "CRITICAL", "no tea"),
    ("2026-11-22T08:00:00.123Z FATAL [main] no tea (7)", "FATAL", "[main] no tea (7)"),
    ("[ERROR] no tea", "ERROR", "no tea"),
    ("2026/11/22 08:00:00 [error] 12#0: *1 open() failed", "ERROR", "12#0: *1 open() failed"),
    ("2026/11/22 08:00:00 [emerg] 12#0: bind() failed", "EMERG", "12#0: bind() failed"),
    ("2026-11-22 08:00:00.123 UTC [12] FATAL:  no such role", "FATAL", "no such role"),
    ("Nov 22 08:00:00 host app[7]: ERROR no tea", "ERROR", "no tea"),
    ("\x1b[31mERROR\x1b[0m no tea", "ERROR", "no tea"),
    ("ERRO[0003] no tea", "ERROR", "[0003] no tea"),
    ("npm ERR! missing script: start", "npm ERR!", "missing script: start"),
    ("npm error code ENOENT", "npm error", "code ENOENT"),
    ("error[E0425]: cannot find value `tea` in this scope", "error", "cannot find value `tea` in this scope"),
    ("<1>2026-11-22 host ALERT no tea", "ALERT", "no tea"),
    ("[alert] 12#0: no tea", "ALERT", "12#0: no tea"),
    ("EMERGENCY: no tea", "EMERG", "no tea"),
    ('{"severity":"EMERGENCY","message":"no tea"}', "EMERG", "no tea"),
    ("level=err msg=x", "ERROR", "x"),
    ('{"level":50,"data":{"level":30},"msg":"no tea"}', "ERROR", "no tea"),
    ('{"data":{"level":30},"level":50,"msg":"no tea"}', "ERROR", "no tea"),
    ('{"log":{"level":"error"},"message":"no tea"}', "ERROR", "no tea"),
    ("SEVERE: no tea", "SEVERE", "no tea"),
    ('time=2026-11-22T08:00:00Z level=error msg="no \\"tea\\"" n=3', "ERROR", 'no \\"tea\\"'),
    ("ts=1 lvl=fatal msg=stop", "FATAL", "stop"),
    ('{"level":"error","msg":"no tea"}', "ERROR", "no tea"),
    ('{"severity": "CRITICAL", "message": "no tea"}', "CRITICAL", "no tea"),
    ('{"level":50,"time":1,"pid":1,"msg":"no tea"}', "ERROR", "no tea"),
    ('{"level":60,"err":{"type":"TypeError","message":"x"}}', "FATAL", "TypeError: x"),
    (
        '{"event":"no tea","level":"error","exception":"cut',
        "ERROR",
        '{"event":"no tea","level":"error","exception":"cut',
    ),
    ("error: no tea", "error", "no tea"),
    ("main.c:3:5: error: expected ';'", "error", "expected ';'"),
    ("src/a.ts(3,5): error TS2304: Cannot find name", "error", "Cannot find name"),
    ("fatal: not a git repository", "fatal", "not a git repository"),
    ("8:00:00 AM [vite] Internal server error: no tea", "Internal server error", "no tea"),
    ("12:M 22 Nov 2026 08:00:00.000 # Fatal error, can't open config file", "Fatal error", "can't open config file"),
    ("ValueError: no tea", "ValueError", "no tea"),
    ("panic: no tea", "panic", "no tea"),
]


@pytest.mark.parametrize(("text", "title", "message"), LEVELS)
def test_a_line_that_says_it_is_an_error_is_one(text: str, title: str, message: str) -> None:
    """Level words, brackets, logfmt, JSON, and what command lines and compilers say."""
    (block,) = joined(["starting", text, "goes on"])
    assert (block.kind, block.title, block.message) == ("log", title, message)


@pytest.mark.parametrize(
    "text",
    [
        "INFO: no error: all is well",
        "2026-11-22 08:00:00 WARNING retrying: ConnectionError: refused",
        "GET /errors 200",
        "0 errors, 3 warnings",
        "Errors: none",
        'level=info msg="ERROR pages built"',
        '{"level":"info","msg":"error: none"}',
        '{"level":30,"msg":"ERROR"}',
        '{"data":{"level":50},"level":30,"msg":"fine"}',
        '{"level":"info","data":{"severity":"ERROR"}}',
        '{"errors":[],"critical":false}',
        "mirror: synced",
        "    at home (12:30:15)",
        '  File "notes.txt", line 1',
        "/srv/shop/app.js:3",
        "http://localhost:8000",
        "terror",
        "panicked",
        "",
    ],
)
def test_what_only_looks_like_an_error_is_none(text: str) -> None:
    """The first level of a line counts, and a word alone does not."""
    assert joined([text, text, "goes on"]) == []


def test_what_node_tools_say_in_several_lines_is_one_error() -> None:
    """npm names itself in each line; webpack says where, and then what."""
    (npm,) = joined(["npm error code E404", "npm error 404 Not Found", "npm error", "npm error A log is", "done"])
    assert len(npm.lines()) == 4
    missing = "Module not found: Error: Can't resolve './no' in '/srv/src'"
    (webpack,) = joined(["ERROR in ./src/a.js 1:0-14", missing, "  using description file: /srv/package.json"])
    assert (webpack.title, webpack.message) == ("Module not found", missing.partition(": ")[2])
    assert len(webpack.lines()) == 3
    (typed,) = joined(["ERROR in ./src/a.ts:3:5", "TS2304: Cannot find name 'tea'."])
    assert (typed.title, typed.message) == ("TS2304", "Cannot find name 'tea'.")


def test_the_stack_in_a_record_of_json_is_shown_as_lines() -> None:
    """Escaped it would be one long line that nobody can read."""
    (block,) = joined(
        ['{"level":50,"msg":"no tea","err":{"type":"E","message":"m","stack":"E: m\\n    at f (a.js:1:2)"}}']
    )
    assert block.lines() == ["no tea: E: m", "E: m", "    at f (a.js:1:2)"]


def test_what_comes_later_or_in_another_run_is_another_error() -> None:
    """Frames that come a minute later belong to nothing; a run begins with nothing left of the one before."""
    late = [line("ERROR order 7 failed"), *(line(text, at=60) for text in crash("python-plain"))]
    assert [each.title for each in joined(late)] == ["ERROR", "ZeroDivisionError"]
    start = line("run 2", stream="runcept", event="started")
    assert [each.title for each in joined([line("ERROR order 7 failed"), start, *crash("python-plain")])] == [
        "ERROR",
        "ZeroDivisionError",
    ]


def test_the_level_of_a_record_of_old_counts() -> None:
    """Its message need not say it again; a traceback in such records is one error all the same."""
    assert [each.title for each in joined([line("no tea", level="error"), line("tea", level="info")])] == ["ERROR"]
    (block,) = joined([line(text, level="error") for text in crash("python-plain")[1:]])
    assert block.title == "ZeroDivisionError"


def test_the_rest_of_a_line_that_was_split_is_no_line_of_its_own() -> None:
    """A line of more than 1 MiB comes in parts."""
    parts = [line("ERROR " + "a" * 5000, partial=True), line("ERROR in the middle", partial=True), line("ERROR end")]
    (block,) = joined([*parts, "goes on"])
    assert len(block.lines()[0]) == 1000


def test_a_block_without_end_is_bounded() -> None:
    """The first and the last lines of it are kept, and how many there were between them."""
    (block,) = joined(["Error: deep", *(f"    at f{n} (/srv/app.js:{n}:1)" for n in range(100_000))])
    assert len(block.lines()) == 61
    assert block.lines()[30] == "… 99941 lines …"
    assert block.lines()[-1] == "    at f99999 (/srv/app.js:99999:1)"


def test_of_blocks_without_end_only_some_are_open() -> None:
    """However many names stand before lines, and however long nothing comes to a block."""
    joiner = Joiner()
    ended = [*(block for n in range(1000) for block in joiner.feed(line(f"web-{n} | ERROR {n}")))]
    assert len(ended) == 1000 - 32
    ended = [*(block for n in range(600) for block in joiner.feed(line(f"GET /{n}", stream="stdout")))]
    assert len(ended) == 32
    assert not joiner.waits
