"""Dotenv files, and paths as a project file writes them. Nothing is expanded in a value: bytes in, bytes out."""

from __future__ import annotations

import os

from runcept.config.problems import Wrong
from runcept.config.toml_source import read_text
from runcept.errors import ConfigUnreadable

__all__ = ["read_env_file", "resolve"]


def resolve(base: str, path: str) -> str:
    """A path of the file made absolute: relative ones to `base`, `~` and `~/…` to the home directory."""
    if path == "~" or path.startswith("~/"):
        path = os.path.expanduser(path)
    return os.path.normpath(os.path.join(base, path))


def read_env_file(path: str) -> dict[str, str]:
    """The variables of a dotenv file; Wrong when it cannot be read or a line is none.

    A line `NAME` without `=` names a variable that keeps the value it has, as for docker compose: it is left out.
    """
    from dotenv.parser import parse_stream  # not needed by most projects

    try:
        text = read_text(path)
    except FileNotFoundError as error:
        raise Wrong(f"there is no file {path}", "Create it, or take it out of env_files.") from error
    except ConfigUnreadable as error:
        raise Wrong(error.message, error.hint) from error
    variables = {}
    from io import StringIO

    for binding in parse_stream(StringIO(text)):
        if binding.error:
            line = binding.original.line + binding.original.string.count("\n", 0, _leading(binding.original.string))
            raise Wrong(f"line {line} of {path} is not NAME=value")
        if binding.key is None or binding.value is None:
            continue
        if "\0" in binding.key or "\0" in binding.value:
            raise Wrong(f"line {binding.original.line} of {path} holds a NUL character")
        variables[binding.key] = binding.value
    return variables


def _leading(text: str) -> int:
    return len(text) - len(text.lstrip())
