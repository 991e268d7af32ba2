"""A command is the same by the host and in a process of its own: what it prints, how it ends, what it does."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pexpect
import psutil
import pytest
from tests.e2e.conftest import Project
from tests.interaction.host_stage import ALONE, BY_HOST, host_of, in_use, outcome
from tests.support import wait_until

COMMANDS = [
    "",
    "--version",
    "--json --version",
    "--help",
    "status",
    "--json status",
    "status web",
    "status --color always",
    "list -q",
    "ps --json",
    "environments",
    "validate",
    "config path",
    "config schema",
    "completion fish",
    "logs",
    "logs nobody",
    "logs --grep (",
    "status nobody",
    "--json status nobody",
    "statsu",
    "--json statsu",
    "status --jsn",
    "activate a/b c/d",
    "-e /nowhere status",
    "kill-all",
    "status \udcff",
]


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    """One home for all; what these tests do to it, they undo."""
    with in_use() as made:
        yield made


@pytest.mark.parametrize("command", COMMANDS)
def test_the_outcome_is_byte_for_byte_the_same(project: Project, command: str) -> None:
    """Answers, errors, usage errors, JSON: stdout, stderr and exit status."""
    way = BY_HOST if command != "kill-all" else ["runcept"]  # this one asks, so it is never the host's
    assert outcome(project, way, command.split()) == outcome(project, ALONE, command.split())


@pytest.mark.parametrize(
    "variables",
    [
        {"COLUMNS": "40"},
        {"NO_COLOR": "1"},
        {"LC_ALL": "C"},
        {"PYTHONIOENCODING": "latin-1"},
        {"HOME": "/"},
        {"_RUNCEPT_COMPLETE": "bash_complete", "COMP_WORDS": "runcept sta", "COMP_CWORD": "1"},
    ],
)
def test_the_callers_environment_counts(project: Project, variables: dict[str, str]) -> None:
    """Not the host's, which has almost none."""
    environ = project.environ | variables
    for command in ("status", "status --color always", "logs -n 3", "--help"):
        by_host = outcome(project, BY_HOST, command.split(), env=environ)
        assert by_host == outcome(project, ALONE, command.split(), env=environ)


def test_local_time_is_the_callers(project: Project) -> None:
    """What a time of day means depends on TZ: an hour from now in London was hours ago in Tokyo."""
    project.run("start", "db")
    wait_until(lambda: "witness" in project.log("db"), what="a line")
    soon = time.strftime("%Y-%m-%d %H:%M", time.gmtime(time.time() + 3600))
    command = ["logs", "db", "--until", soon]
    for zone, shown in (("UTC", True), ("Asia/Tokyo", False)):
        by_host = outcome(project, BY_HOST, command, env=project.environ | {"TZ": zone})
        assert by_host == outcome(project, ALONE, command, env=project.environ | {"TZ": zone})
        assert (b"witness" in by_host[0]) is shown
    project.run("deactivate")


@pytest.mark.parametrize("place", ["/", "project below", "removed"])
def test_the_callers_directory_counts(project: Project, tmp_path: Path, place: str) -> None:
    """A place without a project, one below a project, and one that is not there any more."""
    below = project.path / "project below"
    below.mkdir(exist_ok=True)
    gone = tmp_path / "gone"
    cwd = {"/": Path("/"), "project below": below, "removed": gone}[place]
    said = []
    for way in (BY_HOST, ALONE):
        gone.mkdir(exist_ok=True)
        then = f'[ "$PWD" != "{gone}" ] || rmdir "{gone}"; exec "$@"'
        said.append(outcome(project, ["sh", "-c", then, "sh", *way], ["status"], cwd=cwd))
    assert said[0] == said[1]
    assert said[0][2] == (0 if place == "project below" else 3)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full"])
def test_streams_that_are_closed_or_full(project: Project, closed: str) -> None:
    """Cron, systemd and MCP clients start programs so."""
    for command in ("status", "statsu", "--json status"):
        line = f'exec "$@" {closed}'
        by_host = outcome(project, ["sh", "-c", line, "sh", *BY_HOST], command.split())
        assert by_host == outcome(project, ["sh", "-c", line, "sh", *ALONE], command.split())


