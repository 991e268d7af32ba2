"""The other side of the spool, for tests and benchmarks: written as the keeper writes it, without processes."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self

from runcept.logs.spool import ENTRY, segment_path

__all__ = ["SpoolFeeder"]


class SpoolFeeder:
    """Appends batches to the spool of a run: the index entry first, then the bytes, a new segment after some."""

    def __init__(self, directory: str, segment_bytes: int = 8 << 20) -> None:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        self.directory = directory
        self.offset = 0
        """Bytes spooled."""
        self._segment_bytes = segment_bytes
        self._start = 0
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def feed(self, stream: int, micros: int, data: bytes) -> None:
        """One read of the keeper: `data` of a stream (0 stdout, 1 stderr) at an instant."""
        if self.offset - self._start >= self._segment_bytes:
            self.close()
            self._start = self.offset
            self._open()
        self._index.write(ENTRY.pack(self.offset, micros << 1 | stream))
        self._raw.write(data)
        self.offset += len(data)

    def close(self) -> None:
        """Give back the files."""
        self._raw.close()
        self._index.close()

    def _open(self) -> None:
        # A segment is looked for by its raw file, so its index is there first.
        self._index = open(segment_path(self.directory, self._start, "index"), "ab", buffering=0)  # noqa: SIM115
        self._raw = open(segment_path(self.directory, self._start, "raw"), "ab", buffering=0)  # noqa: SIM115
