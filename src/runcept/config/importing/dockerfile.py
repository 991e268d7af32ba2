"""The command of an image, as its Dockerfile says it."""

from __future__ import annotations

import json
import os
import re
import shlex

from runcept.config.toml_source import read_text
from runcept.errors import ConfigUnreadable

__all__ = ["command_of", "place_of"]

_STAGE = re.compile(r"FROM\s+\S+(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_COMMAND = re.compile(r"(ENTRYPOINT|CMD)\s+(.+)", re.IGNORECASE | re.DOTALL)


def command_of(path: str, target: str) -> str:
    """What a container of the stage `target` (empty: the last one) runs; empty where the file does not say, or is none.

    A stage that is built on another one has the command of that one only where it says so itself.
    """
    try:
        text = read_text(path)
    except (OSError, ConfigUnreadable):
        return ""
    found: dict[str, str] = {}
    for line in re.sub(r"\\[ \t]*\n", " ", text).split("\n"):
        if stage := _STAGE.match(line.strip()):
            if found and target and found.get("stage") == target:
                break
            found = {"stage": stage[1] or ""}
        elif said := _COMMAND.match(line.strip()):
            found[said[1].upper()] = _words(said[2].strip())
    return " ".join(filter(None, (found.get("ENTRYPOINT"), found.get("CMD"))))


def _words(text: str) -> str:
    """`["node", "server.js"]`, or a line for a shell."""
    try:
        words = json.loads(text) if text.startswith("[") else None
    except (ValueError, RecursionError):
        words = None
    return shlex.join(words) if isinstance(words, list) and all(isinstance(word, str) for word in words) else text


def place_of(directory: str, build: object) -> tuple[str, str]:
    """Where the Dockerfile of a service is, and the stage that is built."""
    table = build if isinstance(build, dict) else {"context": build}
    context, name = str(table.get("context") or "."), str(table.get("dockerfile") or "Dockerfile")
    return os.path.join(directory, context, name), str(table.get("target") or "")
