"""The names that a project file gives itself and its processes, read leniently: it need not be valid for that."""

from __future__ import annotations

import os
from typing import Any

from runcept.paths import PROJECT_FILE

__all__ = ["declared", "label"]


def declared(directory: str) -> dict[str, str]:
    """Name → description, in the order of the file; empty where it cannot be read."""
    tables = _values(directory).get("process")
    return {
        table["name"]: str(table.get("description", ""))
        for table in (tables if isinstance(tables, list) else [])
        if isinstance(table, dict) and isinstance(table.get("name"), str)
    }


def label(directory: str) -> str:
    """What the project is called; by its file's words, else by its directory's name."""
    project = _values(directory).get("project")
    name = project.get("name") if isinstance(project, dict) else None
    return name if isinstance(name, str) else os.path.basename(directory)


def _values(directory: str) -> dict[str, Any]:
    import tomllib  # 4 ms that most commands do not need

    try:
        with open(os.path.join(directory, PROJECT_FILE), "rb") as file:
            return tomllib.load(file)
    except (OSError, ValueError):
        return {}
