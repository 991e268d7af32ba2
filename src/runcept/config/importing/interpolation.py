r"""`$NAME`, `${NAME:-default}` and the like in the values of compose and process-compose files. Pure.

Those tools put in what the shell and the file `.env` beside say when they read the file. A project file's values stand
as they are, so a reference is resolved when it is imported, from `.env` and the default beside it. Two kinds are not:
what nothing here says, and a secret that `.env` holds, which has no business in a second file. Such a text is left to a
shell, which knows the same forms (POSIX.1-2017, 2.6.2).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from typing import Any

from runcept.config.importing.values import Table
from runcept.core.secrets import is_secret

__all__ = ["filled", "for_shell", "names_in", "own_reference", "quoted", "resolved"]

_REFERENCE = re.compile(
    r"""\$(?: (?P<dollar>\$)
            | (?P<plain>[A-Za-z_]\w*)
            | \{ (?P<name>[A-Za-z_]\w*) (?: (?P<kind>:?[-?+]) (?P<word>(?:[^{}]|\$\{[^{}]*\})*) )? \} )""",
    re.ASCII | re.VERBOSE,
)
_DEPTH = 4  # of defaults within defaults


def names_in(text: str) -> set[str]:
    """The variables that a text refers to."""
    return {found["plain"] or found["name"] for found in _REFERENCE.finditer(text) if not found["dollar"]}


def own_reference(name: str, text: str) -> bool:
    """Whether the value of a variable is that variable, with or without a default: `PORT: ${PORT:-8000}`."""
    found = _REFERENCE.fullmatch(text)
    return found is not None and (found["plain"] or found["name"]) == name


def resolved(text: str, known: Mapping[str, str], depth: int = 0) -> str | None:
    """The text with what is `known` and the defaults put in; None when that is not all, or tells a secret."""
    parts, end = [], 0
    for found in _REFERENCE.finditer(text):
        content = "$" if found["dollar"] else _content(found, known, depth)
        if content is None:
            return None
        parts += [text[end : found.start()], content]
        end = found.end()
    return "".join([*parts, text[end:]])


def _content(found: re.Match[str], known: Mapping[str, str], depth: int) -> str | None:
    name, kind, word = found["plain"] or found["name"], found["kind"] or "", found["word"] or ""
    present = name in known and (known[name] != "" or not kind.startswith(":"))
    if kind.endswith("+") and not present:
        return ""
    if kind.endswith("+") or (kind.endswith("-") and not present):
        return resolved(word, known, depth + 1) if depth < _DEPTH else None
    return known[name] if present and not is_secret(name) else None


def filled(table: Table, known: Mapping[str, str], apart: Collection[str]) -> Table:
    """The table with all its texts resolved, where that is possible; but for the values of the keys `apart`."""
    made: dict[int, Any] = {}  # an anchor may stand in many places: it is looked at once

    def fill(value: Any) -> Any:
        if isinstance(value, str):
            text = resolved(value, known)
            return value if text is None else text
        if not isinstance(value, list | dict):
            return value
        if id(value) not in made:
            made[id(value)] = None  # a value within itself cannot be: the reader refuses it
            made[id(value)] = [*map(fill, value)] if isinstance(value, list) else within(value)
        return made[id(value)]

    def within(inner: Any) -> Table:
        pairs = {key: each if key in apart else fill(each) for key, each in inner.items()}
        return Table(pairs, getattr(inner, "lines", {}))

    return within(table)


def quoted(text: str) -> str:
    """One word for a shell that is the text; in double quotes where it holds single ones, which is easier to read."""
    return for_shell(text.replace("$", "$$")) if "'" in text and "\n" not in text else shlex.quote(text)


def for_shell(text: str) -> str:
    """The text in double quotes as a shell takes it: references stay, everything else means itself."""
    parts, end = [], 0
    for found in _REFERENCE.finditer(text):
        parts += [_quoted(text[end : found.start()]), r"\$" if found["dollar"] else _kept(found[0])]
        end = found.end()
    return f'"{"".join([*parts, _quoted(text[end:])])}"'


def _quoted(text: str) -> str:
    return re.sub(r'([\\"`$])', r"\\\1", text)


def _kept(reference: str) -> str:
    """Without what would be a command within it, or the end of the quotes."""
    return re.sub(r'([\\"`]|\$(?=\())', r"\\\1", reference)
