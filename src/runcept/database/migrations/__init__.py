"""Numbered SQL files, each applied once and whole; `PRAGMA user_version` is the number of the last one."""

from __future__ import annotations

import os
import sqlite3

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


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema to the newest version, each step in one transaction. ValueError: it is of a newer Runcept."""
    scripts = _scripts()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > max(scripts):
        raise ValueError(f"its schema is version {version}, this Runcept knows {max(scripts)}")
    for number in sorted(scripts):
        if number > version:
            connection.executescript(f"BEGIN IMMEDIATE;\n{scripts[number]}\nPRAGMA user_version = {number};\nCOMMIT;")
