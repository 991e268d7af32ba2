"""Which environment a command is about, and which of its arguments are process names. Asks no daemon.

Contract §4: where both are possible, an argument that holds a `/` or names an existing directory or `.runcept.toml`
is the path. With -e, the path has been given and every argument is a name.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from runcept.cli.invocation import Invocation
from runcept.cli.project_names import declared
from runcept.errors import ProjectNotFound, UsageError
from runcept.paths import PROJECT_FILE

__all__ = [
    "Target",
    "current",
    "is_process",
    "of_arguments",
    "of_environment",
    "of_path",
    "project_directory",
    "project_or_place",
]


class Target(NamedTuple):
    """`environment`: the canonical path of a project's directory, or a name that only the daemon can resolve."""

    environment: str
    names: list[str]


def current(invocation: Invocation, *, present: bool = False) -> str:
    """The environment that -e names, else that of the working directory; with `present`, one with its project file.

    Errors: ProjectNotFound, UsageError.
    """
    named = invocation.options.environment
    if named is None:
        return project_directory(invocation, ".") if present else _project_around(invocation)
    return of_environment(invocation, named)


def of_environment(invocation: Invocation, named: str) -> str:
    """What -e takes: a path, or else a name for the daemon. Errors: ProjectNotFound, UsageError."""
    if "/" in named:
        return project_or_place(invocation, named)
    if os.path.exists(_place(invocation, named)):
        try:
            return project_directory(invocation, named)
        except ProjectNotFound:  # a directory that happens to be called like an environment elsewhere
            return named
    return named


def of_arguments(invocation: Invocation, arguments: Sequence[str], *, present: bool = False) -> Target:
    """The environment and the names in `[PATH] [NAME…]`; with `present`, a path must have its project file.

    Errors: ProjectNotFound, UsageError.
    """
    paths = [each for each in arguments if _is_path(invocation, each)]
    names = [each for each in arguments if each not in paths]
    if len(paths) > 1:
        raise UsageError(f"{paths[0]} and {paths[1]} are two projects", hint="Give one path; the rest are names.")
    if not paths:
        return Target(current(invocation, present=present), names)
    find = project_directory if present else project_or_place
    found = find(invocation, paths[0])
    if "/" not in paths[0] and paths[0] in declared(found) and not invocation.options.json:
        invocation.tell(f"runcept: {paths[0]} is a directory here, and was taken for the path")
        invocation.tell(f"  hint: `-e . {paths[0]}` means the process.")
    return Target(found, names)


def of_path(invocation: Invocation, path: str | None, *, present: bool = False) -> str:
    """The environment of a `[PATH]` argument; without one, the current one. Errors: ProjectNotFound, UsageError."""
    if path is None:
        return current(invocation, present=present)
    if invocation.options.environment is not None:
        raise UsageError(f"{path} and -e {invocation.options.environment} are two projects", hint="Give one of them.")
    return project_or_place(invocation, path)


def project_directory(invocation: Invocation, path: str) -> str:
    """The directory of the project that `path` is, or lies in. Errors: ProjectNotFound."""
    from runcept.config.discovery import find_project

    place = _place(invocation, path)
    if not os.path.lexists(place):  # a typing error must not act on the project around it
        raise ProjectNotFound(os.path.normpath(place), upwards=False)
    return find_project(place)


def project_or_place(invocation: Invocation, path: str) -> str:
    """The directory of the project; a place that was a project once may still be asked about, and stopped."""
    try:
        return project_directory(invocation, path)
    except ProjectNotFound:
        place = os.path.realpath(_place(invocation, path))
        if os.path.exists(place) and not _was_project(place):
            raise
        return place


def _project_around(invocation: Invocation) -> str:
    """The project of the working directory; else the nearest place upwards that was one, and may still run."""
    try:
        return project_directory(invocation, ".")
    except ProjectNotFound:
        place = os.path.realpath(invocation.surroundings.cwd)
        while not _was_project(place):
            if place == os.path.dirname(place):
                raise
            place = os.path.dirname(place)
        return place


def _was_project(place: str) -> bool:
    """Whether something of it has run. The home of a user is none, although a `.runcept` of ours is in it."""
    return os.path.isfile(os.path.join(place, ".runcept", ".gitignore"))


def _place(invocation: Invocation, path: str) -> str:
    if not path:  # of a variable that is not set, mostly: that is not the project here
        raise UsageError("an empty argument names nothing", hint="Is a variable of the shell empty?")
    return invocation.surroundings.path(path)


def is_process(invocation: Invocation, argument: str) -> bool:
    """Whether it is no place here, but a process of the project around us: a name where a path was expected."""
    if "/" in argument or os.path.lexists(_place(invocation, argument)):
        return False
    try:
        return argument in declared(project_directory(invocation, "."))
    except ProjectNotFound:
        return False


def _is_path(invocation: Invocation, argument: str) -> bool:
    if "/" in argument:
        if invocation.options.environment is not None:
            raise UsageError(f"{argument} cannot be a process", hint="With -e, every argument is a name.")
        return True
    if invocation.options.environment is not None:
        return False
    return argument == PROJECT_FILE or os.path.isdir(_place(invocation, argument))
