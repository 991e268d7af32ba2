from __future__ import annotations

import pytest

from runcept.errors import PatternInvalid
from runcept.logs.watch import Watch


def found(pattern: str, *blocks: bytes) -> list[str]:
    """What a watch for `pattern` tells while it is shown blocks."""
    told: list[str] = []
    watch = Watch(pattern, told.append)
    for block in blocks:
        if watch.search(block):
            break
    return told


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        ("ready", "server ready"),
        ("^server", "server ready"),
        ("ready$", "server ready"),
        (r"\Aserver ready\Z", "server ready"),
        (r"é.\b", "café x"),
        (r"port (\d+)", "port 8000 open"),
        ("^$", ""),
    ],
)
def test_the_first_line_with_a_match_is_told(pattern: str, line: str) -> None:
    """Anchors are those of a line, wherever in a block it is."""
    block = f"before\n{line}\nafter, server ready, port 1".encode()
    assert found(pattern, b"nothing here", block, block) == [line]


def test_a_match_does_not_span_lines() -> None:
    """What would match only across a newline is no match; one on a later line is."""
    assert found(r"a\s+b", b"a\nb") == []
    assert found(r"a[^c]*b", b"a 1\nb 2\na b\nb") == ["a b"]


def test_a_line_is_searched_as_it_is_seen() -> None:
    """Colours, links and a carriage return are not in the way; bytes that are not UTF-8 hide nothing else."""
    assert found("ready in", b"\x1b[32mready\x1b[39m in \x1b[1m300\x1b[0m ms\r") == ["ready in 300 ms"]
    assert found("up$", b"\xff up\r\nnext") == ["\ufffd up"]
    assert found("up$", b"all up\r") == ["all up"]


def test_a_pattern_that_does_not_compile_is_refused() -> None:
    """The error names the pattern and why."""
    with pytest.raises(PatternInvalid, match=r"'\(' is not a regular expression"):
        Watch("(", print)
