from __future__ import annotations

import re

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from runcept.core.plain import plain
from runcept.logs.grep import Grep, needed_texts
from runcept.logs.record import lifecycle

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
        "(a(bc|)|c)",
        "((ab|bc)|c)",
        "(?!a)",
        r"\(",
        "{",
        "{2}x",
    ]
)
QUANTIFIERS = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{,2}", "{1,}", "{,}", "*?", "++", "{x}"])
PIECES = st.tuples(ATOMS, QUANTIFIERS).map("".join)
GROUPS = st.tuples(
    st.sampled_from(["({})", "(?:{}|bc)", "({}|a)", "(?P<name>{})", "(?={})"]),
    st.lists(PIECES, max_size=3).map("".join),
    st.sampled_from(["", "", "?", "{2}"]),  # a repetition within one without end takes `re` for ever
).map(lambda parts: parts[0].replace("{}", parts[1]) + parts[2])
PATTERNS = st.lists(st.one_of(PIECES, PIECES, GROUPS), min_size=1, max_size=6).map("".join)


@settings(max_examples=1000, deadline=None)
@given(st.lists(PATTERNS, min_size=1, max_size=3).map("|".join), st.data())
def test_what_matches_holds_all_texts_of_an_alternative(pattern: str, data: st.DataObject) -> None:
    """No line that an expression matches is passed over: it holds the texts that are said to be in every match."""
    try:
        compiled = re.compile(pattern)
    except re.error:
        assume(False)
    needed = needed_texts(compiled)
    text = data.draw(st.from_regex(compiled) | st.text("abcGET /x1.({]}", max_size=30))
    if needed and compiled.search(text):
        assert any(all(each.decode() in text for each in texts) for texts in needed)


ODDITIES: list[list[tuple[str, bytes]]] = [
    [],
    [("plain abc", b"plain abc\n")],
    [("", b"\n")],
    [("cab", b'{"message":"cab"}{"message":""}\n')],
]


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.text('abckKis\u017f\u0131\u0130\u212a \\"{\t', max_size=12), max_size=20),
    st.sampled_from(["", "(?i)"]),
    st.sampled_from(["abc", "bca+", "K", "cab|aab", "is", "ba[bk]", r"^.?$", '"', r"\\\\", r"a.*b", r"\s$", "acac"]),
    st.sampled_from(ODDITIES),
)
@example(["ab\u017f\u0131c"], "(?i)", "absic", [])
@example(["x", "abc"], "", "a.*c", [("", b"\n")])
@example(["x", "a\x1b[31mb\x1b[0mc"], "", "abc", [("plain a\x1b[1mbc", b"plain a\x1b[1mbc\n")])
@example(["abc\r"], "", "abc$", [("abc", b'{"message":"a\\u001B[1mbc"}\n')])
def test_no_line_that_matches_is_passed_over(
    texts: list[str], flag: str, pattern: str, oddities: list[tuple[str, bytes]]
) -> None:
    """Whatever case, quotes and letters of other alphabets there are, and whatever old formats stand between."""
    compiled = re.compile(flag + pattern)
    lines = [(text, lifecycle(7, "said", text, {})) for text in texts]
    lines[1:1] = oddities
    block = b"".join(raw for _, raw in lines)
    found = {block[start:stop] for start, stop in Grep(compiled).spans(block)}
    for text, raw in lines:
        assert raw[:-1] in found or not compiled.search(plain(text))


def test_lines_that_do_not_match_are_seldom_looked_at() -> None:
    """Of records none at all that has no match, where the expression says nothing certain about them."""
    block = b"".join(lifecycle(7, "said", f"line {number}", {}) for number in range(1000))
    assert [block[slice(*span)] for span in Grep(re.compile(r"\b9\d7$")).spans(block)] == [
        lifecycle(7, "said", f"line {number}", {})[:-1] for number in range(997, 900, -10)
    ]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("connection refused", [[b"connection refused"]]),
        (r"GET /api/\d+ 5\d\d", [[b"GET /api/"]]),
        ("GET .*[.]css HTTP", [[b"GET ", b"css HTTP"]]),
        ("ERROR|FATAL: .*disk", [[b"ERROR"], [b"FATAL: ", b"disk"]]),
        ("colou?r", [[b"colo"]]),
        ("abc+def", [[b"abc", b"def"]]),
        (r"took \d+ms", [[b"took "]]),
        (r"file\.py", [[b"file.py"]]),
        ('say "hello"', [[b"say ", b"hello"]]),
        ("(?i)Error", [[b"error"]]),
        ("(?i)Exception|kiosk FOUND", [[b"except"], [b" found"]]),
        ("(?i)disk", []),
        ("(error|fatal)", [[b"error"], [b"fatal"]]),
        ("(?:error|(?P<bad>fatal|panic)): disk", [[b"error", b": disk"], [b"fatal", b": disk"], [b"panic", b": disk"]]),
        ("GET (/api|/) 5", [[b"GET ", b"/api"], [b"GET "]]),
        ("(error|fatal)? disk", [[b" disk"]]),
        ("(error|fatal)+", []),
        ("(?!error)fatal(?=panic)", [[b"fatal"]]),
        (r"(error|\x41bc) disk", [[b" disk"]]),
        (
            "(abc|def|ghi|jkl|mno)(abc|def|ghi|jkl|mno) end",
            [[name, b" end"] for name in (b"abc", b"def", b"ghi", b"jkl", b"mno")],
        ),
        ("(error|x)", []),
        (r"\d+", []),
        ("error|x", []),
        (r"\x41\x42\x43", []),
    ],
)
def test_texts_are_found_where_they_help(pattern: str, expected: list[list[bytes]]) -> None:
    """The runs of plain characters of each alternative; none where nothing certain can be said."""
    assert needed_texts(re.compile(pattern)) == expected
