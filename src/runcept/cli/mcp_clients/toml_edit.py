"""TOML read, and changed at one place. Pure; tomlkit, which keeps comments and order, is imported only to change.

A table that is new goes to the end, as a person would write it. So every character that was there stays; tomlkit
is for what lies within: other values in a table that is there, and tables in braces.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from runcept.cli.mcp_clients.mistakes import Mistake

__all__ = ["parse", "refusal", "with_value"]

_BOM = "\ufeff"
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def parse(text: str) -> dict[str, Any]:
    """The values of the text. Errors: Mistake."""
    try:
        return tomllib.loads(text.removeprefix(_BOM))
    except tomllib.TOMLDecodeError as error:
        raise _mistake(text, str(error)) from error
    except RecursionError as error:
        raise Mistake("values are nested too deeply", 0) from error
    except ValueError as error:  # an integer of more digits than Python converts
        raise Mistake("a number of too many digits", 0, "Put it in quotes if it is text.") from error


def with_value(text: str, path: Sequence[str], value: object) -> str:
    """The text with `value` under this path of keys; what is missing of the path is made. Errors: Mistake."""
    known = parse(text)
    if isinstance(value, Mapping) and _lacks(known, path):
        appended = _appended(text, path, value)
        if _is_valid(appended):
            return appended
    return _edited(text, path, value)


def refusal(text: str, path: Sequence[str]) -> Mistake:
    """What is said where a change would damage the rest: tomlkit mistakes tables whose parts are far apart."""
    said = "its tables are in an order in which a program cannot change them safely"
    return Mistake(said, _at(text, path[0]), f"Change [{'.'.join(path)}] by hand.")


def _lacks(values: object, path: Sequence[str]) -> bool:
    for key in path:
        if not isinstance(values, Mapping) or key not in values:
            return True
        values = values[key]
    return False


def _is_valid(text: str) -> bool:
    try:
        parse(text)
    except Mistake:  # the table above it is written in braces, or by dotted keys, and takes no other
        return False
    return True


def _appended(text: str, path: Sequence[str], value: Mapping[str, object]) -> str:
    line_end = _line_end(text)
    gap = "" if not text.removeprefix(_BOM).strip() else line_end
    ended = text if text.endswith("\n") or not gap else text + line_end
    return ended + gap + "".join(line + line_end for line in _table(path, value))


def _table(path: Sequence[str], value: Mapping[str, object]) -> list[str]:
    """The lines of a table and of the tables in it."""
    lines = [f"[{'.'.join(map(_key, path))}]"]
    lines += [f"{_key(key)} = {_written(each)}" for key, each in value.items() if not isinstance(each, Mapping)]
    for key, each in value.items():
        if isinstance(each, Mapping):
            lines += ["", *_table([*path, key], each)]
    return lines


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _written(name)


def _written(value: object) -> str:
    """Texts, booleans, numbers and lists of them are in TOML what they are in JSON, but for the character DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _edited(text: str, path: Sequence[str], value: object) -> str:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError
    from tomlkit.items import InlineTable

    bom = text[: text.startswith(_BOM)]
    try:
        document = tomlkit.parse(text.removeprefix(_BOM))
        table: MutableMapping[str, Any] = document
        for key in path[:-1]:
            if key not in table:
                table[key] = tomlkit.inline_table() if isinstance(table, InlineTable) else tomlkit.table()
            table = table[key]
            if not isinstance(table, MutableMapping):
                raise Mistake("a table was expected here", _at(text, key), f"Servers are tables: [{'.'.join(path)}].")
        if isinstance(value, Mapping) and isinstance(table, InlineTable):
            inline = tomlkit.inline_table()
            inline.update(value)
            table[path[-1]] = inline
        else:
            table[path[-1]] = value
        edited = tomlkit.dumps(document)
    except TOMLKitError as error:
        raise refusal(text, path) from error
    if _line_end(text) == "\r\n":
        edited = re.sub(r"(?<!\r)\n", "\r\n", edited)
    return bom + edited


def _at(text: str, key: str) -> int:
    """Where a key of the document stands first."""
    from runcept.config.positions import Positions

    span = Positions(text.replace("\r\n", "\n")).find((key,))
    return sum(len(each) + 1 for each in text.split("\n")[: span.line - 1]) + span.column - 1


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _mistake(text: str, message: str) -> Mistake:
    """What tomllib says, in words and with the place counted in characters."""
    from runcept.config.toml_errors import explained

    found = _PLACE.search(message)
    sentence = message[: found.start()] if found else message
    line, column, at = "", 1, len(text.rstrip())
    if found and found[1]:
        lines = text.split("\n")
        line, column = lines[int(found[1]) - 1], int(found[2])
        at = sum(len(each) + 1 for each in lines[: int(found[1]) - 1]) + column - 1
    said, hint = explained(sentence, line, column)
    return Mistake(said, at, hint)
