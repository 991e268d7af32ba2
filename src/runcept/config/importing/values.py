"""Values of a foreign file, and the rule that none is lost: each key of a table is taken, or told with a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from runcept.config.toml_source import scalar

__all__ = ["Fields", "Table", "Unmapped", "brief"]

T = TypeVar("T")

_BRIEF = 48  # characters of a value in a comment
_DEPTH = 4
_UNKNOWN = "not a key that Runcept knows of"


class Table(dict[str, Any]):
    """A mapping that knows where each of its keys stands; lines count from 1."""

    def __init__(self, values: Mapping[str, Any] | None = None, lines: Mapping[str, int] | None = None) -> None:
        super().__init__(values or {})
        self.lines = dict(lines or {})


class Unmapped(msgspec.Struct, frozen=True):
    """A key that has no place in a project file."""

    key: str
    """Dotted, as in the foreign file: `healthcheck.start_interval`."""
    value: str
    """Briefly, in one line."""
    reason: str
    """Why, or what to do instead."""
    line: int
    """In the foreign file; 0: it is not known."""


def brief(value: object) -> str:
    """A value in one line, cut where it is long; however large or circular it is, only its beginning is looked at."""
    text = ""
    for part in _parts(value, 0):
        text += part
        if len(text) > _BRIEF:
            text = f"{text[: _BRIEF - 1].rstrip()}…"
            break
    return "".join(character if character.isprintable() else " " for character in text)


def _parts(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, dict | list) and depth >= _DEPTH:
        yield "…"
    elif isinstance(value, dict):
        yield "{"
        for number, (key, inner) in enumerate(value.items()):
            yield f"{', ' if number else ''}{key[:_BRIEF]}{'' if inner is None else ': '}"
            yield from _parts(inner, depth + 1)
        yield "}"
    elif isinstance(value, list):
        yield "["
        for number, inner in enumerate(value):
            yield ", " if number else ""
            yield from _parts(inner, depth + 1)
        yield "]"
    else:
        yield " ".join((scalar(value) or "")[: _BRIEF * 4].split())


class Fields:
    """The keys of one table while they are read: what is not taken by the end is Unmapped."""

    def __init__(
        self, table: Table, prefix: str = "", unmapped: list[Unmapped] | None = None, line: int | None = None
    ) -> None:
        self._table = table
        self._prefix = prefix
        self._left = dict(table)
        self._line = line
        self.unmapped: list[Unmapped] = [] if unmapped is None else unmapped

    def __contains__(self, key: str) -> bool:
        return key in self._left

    def take(self, key: str) -> Any:
        """The value, whatever it is; None when there is none. It counts as mapped."""
        return self._left.pop(key, None)

    def peek(self, key: str) -> Any:
        """The value, which is not taken by that."""
        return self._left.get(key)

    def line(self, key: str) -> int:
        """Where a key stands."""
        return self._table.lines.get(key, self._line or 0)

    def flag_of(self, key: str) -> bool:
        """Whether a key says true; it is not taken by that."""
        return bool(_flag(self._left.get(key)))

    def note(self, key: str, value: str, reason: str, near: str) -> None:
        """Tell of a part of the key `near` that is not taken over."""
        self.unmapped.append(Unmapped(self._prefix + key, brief(value), reason, self.line(near)))

    def refuse(self, key: str, reason: str, value: object = None) -> None:
        """Tell that this key (or this part of its value) is not taken over."""
        shown = self._table.get(key) if value is None else value
        self._left.pop(key, None)
        self.unmapped.append(Unmapped(self._prefix + key, brief(shown), reason, self.line(key)))

    def text(self, key: str) -> str | None:
        """A string, number or boolean as text; one that is empty is none."""
        return self._read(key, scalar, "expected a text") or None

    def flag(self, key: str) -> bool:
        """Whether it says true; false where there is none."""
        return bool(self._read(key, _flag, "expected true or false"))

    def number(self, key: str) -> int | None:
        """An integer."""
        return self._read(key, _number, "expected a number")

    def texts(self, key: str) -> list[str]:
        """A list of texts; one text alone is a list of it."""
        return self._read(key, _texts, "expected a text, or a list of texts") or []

    def variables(self, key: str) -> dict[str, str | None]:
        """Environment variables, as a table or as a list of NAME=value; None: the value is that of the shell."""
        return self._read(key, _variables, "expected NAME=value pairs") or {}

    def fields(self, key: str) -> Fields | None:
        """The keys of a table below this one, which are told of like those of this one."""
        value = self._left.get(key)
        if not isinstance(value, Table):
            if value is not None:
                self.refuse(key, "expected a table")
            self._left.pop(key, None)
            return None
        del self._left[key]
        return Fields(value, f"{self._prefix}{key}.", self.unmapped, self._table.lines.get(key))

    def rest(self, reasons: Mapping[str, str]) -> None:
        """Tell of all keys that are left, except for `x-…`, which are nobody's, and those whose reason is empty."""
        for key in list(self._left):
            reason = reasons.get(key, _UNKNOWN)
            if key.startswith("x-") or not reason or self._left[key] in (None, [], {}):
                self._left.pop(key)
            else:
                self.refuse(key, reason)

    def _read(self, key: str, convert: Callable[[object], T | None], otherwise: str) -> T | None:
        value = self._left.get(key)
        if value is None:
            self._left.pop(key, None)
            return None
        converted = convert(value)
        if converted is None:
            self.refuse(key, otherwise)
            return None
        del self._left[key]
        return converted


def _flag(value: object) -> bool | None:
    word = (scalar(value) or "").lower()
    return word in {"true", "yes", "on", "1"} if word in {"true", "yes", "on", "1", "false", "no", "off", "0"} else None


def _number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    text = (scalar(value) or "").strip()
    return int(text) if text.lstrip("-").isdecimal() and text.isascii() and len(text) < 16 else None


def _texts(value: object) -> list[str] | None:
    found = [scalar(each) for each in value] if isinstance(value, list) else [scalar(value)]
    return None if None in found else [each for each in found if each is not None]


def _variables(value: object) -> dict[str, str | None] | None:
    if isinstance(value, dict):
        if any(isinstance(each, list | dict) for each in value.values()):
            return None
        return {name: scalar(each) for name, each in value.items()}
    texts = _texts(value) if isinstance(value, list) else None
    if texts is None:
        return None
    pairs = (text.partition("=") for text in texts)
    return {name: content if separator else None for name, separator, content in pairs}
