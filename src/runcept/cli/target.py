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

__all__ = ["Target", "current", "of_arguments", "of_path", "project_directory", "project_or_place"]


class Target(NamedTuple):
    """`environment`: the canonical path of a project's directory, or a name that only the daemon can resolve."""

    environment: str
    names: list[str]


def current(invocation: Invocation) -> str:
    """The environment that -e names, else that of the working directory. Errors: ProjectNotFound."""
    named = invocation.options.environment
    if named is None:
        return project_directory(invocation, ".")
    if "/" in named:
        return project_or_place(invocation, named)
    if os.path.exists(invocation.surroundings.path(named)):
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
        return Target(current(invocation), names)
    find = project_directory if present else project_or_place
    found = find(invocation, paths[0])
    if "/" not in paths[0] and paths[0] in declared(found) and not invocation.options.json:
        invocation.tell(f"runcept: {paths[0]} is a directory here, and was taken for the path")
        invocation.tell(f"  hint: `-e . {paths[0]}` means the process.")
    return Target(found, names)


def of_path(invocation: Invocation, path: str | None) -> str:
    """The environment of a `[PATH]` argument; without one, the current one. Errors: ProjectNotFound, UsageError."""
    if path is None:
        return current(invocation)
    if invocation.options.environment is not None:
        raise UsageError(f"{path} and -e {invocation.options.environment} are two projects", hint="Give one of them.")
    return project_or_place(invocation, path)


def project_directory(invocation: Invocation, path: str) -> str:
    """The directory of the project that `path` is, or lies in. Errors: ProjectNotFound."""
    from runcept.config.discovery import find_project

    place = invocation.surroundings.path(path)
    if not os.path.lexists(place):  # a typing error must not act on the project around it
        raise ProjectNotFound(place, upwards=False)
    return find_project(place)


def project_or_place(invocation: Invocation, path: str) -> str:
    """The directory of the project; a place that was a project once may still be asked about, and stopped."""
    try:
        return project_directory(invocation, path)
    except ProjectNotFound:
        place = os.path.realpath(invocation.surroundings.path(path))
        if os.path.exists(place) and not os.path.isdir(os.path.join(place, ".runcept")):
            raise
        return place


def _is_path(invocation: Invocation, argument: str) -> bool:
    if "/" in argument:
        if invocation.options.environment is not None:
            raise UsageError(f"{argument} cannot be a process", hint="With -e, every argument is a name.")
        return True
    if invocation.options.environment is not None:
        return False
    return argument == PROJECT_FILE or os.path.isdir(invocation.surroundings.path(argument))
