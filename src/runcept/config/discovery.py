"""Which project a directory belongs to: the nearest `.runcept.toml` upwards. Reads no file."""

from __future__ import annotations

import os

from runcept.errors import ProjectNotFound
from runcept.paths import PROJECT_FILE

__all__ = ["find_project"]


def find_project(start: str) -> str:
    """The canonical directory of the project that `start` is in; ProjectNotFound, with where it was looked for.

    `start` is a directory, a project file, or any other file or even a missing one: then its directory counts. A
    project file that is a dangling link is found, so that reading it can say what is wrong.
    """
    start = os.path.abspath(start)
    if os.path.basename(start) == PROJECT_FILE and os.path.lexists(start):
        return os.path.realpath(os.path.dirname(start))
    directory = os.path.realpath(start)
    if not os.path.isdir(directory):
        if not os.path.exists(os.path.dirname(directory)):
            raise ProjectNotFound(start)
        directory = os.path.dirname(directory)
    above = directory
    while not os.path.lexists(os.path.join(above, PROJECT_FILE)):
        if above == os.path.dirname(above):
            raise ProjectNotFound(directory)
        above = os.path.dirname(above)
    return above
