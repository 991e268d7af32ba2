"""What is wrong with a file, collected while it is read, and the report a person is shown. Reads no files itself."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from runcept.core.secrets import mask

__all__ = ["LIMIT", "Enough", "Path", "Place", "Problem", "Problems", "Span", "Wrong", "render"]

Path = tuple[str | int, ...]
"""Where a value is in the parsed file: ("process", 1, "depends_on", 0)."""

LIMIT = 100
"""Problems of one file that are collected; a file with more is not a project file at all."""

_WIDTH = 160  # columns of the offending line that are shown
_SENTENCE = 1000  # characters of a message or a hint


class Span(NamedTuple):
    """Characters of one line: `line` and `column` count from 1, `width` is at least 1."""

    line: int
    column: int
    width: int = 1


class Wrong(Exception):
    """A value is not what its key takes; caught by whoever knows the place of the value."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Enough(Exception):
    """What was found is enough: reading on makes no sense. Raised with at least one problem recorded."""


class Problem(NamedTuple):
    """One thing to correct."""

    path: Path
    message: str
    hint: str = ""
    at_key: bool = False
    """The key is wrong, not its value."""
    related: Path | None = None
    """Another place that a reader needs to see; its line is told in the hint."""


class Problems:
    """The problems of one file, in the order they were found."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, problem: Problem) -> None:
        """Keep one more; Enough when that makes `LIMIT`."""
        self.found.append(problem)
        if len(self.found) >= LIMIT:
            raise Enough

    def at(self, path: Path = ()) -> Place:
        """The place of a value, to read from and complain about."""
        return Place(self, path)


class Place(NamedTuple):
    """A value's place together with where its problems go."""

    problems: Problems
    path: Path

    def __truediv__(self, part: str | int) -> Place:
        return Place(self.problems, (*self.path, part))

    def problem(self, message: str, hint: str = "", *, at_key: bool = False, related: Path | None = None) -> None:
        """Record that something is wrong here."""
        self.problems.add(Problem(self.path, _short(message), _short(hint), at_key, related))


def _short(text: str) -> str:
    """A sentence may quote a value, which may be the whole file."""
    return text if len(text) <= _SENTENCE else f"{text[:_SENTENCE]}…"


def render(
    file: str, text: str, problems: Sequence[tuple[Problem, Span]], first_lines: Mapping[Path, int]
) -> tuple[list[dict[str, object]], str]:
    """The problems as facts for a script, and as the report for a person, both in the order of the file.

    A fact is `{"line", "column", "message", "hint"}`, counted from 1 in lines and characters. In the report each
    problem is `FILE:LINE:COLUMN: message`, the line, a caret under the place, and `hint: …` where there is one.
    """
    lines = text.split("\n")
    facts: list[dict[str, object]] = []
    report: list[str] = []
    for problem, span in sorted(problems, key=lambda pair: pair[1]):
        hint = _hint(problem, first_lines)
        facts.append({"line": span.line, "column": span.column, "message": problem.message, "hint": hint})
        shown, caret = _excerpt(mask(lines[span.line - 1], keep_width=True), span)
        report += [
            f"{_printable(file)}:{span.line}:{span.column}: {_printable(problem.message)}",
            f"  {shown}",
            f"  {caret}",
        ]
        if hint:
            report.append(f"hint: {_printable(hint)}")
    if len(problems) >= LIMIT:
        report.append(f"Only the first {LIMIT} problems are shown.")
    return facts, "\n".join(report)


def _hint(problem: Problem, first_lines: Mapping[Path, int]) -> str:
    if problem.related is None:
        return problem.hint
    return f"{problem.hint} The first is on line {first_lines[problem.related]}.".strip()


def _excerpt(line: str, span: Span) -> tuple[str, str]:
    """The line around the place, and the caret line below it: tabs kept, wide characters counted as two."""
    start = max(0, span.column - 1 - _WIDTH // 2) if len(line) > _WIDTH else 0
    shown = line[start : start + _WIDTH]
    before = shown[: span.column - 1 - start]
    marked = shown[len(before) : len(before) + span.width]
    indent = "".join("\t" if character == "\t" else " " * _columns(character) for character in before)
    return _printable(shown), indent + "^" * max(1, sum(map(_columns, marked)))


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _printable(text: str) -> str:
    """Without the characters that would make a terminal do something: a file is shown, never obeyed."""
    return "".join(c if c == "\t" or (c.isprintable() or c == " ") else "\N{REPLACEMENT CHARACTER}" for c in text)
