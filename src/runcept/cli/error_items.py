"""`logs --errors`: what went wrong in the logs, each error once, as a person reads it; `--json` as programs do.

On a terminal the middle of a long traceback is left out (-v shows it), frames are dim and end at the edge; a pipe gets
everything that the digest has, without escapes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from runcept.cli import log_files
from runcept.cli.invocation import Invocation
from runcept.cli.present import local_time
from runcept.core.columns import cut, width_of
from runcept.core.printable import printable
from runcept.logs.digest import ErrorItem
from runcept.logs.error_search import ErrorPage, Searched, find_errors
from runcept.units import format_size

__all__ = ["ERRORS", "Paper", "print_errors"]

ERRORS = 10
"""So many are shown unless another number is asked for."""
_LINES = 8  # of an error on a terminal, from its beginning and from its end
_HEADLINE = 240  # columns
_NAMES = 5  # processes that are named in a sentence
_RED, _DIM = "1;31", "2"


def print_errors(
    invocation: Invocation, project: str, chosen: Mapping[str, str], *, lines: int | None, **choice: Any
) -> None:
    """The newest errors of the chosen logs, at most `lines` of them, or all; the rest of `choice` are filters."""
    with log_files.reading(project):
        page = find_errors(chosen, items=sys.maxsize if lines is None else lines, **choice)
    if invocation.options.json:
        invocation.print_json(page)
        return
    paper = Paper(invocation)
    for number, item in enumerate(page.errors):
        if number:
            invocation.print()
        for line in paper.paragraph(item):
            invocation.print(line)
    sentences = [*_summary(page, [*chosen])]
    if page.errors and sentences:
        invocation.say("")
    for sentence in sentences:
        invocation.say(sentence)


class Paper:
    """What errors are drawn on."""

    def __init__(self, invocation: Invocation) -> None:
        self._drawn = invocation.drawn
        self._color = invocation.color
        self._width = max(20, invocation.surroundings.width) if invocation.drawn else 0
        self._lines = _LINES if invocation.drawn and not invocation.options.verbose else 0

    def paragraph(self, item: ErrorItem) -> Iterator[str]:
        """Headline, facts, and the lines of the log."""
        title = printable(item.title, color=False)
        message = printable(item.message, color=False)
        words = f"{title}: {message}" if message else title
        rows = [*self.rows(cut(words, _HEADLINE, "…"), 2)] if self._drawn else [words]
        rows[0] = self._paint(rows[0][: len(title)], _RED) + rows[0][len(title) :]
        yield ("✖ " if self._drawn else "") + rows[0]
        yield from (f"  {row}" for row in rows[1:])
        facts = printable((" · " if self._drawn else ", ").join(_facts(item)), color=False)
        for row in self.rows(facts, 2):
            yield f"  {self._paint(row, _DIM)}"
        bar = f"  {self._paint('│', '31')} " if self._drawn else "  | "
        for line in self._shortened(item.lines):
            text = printable(line.expandtabs(4), color=False)
            is_frame = text.startswith((" ", "…"))
            for row in [cut(text, self._width - 4, "…")] if is_frame and self._drawn else self.rows(text, 4):
                yield (bar + self._paint(row, _DIM if is_frame else "")).rstrip()

    def _shortened(self, lines: list[str]) -> list[str]:
        missing = len(lines) - 2 * self._lines
        if not self._lines or missing <= 1:
            return lines
        return [*lines[: self._lines], f"… {missing} lines …", *lines[-self._lines :]]

    def rows(self, text: str, indent: int) -> Iterator[str]:
        """The text in rows as wide as there is room; a pipe has room for all."""
        room = self._width - indent
        while self._drawn and width_of(text) > room:
            row = cut(text, room)
            space = row.rfind(" ") + 1
            row = row[:space] if space > len(row) // 2 else row
            yield row.rstrip()
            text = text[len(row) :]
        yield text

    def _paint(self, text: str, codes: str) -> str:
        return f"\x1b[{codes}m{text}\x1b[0m" if self._color and codes and text else text


def _facts(item: ErrorItem) -> Iterator[str]:
    """Whose it is, how often it occurred, and when."""
    yield item.process
    if item.count > 1:
        yield f"\N{MULTIPLICATION SIGN} {item.count:,}"
    if item.last_ts is not None:
        last, first = local_time(item.last_ts), local_time(item.first_ts or item.last_ts)
        day = f"{first[:10]} "
        yield first if first == last else f"{first} to {last.removeprefix(day)}"
    if item.run is not None:
        yield f"run {item.run}"
    yield item.stream


def _summary(page: ErrorPage, names: list[str]) -> Iterator[str]:
    shown, left = len(page.errors), page.left_out
    if not shown and not left.errors:
        yield f"no errors in {', '.join(names) if len(names) <= _NAMES else f'{len(names)} processes'}"
    if left.errors:
        yield f"{shown} of {shown + left.errors} errors; the older ones occurred {left.occurrences:,} times"
    for searched in page.searched:
        if not searched.complete:
            yield _how_far(searched)


def _how_far(searched: Searched) -> str:
    since = f", back to {local_time(searched.since)}" if searched.since else ""
    size = format_size(searched.bytes)
    return f"of {searched.process} the newest {size} were searched{since}; --until goes further back"
