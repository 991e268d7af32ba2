"""`init`, `validate`: the project file. Neither needs a daemon."""

from __future__ import annotations

import os

import click

from runcept.cli.framework import command
from runcept.cli.invocation import Invocation
from runcept.cli.layout import Cell, print_cells
from runcept.cli.parameters import path_argument
from runcept.cli.target import of_path
from runcept.errors import FileExists, NotFound, RunceptError
from runcept.paths import PROJECT_FILE

__all__ = ["init", "validate"]


@command("init")
@path_argument
@click.option("--force", is_flag=True, help="Overwrite the file that is there.")
def init(invocation: Invocation, path: str | None, force: bool) -> None:
    """Write a commented .runcept.toml, with the processes that package.json, Procfile and the like suggest."""
    from runcept.config.guess import guess
    from runcept.config.project import load_project
    from runcept.config.settings import load_settings

    directory = _directory(invocation, path or ".")
    file = os.path.join(directory, PROJECT_FILE)
    _write(file, guess(directory), overwrite=force)
    project = load_project(file, load_settings(invocation.home))
    names = [process.name for process in project.processes]
    if invocation.options.json:
        invocation.print_json({"path": file, "name": project.name, "processes": names})
        return
    invocation.say(f"wrote {os.path.relpath(file, invocation.surroundings.cwd)}: {', '.join(names)}")
    invocation.say("Look through it, then `runcept activate`.")


@command("validate")
@path_argument
def validate(invocation: Invocation, path: str | None) -> None:
    """Check the project file and the settings; every problem is shown with its place."""
    from runcept.config.project import load_project
    from runcept.config.settings import load_settings

    place = invocation.surroundings.path(path) if path else ""
    settings = load_settings(invocation.home)
    project = load_project(place if os.path.isfile(place) else of_path(invocation, path), settings)
    names = [process.name for process in project.processes]
    if invocation.options.json:
        invocation.print_json({"valid": True, "path": project.path, "name": project.name, "processes": names})
    elif not invocation.options.quiet:
        count = "1 process" if len(names) == 1 else f"{len(names)} processes"
        print_cells(
            invocation, [Cell("valid", "green"), Cell(project.name), Cell(count), Cell(project.path, "dim")], " · "
        )


def _directory(invocation: Invocation, path: str) -> str:
    place = invocation.surroundings.path(path)
    if os.path.basename(place) == PROJECT_FILE:
        place = os.path.dirname(place)
    if not os.path.isdir(place):
        raise NotFound(f"there is no directory {place}", hint="Make it first.", path=place)
    return os.path.realpath(place)


def _write(file: str, text: str, *, overwrite: bool) -> None:
    try:
        with open(file, "w" if overwrite else "x", encoding="utf-8", opener=_not_for_all) as out:
            out.write(text)
    except FileExistsError:
        raise FileExists(file) from None
    except OSError as error:
        raise RunceptError(f"{file} cannot be written: {(error.strerror or str(error)).lower()}", path=file) from error


def _not_for_all(path: str, flags: int) -> int:
    """Written to by us alone, whatever the umask: it says what runs as us."""
    return os.open(path, flags, 0o644)
