"""`init`, `validate`: the project file. Neither needs a daemon."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from runcept.cli.framework import command
from runcept.cli.imported import tell_imported
from runcept.cli.invocation import Invocation
from runcept.cli.known_projects import path_of
from runcept.cli.layout import Cell, print_cells
from runcept.cli.parameters import path_argument
from runcept.cli.target import of_path
from runcept.errors import FileExists, NotFound, RunceptError, UsageError
from runcept.paths import PROJECT_FILE

if TYPE_CHECKING:
    from runcept.config.importing.project_file import Imported

__all__ = ["init", "validate"]


@command("init")
@path_argument
@click.option(
    "--from",
    "source",
    metavar="FILE",
    type=click.Path(),
    help="Take over a Procfile, docker-compose.yml, process-compose.yaml or pitchfork.toml, or that of a directory.",
)
@click.option("--force", is_flag=True, help="Overwrite the file that is there.")
def init(invocation: Invocation, path: str | None, source: str | None, force: bool) -> None:
    """Write a commented .runcept.toml, with the processes that package.json, Procfile and the like suggest.

    With --from it is made from one file of another tool: what maps is mapped, and what does not is a comment that says
    why.
    """
    from runcept.config.project import parse_project
    from runcept.config.settings import load_settings

    settings = load_settings(invocation.home)
    directory = _directory(invocation, path)
    file = os.path.join(directory, PROJECT_FILE)
    imported = _imported(invocation, source, directory)
    text = imported.text if imported else _guessed(directory)
    project = parse_project(text, file, settings)
    _write(file, text, overwrite=force)
    names = [process.name for process in project.processes]
    document = {"path": file, "name": project.name, "processes": names}
    if imported:
        tell_imported(invocation, imported, document)
        return
    if invocation.options.json:
        invocation.print_json(document)
        return
    invocation.say(f"wrote {os.path.relpath(file, invocation.surroundings.cwd)}: {', '.join(names)}")
    invocation.say("Look through it, then `runcept activate`.")


def _guessed(directory: str) -> str:
    from runcept.config.guess import guess

    return guess(directory)


def _imported(invocation: Invocation, source: str | None, directory: str) -> Imported | None:
    if source is None:
        return None
    if source == "":
        raise UsageError("an empty --from names nothing", hint="Is a variable of the shell empty?")
    from runcept.config.importing.project_file import import_file

    return import_file(invocation.surroundings.path(source), directory)


@command("validate")
@path_argument
def validate(invocation: Invocation, path: str | None) -> None:
    """Check the project file and the settings; every problem is shown with its place."""
    from runcept.config.project import load_project
    from runcept.config.settings import load_settings

    place = invocation.surroundings.path(path) if path else ""
    if path and not os.path.lexists(place):
        raise NotFound(f"there is no file {path}", hint="Give the project file, or its directory.", path=place)
    settings = load_settings(invocation.home)
    found = place if os.path.isfile(place) else path_of(invocation, of_path(invocation, path, present=True))
    project = load_project(found, settings)
    names = [process.name for process in project.processes]
    if invocation.options.json:
        invocation.print_json({"valid": True, "path": project.path, "name": project.name, "processes": names})
    elif not invocation.options.quiet:
        count = "1 process" if len(names) == 1 else f"{len(names)} processes"
        print_cells(
            invocation, [Cell("valid", "green"), Cell(project.name), Cell(count), Cell(project.path, "dim")], " · "
        )


def _directory(invocation: Invocation, path: str | None) -> str:
    environment = invocation.options.environment
    if path is not None and environment is not None:
        raise UsageError(f"{path} and -e {environment} are two projects", hint="Give one of them.")
    given = environment if path is None else path
    if given == "":
        raise UsageError("an empty argument names nothing", hint="Is a variable of the shell empty?")
    place = os.path.normpath(invocation.surroundings.path(given or "."))
    if os.path.basename(place) == PROJECT_FILE:
        place = os.path.dirname(place)
    if not os.path.isdir(place):
        raise NotFound(f"there is no directory {place}", hint="Make it first.", path=place)
    return os.path.realpath(place)


def _write(file: str, text: str, *, overwrite: bool) -> None:
    """All of it or nothing: what was there before stays where the disk is full."""
    place = os.path.realpath(file) if overwrite else file
    fresh = f"{place}.{os.getpid()}"
    try:
        try:
            with open(fresh, "w", encoding="utf-8", opener=_not_for_all) as out:
                out.write(text)
            if not overwrite:
                open(place, "x", encoding="utf-8").close()  # from here on it is ours
            os.replace(fresh, place)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(fresh)
    except FileExistsError:
        raise FileExists(file) from None
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        hint = "Check who owns its directory, whether it may be written to, and whether its disk is full."
        raise RunceptError(f"{file} cannot be written: {why}", hint=hint, path=file) from error


def _not_for_all(path: str, flags: int) -> int:
    """Written to by us alone, whatever the umask: it says what runs as us."""
    return os.open(path, flags, 0o644)
