"""Following one log as it grows: through rotation, truncation, replacement and absence. It never waits."""

from __future__ import annotations

import os
from collections import deque

from runcept.logs.files import LogFile, Position, files_from
from runcept.logs.record import LIFECYCLE, RUN_EVENTS, Line, parse

__all__ = ["Tail"]


class Tail:
    """Gives each line once, in order, from a place in a log on. Every record is whole when it is given.

    A file that was replaced is read to its end before the next one. One that was truncated is taken up where it ends
    now if it still begins as before (a writer that takes records back writes them again), else at its beginning.
    """

    def __init__(self, process: str, path: str, position: Position, run: int | None) -> None:
        self._process = process
        self._path = path
        self._position = position
        self._run = run
        self._files: deque[LogFile] = deque()
        """The one that is read, and those written after it."""

    def poll(self) -> list[Line]:
        """The next lines, at most about 32 KiB of them unless one is longer; empty where there is nothing new."""
        while True:
            if lines := self._read():
                return lines
            if len(self._files) > 1:
                self._files.popleft().close()
                self._position = self._files[0].position(0)
            elif not self._replaced():
                return []
            elif lines := self._read():  # written between the last look and the replacement
                return lines
            else:
                self._reopen()

    def close(self) -> None:
        """Give back the files."""
        while self._files:
            self._files.pop().close()

    def _read(self) -> list[Line]:
        if not self._files:
            return []
        file = self._files[0]
        if not file.refresh() and self._position.offset >= file.size:
            return []
        if not file.has(self._position):
            kept = file.has(self._position._replace(offset=0)) and file.size > 0
            self._position = file.position(file.size if kept else 0)
        for offset, block in file.forward(self._position.offset):
            self._position = file.position(offset + len(block))
            return [self._line(raw) for raw in block.removesuffix(b"\n").split(b"\n")]
        return []

    def _line(self, raw: bytes) -> Line:
        line = parse(raw, self._process, self._run)
        if line.stream == LIFECYCLE and line.event in RUN_EVENTS:
            self._run = line.run
        return line

    def _replaced(self) -> bool:
        """Whether the path names a file that is not open here."""
        try:
            status = os.stat(self._path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return not self._files or not os.path.samestat(status, self._files[-1].status)

    def _reopen(self) -> None:
        self.close()
        self._files.extend(files_from(self._path, self._position))
        if self._files and not self._files[0].has(self._position):
            self._position = self._files[0].position(0)
