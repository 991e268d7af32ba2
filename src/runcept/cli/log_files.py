"""Which logs a command reads: those on disk, and those of processes that have not written yet. Asks no daemon."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase

from runcept.cli.project_names import declared, label
from runcept.errors import LogNotReadable, ProcessNotFound
from runcept.paths import PROCESS_NAME, log_path, logs_directory

__all__ = ["chosen", "known", "reading"]

_SUFFIX = ".jsonl"
_LOG = re.compile(PROCESS_NAME + re.escape(_SUFFIX))


def chosen(project: str, everybody: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Process → path of its log: of `everybody` those that the names or globs mean; all, where there are none.

    Errors: ProcessNotFound.
    """
    for name in names:
        if not any(fnmatchcase(each, name) for each in everybody):
            raise ProcessNotFound(name, label(project), project, [*everybody])
    meant = [each for each in everybody if not names or any(fnmatchcase(each, name) for name in names)]
    return {name: log_path(project, name) for name in meant}


def known(project: str) -> list[str]:
    """Processes of the project file, in its order, then others that have written once. Errors: LogNotReadable."""
    named = declared(project)
    directory = logs_directory(project)
    with reading(directory):
        files = os.listdir(directory) if os.path.lexists(directory) else []
    written = sorted(name.removesuffix(_SUFFIX) for name in files if _LOG.fullmatch(name))
    return [*named, *(name for name in written if name not in named)]


@contextmanager
def reading(place: str) -> Iterator[None]:
    """What the system says against it while the `with` lasts becomes LogNotReadable, with the file or else `place`."""
    try:
        yield
    except BrokenPipeError:  # nobody reads what is shown meanwhile
        raise
    except OSError as error:
        raise LogNotReadable(str(error.filename or place), (error.strerror or str(error)).lower()) from error
