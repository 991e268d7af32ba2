"""Just enough of YAML for the services of a compose file: block mappings and lists, scalars, lists in brackets.

What it does not understand (anchors, tags, tabs, text over several lines in quotes) raises NotUnderstood; block scalars
and what stands in braces are kept as text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["NotUnderstood", "Value", "parse"]

Value = str | list["Value"] | dict[str, "Value"]

_KEY = re.compile(r"""(?:"([^"\\]*)"|'([^']*)'|([^\s:#'"&*!|>%@`{}\[\],?-][^:#]*?|[\w./-]+))\s*:(?:\s+(.*))?$""")
_COMMENT = re.compile(r"""((?:[^\s#'"]|'[^']*'|"(?:[^"\\]|\\.)*"|\s(?!\#)|(?<!\s)\#|['"])*)""")
_DEPTH = 20


class NotUnderstood(Exception):
    """The text is not of the subset, or not YAML."""


class _Line(NamedTuple):
    indent: int
    text: str


def parse(text: str) -> dict[str, Value]:
    """The mapping that the text is."""
    lines = [line for raw in text.split("\n") if (line := _line(raw)).text and line.text != "---"]
    if not lines:
        return {}
    value, end = _block(lines, 0, 0)
    if end != len(lines) or not isinstance(value, dict):
        raise NotUnderstood
    return value


def _line(raw: str) -> _Line:
    stripped = raw.rstrip("\r").lstrip(" ")
    found = _COMMENT.match(stripped)
    text = "" if stripped.startswith("#") or found is None else found[1].rstrip()
    if stripped.startswith("\t") and text:
        raise NotUnderstood
    return _Line(len(raw.rstrip("\r")) - len(stripped), text)


def _block(lines: list[_Line], start: int, depth: int) -> tuple[Value, int]:
    """The mapping or list that begins at a line, and the number of the line after it."""
    if depth > _DEPTH:
        raise NotUnderstood
    indent = lines[start].indent
    if _is_item(lines[start].text):
        return _list(lines, start, indent)
    mapping: dict[str, Value] = {}
    position = start
    while position < len(lines) and lines[position].indent == indent and not _is_item(lines[position].text):
        found = _KEY.match(lines[position].text)
        if found is None:
            raise NotUnderstood
        key = found[1] or found[2] or found[3] or ""
        mapping[key], position = _value(lines, position, found[4] or "", depth)
    if position < len(lines) and lines[position].indent > indent:
        raise NotUnderstood
    return mapping, position


def _value(lines: list[_Line], position: int, rest: str, depth: int) -> tuple[Value, int]:
    indent = lines[position].indent
    following = position + 1
    deeper = following < len(lines) and lines[following].indent > indent
    if rest.startswith(("|", ">")) or (rest and deeper):
        end = _after(lines, following, indent)
        if rest and not rest.startswith(("|", ">")):
            raise NotUnderstood  # a value that goes on in the next line
        return "\n".join(line.text for line in lines[following:end]), end
    if rest:
        return _scalar(rest), following
    list_beside = following < len(lines) and lines[following].indent == indent and _is_item(lines[following].text)
    if deeper or list_beside:
        return _block(lines, following, depth + 1)
    return "", following


def _list(lines: list[_Line], start: int, indent: int) -> tuple[list[Value], int]:
    items: list[Value] = []
    position = start
    while position < len(lines) and lines[position].indent == indent and _is_item(lines[position].text):
        items.append(_scalar(lines[position].text[1:].strip()))
        position = _after(lines, position + 1, indent)
    return items, position


def _after(lines: list[_Line], position: int, indent: int) -> int:
    """The first line that is not deeper than `indent`."""
    while position < len(lines) and lines[position].indent > indent:
        position += 1
    return position


def _is_item(text: str) -> bool:
    return text == "-" or text.startswith("- ")


def _scalar(text: str) -> Value:
    if text.startswith("["):
        if not text.endswith("]"):
            raise NotUnderstood
        parts = re.findall(r"""\s*("(?:[^"\\]|\\.)*"|'[^']*'|[^,'"]+)\s*(?:,|$)""", text[1:-1])
        return [_plain(part.strip()) for part in parts if part.strip()]
    if text.startswith(("&", "*", "!")):
        raise NotUnderstood
    return _plain(text)


def _plain(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) > 1 and text[0] == text[-1] == '"':
        return re.sub(r'\\(["\\/])', r"\1", text[1:-1])
    return text
