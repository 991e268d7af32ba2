"""Where a command runs: directory, environment, streams. In this process its own; in a host, those of who asked.

No command looks at `os.getcwd()`, `os.environ` or `sys.stdout` by itself, so that it can run in either place.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, TextIO, cast

__all__ = ["DEFAULT_WIDTH", "Surroundings"]

DEFAULT_WIDTH = 80
_COLUMNS = re.compile("[1-9][0-9]{0,4}")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the asking process was given. The `…_is_terminal` tell what the stream leads to; `width` is in columns."""

    cwd: str
    environ: Mapping[str, str]
    stdin: TextIO
    stdout: TextIO
    stderr: TextIO
    stdin_is_terminal: bool = False
    stdout_is_terminal: bool = False
    stderr_is_terminal: bool = False
    width: int = DEFAULT_WIDTH
    umask: int = 0o022

    @classmethod
    def of_this_process(cls) -> Self:
        """Those of this process; a standard stream that was closed becomes /dev/null."""
        _open_missing_descriptors()
        stdin = _stream(sys.stdin, 0, "r")
        stdout = _stream(sys.stdout, 1, "w")
        stderr = _stream(sys.stderr, 2, "w")
        return cls(
            cwd=_working_directory(),
            environ=os.environ,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            stdin_is_terminal=stdin.isatty(),
            stdout_is_terminal=stdout.isatty(),
            stderr_is_terminal=stderr.isatty(),
            width=_width(os.environ),
            umask=_umask(),
        )

    def path(self, text: str) -> str:
        """A path as the user wrote it, absolute; not normalised, since `..` after a symlink is not its parent here."""
        return os.path.join(self.cwd, text)


def _working_directory() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:  # it was removed while the shell stood in it
        return os.environ.get("PWD") or "/"


def _umask() -> int:
    mask = os.umask(0)  # the only way to ask
    os.umask(mask)
    return mask


def _open_missing_descriptors() -> None:
    """Put /dev/null where 0, 1 or 2 is closed, so that no socket or file of ours takes that place."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # open(2) gives the lowest free one
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _stream(stream: TextIO | None, descriptor: int, mode: str) -> TextIO:
    if stream is None:
        stream = cast("TextIO", open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115  it is the process's
    if mode == "w" and hasattr(stream, "reconfigure"):
        # Paths may hold any byte; a terminal of another encoding shows "?" for what it lacks.
        stream.reconfigure(errors="surrogateescape" if stream.encoding.lower() == "utf-8" else "replace")
    return stream


def _width(environ: Mapping[str, str]) -> int:
    if _COLUMNS.fullmatch(wanted := environ.get("COLUMNS", "")):
        return int(wanted)
    for descriptor in (1, 2):
        try:
            return os.get_terminal_size(descriptor).columns or DEFAULT_WIDTH
        except OSError:  # not a terminal
            continue
    return DEFAULT_WIDTH
