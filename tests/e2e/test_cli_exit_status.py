"""Exit statuses of the real program, as contract §4 has them: a script needs nothing else."""

from __future__ import annotations

import json
import re

import pytest
from tests.e2e.conftest import Project
from tests.support import wait_until

PROJECT = """
[project]
name = "shop"
[[process]]
name = "web"
command = "exec sleep 1000"
[[process]]
name = "never"
command = "exec sleep 1000"
health_check = "log://no such line"
[[process]]
name = "broken"
command = "no-such-program"
"""


@pytest.fixture
def shop(project: Project) -> Project:
    """One process that becomes ready, one that never does, one that cannot start."""
    project.write(PROJECT)
    return project


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["activate", "web"], 0),
        (["start", "broken"], 1),
        (["start", "never", "--timeout", "100ms"], 124),
        (["start", "never", "--no-wait"], 0),
        (["stop", "wbe"], 3),
        (["start", "x*"], 3),
        (["-e", "elsewhere", "status"], 3),
        (["status", "./nowhere"], 3),
        (["activate", "/tmp/nowhere/at/all"], 3),
        (["stop"], 2),
        (["kill-all"], 2),
        (["logs", "--grep", "("], 2),
        (["logs", "--since", "soon"], 2),
    ],
)
def test_the_exit_status_is_that_of_the_contract(shop: Project, arguments: list[str], status: int) -> None:
    """The same with --json, which prints one document whatever happens; a traceback is never shown."""
    said = shop.run(*arguments, ok=False)
    as_json = shop.run(*arguments, "--json", ok=False)
    assert (said.returncode, as_json.returncode) == (status, status), said.stderr
    document = json.loads(as_json.stdout)
    assert ("error" in document) == (status in {2, 3})
    assert as_json.stderr == ""
    assert "Traceback" not in said.stderr
    if status in {2, 3}:
        assert said.stdout == ""
        assert said.stderr.startswith("runcept: ")


def test_an_invalid_project_file_is_4_from_every_command_that_reads_it(project: Project) -> None:
    """With the place of each problem, also where the daemon is the one that read it."""
    project.write(PROJECT.replace("command", "comand", 1))
    for command in ("validate", "activate", "status"):
        said = project.run(command, ok=False)
        assert said.returncode == 4, command
        assert ".runcept.toml:6:1: " in said.stderr
        assert project.run("--json", command, ok=False).returncode == 4


def test_an_unsafe_home_is_5(shop: Project) -> None:
    """Others could have put a socket there."""
    shop.home.mkdir()
    shop.home.chmod(0o777)
    said = shop.run("status", ok=False)
    shop.home.chmod(0o700)
    assert said.returncode == 5
    assert "others may write to it" in said.stderr


def test_activate_is_idempotent(shop: Project) -> None:
    """What runs is left alone: same pid, same run."""
    [first] = shop.json("activate", "web")["processes"]
    [second] = shop.json("activate", "web")["processes"]
    assert (first["pid"], first["run"]) == (second["pid"], second["run"])
    assert "already" in shop.run("activate", "web").stdout


def test_environments_are_found_by_name_and_forgotten(shop: Project) -> None:
    """A name works from anywhere, while the environment is known; an active one is not forgotten."""
    shop.run("activate", "web")
    shop.path, place = shop.path.parent, shop.path
    assert shop.json("-e", "shop", "status")["path"] == str(place)
    assert "web" in shop.run("-e", "shop", "logs").stdout
    assert shop.run("environments", "--forget", str(place), ok=False).returncode == 1
    shop.run("-e", "shop", "deactivate")
    assert shop.json("environments", "--forget", str(place))["environments"] == []
    assert shop.run("-e", "shop", "status", ok=False).returncode == 3


def test_what_lost_its_project_file_can_still_be_stopped(shop: Project) -> None:
    """Else nobody could end it but by kill-all."""
    shop.run("activate", "web")
    (shop.path / ".runcept.toml").unlink()
    assert shop.processes()["web"]["state"] == "running"
    assert shop.run("start", "web", ok=False).returncode == 3
    assert shop.run("deactivate").stdout.startswith("web")
    assert shop.run("status").stdout.startswith("shop")


def test_a_kill_all_whose_time_is_up_says_so(project: Project) -> None:
    """124, as everywhere; what it has begun goes on."""
    project.write(
        """
        [project]
        name = "slow"
        [[process]]
        name = "web"
        stop_timeout = "20s"
        command = "trap 'while [ ! -e go ]; do sleep 0.02; done; exit' TERM; touch up; while :; do sleep 0.02; done"
        """
    )
    project.run("activate")
    wait_until((project.path / "up").exists)
    said = project.run("kill-all", "--yes", "--timeout", "200ms", ok=False)
    assert said.returncode == 124, said.stderr
    assert "within 0.2s" in said.stderr, said.stderr
    (project.path / "go").touch()
    wait_until(lambda: project.processes()["web"]["state"] == "stopped")


def test_a_project_without_a_place_for_logs_is_told_so_with_what_to_do(shop: Project) -> None:
    """In words of ours and not of Python's; the hint reaches whoever asks."""
    (shop.path / ".runcept").write_text("")
    said = shop.run("activate", "web", ok=False)
    assert re.search(
        rf"^web +failed .*cannot write logs to {shop.path}/\.runcept: (not a dir|file exists)", said.stdout
    )
    hint = shop.json("status", "web")["hint"]
    assert "writable" in hint
    assert f"\n  hint: {hint}\n" in said.stdout
    (shop.path / ".runcept").unlink()
    shop.run("activate", "web")
    assert shop.json("status", "web")["hint"] == ""


def test_kill_all_needs_no_project(shop: Project) -> None:
    """It stops everything from wherever it is called."""
    shop.run("activate", "web")
    shop.path = shop.path.parent
    stopped = shop.json("kill-all", "--yes")
    assert stopped["ok"] is True
    assert shop.json("ps")["processes"][0]["state"] == "stopped"
