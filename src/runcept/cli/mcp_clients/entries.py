"""What an entry has its client start, as far as it can be told from outside of the client. Pure.

A project's file may come from anybody. Clients ask before they start what it names; we start nothing from one but the
command that we write ourselves.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection
from typing import NamedTuple

from runcept.cli.mcp_clients.handshake import Broken
from runcept.cli.mcp_clients.table import Client, Place, Scope

__all__ = ["Planned", "Untried", "command_of", "planned"]

_ARGUMENTS = ["mcp"]
_URLS = ("url", "httpUrl", "serverUrl")
_VARIABLES = ("${", "{env:", "{file:")
"""How Claude Code, Cursor, VS Code and OpenCode write what they fill in."""


class Planned(NamedTuple):
    """What is to be started: `environ` on top of what the client gives."""

    arguments: list[str]
    cwd: str
    environ: dict[str, str]


class Untried(NamedTuple):
    """Why it cannot be told, or is not tried, whether it works."""

    reason: str
    hint: str = ""


def command_of(value: object) -> list[str]:
    """Program and arguments; empty where there are none."""
    if not isinstance(value, dict):
        return []
    command, arguments = value.get("command"), value.get("args", [])
    parts = command if isinstance(command, list) else [command, *(arguments if isinstance(arguments, list) else [None])]
    return parts if all(isinstance(each, str) and "\0" not in each for each in parts) and parts[:1] != [""] else []


def planned(value: object, client: Client, place: Place, trusted: Collection[str]) -> Planned | Untried | Broken:
    """What the client starts for this entry; of a project's file only if the program is a `trusted` one."""
    again = f"`runcept mcp install {client.name}"
    if not isinstance(value, dict):
        return Broken("the entry is not an object", f"{again}` writes it anew.")
    for switch, off in (("enabled", False), ("disabled", True)):
        if value.get(switch) is off:
            said = f"it is switched off there: {switch} is {str(off).lower()}"
            return Broken(said, f"{again}` switches it on.")
    if url := next((value[key] for key in _URLS if isinstance(value.get(key), str)), None):
        return Untried(f"{client.title} does not start it: it is reached at {url}")
    arguments = command_of(value)
    if not arguments:
        return Broken("the entry has no command", f"{again}` writes one.")
    return _of_command(value, arguments, client, place, trusted)


def _of_command(
    value: dict[str, object], arguments: list[str], client: Client, place: Place, trusted: Collection[str]
) -> Planned | Untried:
    given, cwd = value.get(client.environ_key), value.get("cwd")
    environ = {str(key): str(each) for key, each in given.items()} if isinstance(given, dict) else {}
    texts = [*arguments, *environ.values(), str(cwd)]
    if any(mark in text for text in texts for mark in _VARIABLES):
        return Untried(f"it has variables that only {client.title} fills in")
    is_ours = arguments[0] in trusted and arguments[1:] == _ARGUMENTS and not environ and not cwd
    if place.scope is Scope.PROJECT and not is_ours:
        said = "it is not plain `runcept mcp`, and nothing else is started from a project's file"
        return Untried(said, f"Look at it, then start it by hand; `runcept mcp install {client.name}` replaces it.")
    return Planned(arguments, posixpath.join(place.cwd, cwd) if isinstance(cwd, str) else place.cwd, environ)
