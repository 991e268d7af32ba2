"""The kinds of value that a key can take: how each is read, what it is called, and what it is in JSON Schema.

A shape's `read(value, place)` gives the value as the rest of Runcept wants it. When the value as a whole is wrong it
raises `Wrong`; when a part of it is, it records that at the part's own place and leaves the part out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from runcept import units
from runcept.config.problems import Place, Wrong
from runcept.paths import PROCESS_NAME

__all__ = [
    "NAME",
    "WRONG",
    "Shape",
    "boolean",
    "choice",
    "duration",
    "expected",
    "integer",
    "kind",
    "list_of",
    "name",
    "off_or",
    "path",
    "positive_duration",
    "read",
    "read_filled",
    "read_text",
    "size",
    "text",
]

NAME = PROCESS_NAME
WRONG = object()
"""What `read` gives for a value that is wrong."""

_YEARS_100 = 100 * 365 * 86400.0
_DURATION_PATTERN = r"^\s*(\d+(\.\d+)?|(\d+(\.\d+)?\s*([mM]?[sS]|[mMhHdDwW])\s*)+)\s*$"
_SIZE_PATTERN = r"^\s*\d+(\.\d+)?\s*([bB]|[kKmMgGtT]([iI]?[bB])?)?\s*$"

_KINDS = {bool: "a boolean", int: "an integer", str: "a string", list: "a list", dict: "a table"}


class Shape(msgspec.Struct, frozen=True):
    """One kind of value."""

    label: str
    """What the reference page calls it."""
    schema: Mapping[str, Any]
    """Its JSON Schema."""
    read: Callable[[Any, Place], Any]


def read(shape: Shape, value: object, place: Place) -> Any:
    """What `shape` makes of the value; WRONG, with the problem recorded at `place`, when it is wrong."""
    try:
        return shape.read(value, place)
    except Wrong as wrong:
        place.problem(wrong.message, wrong.hint)
        return WRONG


def kind(value: object) -> str:
    """What a person calls a TOML value: "an integer"."""
    if isinstance(value, float):
        return "a float"
    return _KINDS.get(type(value), "a date or time")


def expected(what: str, value: object, hint: str = "") -> Wrong:
    """The value is of another kind."""
    return Wrong(f"expected {what}, found {kind(value)}", hint)


def read_text(value: object, _place: Place) -> str:
    """A string that can be passed to a process."""
    if not isinstance(value, str):
        quoted = isinstance(value, bool | int | float)
        raise expected("a string", value, "Put it in quotes." if quoted else "")
    if "\0" in value:
        raise Wrong("a NUL character cannot be passed to a process")
    return value


def read_filled(value: object, place: Place) -> str:
    """A string with something in it."""
    filled = read_text(value, place)
    if not filled.strip():
        raise Wrong("it must not be empty")
    return filled


def _read_name(value: object, place: Place) -> str:
    given = read_text(value, place)
    if not re.fullmatch(NAME, given):
        raise Wrong(
            f"{given!r} cannot be a name",
            'Use 1 to 64 of A-Z a-z 0-9 ".", "_" and "-", with a letter or digit first.',
        )
    return given


def _read_boolean(value: object, _place: Place) -> bool:
    if not isinstance(value, bool):
        hint = "Write true or false without quotes." if str(value).lower() in {"true", "false", "yes", "no"} else ""
        raise expected("true or false", value, hint)
    return value


def _not_endless(value: object) -> None:
    """Units are found by searching, in the square of the length."""
    if isinstance(value, str) and len(value) > 100:
        raise Wrong("this is far too long for a number with a unit")


def _read_duration(value: object, _place: Place) -> float:
    _not_endless(value)
    try:
        seconds = units.duration(value)
    except ValueError as error:
        raise Wrong(str(error)) from error
    if seconds > _YEARS_100:
        raise Wrong("a duration cannot be longer than 100 years")
    return seconds


def _read_positive_duration(value: object, place: Place) -> float:
    seconds = _read_duration(value, place)
    if seconds < 0.001:
        raise Wrong("it must be at least 1ms")
    return seconds


def _read_size(value: object, _place: Place) -> int:
    _not_endless(value)
    try:
        count = units.size(value)
    except ValueError as error:
        raise Wrong(str(error)) from error
    if not 1 <= count < 2**63:
        raise Wrong("it must be at least 1 byte and less than 8 EiB")
    return count


text = Shape("string", {"type": "string"}, read_text)
name = Shape("name", {"type": "string", "pattern": f"^{NAME}$"}, _read_name)
path = Shape("path", {"type": "string", "pattern": r"\S"}, read_filled)
boolean = Shape("boolean", {"type": "boolean"}, _read_boolean)
duration = Shape(
    "duration",
    {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": _DURATION_PATTERN}]},
    _read_duration,
)
positive_duration = Shape(
    "duration",
    {"anyOf": [{"type": "number", "minimum": 0.001}, {"type": "string", "pattern": _DURATION_PATTERN}]},
    _read_positive_duration,
)
size = Shape(
    "size",
    {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": _SIZE_PATTERN}]},
    _read_size,
)


def off_or(inner: Shape) -> Shape:
    """The inner shape, or "off", which is read as None."""

    def read_off(value: object, place: Place) -> Any:
        if value == "off":
            return None
        if value is False or (value == 0 and not isinstance(value, bool)):
            raise Wrong("it would be over at once", 'Write "off" for no timeout.')
        return inner.read(value, place)

    return Shape(f'{inner.label} or "off"', {"anyOf": [{"const": "off"}, *inner.schema["anyOf"]]}, read_off)


def integer(minimum: int, maximum: int) -> Shape:
    """An integer between two bounds, both included."""

    def read_integer(value: object, _place: Place) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise expected("an integer", value)
        if not minimum <= value <= maximum:
            raise Wrong(f"{value} is not between {minimum} and {maximum}")
        return value

    return Shape("integer", {"type": "integer", "minimum": minimum, "maximum": maximum}, read_integer)


def choice(*words: str, of: type[StrEnum] | None = None) -> Shape:
    """One of some words; read as a member of `of` where that is given, whose words they then are."""
    allowed: list[str] = [member.value for member in of] if of else list(words)
    quoted = [f'"{word}"' for word in allowed]

    def read_choice(value: object, place: Place) -> str:
        hint = f"It is one of {', '.join(quoted)}."
        if not isinstance(value, str):
            raise expected("a string", value, hint)
        word = read_text(value, place)
        if word not in allowed:
            raise Wrong(f"{word!r} is not possible here", hint)
        return of(word) if of else word

    return Shape(" or ".join(quoted), {"enum": allowed}, read_choice)


def list_of(
    item: Shape, *, label: str = "", at_least: int = 0, unique: bool = False, in_place_of_wrong: Any = WRONG
) -> Shape:
    """A list, read as a tuple of what is right in it; `unique`: an element may not come twice.

    With `in_place_of_wrong` a wrong element is replaced by that value, so that the others keep their positions.
    """

    def read_list(value: object, place: Place) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise expected("a list", value, "Put it in brackets: [ … ]." if not isinstance(value, dict) else "")
        if len(value) < at_least:
            raise Wrong("the list must not be empty")
        elements: list[Any] = []
        first: dict[Any, int] = {}
        for index, each in enumerate(value):
            element = read(item, each, place / index)
            if unique and first.setdefault(element, index) != index and element is not WRONG:
                (place / index).problem(f"{each} is listed twice", related=(place / first[element]).path)
            elif element is not WRONG:
                elements.append(element)
            elif in_place_of_wrong is not WRONG:
                elements.append(in_place_of_wrong)
        return tuple(elements)

    schema: dict[str, Any] = {"type": "array", "items": item.schema}
    if at_least:
        schema["minItems"] = at_least
    if unique:
        schema["uniqueItems"] = True
    return Shape(label or f"list of {item.label}s", schema, read_list)
