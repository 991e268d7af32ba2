"""A draft as the text of a project file: TOML that a person would have written, and comments for what is lost. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from runcept.config.importing.draft import Need, Proposal
from runcept.config.importing.values import Unmapped
from runcept.config.schema import PROCESS
from runcept.core.columns import cut, width_of

__all__ = ["comment", "toml", "toml_line", "toml_string", "write_keys", "write_lost", "write_process"]

_WIDTH = 100  # columns that a line may have before it is written otherwise
_LOST = 60  # columns of a key and its value that have no place
_INLINE_MAX = 3  # variables that stand in one line
_FIRST = ("name", "description", "kind", "autostart", "command", "working_dir", "env_files", "depends_on")
_ORDER = (*_FIRST, "ports", "health_check", *(key.name for key in PROCESS.keys if key.name not in _FIRST))


def toml_string(text: str) -> str:
    """A basic string: TOML knows the escapes of JSON, and wants DEL escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml(value: object) -> str:
    """A value; a text as it reads best."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case str():
            return _text(value)
        case Mapping():
            return f"{{ {', '.join(f'{_key(key)} = {toml_line(inner)}' for key, inner in value.items())} }}"
        case Sequence():
            return f"[{', '.join(map(toml_line, value))}]"
        case _:
            raise TypeError(f"{value!r} is not of TOML")


def _text(text: str) -> str:
    """In single quotes where it holds double ones, over several lines where it has them."""
    if "\n" in text.strip("\n") and "\r" not in text:
        return _lines(text)
    plain = ('"' in text or "\\" in text) and "'" not in text and text.isprintable()
    return f"'{text}'" if plain else toml_string(text)


def toml_line(value: object) -> str:
    """As `toml`, but a text stays in one line."""
    return toml_string(value) if isinstance(value, str) and "\n" in value else toml(value)


def _lines(text: str) -> str:
    r"""A string over several lines. In one, `\` and `"` of a string in one line mean the same."""
    body = "\n".join(toml_string(line)[1:-1].replace('\\"', '"') for line in text.split("\n"))
    body = re.sub(r'"(?="|\Z)', r'\\"', body)
    return f'"""\n{body}"""'


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml_string(name)


def comment(text: str, indent: str = "") -> list[str]:
    """Lines of prose; what would end a comment, or act on a terminal, becomes a space."""
    return wrap(
        _printable(text),
        _WIDTH,
        initial_indent=f"# {indent}",
        subsequent_indent=f"# {indent}",
        break_long_words=False,
        break_on_hyphens=False,
    )


def write_process(each: Proposal, file: str = "") -> str:
    """Its `[[process]]` table; `file` is where what is lost was, for the title of those comments."""
    keys = {"name": each.name, "command": each.command, **each.keys}
    if each.needs:
        keys["depends_on"] = [_need(need) for need in each.needs]
    ordered = {key: keys[key] for key in _ORDER if key in keys}
    remarks = [f"# {suggestion}" for suggestion in each.suggestions] + write_lost(each.unmapped, file)
    lines = ["[[process]]", *write_keys(ordered, "process", remarks)]
    if not each.active:
        lines = [f"# {line}" if line else "#" for line in "\n".join(lines).split("\n")]
    heading = " ".join([*([f"From {each.source}."] if each.source else []), each.note]).strip()
    return "\n".join([*comment(heading), *lines])


def _need(need: Need) -> object:
    return need.name if need.condition == "ready" else {"name": need.name, "condition": need.condition}


def write_keys(keys: Mapping[str, Any], table: str, remarks: Sequence[str] = ()) -> Iterator[str]:
    """`key = value` lines, then the remarks, then the long tables as tables of their own, `env` last."""
    apart = [key for key, value in keys.items() if isinstance(value, dict) and _is_long(key, value)]
    for key, value in keys.items():
        if key not in apart:
            yield from _pair(key, value)
    yield from remarks
    for key in sorted(apart, key="env".__eq__):
        yield f"[{table}.{key}]"
        for name, content in keys[key].items():
            yield f"{_key(name)} = {toml(content)}"


def _is_long(key: str, table: Mapping[str, Any]) -> bool:
    texts = [value for value in table.values() if isinstance(value, str)]
    many = key == "env" and len(table) > _INLINE_MAX
    return many or width_of(f"{key} = {toml(table)}") > _WIDTH or any("\n" in text for text in texts)


def _pair(key: str, value: object) -> Iterator[str]:
    line = f"{key} = {toml(value)}"
    if isinstance(value, list) and width_of(line) > _WIDTH and len(value) > 1:
        yield f"{key} = ["
        yield from (f"  {toml_line(each)}," for each in value)
        yield "]"
    else:
        yield line


def write_lost(unmapped: Sequence[Unmapped], file: str) -> list[str]:
    """Comments that name each key, its value and why it has no place here, in columns."""
    if not unmapped:
        return []
    shown = [cut(_printable(f"{each.key}: {each.value}"), _LOST, "…") for each in unmapped]
    width = max(map(width_of, shown))
    return [
        f"# not taken over from {_printable(file)}:",
        *(
            f"#   {text}{' ' * (width - width_of(text))}  {_printable(each.reason)}"
            for text, each in zip(shown, unmapped, strict=True)
        ),
    ]


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)
