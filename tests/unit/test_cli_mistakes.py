"""Command lines that cannot work as they are: what is said, in whose words, and what is left alone meanwhile."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from tests.unit.cli_stage import PROJECT, Stage, answering, failing, shop_stage

from runcept.api.messages import EnvironmentList
from runcept.cli.surroundings import Surroundings
from runcept.core.views import EnvironmentView
from runcept.errors import ProcessNotFound
from runcept.paths import ensure_project_directory, home


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return shop_stage(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "sentence", "hint"),
    [
        (["daemon", "foo"], "there is no command daemon foo", "See `runcept daemon --help`."),
        (["version"], "there is no command version", "Did you mean --version?"),
        (["history"], "there is no command history", "See `runcept --help`."),
        (["ps", "--color"], "runcept ps --color requires an argument", "See `runcept ps --help`."),
        (["ps", "--json=1"], "runcept ps --json does not take a value", "See `runcept ps --help`."),
        (["ps", "web"], "runcept ps does not take web", "See `runcept ps --help`."),
        (["logs", "-n", "x"], "--lines: 'x' is not a number of lines", "See `runcept logs --help`."),
        (["logs", "-n", "-1"], "--lines: '-1' is not a number of lines", "See `runcept logs --help`."),
        (["logs", "--stream", "x"], "--stream: 'x' is not one of 'stdout', 'stderr'", "See `runcept logs --help`."),
        (["completion", "csh"], "shell: 'csh' is not one of 'bash', 'zsh', 'fish'", "See `runcept completion --help`."),
        (["logs", "--clear", "-n5", "*"], "--clear takes names and no other option", "Write '*' for all processes."),
        (["deactivate", "web"], "web is a process, and deactivate takes a project", "Write `runcept stop web`."),
    ],
)  # fmt: skip
def test_a_usage_error_is_in_the_words_of_a_user(stage: Stage, arguments: list[str], sentence: str, hint: str) -> None:
    """No ranges in mathematics, no "got unexpected extra argument"; and the hint is about the command as typed."""
    said = stage.run(*arguments)
    assert (said.status, said.err) == (2, f"runcept: {sentence}\n  hint: {hint}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["activate", ""], ["status", ""], ["status", "web", ""], ["-e", "", "status"], ["stop", "web", "-e", ""],
        ["deactivate", ""], ["validate", ""], ["init", ""], ["environments", "--forget", ""],
    ],
)  # fmt: skip
def test_an_empty_argument_acts_on_nothing(stage: Stage, arguments: list[str]) -> None:
    """`runcept deactivate "$PROJECT"` without PROJECT must not stop what is here."""
    said = stage.run(*arguments)
    assert (said.status, said.err.splitlines()[0]) == (2, "runcept: an empty argument names nothing")
    assert not stage.home.exists()


@pytest.mark.parametrize("arguments", [["help"], ["-h"], ["help", "--help"]])
def test_help_is_asked_for_in_every_usual_way(stage: Stage, arguments: list[str]) -> None:
    """As git, docker and systemctl have it."""
    expected = stage.run("help", "-h") if len(arguments) == 2 else stage.run("--help")
    assert stage.run(*arguments) == expected
    assert expected.status == 0
    assert (
        stage.run("help", "daemon", "stop")
        == stage.run("daemon", "stop", "-h")
        == stage.run("daemon", "stop", "--help")
    )
    assert stage.run("help", "daemn").err.endswith("hint: Did you mean daemon?\n")


# ------------------------------------------------------------------------------------- what the system refuses


def put_in_the_way(place: Path) -> None:
    """Make a directory where a file is expected, or the other way round: even root cannot use that."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("") if place.suffix == "" else place.mkdir()


@pytest.mark.parametrize(
    ("place", "arguments", "refusal"),
    [
        ("shop/.runcept/logs/web.jsonl", ["logs"], (1, "log-not-readable")),
        ("shop/.runcept/logs/web.jsonl", ["logs", "-f"], (1, "log-not-readable")),
        ("shop/.runcept/logs", ["logs"], (1, "log-not-readable")),
        ("home/logs", ["daemon", "logs"], (1, "log-not-readable")),
        ("home/logs", ["status"], (5, "home-unsafe")),
        ("home/start.lock", ["status"], (5, "daemon-start-failed")),
    ],
)
def test_what_the_system_refuses_is_an_error_and_no_traceback(
    stage: Stage, tmp_path: Path, place: str, arguments: list[str], refusal: tuple[int, str]
) -> None:
    """One sentence that names the file; with --json an object, like every error."""
    if (tmp_path / place).parent.name == "home":
        (tmp_path / "home").mkdir(mode=0o700)
    put_in_the_way(tmp_path / place)
    said = stage.run(*arguments)
    assert re.fullmatch(r"runcept: [^\n]+ (directory|exists)[^\n]*\n  hint: [^\n]+\n", said.err), said.err
    assert os.path.basename(place) in said.err
    assert (said.status, stage.run(*arguments, "--json").json["error"]["code"]) == refusal


def test_without_any_home_no_directory_called_tilde_is_made(monkeypatch: pytest.MonkeyPatch, stage: Stage) -> None:
    """A container's user may have no HOME and no entry in passwd."""
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # what it does for such a user
    stage.environ = {"RUNCEPT_HOME": "", "HOME": ""}
    said = stage.run("ps")
    assert (said.status, "Set RUNCEPT_HOME" in said.err) == (5, True)
    assert os.listdir(stage.cwd) == [".runcept.toml"]
    assert home({"RUNCEPT_HOME": "/h"}) == "/h"


