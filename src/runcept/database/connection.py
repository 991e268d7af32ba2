"""Opening the database: pragmas, permissions, and what happens when the file is not one.

Called straight from the daemon's loop: a commit in WAL mode with `synchronous=NORMAL` takes 12 µs. After a power cut
the last transactions may be missing, never half there (https://www.sqlite.org/wal.html).
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from urllib.parse import quote

from runcept.database.migrations import migrate

__all__ = ["LOCK_PATIENCE_SECONDS", "open_database"]

LOCK_PATIENCE_SECONDS = 1.0
"""For another program that looks into the file; the whole daemon waits."""


def open_database(path: str) -> tuple[sqlite3.Connection, str | None]:
    """The connection, migrated to the newest schema, and a sentence about what had to be set aside, or None.

    A file that is corrupt, or of a newer Runcept, is renamed to PATH.unusable-SECONDS and a new one begun: what runs is
    found again through the keeper. Where the file cannot be written (read-only, locked, a full disk) the connection is
    to a copy in memory.
    """
    try:
        try:
            return _open(path), None
        except (sqlite3.DatabaseError, ValueError) as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            aside = f"{path}.unusable-{int(time.time())}"
            for suffix in ("", "-wal", "-shm"):
                if os.path.exists(path + suffix):
                    os.replace(path + suffix, aside + suffix)
            return _open(path), f"{path} could not be used ({error}); it was set aside as {aside}"
    except (sqlite3.Error, OSError) as error:
        return _copy(path), f"{path} cannot be written ({error}): what happens is not kept"


def _copy(path: str) -> sqlite3.Connection:
    """In memory, with what can be read: past the WAL as well, where not even its index can be made (sqlite.org/uri)."""
    for mode in ("mode=ro", "immutable=1"):
        copy = sqlite3.connect(":memory:", isolation_level=None)
        try:
            with closing(sqlite3.connect(f"file:{quote(path)}?{mode}", uri=True)) as source:
                source.backup(copy)
            migrate(copy)
        except (sqlite3.Error, ValueError):
            copy.close()
        else:
            return copy
    copy = sqlite3.connect(":memory:", isolation_level=None)
    migrate(copy)
    return copy


def _open(path: str) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, timeout=LOCK_PATIENCE_SECONDS)
    try:
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "temp_store = MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        _check(connection)
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection) -> None:
    """DatabaseError where a page of it is damaged; 2 ms for a MB."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(found)
