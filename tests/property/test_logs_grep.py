from __future__ import annotations

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runcept.logs.grep import literals

ATOMS = st.sampled_from(
    [
        "a",
        "bc",
        "GET /x",
        r"\.",
        r"\d",
        ".",
        "^",
        "$",
        "[ab]",
        "[^]a]",
        r"[\]]",
        "(ab|c)",
        "(?:b)",
        "(?=a)",
        r"\(",
        "{",
        "{2}x",
    ]
)
QUANTIFIERS = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{,2}", "{1,}", "{,}", "*?", "++", "{x}"])
PATTERNS = st.lists(st.tuples(ATOMS, QUANTIFIERS).map("".join), min_size=1, max_size=6)


@settings(max_examples=1000, deadline=None)
@given(st.lists(PATTERNS.map("".join), min_size=1, max_size=3).map("|".join), st.data())
def test_what_matches_holds_one_of_the_literals(pattern: str, data: st.DataObject) -> None:
    """No line that an expression matches is passed over: it holds a text that is said to be in every match."""
    try:
        compiled = re.compile(pattern)
    except re.error:
        assume(False)
    needed = literals(compiled)
    text = data.draw(st.from_regex(compiled) | st.text("abcGET /x1.({]}", max_size=30))
    if needed and compiled.search(text):
        assert any(each.decode() in text for each in needed)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("connection refused", (b"connection refused",)),
        (r"GET /api/\d+ 5\d\d", (b"GET /api/",)),
        ("ERROR|FATAL", (b"ERROR", b"FATAL")),
        ("colou?r", (b"colo",)),
        ("abc+d", (b"abc",)),
        (r"took \d+ms", (b"took ",)),
        (r"file\.py", (b"file.py",)),
        ('say "hello"', (b"hello",)),
        ("(?i)error", ()),
        (r"\d+", ()),
        ("error|x", ()),
        (r"\x41\x42\x43", ()),
    ],
)
def test_literals_are_found_where_they_help(pattern: str, expected: tuple[bytes, ...]) -> None:
    """The longest run of plain characters of each alternative; none where nothing certain can be said."""
    assert literals(re.compile(pattern)) == expected
