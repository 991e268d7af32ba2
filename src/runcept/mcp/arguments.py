"""What a model may give to each tool, as types that validate it and become the input schemas. Pure.

Models write numbers as text and leave out what they do not know, so conversion is lenient; names that do not exist are
refused with those that do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from runcept.errors import UsageError

__all__ = [
    "Activate",
    "ArgumentsInvalid",
    "Deactivate",
    "Environments",
    "KillAll",
    "Logs",
    "Named",
    "Nothing",
    "OfEnvironment",
    "Restart",
    "Search",
    "Start",
    "Wait",
    "convert",
    "input_schema",
]

WAIT_MAX = 45.0
"""Seconds: what a call lasts at most; many clients give up after 60."""
LINES_MAX = 1000

_Environment = Annotated[str, Meta(description="Project: path or name. Default: the one this server was started in.")]
_Name = Annotated[str, Meta(description="Name of the process.", max_length=256)]
_Seconds = Annotated[float, Meta(description=f"Seconds to wait, at most {WAIT_MAX:g}.", ge=0)]
_Lines = Annotated[int, Meta(description="Newest lines to return.", ge=1, le=LINES_MAX)]
_Instant = Annotated[str, Meta(description='Instant, or "10m" for ten minutes ago.')]
_Stream = Literal["stdout", "stderr", "runcept"]


class Nothing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool without arguments."""


class OfEnvironment(Nothing, frozen=True, kw_only=True):
    """A tool that is about one project."""

    environment: _Environment | None = None


class Activate(OfEnvironment, frozen=True, kw_only=True):
    """activate_environment."""

    names: Annotated[list[str], Meta(description="Only these processes and what they need; default: all.")] = []
    timeout: _Seconds = 30


class Deactivate(OfEnvironment, frozen=True, kw_only=True):
    """deactivate_environment."""

    timeout: _Seconds = 30


class Environments(Nothing, frozen=True, kw_only=True):
    """list_environments."""

    text: Annotated[str, Meta(description="Only those whose name, path or description contains it.")] = ""
    active: Annotated[bool, Meta(description="Only active ones.")] = False


class Named(OfEnvironment, frozen=True, kw_only=True):
    """A tool that is about one process."""

    name: _Name


class Start(Named, frozen=True, kw_only=True):
    """start_process, stop_process."""

    timeout: _Seconds = 30


class Restart(Start, frozen=True, kw_only=True):
    """restart_process."""

    dependents: Annotated[bool, Meta(description="Also what depends on it.")] = False


class Logs(Named, frozen=True, kw_only=True):
    """get_process_logs."""

    lines: _Lines = 100
    cursor: Annotated[str, Meta(description="From an earlier answer: only what came since.")] | None = None
    stream: _Stream | None = None
    run: Annotated[int, Meta(description="Only this run.", ge=1)] | None = None
    since: _Instant | None = None
    max_bytes: Annotated[int, Meta(description="Size of the answer.", ge=2000, le=32_000)] = 8000


class Search(OfEnvironment, frozen=True, kw_only=True):
    """search_logs."""

    pattern: Annotated[str, Meta(description="Regular expression. Without: errors, each once with its count.")] = ""
    name: Annotated[str, Meta(description="Only this process.")] | None = None
    lines: _Lines = 50
    since: _Instant | None = None
    until: _Instant | None = None
    max_bytes: Annotated[int, Meta(description="Size of the answer.", ge=2000, le=32_000)] = 8000


class Wait(Named, frozen=True, kw_only=True):
    """wait_for_process."""

    until: Literal["ready", "stopped", "exited", "line"] = "ready"
    pattern: Annotated[str, Meta(description="For until=line: regular expression, looked for in this run.")] = ""
    timeout: _Seconds = 30


class KillAll(Nothing, frozen=True, kw_only=True):
    """kill_all_processes."""

    confirm: Annotated[bool, Meta(description="Must be true.")] = False
    timeout: _Seconds = 30


class ArgumentsInvalid(UsageError):
    """A model gave what the tool does not take."""

    code = "arguments-invalid"

    def __init__(self, why: str, takes: list[str]) -> None:
        hint = f"It takes: {', '.join(takes)}." if takes else "It takes no arguments."
        super().__init__(f"the arguments are not valid: {why}", hint=hint)


def convert(arguments: Mapping[str, Any] | None, kind: type[Nothing]) -> Any:
    """The arguments as `kind`; null counts as left out. ArgumentsInvalid."""
    given = {key: value for key, value in (arguments or {}).items() if value is not None}
    try:
        return msgspec.convert(given, kind, strict=False)
    except (msgspec.ValidationError, RecursionError) as error:
        why = re.sub(r" - at `\$\.?(\w+)(.*?)`$", r" (\1\2)", str(error)).replace("Object ", "")
        raise ArgumentsInvalid(why[:300], [field.name for field in msgspec.structs.fields(kind)]) from None


def input_schema(kind: type[Nothing]) -> dict[str, Any]:
    """JSON Schema, without what costs a model tokens and tells it nothing."""
    (_, components) = msgspec.json.schema_components([kind], ref_template="{name}")
    whole = components[kind.__name__]
    properties = {name: _terse(schema) for name, schema in whole.get("properties", {}).items()}
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required := whole.get("required"):
        schema["required"] = required
    return schema


def _terse(schema: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(schema)
    if branches := [each for each in found.pop("anyOf", []) if each != {"type": "null"}]:
        found = branches[0] | found
    if found.get("default") in (None, "", [], False):
        found.pop("default", None)
    if "enum" in found:  # msgspec sorts them, and leaves out the type
        found = {"type": "string"} | found
        found["enum"] = [each for each in found["enum"] if each is not None]
    if "items" in found:
        found["items"] = _terse(found["items"])
    return found
