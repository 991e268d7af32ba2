"""`logs` as a person and a script see it, whatever is in the files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.unit.cli_stage import Stage, shop_stage


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