@pytest.mark.parametrize("columns", ["\u00b2", "\u0663", "0", "-1", "9" * 5000, "many"])
def test_a_width_that_is_no_number_is_not_obeyed(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    """COLUMNS is anybody's variable."""
    monkeypatch.setenv("COLUMNS", columns)
    assert 0 < Surroundings.of_this_process().width < 10_000


# ------------------------------------------------------------------------------------------ paths and projects


def test_a_file_is_called_as_one_would_type_it_here(stage: Stage, tmp_path: Path) -> None:
    """Relative below the working directory, with ~ in the home of the user; in JSON the path that is always valid."""
    (stage.cwd / ".runcept.toml").write_text(PROJECT.replace("command", "comand"))
    said = stage.run("validate")
    assert said.err.startswith("runcept: .runcept.toml has 4 problems\n\n.runcept.toml:4:3: [[process]]")
    error = stage.run("validate", "--json").json["error"]
    assert error["path"] == str(stage.cwd / ".runcept.toml")
    assert error["report"].startswith(f"{error['path']}:4:3: ")
    (stage.cwd / "src").mkdir()
    stage.cwd = stage.cwd / "src"
    stage.environ = {"HOME": os.path.realpath(tmp_path)}
    assert "\n~/shop/.runcept.toml:4:3: " in stage.run("validate").err


def test_an_excerpt_fits_the_terminal(stage: Stage) -> None:
    """The offending line is cut around its place where the terminal is narrower."""
    long = f'{PROJECT}description = "{"a" * 100}"\nenv = {{ A = "{"b" * 60}", B = [], C = "{"c" * 60}" }}\n'
    (stage.cwd / ".runcept.toml").write_text(long)
    stage.width, stage.errors_at_terminal = 60, True
    line = next(each for each in stage.run("validate", "--color", "never").err.splitlines() if "B = [" in each)
    assert len(line) <= 60
    stage.errors_at_terminal = False
    assert "b" * 60 in stage.run("validate").err


def test_validate_tells_a_file_that_is_not_there_from_a_project_without_one(stage: Stage) -> None:
    """And a name that nobody knows from both."""
    assert "there is no file nope.toml" in stage.run("validate", "nope.toml").err
    assert "no .runcept.toml in " in stage.run("validate", "..").err
    known = EnvironmentList(environments=[EnvironmentView(path=str(stage.cwd), name="tour")])
    with answering(stage, environments=known):
        said = stage.run("validate", "-e", "nope")
        assert (said.status, "no environment is named nope" in said.err) == (3, True)
        assert stage.run("validate", "-e", "tour").status == 0


def test_a_path_in_a_sentence_is_normal(stage: Stage) -> None:
    """Not `/shop/./nope`."""
    assert f"no .runcept.toml in {stage.cwd}/nope" in stage.run("activate", "./nope").err
    assert f"there is no directory {stage.cwd}/nope" in stage.run("init", "./nope", "--json").json["error"]["message"]


def test_a_missing_process_names_its_project_in_words_and_by_path(stage: Stage) -> None:
    """The label for a person; for a script the path, which is what an environment is."""
    ensure_project_directory(str(stage.cwd))
    error = stage.run("logs", "wbe", "--json").json["error"]
    assert (error["message"], error["environment"]) == ("no process wbe in shop", str(stage.cwd))
    with answering(stage, stop=failing(ProcessNotFound("wbe", "shop", str(stage.cwd), ["web"]))):
        assert stage.run("stop", "wbe", "--json").json["error"] == error | {"known": ["web"]}


def test_forget_takes_what_e_takes(stage: Stage) -> None:
    """A name, or a path as one types it; what is told is the path."""
    known = EnvironmentList(environments=[EnvironmentView(path=str(stage.cwd), name="tour")])
    with answering(stage, environments=known, forget=EnvironmentList(environments=[])) as daemon:
        assert stage.run("environments", "--forget", "tour").out == f"forgot {stage.cwd}\n"
        assert stage.run("environments", "--forget", "./").out == f"forgot {stage.cwd}\n"
        assert stage.run("environments", "--forget", "nope").status == 3
    asked = [params["environment"] for method, params in daemon.requests if method == "forget"]
    assert asked == [str(stage.cwd)] * 2


# ------------------------------------------------------------------------------------------------------ init


def test_init_writes_nothing_where_it_cannot_go_on(stage: Stage, tmp_path: Path) -> None:
    """Settings that are wrong are told before, not after."""
    (tmp_path / "new").mkdir()
    stage.home.mkdir()
    (stage.home / "config.toml").write_text("nonsense = 1\n")
    assert stage.run("init", "../new").status == 4
    assert os.listdir(tmp_path / "new") == []


def test_init_takes_the_place_that_e_names(stage: Stage, tmp_path: Path) -> None:
    """Not the working directory."""
    (tmp_path / "new").mkdir()
    assert stage.run("init", "-e", "../new").status == 0
    assert os.listdir(tmp_path / "new") == [".runcept.toml"]
    assert stage.run("init", "-e", "../new", "../shop").status == 2
    assert (stage.cwd / ".runcept.toml").read_text() == PROJECT
