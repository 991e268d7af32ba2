"""The thread that compresses rotations, with what processor time nobody else wants. It is not on the way of the bytes.

A compressed file takes the place of the plain one when it is whole and on the disk. A kill at any instant leaves the
plain file, or both, which `rotation` clears up. gzip of the standard library, level 3: zstandard is twice as fast, but
this is fast enough (a rotation of 50 MB takes a quarter of a second), and zcat and zgrep are everywhere.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import sys
import threading
import time
import zlib
from collections.abc import Callable, Collection
from typing import BinaryIO

from runcept.logs.rotation import PACKED, PACKING, reduce, renaming, rotated

__all__ = ["Compressor"]

_log = logging.getLogger(__name__)
_LEVEL = 3
_READ = 256 << 10  # bytes
_SETTLE_SECONDS = 2.0
_BOUND_SECONDS = 0.2
"""How long more requests of a directory are waited for: a thousand logs that are opened at once are one look."""


class Compressor:
    """Compresses the rotations of the logs that it is told of, each once it is `settle_seconds` old.

    While a log is rotated faster than that, nothing of it is compressed: its files would be removed as soon as that
    was done. Readers that are a little behind find them plain.
    """

    def __init__(
        self, settle_seconds: float = _SETTLE_SECONDS, written: Callable[[], Collection[str]] = frozenset
    ) -> None:
        self._settle = settle_seconds
        self._written = written
        """Which logs are written to now; asked from the thread."""
        self._bounds: dict[str, tuple[int, frozenset[str]]] = {}
        self._bounds_due = math.inf
        """When these are looked at; monotonic."""
        self._due: dict[str, float] = {}
        self._removed: list[int] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._ending = False

    def request(self, path: str) -> None:
        """A log has rotations that are not compressed. Returns at once; called from any thread."""
        with self._changed:
            self._due.setdefault(path, time.monotonic() + self._settle)
            self._wake()

    def let_go(self, descriptor: int) -> None:
        """Close a file that was removed: to give back the space of a large one takes milliseconds. From any thread."""
        with self._changed:
            self._removed.append(descriptor)
            self._wake()

    def keep_within(self, directory: str, most: int, needed: frozenset[str]) -> None:
        """Remove the oldest rotations of a directory's logs, if all take more than `most` bytes. From any thread."""
        with self._changed:
            self._bounds[directory] = most, needed
            if self._bounds_due == math.inf:
                self._bounds_due = time.monotonic() + _BOUND_SECONDS
                self._wake()

    def _wake(self) -> None:
        if self._thread is None and not self._ending:
            self._thread = threading.Thread(target=self._run, name="compressor", daemon=True)
            self._thread.start()
        self._changed.notify()

    def end(self) -> None:
        """End the thread. What is half done is done by the next one."""
        with self._changed:
            self._ending = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(timeout=5)
        self._close_removed()

    def _run(self) -> None:
        if sys.platform == "linux":  # where a thread has a priority of its own, sched(7)
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        while (path := self._next()) is not None:
            try:
                is_done = self._compress_all(path)
            except OSError as error:  # the next rotation of this log asks again
                _log.warning("%s: its rotations stay as they are: %s", path, error)
            else:
                if not is_done:
                    self.request(path)

    def _close_removed(self) -> None:
        while self._removed:
            os.close(self._removed.pop())

    def _reduce(self) -> None:
        with self._changed:
            if time.monotonic() < self._bounds_due:
                return
            bounds, self._bounds, self._bounds_due = self._bounds, {}, math.inf
        for directory, (most, needed) in bounds.items():
            try:
                reduce(directory, most, {*needed, *self._written()})
            except OSError as error:  # the next rotation there asks again
                _log.warning("%s: logs may take more than they should: %s", directory, error)

    def _next(self) -> str | None:
        """Wait for a log that is due; None at the end."""
        while True:
            self._close_removed()
            self._reduce()
            with self._changed:
                if self._ending:
                    return None
                now = time.monotonic()
                if self._removed or self._bounds_due <= now:
                    continue
                path = min(self._due, key=self._due.__getitem__, default=None)
                if path is not None and self._due[path] <= now:
                    del self._due[path]
                    return path
                upcoming = min(self._bounds_due, math.inf if path is None else self._due[path])
                self._changed.wait(None if upcoming == math.inf else upcoming - now)

    def _compress_all(self, path: str) -> bool:
        """Whether nothing is left to do."""
        is_done = True
        for _, name in rotated(path):
            if name.endswith(PACKED):
                continue
            try:
                with open(name, "rb", buffering=0) as plain:
                    if 0 <= time.time() - os.fstat(plain.fileno()).st_mtime < self._settle:
                        is_done = False
                    else:
                        self._compress(path, plain)
            except FileNotFoundError:  # it has another number by now
                is_done = False
        return is_done

    def _compress(self, path: str, plain: BinaryIO) -> None:
        packing = path + PACKING
        with contextlib.suppress(FileNotFoundError):
            os.unlink(packing)
        try:
            with open(packing, "xb", opener=_private, buffering=0) as packed:
                if self._pack(plain, packed):
                    written_at = os.fstat(plain.fileno()).st_mtime_ns
                    os.utime(packed.fileno(), ns=(written_at, written_at))
                    os.fsync(packed.fileno())
                    _replace(path, plain, packing)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(packing)

    def _pack(self, plain: BinaryIO, packed: BinaryIO) -> bool:
        """Whether it was worth going on to the end."""
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)  # 31: with the head and the end of gzip
        while data := plain.read(_READ):
            if self._ending or os.fstat(plain.fileno()).st_nlink == 0:
                return False
            _write(packed, packer.compress(data))
        _write(packed, packer.flush())
        return True


def _replace(path: str, plain: BinaryIO, packing: str) -> None:
    """Put what was packed in the place of the plain file, wherever that is now; nowhere, if it was removed."""
    with renaming:
        for _, name in rotated(path):
            if not name.endswith(PACKED) and os.path.samestat(os.stat(name), os.fstat(plain.fileno())):
                os.rename(packing, name + PACKED)
                os.unlink(name)
                return


def _write(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
