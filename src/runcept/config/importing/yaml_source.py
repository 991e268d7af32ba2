"""YAML as the tools whose files we read have it: text stays as it is written, and every key knows its line.

Of plain scalars only `true`, `false` and `null` are more than text (YAML 1.2): `no` is "no", `22:22` no number in base
60, `1.10` is not 1.1. Anchors, aliases and merge keys work; a key that stands twice is an error; tags are looked past.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runcept.config.importing.values import Table
from runcept.errors import ForeignFileInvalid

if TYPE_CHECKING:
    import yaml

__all__ = ["read_yaml"]

_PLAIN: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_SIZE_MAX = 200_000
"""Values that a file may hold with its aliases written out: some lines can ask for more than a memory holds."""


def read_yaml(path: str, text: str) -> Table:
    """The table that the text is; ForeignFileInvalid, with the line, when it is none."""
    import yaml  # 20 ms that nothing else needs

    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = (error.problem or error.context or "it cannot be read").strip()
        raise ForeignFileInvalid(path, mark.line + 1 if mark else 0, f"not valid YAML: {why}") from error
    except yaml.YAMLError as error:
        why = str(error).split("\n", maxsplit=1)[0]
        raise ForeignFileInvalid(path, 0, f"not valid YAML: {why}") from error
    except (RecursionError, ValueError, IndexError, AttributeError) as error:  # what the library makes of its limits
        raise ForeignFileInvalid(path, 0, "not valid YAML, or nested too deeply") from error
    try:
        value = None if node is None else _Reading(path).value(node)
    except RecursionError as error:
        raise ForeignFileInvalid(path, 0, "it is nested too deeply") from error
    if not isinstance(value, Table):
        raise ForeignFileInvalid(path, 1, "expected `key: value` lines", "Is this the right file?")
    return value


class _Reading:
    """One file while its nodes become values; what is shared by aliases is made once."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._made: dict[int, Any] = {}
        self._open: set[int] = set()
        self._sizes: dict[int, int] = {}

    def value(self, node: yaml.Node) -> Any:
        """The value of a node."""
        if id(node) in self._open:
            raise self._wrong(node, "an anchor holds itself")
        if id(node) not in self._made:
            self._open.add(id(node))
            self._made[id(node)] = self._make(node)
            self._open.discard(id(node))
            self._sizes[id(node)] = self._size(node)
            if self._sizes[id(node)] > _SIZE_MAX:
                raise self._wrong(node, "its aliases make too much of it")
        return self._made[id(node)]

    def _size(self, node: yaml.Node) -> int:
        """The values in a node, itself among them; those of its parts are known."""
        parts = node.value if isinstance(node.value, list) else ()
        return 1 + sum(self._sizes[id(each[1] if isinstance(each, tuple) else each)] for each in parts)

    def _make(self, node: yaml.Node) -> Any:
        import yaml

        if isinstance(node, yaml.MappingNode):
            return self._table(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(each) for each in node.value]
        text: str = node.value
        if any("\ud800" <= character <= "\udfff" for character in text):  # as JSON escapes what is beyond 16 bits
            try:
                text = text.encode("utf-16", "surrogatepass").decode("utf-16")
            except UnicodeDecodeError as error:
                raise self._wrong(node, "it holds half a character") from error
        return _PLAIN.get(text, text) if isinstance(node, yaml.ScalarNode) and node.style is None else text

    def _table(self, node: yaml.MappingNode) -> Table:
        own, merged = Table(), Table()
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key == "<<" and key_node.style is None:
                self._merge(merged, value_node)
            elif key in own:
                raise self._wrong(key_node, f"the key {key} stands there twice", f"First on line {own.lines[key]}.")
            else:
                own[key] = self.value(value_node)
                own.lines[key] = key_node.start_mark.line + 1
        return Table({**merged, **own}, {**merged.lines, **own.lines}) if merged else own

    def _key(self, node: yaml.Node) -> str:
        value = self.value(node)
        if isinstance(value, str):
            return value
        if isinstance(value, list | dict):
            raise self._wrong(node, "a list or a table cannot be a key")
        return str(node.value)

    def _merge(self, into: Table, node: yaml.Node) -> None:
        """`<<: *a` and `<<: [*a, *b]`: earlier ones win."""
        value = self.value(node)
        for each in value if isinstance(value, list) else [value]:
            if not isinstance(each, Table):
                raise self._wrong(node, "<< takes a table")
            for key, inner in each.items():
                if key not in into:
                    into[key], into.lines[key] = inner, each.lines[key]

    def _wrong(self, node: yaml.Node, why: str, hint: str = "Correct it and try again; nothing was written.") -> Any:
        return ForeignFileInvalid(self._path, node.start_mark.line + 1, why, hint)
