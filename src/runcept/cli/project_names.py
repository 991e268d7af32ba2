"""The names that a project file gives itself and its processes, read leniently: it need not be valid for that."""

from __future__ import annotations

import os
import re
from typing import Any

from runcept.errors import ConfigError
from runcept.paths import PROCESS_NAME, PROJECT_FILE

__all__ = ["declared", "label"]


def declared(directory: str) -> dict[str, str]:
    """Name → description, in the order of the file; empty where it cannot be read. What is no name is left out."""
    tables = _values(directory).get("process")
    return {
        table["name"]: str(table.get("description", ""))
        for table in (tables if isinstance(tables, list) else [])
        if isinstance(table, dict) and re.fullmatch(PROCESS_NAME, str(table.get("name")))
    }


def label(directory: str) -> str:
    """What the project is called; by its file's words, else by its directory's name."""
    project = _values(directory).get("project")
    name = project.get("name") if isinstance(project, dict) else None
    return name if isinstance(name, str) else os.path.basename(directory)


def _values(directory: str) -> dict[str, Any]:
    from runcept.config.toml_source import read_toml  # tomllib takes 4 ms that most commands do not need

    try:
        return read_toml(os.path.join(directory, PROJECT_FILE)).values
    except (OSError, ConfigError):
        return {}
