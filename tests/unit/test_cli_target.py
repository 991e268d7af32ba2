"""Which argument is a path and which a name, and what the asking shell's environment becomes."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from runcept.cli.invocation import Invocation, Options
from runcept.cli.shell_environment import captured
from runcept.cli.surroundings import Surroundings
from runcept.cli.target import Target, current, of_arguments, of_path
from runcept.errors import ProjectNotFound, UsageError
from runcept.paths import ensure_home, ensure_project_directory


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A project with a directory `web` in it, and another project beside it."""
    for name in ("shop", "other"):
        (tmp_path / name / "web").mkdir(parents=True)
        (tmp_path / name / ".runcept.toml").write_text(f'[project]\nname = "{name}"\n')
    return Path(os.path.realpath(tmp_path / "shop"))


def invocation(cwd: Path, environment: str | None = None) -> Invocation:
    streams = (io.StringIO(), io.StringIO(), io.StringIO())
    return Invocation(Surroundings(str(cwd), {}, *streams), Options(environment=environment))


def test_without_a_path_the_project_is_looked_for_upwards(shop: Path) -> None:
    """As git does."""
    assert of_arguments(invocation(shop / "web"), ["api", "worker"]) == Target(str(shop), ["api", "worker"])


@pytest.mark.parametrize("path", ["../other", "../other/web", "../other/.runcept.toml"])
def test_an_argument_that_holds_a_slash_is_the_path(shop: Path, path: str) -> None:
    """The directory, the file, or any directory below."""
    assert of_arguments(invocation(shop), [path, "api"]) == Target(str(shop.parent / "other"), ["api"])


def test_an_argument_that_names_a_directory_or_the_project_file_is_the_path(shop: Path) -> None:
    """Contract §4."""
    assert of_arguments(invocation(shop.parent), ["other"]).environment == str(shop.parent / "other")
    assert of_arguments(invocation(shop), [".runcept.toml"]) == Target(str(shop), [])
    assert of_arguments(invocation(shop), ["web"]) == Target(str(shop), [])


def test_with_e_every_argument_is_a_name(shop: Path) -> None:
    """So a process can be called like a directory."""
    assert of_arguments(invocation(shop, "."), ["web"]) == Target(str(shop), ["web"])
    with pytest.raises(UsageError):
        of_arguments(invocation(shop, "."), ["../other"])


def test_two_paths_are_one_too_many(shop: Path) -> None:
    """A command acts on one project."""
    with pytest.raises(UsageError):
        of_arguments(invocation(shop), ["../other", "./web"])


def test_e_takes_a_path_or_else_a_name_for_the_daemon(shop: Path) -> None:
    """What exists is a path."""
    assert current(invocation(shop, "../other/web")) == str(shop.parent / "other")
    assert current(invocation(shop.parent, "other")) == str(shop.parent / "other")
    assert current(invocation(shop, "elsewhere")) == "elsewhere"


def test_a_directory_called_like_an_environment_elsewhere_is_no_hindrance(shop: Path, tmp_path: Path) -> None:
    """A bare word that is a directory of no project may still be a name."""
    (tmp_path / "plain" / "api").mkdir(parents=True)
    assert current(invocation(tmp_path / "plain", "api")) == "api"
    assert shop.exists()


def test_a_place_that_was_a_project_once_can_still_be_asked_about(shop: Path) -> None:
    """Else nobody could stop what runs there."""
    ensure_project_directory(str(shop))
    (shop / ".runcept.toml").unlink()
    assert of_arguments(invocation(shop.parent), ["./shop"]).environment == str(shop)
    assert current(invocation(shop)) == current(invocation(shop / "web")) == str(shop)
    for arguments, cwd in ((["./shop"], shop.parent), ([], shop)):
        with pytest.raises(ProjectNotFound):
            of_arguments(invocation(cwd), arguments, present=True)


def test_the_home_of_a_user_is_no_project_although_our_home_is_in_it(shop: Path, tmp_path: Path) -> None:
    """`~/.runcept` has the name of what a project keeps beside its file."""
    ensure_home(str(tmp_path / "user" / ".runcept"))
    (tmp_path / "user" / "src").mkdir()
    with pytest.raises(ProjectNotFound):
        current(invocation(tmp_path / "user" / "src"))
    assert shop.exists()


@pytest.mark.parametrize("asked", [[""], ["web", ""]])
def test_an_empty_argument_is_not_the_project_here(shop: Path, asked: list[str]) -> None:
    """It comes from a variable of the shell that is not set: what was meant is not known."""
    with pytest.raises(UsageError):
        of_arguments(invocation(shop), asked)
    with pytest.raises(UsageError):
        of_path(invocation(shop), "")
    with pytest.raises(UsageError):
        current(invocation(shop, ""))


def test_a_path_that_does_not_exist_is_not_taken_for_the_project_around_it(shop: Path) -> None:
    """A typing error must not act on another project."""
    with pytest.raises(ProjectNotFound):
        of_arguments(invocation(shop), ["./wbe"], present=True)
    assert of_arguments(invocation(shop), ["./wbe"]).environment == str(shop / "wbe")


def test_the_environment_of_the_shell_is_captured_without_ours_and_the_terminals() -> None:
    """What a managed process must not inherit stays behind, and what JSON cannot carry."""
    shell = {
        "PATH": "/bin",
        "PWD": "/shop",
        "TMUX": "x",
        "RUNCEPT_HOME": "/h",
        "RUNCEPT_RUN": "7",
        "BAD": "\udce9",
        "A": "",
    }
    assert captured(shell) == {"PATH": "/bin", "A": ""}