def test_a_reader_that_has_enough_ends_the_command(project: Project) -> None:
    """As `git log | head`: 141 and no word on stderr; a follower notices without a further line."""
    project.run("start", "web")
    wait_until(lambda: "| 50000\n" in project.run("logs", "-n", "1", "--stream", "stdout").stdout, what="all lines")
    for command in ("logs web -n 50000", "logs web -n 2 -f"):
        line = 'set -o pipefail; "$@" | head -1'
        by_host = outcome(project, ["bash", "-c", line, "bash", *BY_HOST], command.split())
        assert by_host == outcome(project, ["bash", "-c", line, "bash", *ALONE], command.split())
        assert (by_host[1], by_host[2]) == (b"", 141)
    project.run("stop", "web")


def test_the_mask_of_new_files_is_the_callers(project: Project, tmp_path: Path) -> None:
    """A project file that `init` writes can be read by whom the caller wants."""
    modes = []
    for number, way in enumerate((BY_HOST, ALONE)):
        place = tmp_path / str(number)
        place.mkdir()
        assert outcome(project, way, ["init"], cwd=place, umask=0o027)[2] == 0
        modes.append(oct((place / ".runcept.toml").stat().st_mode))
    assert modes[0] == modes[1]
    assert modes[0].endswith("640")


def test_processes_get_the_environment_of_who_activates(project: Project) -> None:
    """All of it, nothing of the host's; and bytes that are not UTF-8 do no harm."""
    environ = project.environ | {"WITNESS": "größer; $HOME", "OTHER": "\udcff"}
    del environ["USER"]  # the host has one
    assert outcome(project, BY_HOST, ["activate", "db"], env=environ)[2] == 0
    wait_until(lambda: "witness=größer; $HOME user=\n" in project.log("db") + "\n", what="the line")
    project.run("deactivate")


def test_twenty_at_once_are_all_served(project: Project) -> None:
    """By one host, each with its own answer."""
    expected = {width: outcome(project, ALONE, ["--help"], env=_wide(project, width)) for width in range(60, 80)}
    with ThreadPoolExecutor(20) as threads:
        said = dict(threads.map(lambda w: (w, outcome(project, BY_HOST, ["--help"], env=_wide(project, w))), expected))
    assert said == expected


def test_a_large_environment_arrives(project: Project) -> None:
    """More than a socket holds at once, and as much as the kernel lets a program have."""
    environ = project.environ | {f"LARGE_{number}": "x" * 100_000 for number in range(15)}
    assert outcome(project, BY_HOST, ["status"], env=environ)[2] == 0


def test_a_terminal_is_the_terminal(project: Project) -> None:
    """Width, colours and progress are as in a process of one's own."""
    screens = []
    for way in (BY_HOST, ALONE):
        screen = _screen(project, [*way, "status"])
        screens.append(screen)
    assert screens[0] == screens[1]
    assert "\x1b[" in screens[0]
    shown = _screen(project, [*BY_HOST, "activate"])
    assert "\x1b[?25l" in shown  # the cursor is hidden while the board is drawn
    project.run("deactivate")


def test_a_command_holds_no_descriptor_of_another(project: Project) -> None:
    """Whoever reads one command's output gets its end when that command ends."""
    command = [*BY_HOST, "logs", "-f", "-n", "1"]
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(
                subprocess.Popen(command, cwd=project.path, env=project.environ, stdout=subprocess.PIPE, bufsize=0)
            )
            for _ in range(2)
        )
        children = wait_until(lambda: two if len(two := host_of(project).children()) == 2 else None, what="both")
        for follower in (first, second):
            assert follower.stdout is not None
            assert follower.stdout.readline()  # it has begun, so it has closed what is not its own
        held = [_open_files(child) for child in children]
        assert not {file for file in held[0] & held[1] if file.startswith(("pipe:", "socket:"))}
        assert all(sum(file.startswith("socket:") for file in files) == 1 for files in held)
        for follower in (first, second):
            follower.terminate()


def _open_files(process: psutil.Process) -> set[str]:
    directory = f"/proc/{process.pid}/fd"
    return {os.readlink(f"{directory}/{each}") for each in os.listdir(directory)}


def _wide(project: Project, width: int) -> dict[str, str]:
    return project.environ | {"COLUMNS": str(width)}


def _screen(project: Project, command: list[str]) -> str:
    environ: Any = {key: value for key, value in project.environ.items() if key != "NO_COLOR"} | {"TERM": "xterm"}
    terminal = pexpect.spawn(
        command[0], command[1:], cwd=str(project.path), env=environ, dimensions=(24, 70), encoding="utf-8", timeout=30
    )
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0, terminal.before
    return str(terminal.before)
