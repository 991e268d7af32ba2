"""`logs --errors` as a person and a script see it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.records import AT, started
from tests.unit.cli_stage import Stage, shop_stage

from runcept.core.columns import width_of
from runcept.logs import error_search
from runcept.logs.encoder import Encoder

CRASHES = Path(__file__).parents[1] / "crashes"
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A project of two processes, at UTC."""
    made = shop_stage(tmp_path)
    (made.cwd / ".runcept" / "logs").mkdir(parents=True)
    return made


def write(stage: Stage, name: str, *texts: str, run: int = 3) -> None:
    """The log of a process: each text a minute after the one before."""
    encoder = Encoder()
    records = [encoder.feed(1, AT + n * 60_000_000, text.encode()) for n, text in enumerate(texts)]
    (stage.cwd / ".runcept" / "logs" / f"{name}.jsonl").write_bytes(started(run) + b"".join(records))


def crash(name: str) -> str:
    """What a program printed when it failed."""
    return (CRASHES / f"{name}.txt").read_text(encoding="utf-8")


def test_errors_in_a_pipe_are_plain_paragraphs(stage: Stage) -> None:
    """What, whose, how often and when; then its lines in full, without escapes or spaces at their ends."""
    write(stage, "web", "GET /\n", crash("python-logging"), crash("python-logging"))
    write(stage, "worker", crash("node-uncaught"))
    said = stage.run("logs", "--errors", "--grep", "ValueError|TypeError")
    assert said.status == 0
    assert said.err == ""
    first, second = said.out.split("\n\n")[:2]
    lines = first.split("\n")
    lines[1] = re.sub(r"\d{4}-\S+ \d\d:|(?<=to )\d\d:", "H:", lines[1])
    assert lines == [
        "ValueError: invalid literal for int() with base 10: 'x2'",
        "  web, \N{MULTIPLICATION SIGN} 6, H:01:00 to H:02:00, run 3, stderr",
        "  | 2026-11-26 10:05:30,290 ERROR shop.orders: order 2 failed",
        "  | Traceback (most recent call last):",
        '  |   File "/srv/shop/app.py", line 8, in <module>',
        '  |     int(f"x{number}")',
        "  | ValueError: invalid literal for int() with base 10: 'x2'",
    ]
    assert second.startswith("TypeError: Cannot read properties")
    assert not any(line.endswith(" ") for line in said.out.split("\n"))
    assert "\x1b" not in said.out


def test_errors_on_a_terminal_fit_it(stage: Stage) -> None:
    """The type is red, frames are dim and end at the edge, other lines go on below; long ones lose their middle."""
    long = "ERROR " + "word " * 30 + "end\n"
    write(stage, "web", crash("python-chained"), crash("go-http"), long, "Error: 統計情報" * 9 + "\n")
    stage.terminal = True
    said = stage.run("logs", "web", "--errors")
    assert "\x1b[1;31mRuntimeError\x1b[0m: the shop cannot open" in said.out
    assert '\x1b[2m  File "/srv/shop/app.py", line 3, in look\x1b[0m' in said.out
    plain = _ESCAPE.sub("", said.out)
    assert max(map(width_of, plain.split("\n"))) <= 80
    assert "│ … 6 lines …" in plain
    assert " word end\n" in plain
    assert "… 6 lines …" not in _ESCAPE.sub("", stage.run("logs", "web", "--errors", "-v").out)
    stage.environ = {"NO_COLOR": "1"}
    assert stage.run("logs", "web", "--errors").out == plain


def test_what_a_process_wrote_does_nothing_to_the_terminal(stage: Stage) -> None:
    """Neither its headline nor its lines."""
    thrown = "/a.js:1\nthrow it\n^\nno \x07\x9btea\u202e\n(Use `node --trace-uncaught ...` to show the exception)\n"
    write(stage, "web", "Error: \x07\x1b[2Jclear\x1b]0;title\x07\u202e\n", "\x9bERROR x\n", thrown)
    stage.terminal = True
    said = _ESCAPE.sub("", stage.run("logs", "--errors").out)
    assert "✖ no \\x07\\x9btea" in said
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", said)


def test_no_error_is_said_in_a_sentence(stage: Stage) -> None:
    """With the names, as far as one wants to read them; a script reads none at all."""
    write(stage, "web", "GET /\n")
    assert stage.run("logs", "--errors").out == "no errors in web, worker\n"
    assert stage.run("logs", "w*b", "--errors").out == "no errors in web\n"
    assert stage.run("logs", "--errors", "-q").out == ""
    for name in ("a", "b", "c", "d"):
        write(stage, name, "fine\n")
    assert stage.run("logs", "--errors").out == "no errors in 6 processes\n"
    document = stage.run("--json", "logs", "--errors", "worker").json
    assert document["errors"] == []
    assert document["left_out"] == {"errors": 0, "occurrences": 0}


def test_what_is_left_out_is_said(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many errors, how often; and how far a log was searched where that is not all of it."""
    words = [f"ERROR {letter}\n" for letter in "abcdefghijklmno"]
    write(stage, "web", "ERROR a\n", *words)
    said = stage.run("logs", "--errors").out.rstrip("\n").split("\n")
    assert said[-1] == "10 of 15 errors; the older ones occurred 6 times"
    assert stage.run("logs", "--errors", "-n", "3").out.count("  web, ") == 3
    assert stage.run("logs", "--errors", "-n", "20").out.count("  web, ") == 15
    assert stage.run("logs", "--errors", "-n", "0").out == "0 of 15 errors; the older ones occurred 16 times\n"
    monkeypatch.setattr(error_search, "_CHUNK", 1)
    monkeypatch.setattr(error_search, "_REACH", 1)
    write(stage, "web", *["GET /\n" * 1000] * 5)
    said = stage.run("logs", "web", "--errors").out.split("\n")
    assert said[0] == "no errors in web"
    assert re.fullmatch(r"of web the newest \S+ KiB were searched, back to .*; --until goes further back", said[1])


def test_the_json_of_errors_has_what_assistants_rely_on(stage: Stage) -> None:
    """The keys are part of the contract with scripts."""
    write(stage, "web", crash("go-panic"))
    document = stage.run("--json", "logs", "--errors").json
    (error,) = document["errors"]
    assert error.pop("lines") == crash("go-panic").rstrip("\n").split("\n")[1:]
    at = "2026-11-22T08:00:00.000000Z"
    assert error == {
        "process": "web",
        "run": 3,
        "kind": "go",
        "title": "panic",
        "message": "runtime error: index out of range [5] with length 2",
        "count": 1,
        "first_ts": at,
        "last_ts": at,
        "stream": "stderr",
    }
    web, worker = document["searched"]
    assert (web["process"], web["since"], web["complete"], worker["bytes"]) == ("web", at, True, 0)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["logs", "--errors", "-f"], 2, "without --follow"),
        (["logs", "--errors", "--no-prefix"], 2, "without --no-prefix"),
        (["logs", "--errors", "-t"], 2, "without --timestamps"),
        (["logs", "--errors", "--clear", "web"], 2, "no other option"),
        (["logs", "--errors", "--grep", "("], 2, "("),
        (["logs", "--errors", "--since", "soon"], 2, "soon"),
        (["logs", "--errors", "wbe"], 3, "Did you mean web?"),
    ],
)
def test_what_errors_do_not_go_with_is_refused(stage: Stage, arguments: list[str], status: int, words: str) -> None:
    """As with any other option."""
    said = stage.run(*arguments)
    assert said.status == status
    assert words in said.err
