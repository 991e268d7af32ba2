"""The commit of one run's log: how far its spool has become records, in 64 bytes that one pwrite replaces.

`RUN/commit` is `<8sQQQQQQQ`: the magic, the offsets up to which stdout and stderr are in records (one of them may lie
behind the other: a line of it is unfinished), the log's size, device and inode, flags (1: finished), and 0.
A write of this size within one page is all or nothing for whoever reads after a kill at any instant.
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

__all__ = ["Commit", "CommitFile"]

_LAYOUT = struct.Struct("<8sQQQQQQQ")
_MAGIC = b"runcept1"
_FINISHED = 1


class Commit(NamedTuple):
    """What is in the log, and which file that is; the default says that nothing is."""

    consumed: tuple[int, int] = (0, 0)
    """Of stdout and of stderr: bytes of that stream before this offset of the run are in records."""
    size: int = 0
    device: int = 0
    inode: int = 0
    finished: bool = False
    """The run has ended and its last line, ended or not, is in the log."""


class CommitFile:
    """The file that holds the commit of the run whose directory is given; opened when first needed."""

    def __init__(self, directory: str) -> None:
        self._path = os.path.join(directory, "commit")
        self._file = -1
        self.stored: Commit | None = None
        """What `store` wrote last."""

    def load(self) -> Commit | None:
        """The last commit; None where there is none, or none of this layout."""
        try:
            with open(self._path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return None
        if len(data) != _LAYOUT.size or not data.startswith(_MAGIC):
            return None
        _, stdout, stderr, size, device, inode, flags, _ = _LAYOUT.unpack(data)
        return Commit((stdout, stderr), size, device, inode, bool(flags & _FINISHED))

    def store(self, commit: Commit) -> None:
        """Replace the commit. Where the run has no directory (yet) there is nothing to lose, and nothing is written."""
        if self._file >= 0 and not os.fstat(self._file).st_nlink:  # somebody has removed it
            self.close()
        if self._file < 0:
            try:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:
                return
        flags = _FINISHED if commit.finished else 0
        data = _LAYOUT.pack(_MAGIC, *commit.consumed, commit.size, commit.device, commit.inode, flags, 0)
        try:
            os.pwrite(self._file, data, 0)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._path) from None
        self.stored = commit

    def close(self) -> None:
        """Give back the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
