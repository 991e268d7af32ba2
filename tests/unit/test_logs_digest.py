"""What is one error and what is another, and how much of them is told."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest

from runcept.logs.digest import ErrorItem, Fold, newest_first, pattern_of
from runcept.logs.error_blocks import Block, Joiner
from runcept.logs.record import Line


def folded(*texts: str) -> Fold:
    """The errors that these messages are, one a message, a second apart."""
    blocks = []
    joiner = Joiner()
    for second, text in enumerate(texts):
        for row in text.split("\n"):
            blocks += joiner.feed(Line(f"2026-11-22T08:00:{second:02d}.000000Z", "web", "stderr", 1, row), second)
    fold = Fold()
    for block in sorted([*blocks, *joiner.finish()], key=lambda each: -each.offset):
        fold.add(block)
    return fold


def titles(items: Iterable[ErrorItem]) -> list[str]:
    """What items say, and how often."""
    return [f"{item.message} x{item.count}" for item in items]


TRACE = 'Traceback (most recent call last):\n  File "%s", line %d, in %s\n    f()\nValueError: no %s'


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ERROR order 7 failed in 0.31s", "ERROR order 123456 failed in 12s"),
        ("ERROR at 0x7f3a21 of worker-3", "ERROR at 0x0 of worker-12"),
        ("ERROR since 2026-11-22T08:00:00.123Z", "ERROR since 2025-01-02 03:04:05,7"),
        ("ERROR for 6ba7b810-9dad-11d1-80b4-00c04fd430c8", "ERROR for ABCDEF00-9dad-11d1-80b4-00c04fd430c9"),
        ("ERROR commit 4f2a9c1d", "ERROR commit 271b42dbeef00"),
        ("ERROR cannot open '/srv/shop/a.txt'", "ERROR cannot open '/home/b/c-d_e.txt'"),
        ("ERROR cannot open ./a", "ERROR cannot open src/deep/er.py"),
        ("ERROR GET http://localhost:80/a?b=c failed", "ERROR GET https://example.com/ failed"),
        (TRACE % ("/srv/a.py", 3, "f", "tea"), TRACE % ("/home/x/a.py", 12, "f", "tea")),
    ],
)
def test_errors_that_differ_in_what_varies_are_one(one: str, other: str) -> None:
    """Numbers, addresses, instants, ids, paths: the newest is shown, with the count and the first and last instant."""
    (item,) = folded(one, other, one).items("web")
    assert (item.count, item.first_ts, item.last_ts) == (
        3,
        "2026-11-22T08:00:00.000000Z",
        "2026-11-22T08:00:02.000000Z",
    )
    assert item.lines == one.split("\n")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ERROR no tea", "ERROR no milk"),
        ("ERROR no tea", "CRITICAL no tea"),
        (TRACE % ("/srv/a.py", 3, "f", "tea"), TRACE % ("/srv/a.py", 3, "g", "tea")),
        (TRACE % ("/srv/a.py", 3, "f", "tea"), TRACE % ("/srv/a.py", 3, "f", "milk")),
    ],
)
def test_errors_of_other_words_or_another_place_are_two(one: str, other: str) -> None:
    """What it says and the function in which it happened tell errors apart."""
    assert [item.count for item in folded(one, other, one).items("web")] == [2, 1]


def test_the_newest_come_first_and_the_rest_is_counted() -> None:
    """By the last occurrence; what is beyond the number or the size is told as a number."""
    items = folded("ERROR a", "ERROR b", "ERROR c", "ERROR b", "ERROR a", "ERROR d").items("web")
    shown, left = newest_first(items, 10, 10_000)
    assert titles(shown) == ["d x1", "a x2", "b x2", "c x1"]
    shown, left = newest_first(items, 2, 10_000)
    assert (titles(shown), left.errors, left.occurrences) == (["d x1", "a x2"], 2, 3)
    shown, left = newest_first(items, 10, 17)
    assert (titles(shown), left.errors, left.occurrences) == (["d x1", "a x2"], 2, 3)
    shown, left = newest_first(items, 10, 0)
    assert (titles(shown), left.errors) == (["d x1"], 3)
    assert newest_first(items, 0, 10_000)[1].errors == 4


def test_runs_are_folded_and_the_last_is_told() -> None:
    """The run of an error is that of its last occurrence."""
    whole = Fold()
    whole.merge(folded("ERROR a", "ERROR b"), 7)
    whole.merge(folded("ERROR c", "ERROR b"), 6)
    assert [(item.message, item.run, item.count) for item in whole.items("web")] == [
        ("b", 7, 2),
        ("a", 7, 1),
        ("c", 6, 1),
    ]


def test_what_is_kept_is_bounded() -> None:
    """A log in which every error is another one: the newest five hundred are kept, the others counted."""
    words = [f"{a}{b}" for a in "abcdefghijklmnopqrstuvwxyz" for b in "abcdefghijklmnopqrstuvwxyz"]
    fold = folded()
    for word in words:
        fold.merge(folded(f"ERROR {word}"), 1)
    assert len(fold.items("web")) == 500
    assert fold.overflow == len(words) - 500


@pytest.mark.parametrize("words", ["a.b-", "a", "0a", "http", "a:", "/a", "a+"])
def test_what_varies_is_found_in_a_time_that_grows_with_the_text(words: str) -> None:
    """However long its words are."""

    def seconds(count: int) -> float:
        block = Block(0, None, "stderr", "log", "ERROR", words * count)
        best = 1e9
        for _ in range(3):
            begin = time.process_time()
            pattern_of(block)
            best = min(best, time.process_time() - begin)
        return best

    assert seconds(16_000) < 10 * seconds(4_000) + 0.02


def test_patterns_are_made_of_the_beginning_of_a_message() -> None:
    """A message of a megabyte costs no more than one of a kilobyte."""
    joiner = Joiner()
    assert not [*joiner.feed(Line(None, "web", "stderr", 1, "ERROR " + "words " * 250_000))]
    (block,) = joiner.finish()
    assert len(block.message) == 1000
    assert len(pattern_of(block)[0]) == len("log ERROR: ") + 1000
