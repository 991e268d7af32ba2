"""Finding the project that a directory is in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runcept.config.discovery import find_project
from runcept.errors import ProjectNotFound


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A project with directories below it, and one of them a project of its own."""
    (tmp_path / "shop" / "src" / "deep").mkdir(parents=True)
    (tmp_path / "shop" / "nested" / "src").mkdir(parents=True)
    (tmp_path / "shop" / ".runcept.toml").touch()
    (tmp_path / "shop" / "nested" / ".runcept.toml").touch()
    (tmp_path / "shop" / "src" / "main.py").touch()
    return Path(os.path.realpath(tmp_path / "shop"))


@pytest.mark.parametrize("start", ["", ".runcept.toml", "src", "src/deep", "src/main.py", "src/gone", "src/../src"])
def test_a_project_is_found_from_within(shop: Path, start: str) -> None:
    """From its directory, its file, and whatever is below."""
    assert find_project(str(shop / start)) == str(shop)


def test_the_nearest_project_counts(shop: Path) -> None:
    """A project inside a project is its own."""
    assert find_project(str(shop / "nested" / "src")) == str(shop / "nested")


def test_a_relative_path_starts_at_the_working_directory(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a shell."""
    monkeypatch.chdir(shop / "src")
    assert find_project(".") == str(shop)
    assert find_project("../nested") == str(shop / "nested")


def test_a_link_leads_to_the_canonical_directory(shop: Path) -> None:
    """The same project, however it is reached."""
    (shop.parent / "alias").symlink_to(shop / "src")
    assert find_project(str(shop.parent / "alias")) == str(shop)


def test_a_dangling_project_file_is_found(shop: Path) -> None:
    """Reading it then says what is wrong, which a search further up would hide."""
    (shop / "src" / ".runcept.toml").symlink_to("/nowhere")
    assert find_project(str(shop / "src")) == str(shop / "src")


@pytest.mark.parametrize("start", [".", "gone", "gone/deeper"])
def test_where_there_is_none_it_says_where_it_looked(tmp_path: Path, start: str) -> None:
    """The directory it began at, and that it looked above it."""
    with pytest.raises(ProjectNotFound, match=r"no \.runcept.toml in .* or any directory above it") as caught:
        find_project(str(tmp_path / start))
    assert str(tmp_path) in caught.value.message
    assert caught.value.exit_status == 3
