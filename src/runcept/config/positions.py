"""Line and column of everything in a TOML text that `tomllib` accepted. Costs an import: only for reporting errors."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

import tree_sitter
import tree_sitter_toml

from runcept.config.problems import Path, Span

__all__ = ["Positions"]

_DEPTH = 8  # no key of ours is deeper: what is below is never asked for


class Positions:
    """Where each key and each value of a TOML text stands. Its line ends are newlines alone."""

    def __init__(self, text: str) -> None:
        self._lines = text.encode().split(b"\n")
        self._keys: dict[Path, Span] = {}
        self._values: dict[Path, Span] = {}
        self._last: dict[Path, int] = {}  # [[name]] headers: the index of the newest element
        parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_toml.language()))
        self._document(parser.parse(text.encode()).root_node)

    def find(self, path: Path, *, key: bool = False) -> Span:
        """The span of the value (or of its key); of the nearest enclosing place when there is no such thing."""
        kinds = (self._keys, self._values) if key else (self._values, self._keys)
        for end in range(len(path), 0, -1):
            for spans in kinds:
                if path[:end] in spans:
                    return spans[path[:end]]
        return Span(1, 1)

    def _document(self, root: tree_sitter.Node) -> None:
        table: Path = ()
        for node in root.named_children:
            if node.type == "pair":
                self._pair(node, ())
            elif node.type in {"table", "table_array_element"}:
                parts = list(_key_parts(node.named_children[0]))
                table = self._header(parts, array=node.type == "table_array_element")
                for child in node.named_children[1:]:
                    if child.type == "pair":
                        self._pair(child, table)

    def _header(self, parts: list[tuple[str, tree_sitter.Node]], *, array: bool) -> Path:
        """Enter `[a.b]` or `[[a.b]]`: a name that is an array of tables stands for its last element."""
        path: Path = ()
        for number, (name, node) in enumerate(parts, 1):
            path = (*path, name)
            self._note(path, node)
            if array and number == len(parts):
                self._last[path] = self._last.get(path, -1) + 1
            if path in self._last:
                path = (*path, self._last[path])
                self._note(path, node)
        return path

    def _note(self, path: Path, node: tree_sitter.Node) -> None:
        self._keys.setdefault(path, self._span(node))

    def _pair(self, node: tree_sitter.Node, path: Path) -> None:
        key, value, *_comment = node.named_children
        for name, part in _key_parts(key):
            path = (*path, name)
            self._note(path, part)
        self._value(value, path)

    def _value(self, node: tree_sitter.Node, path: Path) -> None:
        self._values[path] = self._span(node)
        if len(path) >= _DEPTH:
            return
        children = [child for child in node.named_children if child.type != "comment"]
        if node.type == "array":
            for index, child in enumerate(children):
                self._value(child, (*path, index))
        elif node.type == "inline_table":
            for child in children:
                self._pair(child, path)

    def _span(self, node: tree_sitter.Node) -> Span:
        """tree-sitter counts rows from 0 and bytes; people count from 1 and characters."""
        row, start = node.start_point
        line = self._lines[row]
        end = node.end_point[1] if node.end_point[0] == row else len(line)
        return Span(row + 1, len(line[:start].decode()) + 1, max(1, len(line[start:end].decode())))


def _key_parts(node: tree_sitter.Node) -> Iterator[tuple[str, tree_sitter.Node]]:
    """The names of `a."b.c".d`, each with its node; a name is read by tomllib, which knows the escapes."""
    if node.type == "dotted_key":
        for child in node.named_children:
            yield from _key_parts(child)
    elif node.text is not None:
        (name,) = tomllib.loads(f"{node.text.decode()} = 0")
        yield name, node
