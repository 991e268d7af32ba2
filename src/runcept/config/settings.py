"""The global settings: what holds for every project unless its file says otherwise."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from runcept import paths
from runcept.config.schema import SETTINGS
from runcept.config.toml_source import read_toml

__all__ = ["Settings", "load_settings"]

_OWN = ("env", "inactivity_timeout", "log_level", "notify")


class Settings(msgspec.Struct, frozen=True):
    """The settings file, read; without one, these values."""

    path: str = ""
    """Where it is, or would be."""
    env: dict[str, str] = {}
    inactivity_timeout: float | None = None
    """Seconds, for projects that set none; None: off."""
    log_level: str = "info"
    notify: bool = False
    defaults: dict[str, Any] = {}
    """By key of `config.schema.SHARED`, and `shell`: what is written, as read by the key's shape."""


def load_settings(home: str, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings of a home (`paths.settings_path`); errors: ConfigInvalid, ConfigUnreadable."""
    path = paths.settings_path(home, environ)
    try:
        source = read_toml(path)
    except FileNotFoundError:
        return Settings(path)
    values = source.read(SETTINGS.read)
    own = {key: values.pop(key) for key in _OWN if key in values}
    return Settings(path, defaults=values, **own)
