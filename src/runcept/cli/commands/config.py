"""`config path | show | schema`: the global settings, and what a project file may hold. No daemon is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from runcept.cli.framework import Entry, Group, command
from runcept.cli.invocation import Invocation
from runcept.cli.layout import Cell, print_cells
from runcept.core.secrets import MASK, is_secret, mask
from runcept.paths import daemon_log, database, settings_path, socket_path

__all__ = ["config"]

_MODULE = "runcept.cli.commands.config"

config = Group(
    "config",
    {
        "path": Entry(_MODULE, "path", "Commands", "Where the settings file is; with -v, everything else."),
        "show": Entry(_MODULE, "show", "Commands", "The settings in force."),
        "schema": Entry(_MODULE, "schema", "Commands", "The JSON Schema of .runcept.toml, for editors."),
    },
    {},
    help="Settings that hold for every project of yours.",
)


@command("path")
def path(invocation: Invocation) -> None:
    """Show where the settings file is, or would be; with --verbose where everything else is."""
    home = invocation.home
    places = {
        "settings": settings_path(home, invocation.surroundings.environ),
        "home": home,
        "database": database(home),
        "socket": socket_path(home),
        "daemon_log": daemon_log(home),
    }
    if invocation.options.json:
        invocation.print_json(places)
    elif invocation.options.verbose:
        for key, place in places.items():
            print_cells(invocation, [Cell(f"{key.ljust(10)}  ", "dim"), Cell(place)])
    else:
        invocation.print(places["settings"])


@command("show")
def show(invocation: Invocation) -> None:
    """Show the settings in force, as one would write them; what looks like a secret is masked."""
    from runcept.config.settings import load_settings

    settings = load_settings(invocation.home, invocation.surroundings.environ)
    values: dict[str, Any] = msgspec.to_builtins(settings)
    values["env"] = {key: MASK if is_secret(key) else mask(value) for key, value in settings.env.items()}
    if invocation.options.json:
        invocation.print_json(values)
        return
    print_cells(invocation, [Cell(f"# {values.pop('path')}", "dim")])
    for key, value in _flat(values.pop("defaults") | values):
        print_cells(invocation, [Cell(f"{key} = ", "dim"), Cell(value)], plain="")


@command("schema")
def schema(invocation: Invocation) -> None:
    """Print the JSON Schema of .runcept.toml, for editors that complete and check TOML."""
    from runcept.config.schema import json_schema

    document = msgspec.json.format(msgspec.json.encode(json_schema()))
    invocation.print(document.decode())


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", msgspec.json.encode("off" if value is None else value).decode()
