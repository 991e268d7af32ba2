"""One entry merged into the text of a client's file: the text before, the text after, and what that changes. Pure.

What an entry has besides what we write (a time limit, variables, approvals) is the user's and stays, unless it was no
command at all. Whatever the editors did, the result is read again before it is believed: it says what the file said,
with this one entry changed, or nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from runcept.cli.mcp_clients import jsonc, toml_edit
from runcept.cli.mcp_clients.mistakes import Mistake
from runcept.cli.mcp_clients.table import SERVER, Client, Format, Keys, Place

__all__ = ["Change", "Entry", "Merged", "find", "merge", "place_of", "unreadable"]


class Change(StrEnum):
    """What becomes of the entry."""

    ADDED = "added"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"


class Merged(NamedTuple):
    """`before` is the entry that was there, whatever it was; None where there was none."""

    change: Change
    text: str
    before: object = None


class Entry(NamedTuple):
    """The server's entry in a file, and the path of keys to it."""

    keys: Keys
    value: object


def find(text: str, client: Client, place: Place) -> Entry | None:
    """The server's entry in a file of the client. Errors: Mistake."""
    return _find(_values(client, text), place)


def merge(text: str, client: Client, place: Place, wanted: Mapping[str, object]) -> Merged:
    """The text with the entry in it. Errors: Mistake."""
    values = _values(client, text)
    found = _find(values, place)
    keys = found.keys if found else (*place.keys[0], SERVER)
    before = found.value if found else None
    after, edits = text, [*_edits(before, wanted)]
    for path, value in edits:
        after = _with_value(client, after, (*keys, *path), value)
        values = _put(values, (*keys, *path), value)
        if not _says(client, after, values):
            raise toml_edit.refusal(text, keys)  # JSON is never changed so: a test tries thousands of documents
    return Merged(Change.UNCHANGED if not edits else Change.REPLACED if found else Change.ADDED, after, before)


def unreadable(text: str, client: Client) -> Mistake | None:
    """What stands in the file that the client itself cannot read, so that it would ignore all of it."""
    if client.format in {Format.TOML, Format.JSONC}:
        return None
    document = jsonc.parse(text)
    if document.comments and client.format is Format.JSON:
        return Mistake(f"{client.title} does not read files with comments", document.comments[0], "Remove it.")
    if document.trailing_commas:
        said = f"{client.title} does not read files with a comma after the last element"
        return Mistake(said, document.trailing_commas[0], "Remove it.")
    return None


def place_of(text: str, at: int) -> tuple[int, int]:
    """Line and column of a character, both counted from 1."""
    before = text[:at]
    return before.count("\n") + 1, at - before.rfind("\n")


def _values(client: Client, text: str) -> dict[str, Any]:
    if client.format is Format.TOML:
        return toml_edit.parse(text)
    root = jsonc.parse(text).root
    if root is None:
        return {}
    if root.members is None:
        raise Mistake("an object was expected", root.start, "The file is one object: { }.")
    value: dict[str, Any] = root.value
    return value


def _says(client: Client, text: str, values: Mapping[str, Any]) -> bool:
    try:
        return _values(client, text) == values
    except Mistake:
        return False


def _with_value(client: Client, text: str, path: Keys, value: object) -> str:
    edit = toml_edit.with_value if client.format is Format.TOML else jsonc.with_value
    return edit(text, path, value)


def _find(values: Mapping[str, Any], place: Place) -> Entry | None:
    for keys in place.keys:
        servers: object = values
        for key in keys:
            servers = servers.get(key) if isinstance(servers, dict) else None
        if isinstance(servers, dict) and SERVER in servers:
            return Entry((*keys, SERVER), servers[SERVER])
    return None


def _edits(before: object, wanted: Mapping[str, object]) -> Iterator[tuple[Keys, object]]:
    """What is to be put where, below the entry; nothing where it is right as it is."""
    if not isinstance(before, dict) or "command" not in before:
        yield (), wanted
        return
    switch = {"enabled": True} if before.get("enabled") is False else {}
    switch |= {"disabled": False} if before.get("disabled") is True else {}
    for key, value in {**wanted, **switch}.items():
        held = before.get(key)
        if isinstance(value, Mapping) and isinstance(held, dict):
            yield from (((key, name), each) for name, each in value.items() if held.get(name) != each)
        elif held != value:
            yield (key,), value


def _put(values: Mapping[str, Any], path: Keys, value: object) -> dict[str, Any]:
    """A copy of the values with one put in."""
    key, *rest = path
    inner = values.get(key)
    return {**values, key: _put(inner if isinstance(inner, dict) else {}, tuple(rest), value) if rest else value}
