"""Numbered SQL files, each applied once and whole; `PRAGMA user_version` is the number of the last one."""

from __future__ import annotations

import sqlite3
from importlib.resources import files

__all__ = ["migrate", "newest_version"]


def _scripts() -> dict[int, str]:
    found = {}
    for entry in files(__name__).iterdir():
        if entry.name.endswith(".sql"):
            found[int(entry.name.split("_", 1)[0])] = entry.read_text(encoding="utf-8")
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
