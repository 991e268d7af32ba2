"""The process names that a project file declares, read leniently: the file need not be valid for that."""

from __future__ import annotations

import os

from runcept.paths import PROJECT_FILE

__all__ = ["declared"]


def declared(directory: str) -> dict[str, str]:
    """Name → description, in the order of the file; empty where it cannot be read."""
    import tomllib  # 4 ms that most commands do not need

    try:
        with open(os.path.join(directory, PROJECT_FILE), "rb") as file:
            tables = tomllib.load(file).get("process")
    except (OSError, ValueError):
        return {}
    return {
        table["name"]: str(table.get("description", ""))
        for table in (tables if isinstance(tables, list) else [])
        if isinstance(table, dict) and isinstance(table.get("name"), str)
    }
