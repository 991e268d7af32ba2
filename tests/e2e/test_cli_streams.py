"""Pipes that close, streams that are missing, full disks: the command line ends as a Unix program does."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.e2e.conftest import BIN, Project
from tests.support import running, wait_until

PROJECT = """
[project]
name = "shop"
[[process]]
name = "web"
command = "seq 1 50000; exec sleep 1000"
"""


@pytest.fixture
def shop(project: Project) -> Project:
    """A project whose process has written 50,000 lines."""
    project.write(PROJECT)
    project.run("activate")
    wait_until(lambda: "| 50000\n" in project.run("logs", "-n", "1", "--stream", "stdout").stdout, what="the last line")
    return project


def shell(project: Project, line: str) -> subprocess.CompletedProcess[str]:
    """A line of bash in the project's directory; `set -o pipefail` shows the status of the first that fails."""
    command = ["bash", "-c", f"set -o pipefail; {line}"]
    return subprocess.run(
        command, cwd=project.path, env=project.environ, capture_output=True, text=True, timeout=30, check=False
    )


def test_a_reader_that_has_enough_ends_logs_quietly(shop: Project) -> None:
    """As `git log | head`: the status of SIGPIPE, and not a word on stderr."""
    said = shell(shop, "runcept logs web -n 50000 | head -1")
    assert (said.stdout.count("\n"), said.stderr, said.returncode) == (1, "", 141)


def test_a_table_that_nobody_reads_ends_quietly_too(shop: Project) -> None:
    """In colour as well, which is drawn by a library with an idea of its own about this."""
    for command in (["status", "--color", "always"], ["ps", "--color", "always"], ["status"]):
        ours, theirs = os.pipe()
        os.close(ours)
        with running(
            [BIN / "runcept", *command], cwd=shop.path, env=shop.environ, stdout=theirs, stderr=subprocess.PIPE
        ) as reader:
            os.close(theirs)
            assert reader.stderr is not None
            assert (reader.stderr.read(), reader.wait(30)) == ("", 141)


def test_a_disk_that_is_full_leaves_no_half_of_a_project_file(project: Project) -> None:
    """`init` writes all of it or nothing, and --force keeps what was there."""
    said = shell(project, "ulimit -f 0; runcept init")
    assert said.returncode == 1
    assert re.search(r"^runcept: \.runcept\.toml cannot be written: .*\n  hint: ", said.stderr)
    assert os.listdir(project.path) == []
    project.write(PROJECT)
    assert shell(project, "ulimit -f 0; runcept init --force").returncode == 1
    assert (project.path / ".runcept.toml").read_text() == PROJECT


def test_a_follower_ends_when_its_time_has_come(shop: Project) -> None:
    """--until that has passed, or passes meanwhile: exit status 0, also while lines come that are too late."""
    assert shop.run("logs", "web", "-f", "-n", "1", "--until", "1s", timeout=30).returncode == 0
    until = (datetime.now() + timedelta(seconds=1)).isoformat()  # noqa: DTZ005  as a person types it
    said = shop.run("logs", "web", "-f", "-n", "1", "--stream", "stdout", "--until", until, timeout=30)
    assert (said.stdout, said.stderr) == ("web | 50000\n", "")


def test_a_follower_notices_that_nobody_reads_any_more(shop: Project) -> None:
    """Although no further line comes."""
    said = shell(shop, "runcept logs web --stream stdout -n 1 -f | head -1")
    assert (said.stdout, said.stderr, said.returncode) == ("web | 50000\n", "", 141)


@pytest.mark.parametrize("command", ["activate", "status", "--json status", "logs -n 3", "daemon status"])
def test_closed_standard_streams_do_no_harm(shop: Project, command: str) -> None:
    """Cron, systemd and MCP clients start programs so."""
    assert shell(shop, f"runcept {command} <&-").returncode == 0
    assert shell(shop, f"runcept {command} >&- 2>&- <&-").returncode == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("command", ["status", "--json status", "logs"])
def test_an_output_that_cannot_be_written_is_an_error(shop: Project, command: str) -> None:
    """One sentence, exit status 1, no traceback."""
    said = shell(shop, f"runcept {command} > /dev/full")
    assert said.returncode == 1
    assert said.stderr.startswith("runcept: the output cannot be written: No space left on device")
    assert "Traceback" not in said.stderr


def test_following_streams_json_lines_until_interrupted(shop: Project) -> None:
    """One object a line, each as soon as it is there; Ctrl-C ends it with 130 and no traceback."""
    command = [BIN / "runcept", "--json", "logs", "web", "-f", "-n", "2", "--stream", "stdout"]
    pipe = subprocess.PIPE
    with running(command, cwd=shop.path, env=shop.environ, stdout=pipe, stderr=pipe) as follower:
        assert follower.stdout is not None
        assert follower.stderr is not None
        assert [json.loads(follower.stdout.readline())["message"] for _ in range(2)] == ["49999", "50000"]
        follower.send_signal(signal.SIGINT)
        assert follower.wait(10) == 130
        assert follower.stderr.read() == ""


def test_logs_need_no_daemon(shop: Project) -> None:
    """They are read from disk, after everything was stopped, and nothing is started for it."""
    shop.run("daemon", "stop")
    assert "web | 50000\n" in shop.run("logs", "web", "-n", "5").stdout
    assert shop.json("daemon", "status")["running"] is False


def test_an_unknown_log_is_told_apart_from_an_empty_one(shop: Project) -> None:
    """3 with the nearest name; 0 and nothing."""
    said = shop.run("logs", "wbe", ok=False)
    assert said.returncode == 3
    assert "Did you mean web?" in said.stderr
    assert shop.run("logs", "w*", "--grep", "no such line").stdout == ""


def test_a_project_whose_path_is_not_ascii_works(project: Project) -> None:
    """Spaces and other scripts, in the locale of a bare system."""
    place = project.path / "mein Projekt 数据"
    place.mkdir()
    project.path = place
    project.environ["LC_ALL"] = "C"
    project.write(PROJECT)
    assert project.json("activate")["environment"] == str(place)
    assert project.run("status").returncode == 0
    project.run("deactivate")


def test_a_command_imports_only_what_it_needs(project: Project) -> None:
    """`--json status` is what programs call: no rich, no config reader, no subprocess, no asyncio."""
    project.write('[project]\nname = "shop"\n')
    project.run("daemon", "start")
    script = "import sys; from runcept.cli.app import run; from runcept.cli.surroundings import Surroundings; "
    script += "status = run(sys.argv[1:], Surroundings.of_this_process()); print(*sys.modules, file=sys.stderr)"
    said = subprocess.run(
        [sys.executable, "-c", script, "--json", "status"],
        cwd=project.path, env=project.environ, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(said.stdout)["name"] == "shop"
    loaded = set(said.stderr.split())
    assert "runcept.cli.commands.status" in loaded
    unwanted = ["rich", "asyncio", "subprocess", "tomllib", "tree_sitter", "psutil", "runcept.config.schema", "orjson"]
    assert loaded.isdisjoint(unwanted), loaded.intersection(unwanted)


def test_the_second_name_is_the_same_program(project: Project) -> None:
    """`runit` is an alias."""
    done = subprocess.run(
        [Path(BIN) / "runit", "--version"], env=project.environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == project.run("--version").stdout
