"""A table and its keys: reading one with every problem at once, and its JSON Schema. Knows no key by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from runcept.config.problems import Place, Problems, Wrong
from runcept.config.shapes import WRONG, Shape, kind, read
from runcept.errors import nearest

__all__ = ["Key", "Table", "table_or", "table_schema"]


class Key(msgspec.Struct, frozen=True):
    """One key of a table: all that the validator, the JSON Schema and the reference page say about it."""

    name: str
    shape: Shape
    meaning: str
    default: Any = None
    """As one would write it in the file; None: there is none."""
    default_note: str = ""
    """What the default depends on, where it is no value."""
    required: bool = False
    written: str = ""
    """How it stands in a file, where it is a table of its own and not `name = value`."""
    mistaken_for: tuple[str, ...] = ()
    """What other tools, or haste, call it; only used to guess what was meant."""


class Table(msgspec.Struct, frozen=True):
    """A kind of table, and where keys that are often put into it by mistake belong."""

    title: str
    keys: tuple[Key, ...]
    others: tuple[Table, ...] = ()

    def read(self, value: object, place: Place) -> dict[str, Any]:
        """What is present and right, by key; raises Wrong when it is no table at all."""
        if not isinstance(value, dict):
            raise Wrong(f"expected a table, found {kind(value)}")
        known = {key.name for key in self.keys}
        for name in value:
            if name not in known:
                (place / name).problem(f'unknown key "{name}" in {self.title}', self._guess(name), at_key=True)
        found = {}
        for key in self.keys:
            if key.name in value:
                content = read(key.shape, value[key.name], place / key.name)
                if content is not WRONG:
                    found[key.name] = content
            elif key.required:
                add = f"Add {key.written} and in it name = …" if key.written else f"Add {key.name} = …"
                place.problem(f"{self._called(value)} has no {key.name}", add, at_key=True)
        return found

    def defaults(self) -> dict[str, Any]:
        """What holds for the keys that are not written."""
        written = {key.name: key.default for key in self.keys if key.default is not None}
        return Table(self.title, tuple(key for key in self.keys if key.name in written)).read(written, Problems().at())

    def _called(self, value: Mapping[str, Any]) -> str:
        name = value.get("name")
        return f'{self.title} "{name}"' if isinstance(name, str) else self.title

    def _guess(self, name: str) -> str:
        if (meant := _meant(name, self.keys)) is not None:
            return f"Did you mean {meant}?"
        for other in self.others:
            if name in {key.name for key in other.keys}:
                return f"{name} belongs into {other.title}."
        if near := nearest(name, [key.name for key in self.keys]):
            return f"Did you mean {near}?"
        for other in self.others:
            near = _meant(name, other.keys) or nearest(name, [key.name for key in other.keys])
            if near:
                return f"Did you mean {near}? It belongs into {other.title}."
        return f"It takes {', '.join(key.name for key in self.keys)}."


def _meant(name: str, keys: Iterable[Key]) -> str | None:
    plain = name.lower().replace("-", "_")
    return next((key.written or key.name for key in keys if plain == key.name or plain in key.mistaken_for), None)


def table_schema(table: Table) -> dict[str, Any]:
    """The JSON Schema of a table."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {key.name: _key_schema(key) for key in table.keys},
        "additionalProperties": False,
    }
    if required := [key.name for key in table.keys if key.required]:
        schema["required"] = required
    return schema


def _key_schema(key: Key) -> dict[str, Any]:
    schema = {**key.shape.schema, "description": key.meaning}
    if key.default is not None:
        schema["default"] = key.default
    return schema


def table_or(table: Table, other: Shape | None = None, *, short: str = "") -> Shape:
    """A nested table; with `other`, a value of that shape alone stands for a table with only the key `short`."""

    def read_table(value: object, place: Place) -> dict[str, Any]:
        if other is None or isinstance(value, dict):
            return table.read(value, place)
        if not isinstance(value, str):
            raise Wrong(f"expected {label}, found {kind(value)}")
        return {short: other.read(value, place)}

    schema = table_schema(table)
    label = f"{other.label} or table" if other else "table"
    return Shape(label, {"anyOf": [other.schema, schema]} if other else schema, read_table)
