"""JSON as people write it, with comments and commas after the last member: read, and changed at one place. Pure.

The grammar is RFC 8259's, with // and /* */ comments wherever there may be white space, and one comma before a closing
bracket. Of a key that stands twice the last one counts, as it does for JavaScript.

A change replaces one value or inserts one member. Every other character stays where it is: comments, order, spaces and
the ends of lines are the user's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runcept.cli.mcp_clients.mistakes import Mistake

__all__ = ["Document", "Node", "parse", "with_value"]

_DEPTH_MAX = 100
_BOM = "\ufeff"
_SPACE = re.compile(r"[ \t\r\n]*+")
_LINE_BREAK = re.compile(r"[\r\n]")
_LINE_END = re.compile(r"[\r\n]|\Z")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*+"')
_SCALAR = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+|true|false|null")
_WORD = re.compile(r"[\w.+-]++")
_INDENTED_KEY = re.compile(r'^([ \t]++)"', re.MULTILINE)
_INDENTATION = re.compile(r"[ \t]*+")


@dataclass(slots=True)
class Node:
    """A value, from `start` up to `end`. An object has `members`, and knows how they are separated."""

    start: int
    end: int
    value: Any
    members: dict[str, Node] | None = None
    last_end: int = 0
    """Where the value of the last member ends."""
    ends_with_comma: bool = False


@dataclass(slots=True)
class Document:
    """`root` is None where there is nothing but white space and comments; the rest are places of what JSON lacks."""

    root: Node | None
    comments: list[int] = field(default_factory=list)
    trailing_commas: list[int] = field(default_factory=list)


def parse(text: str) -> Document:
    """Everything in the text and where it stands. Errors: Mistake."""
    return _Reader(text).document()


def with_value(text: str, path: Sequence[str], value: object) -> str:
    """The text with `value` under this path of keys; what is missing of the path is made. Errors: Mistake."""
    node = parse(text).root
    style = _Style.of(text)
    if node is None:
        gap = "" if text.endswith(("\n", _BOM)) or not text else style.line_end
        return f"{text}{gap}{style.written(_nested(path, value), '')}{style.line_end}"
    depth = 0
    while depth < len(path) and node.members is not None and path[depth] in node.members:
        node = node.members[path[depth]]
        depth += 1
    if depth == len(path):
        written = _compact(value) if _is_one_line(text, node) else style.written(value, _indentation(text, node.start))
        return text[: node.start] + written + text[node.end :]
    if node.members is None:
        raise Mistake("an object was expected here", node.start, "Its servers are members of an object: { }.")
    return _inserted(text, node, style, path[depth], _nested(path[depth + 1 :], value))


def _inserted(text: str, node: Node, style: _Style, key: str, value: object) -> str:
    """One member more, the last one, in the way in which the object is written."""
    closing = node.end - 1
    tail = len(text[:closing].rstrip(" \t\r\n"))  # behind the last member, its comma, or a comment
    before = text[: node.last_end] + "," + text[node.last_end : tail] if node.last_end else text[:tail]
    if node.ends_with_comma or not node.members:
        before = text[:tail]
    comma = "," if node.ends_with_comma else ""
    name = json.dumps(key, ensure_ascii=False)
    if _is_one_line(text, node):
        return f"{before} {name}: {_compact(value)}{comma}{text[tail:]}"
    outer = _indentation(text, node.start)
    inner = _indentation_of_members(text, node) or outer + style.unit
    member = f"{style.line_end}{inner}{name}: {style.written(value, inner)}{comma}"
    rest = text[tail:] if "\n" in text[tail:closing] else f"{style.line_end}{outer}{text[closing:]}"
    return before + member + rest


def _is_one_line(text: str, node: Node) -> bool:
    """Whether it is an object whose members stand in one line; no comment in it ends with the line."""
    return bool(node.members) and not _LINE_BREAK.search(text, node.start, node.end)


def _nested(path: Sequence[str], value: object) -> object:
    for key in reversed(path):
        value = {key: value}
    return value


def _indentation(text: str, at: int) -> str:
    """The blanks that the line begins with."""
    found = _INDENTATION.match(text, text.rfind("\n", 0, at) + 1)
    return found[0] if found else ""


def _indentation_of_members(text: str, node: Node) -> str:
    found = _INDENTED_KEY.search(text, node.start, node.last_end) if node.members else None
    return found[1] if found else ""


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class _Style:
    """How the file is written: by how much it is indented, and how its lines end."""

    unit: str
    line_end: str

    @classmethod
    def of(cls, text: str) -> _Style:
        found = _INDENTED_KEY.search(text)
        return cls(found[1] if found else "  ", "\r\n" if "\r\n" in text else "\n")

    def written(self, value: object, indentation: str) -> str:
        """An object in lines, each member in one of its own; everything else in one line."""
        if not isinstance(value, Mapping) or not value:
            return _compact(value)
        inner = indentation + self.unit
        members = [f"{inner}{_compact(key)}: {self.written(each, inner)}" for key, each in value.items()]
        return f"{{{self.line_end}{f',{self.line_end}'.join(members)}{self.line_end}{indentation}}}"


class _Reader:
    """Goes through the text once, from its beginning to its end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 1 if text.startswith(_BOM) else 0
        self._found = Document(None)

    def document(self) -> Document:
        self._skip()
        if self._at < len(self._text):
            self._found.root = self._value(0)
            self._skip()
            if self._at < len(self._text):
                raise Mistake("something follows the end of the document", self._at, "A file holds one value.")
        return self._found

    def _skip(self) -> None:
        """Past white space and comments."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]  # it matches anything
            if self._text.startswith("//", self._at):
                self._found.comments.append(self._at)
                self._at = _LINE_END.search(self._text, self._at).end()  # type: ignore[union-attr]  # the end at last
            elif self._text.startswith("/*", self._at):
                self._found.comments.append(self._at)
                end = self._text.find("*/", self._at + 2)
                if end < 0:
                    raise Mistake("the comment is not closed", self._at, "End it with */.")
                self._at = end + 2
            else:
                return

    def _next(self) -> str:
        """The character here; empty at the end."""
        return self._text[self._at : self._at + 1]

    def _value(self, depth: int) -> Node:
        if depth > _DEPTH_MAX:
            raise Mistake("values are nested too deeply", self._at)
        start, first = self._at, self._next()
        if first == "{":
            return self._object(depth)
        if first == "[":
            return self._array(depth)
        if first == '"':
            value: Any = self._string()
        else:
            value = self._scalar()
        return Node(start, self._at, value)

    def _object(self, depth: int) -> Node:
        node = Node(self._at, 0, {}, {})
        assert node.members is not None  # noqa: S101  said one line above
        while self._another("}", node):
            if self._next() != '"':
                raise Mistake("a key was expected here", self._at, "Keys are texts in double quotes.")
            key = self._string()
            self._skip()
            if self._next() != ":":
                raise Mistake("a colon was expected here", self._at, 'A member is "key": value.')
            self._at += 1
            self._skip()
            member = self._value(depth + 1)
            node.members[key] = member
            node.value[key] = member.value
            node.last_end = member.end
        return node

    def _array(self, depth: int) -> Node:
        node = Node(self._at, 0, [])
        while self._another("]", node):
            element = self._value(depth + 1)
            node.value.append(element.value)
            node.last_end = element.end
        return node

    def _another(self, closing: str, node: Node) -> bool:
        """Past what separates it from the one before, to the next element; False past the closing bracket."""
        begun = bool(node.last_end)
        comma = -1
        if begun:
            self._skip()
            if self._next() == ",":
                comma = self._at
                self._at += 1
        else:
            self._at += 1  # the opening bracket
        self._skip()
        if self._next() == closing:
            self._at += 1
            node.end = self._at
            node.ends_with_comma = comma >= 0
            if node.ends_with_comma:
                self._found.trailing_commas.append(comma)
            return False
        if self._at == len(self._text):
            what = "object" if closing == "}" else "list"
            raise Mistake(f"the {what} is not closed", node.start, f"End it with {closing}.")
        if begun and comma < 0:
            raise Mistake("a comma was expected here", self._at, "A comma stands between two elements.")
        return True

    def _string(self) -> str:
        found = _STRING.match(self._text, self._at)
        if found is None:
            raise Mistake("the text is not closed on its line", self._at, 'End it with "; a tab in it is written \\t.')
        try:
            value: str = json.loads(found[0])
        except json.JSONDecodeError as error:
            hint = "A backslash itself is written \\\\."
            raise Mistake("an escape that JSON does not know", self._at + error.pos, hint) from error
        self._at = found.end()
        return value

    def _scalar(self) -> Any:
        found = _SCALAR.match(self._text, self._at)
        word = _WORD.match(self._text, self._at)
        if found is None or (word is not None and word.end() > found.end()):
            raise Mistake("a value was expected here", self._at, "Texts stand in double quotes.")
        try:
            value = json.loads(found[0])
        except ValueError as error:  # more digits than Python converts
            raise Mistake("a number of too many digits", self._at, "Put it in quotes if it is text.") from error
        self._at = found.end()
        return value
