"""Opening the database: pragmas, permissions, and what happens when the file is not one.

Called straight from the daemon's loop: a commit in WAL mode with `synchronous=NORMAL` takes 12 µs. After a power cut
the last transactions may be missing, never half there (https://www.sqlite.org/wal.html).
"""

from __future__ import annotations

import os
import sqlite3
import time

from runcept.database.migrations import migrate

__all__ = ["open_database"]


def open_database(path: str) -> tuple[sqlite3.Connection, str | None]:
    """The connection, migrated to the newest schema, and a sentence about what had to be set aside, or None.

    A file that is corrupt, or of a newer Runcept, is renamed to PATH.unusable-SECONDS and a new one begun: what runs is
    found again through the keeper. Raises sqlite3.Error where not even a new one can be made.
    """
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


def _open(path: str) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, timeout=2.0)
    try:
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "temp_store = MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection
