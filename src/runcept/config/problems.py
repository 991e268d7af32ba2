"""What is wrong with a file, collected while it is read, and the report a person is shown. Reads no files itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any, NamedTuple

from runcept.core.columns import cut, width_of
from runcept.core.secrets import mask

__all__ = ["LIMIT", "Enough", "Path", "Place", "Problem", "Problems", "Span", "Wrong", "facts", "report"]

Path = tuple[str | int, ...]
"""Where a value is in the parsed file: ("process", 1, "depends_on", 0)."""

LIMIT = 100
"""Problems of one file that are collected; a file with more is not a project file at all."""

_WIDTH = 160  # characters of the offending line that are kept
_INDENT = 2
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
    """A sentence may quote a value, which may be the whole file, or hold a password."""
    text = mask(text)
    return text if len(text) <= _SENTENCE else f"{text[:_SENTENCE]}…"


def facts(
    text: str, problems: Sequence[tuple[Problem, Span]], first_lines: Mapping[Path, int]
) -> list[dict[str, object]]:
    """The problems of a file as facts for a script and for `report`, in the order of the file.

    A fact is `{"line", "column", "width", "message", "hint", "excerpt", "place"}`: line and column counted from 1,
    the width in characters; `excerpt` is the line, or what is around the place in a long one, and `place` where it is
    in that, counted from 0.
    """
    lines = text.split("\n")
    found: list[dict[str, object]] = []
    for problem, span in sorted(problems, key=lambda pair: pair[1]):
        line = mask(lines[span.line - 1], keep_width=True)
        start = max(0, span.column - 1 - _WIDTH // 2) if len(line) > _WIDTH else 0
        found.append(
            {
                "line": span.line,
                "column": span.column,
                "width": span.width,
                "message": problem.message,
                "hint": _hint(problem, first_lines),
                "excerpt": line[start : start + _WIDTH],
                "place": span.column - 1 - start,
            }
        )
    return found


def _hint(problem: Problem, first_lines: Mapping[Path, int]) -> str:
    if problem.related is None:
        return problem.hint
    return f"{problem.hint} The first is on line {first_lines[problem.related]}.".strip()


def report(file: str, found: Sequence[Mapping[str, Any]], width: int = _INDENT + _WIDTH) -> str:
    """What `facts` gave, for a person with so many columns; `file` as it is to be called.

    Each problem is `FILE:LINE:COLUMN: message`, the line, a caret under the place, and `hint: …` where there is one.
    """
    said: list[str] = []
    for each in found:
        shown, caret = _excerpt(each["excerpt"], each["place"], each["width"], max(width - _INDENT, 2 * _INDENT))
        said.append(f"{file}:{each['line']}:{each['column']}: {_printable(each['message'])}")
        said += [f"{' ' * _INDENT}{shown}".rstrip(), f"{' ' * _INDENT}{caret}"]
        if each["hint"]:
            hint = f"hint: {_printable(each['hint'])}"
            said += wrap(hint, width, subsequent_indent=" " * len("hint: "), break_long_words=False)
    if len(found) >= LIMIT:
        said.append(f"Only the first {LIMIT} problems are shown.")
    return "\n".join(said)


def _excerpt(line: str, place: int, width: int, room: int) -> tuple[str, str]:
    """So much of the line around the place as there is room for, and the caret line below it.

    Tabs are kept, wide characters counted as two.
    """
    before, marked, after = line[:place], line[place : place + width], line[place + width :]
    if width_of(line) > room:
        before = cut(before[::-1], room // 2, "…")[::-1]
        marked = cut(marked, room - width_of(before), "…")
        after = cut(after, room - width_of(before + marked), "…")
    indent = "".join("\t" if character == "\t" else " " * width_of(character) for character in before)
    return _printable(before + marked + after), indent + "^" * max(1, width_of(marked))


def _printable(text: str) -> str:
    """Without the characters that would make a terminal do something: a file is shown, never obeyed."""
    return "".join(c if c == "\t" or (c.isprintable() or c == " ") else "\N{REPLACEMENT CHARACTER}" for c in text)
