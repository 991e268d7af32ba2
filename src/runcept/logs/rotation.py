"""The rotations of one log: NAME.jsonl becomes NAME.jsonl.1, that becomes .2, and what is beyond `keep` is removed.

Each step is one rename or one unlink, from the oldest file on. A kill between two steps leaves a number free, or a file
both plain and compressed; the next rotation fills the one and removes the other, and readers see neither. A file moves
to higher numbers only, as a reader does, so that a reader who is overtaken meets a file twice and misses none.

One writer at a time rotates a log. The compressor gives rotations other names beside it: see `renaming`.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Collection
from itertools import count
from typing import NamedTuple, Protocol

from runcept.core.model import LogLimits
from runcept.paths import PROCESS_NAME

__all__ = ["PACKED", "PACKING", "Aside", "Rotation", "reduce", "remove", "renaming", "rotated"]

PACKED = ".gz"
"""The ending of a rotation that is compressed."""
PACKING = ".gz.new"
"""Behind the name of a log: what is being compressed, and nobody reads."""

renaming = threading.Lock()
"""Held while rotations get other names."""

_ROTATED = re.compile(r"\.(\d+)(?:\.gz)?")
_LOG = re.compile(PROCESS_NAME + r"\.jsonl(?:\.(\d{1,9})(?:\.gz)?)?")
_NUMBER_MAX = 10_000  # the largest `keep` that a project file may have: web.jsonl.20261122 was made by somebody else


class Aside(Protocol):
    """What is done aside, so that the writer need not wait for it: see `compressor`. All return at once."""

    def request(self, path: str) -> None:
        """A log has rotations that are to be compressed."""

    def let_go(self, descriptor: int) -> None:
        """Close a file that was removed: to give back the space of a large one takes milliseconds."""

    def keep_within(self, directory: str, most: int, needed: frozenset[str]) -> None:
        """The logs of a directory may have become larger than that together: see `reduce`."""


class Rotation:
    """When a log is rotated, and how. `needed`: the logs of the project's processes, which are not removed."""

    def __init__(self, path: str, limits: LogLimits, aside: Aside, needed: frozenset[str] = frozenset()) -> None:
        self.limit(limits)
        self._path = path
        self._aside = aside
        self._needed = needed | {path}

    def limit(self, limits: LogLimits) -> None:
        """Keep to these from now on."""
        self.max_size = limits.max_size
        self._keep = limits.keep
        self._compress = limits.compress
        self._max_total = limits.max_total

    def is_due(self, size: int, more: int, *, in_parts: bool) -> bool:
        """Whether a file of `size` bytes is full, so that the next `more` belong into a new one.

        `in_parts`: they go on with a line that the file holds the first parts of, and it may be a quarter too large
        for having the others as well.
        """
        return size > 0 and size + more > self.max_size + (self.max_size // 4 if in_parts else 0)

    def turn(self) -> None:
        """Move the log out of the way of the next one, which is put in its place where nothing is kept. OSError."""
        with renaming:
            kept = self._tidy()
            if self._keep == 0:
                return
            free = next(number for number in count(1) if number not in kept)
            if free > self._keep:
                self._remove(kept[self._keep])
                free = self._keep
            for number in range(free, 1, -1):
                name = kept[number - 1]
                ending = PACKED if name.endswith(PACKED) else ""
                os.rename(name, f"{self._path}.{number}{ending}")
            os.rename(self._path, f"{self._path}.1")
        if self._compress:
            self._aside.request(self._path)
        self._keep_within()

    def tidy(self) -> None:
        """Remove what is beyond `keep`, which may have been larger once; have compressed what is not. OSError."""
        with renaming:
            kept = self._tidy()
        if self._compress and not all(name.endswith(PACKED) for name in kept.values()):
            self._aside.request(self._path)
        self._keep_within()

    def _keep_within(self) -> None:
        self._aside.keep_within(os.path.dirname(self._path), self._max_total, self._needed)

    def _tidy(self) -> dict[int, str]:
        """The rotations by number, once each."""
        kept: dict[int, str] = {}
        for number, name in rotated(self._path):
            if number in kept:  # compressed, and the compressor was killed before it removed the plain file
                os.unlink(kept[number])
            kept[number] = name
            if self._keep < number <= _NUMBER_MAX:
                self._remove(kept.pop(number))
        return kept

    def _remove(self, name: str) -> None:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.unlink(name)
        finally:
            self._aside.let_go(descriptor)


def rotated(path: str) -> list[tuple[int, str]]:
    """(number, path) of the rotations of a log, the newest first; of one that is there twice the plain file first."""
    directory, base = os.path.split(path)
    try:
        with os.scandir(directory or ".") as entries:
            names = [entry.name for entry in entries if entry.name.startswith(base) and entry.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [(_ROTATED.fullmatch(name, len(base)), name) for name in names]
    return sorted((int(match[1]), os.path.join(directory, name)) for match, name in found if match)


def reduce(directory: str, most: int, needed: Collection[str]) -> None:
    """Remove logs until those of a directory take no more than `most` bytes together. OSError.

    The oldest first: rotations, of whichever log, and logs that are not `needed`, of processes that a project has no
    more. So more may be left, where those that are needed take it.
    """
    with contextlib.ExitStack() as closing, renaming:  # to close a large file is to remove it, and takes longer
        files = _files(directory)
        excess = sum(each.size for each in files) - most
        removable = (file for file in files if file.number or file.path not in needed)
        for file in sorted(removable, key=lambda each: (each.written_at, -each.number)):
            if excess > 0:
                with contextlib.suppress(FileNotFoundError):
                    closing.callback(os.close, os.open(file.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
                    os.unlink(file.path)
                excess -= file.size


class _File(NamedTuple):
    path: str
    number: int
    """0: the log itself; of rotations that were written in the same tick of the clock, the larger is the older."""
    size: int
    written_at: int


def _files(directory: str) -> list[_File]:
    """What processes have written, and nothing that somebody else has put beside it."""
    found: list[_File] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            match = _LOG.fullmatch(entry.name)
            if (
                match is None
                or (number := int(match[1] or 0)) > _NUMBER_MAX
                or not entry.is_file(follow_symlinks=False)
            ):
                continue
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                found.append(_File(entry.path, number, status.st_size, status.st_mtime_ns))
    return found


def remove(path: str) -> None:
    """Remove a log and its rotations, the oldest first. OSError."""
    with renaming:
        for name in (*(name for _, name in reversed(rotated(path))), path + PACKING, path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
