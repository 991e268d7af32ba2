"""The process names that a project file declares, read leniently: the file need not be valid for that."""

from __future__ import annotations

import os
import re

from runcept.errors import ConfigError
from runcept.paths import PROCESS_NAME, PROJECT_FILE

__all__ = ["declared"]


def declared(directory: str) -> dict[str, str]:
    """Name → description, in the order of the file; empty where it cannot be read. What is no name is left out."""
    from runcept.config.toml_source import read_toml  # tomllib takes 4 ms that most commands do not need

    try:
        tables = read_toml(os.path.join(directory, PROJECT_FILE)).values.get("process")
    except (OSError, ConfigError):
        return {}
    return {
        table["name"]: str(table.get("description", ""))
        for table in (tables if isinstance(tables, list) else [])
        if isinstance(table, dict) and re.fullmatch(PROCESS_NAME, str(table.get("name")))
    }
