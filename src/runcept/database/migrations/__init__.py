"""Numbered SQL files, each applied once and whole; `PRAGMA user_version` is the number of the last one."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping

__all__ = ["migrate", "newest_version"]


def _scripts() -> dict[int, str]:
    found = {}
    with os.scandir(os.path.dirname(__file__)) as entries:  # importlib.resources costs a start of the daemon 2 ms
        for entry in entries:
            if entry.name.endswith(".sql"):
                with open(entry.path, encoding="utf-8") as file:
                    found[int(entry.name.split("_", 1)[0])] = file.read()
    return found


def newest_version() -> int:
    """The version that this Runcept writes."""
    return max(_scripts())


def migrate(connection: sqlite3.Connection, scripts: Mapping[int, str] | None = None) -> None:
    """Bring the schema to the newest version, each step in one transaction; `scripts` by version, else our own.

    Whoever migrates as well waits, and finds it done. ValueError: the database is of a newer Runcept.
    """
    scripts = _scripts() if scripts is None else scripts
    if (version := _version(connection)) > max(scripts):
        raise ValueError(f"its schema is version {version}, this Runcept knows {max(scripts)}")
    for number in sorted(scripts):
        if number > version:
            _step(connection, number, scripts[number])


def _step(connection: sqlite3.Connection, number: int, script: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _version(connection) < number:
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:  # whatever it was: half a step must not stay
        if connection.in_transaction:  # a full disk has rolled it back already
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _statements(script: str) -> Iterator[str]:
    """Its statements; executescript(3) would commit before the first of them."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
