"""The open database: its file, and what happens where that is damaged, of tomorrow, not to be written, or gone.

Called straight from the daemon's loop: a commit in WAL mode with `synchronous=NORMAL` takes 12 µs. After a power cut
the last transactions may be missing, never half there (https://www.sqlite.org/wal.html).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable
from itertools import count
from urllib.parse import quote

from runcept.database.migrations import migrate

__all__ = ["LOCK_PATIENCE_SECONDS", "Storage"]

LOCK_PATIENCE_SECONDS = 1.0
"""For another program that looks into the file; the whole daemon waits."""
_RETRY_SECONDS = 1.0
_BESIDE = ("-wal", "-shm")
_OF_THE_FILE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
"""Errors that are not those of a moment, as a lock and a full disk are: sqlite.org/rescode.html."""


class Storage:
    """The database of `path`, migrated to the newest schema: in its file, or in memory for as long as that cannot be.

    A file that is corrupt, or of a newer Runcept, is renamed to PATH.unusable-SECONDS and a new one begun: what runs is
    found again through the keeper. Where the file cannot be written (read-only, locked, a full disk), or is deleted or
    replaced under us, all goes on in memory, and from there into a file as soon as there can be one; what is at the
    path while it `is_ours` no more is another daemon's, and left alone.
    `connection` is another one after such a move.
    """

    def __init__(self, path: str, is_ours: Callable[[], bool] = lambda: True) -> None:
        self.path = path
        self._is_ours = is_ours
        self.set_aside: list[str] = []
        """What became of files that could not be used, a sentence each."""
        self.trouble: str | None = None
        """Why what happens is in memory alone: a sentence."""
        self._file: tuple[int, int] | None = None
        """Device and inode; None in memory."""
        self._is_copied = True
        """What the file holds is in memory as well."""
        self._retry_at = 0.0
        self._begin(self._open_usable)

    def _begin(self, open_file: Callable[[], sqlite3.Connection]) -> None:
        try:
            self.connection = open_file()
            self._file = self._found()
        except (sqlite3.Error, OSError, ValueError) as error:
            self.connection, self._is_copied = _copy(self.path)
            self._file = None
            self._is_adrift(error)

    def attend(self) -> None:
        """Before a transaction: see that the file is where it was; from memory, try to be in one again.

        Raises sqlite3.Error where not even memory helps.
        """
        if self._file is not None and self._file != self._found():
            self._leave()
        if self._file is None and time.monotonic() >= self._retry_at and self._is_ours():
            try:
                self._settle()
            except (sqlite3.Error, OSError) as error:
                self._is_adrift(error)

    def doubt(self, error: sqlite3.Error) -> None:
        """A transaction has failed: what is wrong with the file may be so for this connection alone, or for ever."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
        if code in _OF_THE_FILE and self._file is not None and time.monotonic() >= self._retry_at:
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            self.connection.close()
            self._begin(lambda: _open(self.path))

    def close(self) -> None:
        """Write the WAL back and close."""
        self.connection.close()

    def _is_adrift(self, error: Exception) -> None:
        why = (isinstance(error, OSError) and error.strerror) or str(error)
        self.trouble = f"{self.path} cannot be written ({why.lower()}): what happens is not kept"
        self._retry_at = time.monotonic() + _RETRY_SECONDS

    def _found(self) -> tuple[int, int] | None:
        """The file that the path names now."""
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _open_usable(self) -> sqlite3.Connection:
        try:
            return _open(self.path)
        except (sqlite3.DatabaseError, ValueError) as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            self._put_aside("unusable", f"could not be used ({error})")
            return _open(self.path)

    def _put_aside(self, word: str, why: str) -> None:
        """Rename the file and what lies beside it. Never over another one: the clock may have been put back."""
        names = (f"{self.path}.{word}-{seconds}" for seconds in count(int(time.time())))
        aside = next(name for name in names if not os.path.lexists(name))
        for suffix in ("", *_BESIDE):
            with contextlib.suppress(FileNotFoundError):
                os.replace(self.path + suffix, aside + suffix)
        self.set_aside.append(f"{self.path} {why}; it was set aside as {aside}")

    def _leave(self) -> None:
        """The file is gone, or is another one: all that ours held is in memory from now on."""
        memory = _in_memory()
        self.connection.backup(memory)
        self.connection.close()  # it leaves alone what is at its path now (SQLITE_FCNTL_HAS_MOVED)
        self.connection, self._file, self._retry_at = memory, None, 0.0
        self._is_copied = not os.path.lexists(self.path)

    def _settle(self) -> None:
        """From memory into the file, as a whole: what was in its place is in memory as well, or is set aside."""
        if not self._is_copied:
            self._put_aside("replaced", "was not ours, or could not be read")
            self._is_copied = True
        if os.path.lexists(self.path):
            os.close(os.open(self.path, os.O_RDWR | os.O_CLOEXEC))
        self._write_whole()
        opened = _open(self.path)
        self.connection.close()
        self.connection, self._file, self.trouble = opened, self._found(), None

    def _write_whole(self) -> None:
        """A new file in the place of the old one, which loses its WAL first: to the new one that would be poison."""
        new = self.path + ".new"
        _unlink(new)
        try:
            os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            self.connection.execute("VACUUM INTO ?", (new,))
            for suffix in _BESIDE:
                _unlink(self.path + suffix)
            os.replace(new, self.path)
        except BaseException:  # whatever it was
            _unlink(new)  # of a full disk it would take the rest
            raise


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _copy(path: str) -> tuple[sqlite3.Connection, bool]:
    """In memory, with what can be read: past the WAL as well, where not even its index can be made (sqlite.org/uri).

    And whether that is all there was.
    """
    for mode in ("mode=ro", "immutable=1"):
        copy = _in_memory()
        try:
            with contextlib.closing(sqlite3.connect(f"file:{quote(path)}?{mode}", uri=True)) as source:
                source.backup(copy)
            migrate(copy)
        except (sqlite3.Error, ValueError):
            copy.close()
        else:
            return copy, mode == "mode=ro" or not os.path.exists(path + "-wal")
    copy = _in_memory()
    migrate(copy)
    return copy, not os.path.lexists(path)


def _in_memory() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _open(path: str) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, timeout=LOCK_PATIENCE_SECONDS)
    try:
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "temp_store = MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        _check(connection)
        migrate(connection)
    except BaseException:  # whatever it was: nobody else would close it
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection) -> None:
    """DatabaseError where a page of it is damaged; 2 ms for a MB."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(found)
