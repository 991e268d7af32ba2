"""The global settings: where they are read from, what they may hold, and how their problems are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from runcept.config.settings import Settings, load_settings
from runcept.core.model import Restart
from runcept.errors import ConfigInvalid, ConfigUnreadable


def settings(home: Path, text: str) -> Settings:
    """The settings of a home whose file is this text."""
    (home / "config.toml").write_text(text, encoding="utf-8")
    return load_settings(str(home), {"HOME": "/nonexistent"})


def test_without_a_file_there_are_defaults(tmp_path: Path) -> None:
    """And the path at which one would be looked for."""
    assert load_settings(str(tmp_path), {"HOME": "/nonexistent"}) == Settings(str(tmp_path / "config.toml"))


def test_every_own_key_is_read(tmp_path: Path) -> None:
    """The environment, the timeout, the log level; what is shared with projects is kept as their default."""
    found = settings(
        tmp_path,
        "inactivity_timeout = '1h'\nlog_level = 'debug'\nstop_timeout = 3\nrestart = 'always'\n[env]\nA = 1\nB = 'x'\n",
    )
    assert (found.inactivity_timeout, found.log_level, found.env) == (3600, "debug", {"A": "1", "B": "x"})
    assert found.defaults == {"stop_timeout": 3, "restart": Restart.ALWAYS}


def test_the_older_place_is_read_where_there_is_no_file_at_home(tmp_path: Path) -> None:
    """`~/.runit/config.toml`; the home's own file wins."""
    (tmp_path / "home").mkdir()
    (tmp_path / ".runit").mkdir()
    (tmp_path / ".runit" / "config.toml").write_text("log_level = 'error'\n", encoding="utf-8")
    assert load_settings(str(tmp_path / "home"), {"HOME": str(tmp_path)}).log_level == "error"
    (tmp_path / "home" / "config.toml").write_text("log_level = 'debug'\n", encoding="utf-8")
    assert load_settings(str(tmp_path / "home"), {"HOME": str(tmp_path)}).log_level == "debug"


def test_problems_are_told_as_for_a_project(tmp_path: Path) -> None:
    """All at once, with place and hint."""
    with pytest.raises(ConfigInvalid) as caught:
        settings(tmp_path, "log_levle = 'x'\nstop_timeout = 'y'\nports = [1]\nname = 'x'\n[env]\nA = []\n")
    found = caught.value.fields["problems"]
    assert [(each["line"], each["column"]) for each in found] == [(1, 1), (2, 16), (3, 1), (4, 1), (6, 5)]  # type: ignore[attr-defined]
    report = str(caught.value.fields["report"])
    assert "Did you mean log_level?" in report
    assert "ports belongs into [[process]]." in report
    assert "name belongs into [project]." in report


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """Settings that are there but unreadable are not the same as none."""
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(ConfigUnreadable):
        load_settings(str(tmp_path), {"HOME": "/nonexistent"})
