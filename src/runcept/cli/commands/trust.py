"""`trust`: that the owner of a project file has looked at it, so that entering the project may activate it."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from runcept.cli.framework import command
from runcept.cli.invocation import Invocation
from runcept.cli.known_projects import path_of
from runcept.cli.layout import Cell, Column, Row, Table
from runcept.cli.parameters import path_argument
from runcept.cli.present import short_path
from runcept.cli.project_names import label
from runcept.cli.target import of_path
from runcept.config.trust import Standing, Trust, revoke, standing, trust, trusted
from runcept.errors import ConfigUnreadable, UsageError
from runcept.paths import PROJECT_FILE

__all__ = ["trust_project"]

_GONE = "gone"
_STYLES: dict[str, str] = {Standing.TRUSTED: "green", Standing.CHANGED: "yellow", _GONE: "red"}


@command("trust")
@path_argument
@click.option("--revoke", "revoked", is_flag=True, help="Trust it no more.")
@click.option("--list", "listed", is_flag=True, help="Show what is trusted.")
def trust_project(invocation: Invocation, path: str | None, revoked: bool, listed: bool) -> None:
    """Say that you have looked at the .runcept.toml: with auto_activate = true, entering the project activates it.

    It takes `runcept hook`. When the file changes, it has to be trusted again. `runcept activate` needs no trust.
    """
    if listed and (path is not None or revoked or invocation.options.environment is not None):
        raise UsageError("--list shows all that is trusted", hint="Give it alone.")
    if listed:
        _list(invocation)
    elif revoked:
        _revoke(invocation, path)
    else:
        _trust(invocation, path)


def _trust(invocation: Invocation, path: str | None) -> None:
    from runcept.config.project import parse_project
    from runcept.config.settings import load_settings
    from runcept.config.toml_source import read_text

    directory = path_of(invocation, of_path(invocation, path, present=True))
    file = os.path.join(directory, PROJECT_FILE)
    try:
        text = read_text(file)
    except FileNotFoundError:
        raise ConfigUnreadable(file, "there is no such file") from None
    project = parse_project(text, file, load_settings(invocation.home))  # a text with mistakes is not the last one
    given = trust(invocation.home, directory, text)
    if invocation.options.json:
        document = {"path": directory, "name": project.name, "state": Standing.TRUSTED}
        more = {"auto_activate": project.auto_activate, "trusted_at": given.trusted_at}
        invocation.print_json({**document, **more})
    elif project.auto_activate:
        invocation.say(f"trusted {project.name}: with `runcept hook`, entering it activates it")
    else:
        invocation.say(f"trusted {project.name}")
        invocation.warn(["entering it starts nothing: there is no auto_activate = true in [project]"])


def _revoke(invocation: Invocation, path: str | None) -> None:
    directory = _directory(invocation, path)
    was_trusted = revoke(invocation.home, directory)
    if invocation.options.json:
        invocation.print_json({"path": directory, "revoked": was_trusted})
    else:
        shown = short_path(directory, invocation.surroundings.environ.get("HOME"))
        invocation.say(f"{shown} is trusted no more" if was_trusted else f"{shown} was not trusted")


def _directory(invocation: Invocation, path: str | None) -> str:
    """What is to be trusted no more: a project may be gone by now."""
    if path and not os.path.exists(gone := invocation.surroundings.path(path)):
        return os.path.realpath(gone)
    return path_of(invocation, of_path(invocation, path))


def _list(invocation: Invocation) -> None:
    found = [(each, _state(invocation, each)) for each in trusted(invocation.home)]
    if invocation.options.json:
        rows = [
            {"path": each.path, "name": label(each.path), "state": state, "trusted_at": each.trusted_at}
            for each, state in found
        ]
        invocation.print_json({"trusted": rows})
    elif invocation.options.quiet:
        for each, _ in found:
            invocation.print(each.path)
    else:
        _print(invocation, found)


def _print(invocation: Invocation, found: Sequence[tuple[Trust, str]]) -> None:
    if not found:
        invocation.print("nothing is trusted")
        return
    home = invocation.surroundings.environ.get("HOME") if invocation.drawn else None
    rows = [
        Row(
            [Cell(label(each.path), "bold"), Cell(state, _STYLES[state])],
            remark=Cell(short_path(each.path, home), "dim"),
        )
        for each, state in found
    ]
    Table([Column("NAME"), Column("STATE")], rows, remark="PATH").print(invocation)


def _state(invocation: Invocation, given: Trust) -> str:
    """trusted, changed, or gone: there is no file any more that we could read."""
    from runcept.config.toml_source import read_text

    try:
        text = read_text(os.path.join(given.path, PROJECT_FILE))
    except (FileNotFoundError, ConfigUnreadable):
        return _GONE
    return standing(invocation.home, given.path, text)
