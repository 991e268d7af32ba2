"""`logs` as a person and a script see it, whatever is in the files."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from tests.records import AT, said, started
from tests.unit.cli_stage import Stage, shop_stage

from runcept.logs.encoder import Encoder


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A project of two processes that have written nothing."""
    made = shop_stage(tmp_path)
    (made.cwd / ".runcept" / "logs").mkdir(parents=True)
    return made


def write(stage: Stage, records: bytes, name: str = "web") -> None:
    """The log of a process."""
    (stage.cwd / ".runcept" / "logs" / f"{name}.jsonl").write_bytes(records)


@pytest.mark.parametrize("arguments", [["logs", "-t"], ["logs", "--errors"]])
def test_no_part_of_a_record_does_anything_to_the_terminal(stage: Stage, arguments: list[str]) -> None:
    """Whoever wrote it into the file: its instant and its stream are shown as little as its message is obeyed."""
    odd = [
        b'"ts":"2026-11-22T08:00:00.123456Z","stream":"\\u001b]0;pwned\\u0007"',
        b'"ts":"\\u001b[2J clears the screen, x","stream":"stderr"',
        b'"ts":"2026-13-32T25:61:61.000000Z"',
        b'"timestamp":"0001-01-01T00:00:00+05:00"',
        b'"timestamp":"0001-01-01T00:00:00Z"',
        b'"timestamp":"\\u001b[2J"',
    ]
    write(stage, b"".join(b'{%s,"message":"ERROR number %d"}\n' % (each, n) for n, each in enumerate(odd)))
    stage.terminal = True
    said = stage.run(*arguments)
    assert said.status == 0
    shown = re.sub(r"\x1b\[[0-9;]*m", "", said.out)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]|pwned", shown)
    assert "number 5" in shown or "6" in shown


def test_all_lines_can_be_had_with_those_filters(stage: Stage) -> None:
    """`-n all`: merged by time, through the rotations, of some time, run or words; in a pipe and as JSON."""
    logs = stage.cwd / ".runcept" / "logs"
    (logs / "web.jsonl.2.gz").write_bytes(gzip.compress(started(1) + said(range(0, 500, 2), "a")))
    (logs / "web.jsonl.1").write_bytes(said(range(500, 1000, 2), "a") + started(2, 1000))
    write(stage, said(range(1001, 1200, 2), "a") + started(3, 1200) + said(range(1201, 1300, 2), "a"))
    write(stage, said(range(1, 1200, 2), "b"), "worker")

    def numbers(*arguments: str) -> list[int]:
        words = stage.run("logs", "-n", "all", "--stream", "stdout", *arguments).out.splitlines()
        return [int(line.split()[-1]) for line in words]

    assert numbers() == sorted([*range(0, 1000, 2), *range(1001, 1200, 2), *range(1201, 1300, 2), *range(1, 1200, 2)])
    assert numbers("web", "--run", "2") == [*range(1001, 1200, 2)]
    assert numbers("web", "--run", "last") == [*range(1201, 1300, 2)]
    assert numbers("web", "--grep", "7$") == [n for n in (*range(1001, 1200, 2), *range(1201, 1300, 2)) if n % 10 == 7]
    since, until = "2026-11-22T08:16:30Z", "2026-11-22T08:16:50Z"  # 990 and 1010 seconds after AT
    assert numbers("web", "--since", since, "--until", until) == [990, 992, 994, 996, 998, *range(1001, 1011, 2)]
    assert numbers("web", "--since", since, "--run", "1") == [990, 992, 994, 996, 998]
    document = stage.run("--json", "logs", "-n", "all", "worker").json
    assert len(document["lines"]) == 600
    assert stage.run("daemon", "logs", "-n", "all").status == 0


def test_what_is_followed_as_json_is_one_object_a_line_on_a_terminal_too(stage: Stage) -> None:
    """Only a document is laid out for eyes."""
    write(stage, started(1) + said(range(3)))
    stage.terminal = True
    lines = stage.run("--json", "logs", "web", "-f", "-n", "2", "--until", "2026-11-22T09:00:00Z").out.splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["line 1", "line 2"]
    assert stage.run("--json", "logs", "web", "-n", "2").out.startswith("{\n  ")


def test_another_program_gets_what_the_process_wrote(stage: Stage) -> None:
    """--no-prefix in a pipe: to the byte but for escapes, and a line that was split is one."""
    long = json.dumps({"text": "x" * (5 << 19)})
    odd = json.dumps({"text": "\x7f\u0085\u202e\u2028 ä"}, ensure_ascii=False)
    lines = [long, odd, "10%\r20%\rdone\r", r"\x41 \\ \\n"]
    written = "".join(f"{line}\n" for line in lines).encode() + b"\xff \\ \x80\n"
    write(stage, started(1) + Encoder().feed(0, AT, b"\x1b[32m" + written) + said([1], stream=1))
    logs = ["logs", "web", "--no-prefix", "--stream", "stdout"]
    assert stage.run(*logs).data == written
    assert stage.run(*logs, "-n", "all").data == written
    first, second = stage.run(*logs, "-t", "-n", "2").data.splitlines()
    assert first == b"2026-11-22T08:00:00.000000Z " + rb"\x41 \\ \\n"
    assert second == b"2026-11-22T08:00:00.000000Z \xff \\ \x80"


def test_the_beginning_of_a_line_is_shown_though_its_end_is_missing(stage: Stage) -> None:
    """It has not come yet, or was not asked for."""
    write(stage, Encoder().feed(0, AT, b"x" * (3 << 19)))
    assert stage.run("logs", "web", "--no-prefix").out == "x" * (1 << 20) + "\n"
