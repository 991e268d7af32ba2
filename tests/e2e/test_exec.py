"""`runcept exec`: a command on the terminal of who typed it, with what a process of the project gets."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Any

import pytest
from tests.e2e.conftest import BIN, Project
from tests.e2e.test_cli_terminal import end, terminal

DUMP = "import os, sys; sys.stdout.buffer.write(b'\\\\0'.join(k + b'=' + v for k, v in sorted(os.environb.items())))"
SHOP = f"""
[project]
name = "shop"
env = {{ FROM_PROJECT = "1", BOTH = "project" }}
env_files = ["shop.env"]
[[process]]
name = "web"
command = ["sh", "-c", "python3 -c \\"$0\\" > environ; exec sleep 1000", "{DUMP}"]
working_dir = "sub"
ports = "auto"
env = {{ BOTH = "process", UMLAUT = "ä 'b' $c\\nd", TERM = "of-the-file" }}
health_check = "cmd://test -s environ"
[[process]]
name = "worker"
command = "exec sleep 1000"
ports = [41999]
autostart = false
"""


@pytest.fixture
def shop(project: Project) -> Project:
    (project.path / "sub").mkdir()
    (project.path / "shop.env").write_text("FROM_FILE=2\n")
    project.environ |= {"LATER": "captured", "TERM": "vt100"}
    project.write(SHOP)
    return project


def variables(project: Project, *name: str) -> dict[str, str]:
    """The environment of a command that exec runs."""
    dumped = project.run("exec", *name, "--", "python3", "-c", DUMP.replace("\\\\", "\\")).stdout
    return dict(entry.split("=", 1) for entry in dumped.split("\0"))


def test_a_command_gets_the_environment_of_the_process(shop: Project) -> None:
    """To the byte, with its port, whatever the asking shell has by now; but it is not of the run."""
    shop.run("activate")
    shop.environ |= {"LATER": "another shell", "NEW": "1"}
    found = variables(shop, "web")
    own = (shop.path / "sub" / "environ").read_text()
    of_the_process = dict(entry.split("=", 1) for entry in own.split("\0"))
    assert of_the_process.pop("RUNCEPT_RUN") == "1"
    of_the_process.pop("PWD", None)  # its shell's
    found.pop("PWD", None)
    assert found == of_the_process
    assert found["PORT"] == found["PORT0"] == str(shop.processes()["web"]["ports"][0])
    assert (found["BOTH"], found["LATER"], found["TERM"]) == ("process", "captured", "of-the-file")


def test_without_a_name_it_is_the_project_s(shop: Project) -> None:
    """Its environment and its directory."""
    found = variables(shop)
    assert (found["FROM_PROJECT"], found["FROM_FILE"], found["BOTH"]) == ("1", "2", "project")
    assert found["RUNCEPT_ENVIRONMENT"] == str(shop.path)
    assert not {"UMLAUT", "RUNCEPT_PROCESS", "RUNCEPT_RUN", "PORT"} & found.keys()
    assert shop.run("exec", "--", "pwd").stdout == f"{shop.path}\n"
    assert shop.run("exec", "web", "--", "pwd").stdout == f"{shop.path}/sub\n"


def test_a_process_that_does_not_run_is_as_it_would_be_started(shop: Project) -> None:
    """With the file as it is now, and its fixed ports; of one that runs, as it was started."""
    shop.run("activate")
    shop.write(SHOP.replace('BOTH = "project"', 'BOTH = "edited"').replace('BOTH = "process"', 'BOTH = "edited"'))
    worker = variables(shop, "worker")
    assert (worker["BOTH"], worker["PORT"], worker["RUNCEPT_PROCESS"]) == ("edited", "41999", "worker")
    assert variables(shop)["BOTH"] == "edited"
    assert variables(shop, "web")["BOTH"] == "process"
    shop.write("no project file")
    assert shop.run("exec", "--", "true", ok=False).returncode == 4


def test_a_project_that_was_never_activated_gets_the_shell_s(shop: Project) -> None:
    """Its environment and its umask; once it was activated, those of then."""
    command = [BIN / "runcept", "exec", "--", "sh", "-c", 'umask; echo "$LATER"']

    def said(mask: int) -> str:
        return subprocess.run(
            command, cwd=shop.path, env=shop.environ, umask=mask, capture_output=True, text=True, check=True
        ).stdout

    assert said(0o027) == "0027\ncaptured\n"
    shop.run("activate")
    shop.environ["LATER"] = "later"
    assert said(0o077) == "0022\ncaptured\n"


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 77"], 77),
        (["no-such-program"], 127),
        (["/"], 126),
        (["./shop.env"], 126),
        ([""], 127),
    ],
)
def test_the_exit_status_is_the_command_s(shop: Project, command: list[str], status: int) -> None:
    """127 and 126 as a shell has them, with a sentence."""
    done = shop.run("exec", "--", *command, ok=False)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith("runcept: " if status > 100 else "")
    assert ("hint: " in done.stderr) == (status > 100)


def test_a_command_that_is_killed_looks_killed(shop: Project) -> None:
    """For a shell that is 128 and the number."""
    assert shop.run("exec", "--", "sh", "-c", "kill -TERM $$", ok=False).returncode == -signal.SIGTERM


def test_standard_streams_are_the_command_s_own(shop: Project) -> None:
    """Also what they are not: a pipe that nobody reads ends it, as it does anywhere."""
    line = "echo in | runcept exec -- sh -c 'cat >&2; exec yes' | head -1; echo ${PIPESTATUS[1]}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=shop.path, env=shop.environ, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == (f"y\n{128 + signal.SIGPIPE}\n", "in\n")


def test_the_terminal_is_the_one_that_it_is_typed_on(shop: Project) -> None:
    """With a host that has the other commands warm, and a project that was activated on another kind of terminal."""
    shop.run("activate")
    shop.run("status")
    shop.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    script = 'test -t 0 && test -t 1 && test -t 2 && stty size && echo "$TERM $COLORTERM" && read a && echo "<$a>"'
    with terminal(shop, "exec", "--", "sh", "-c", script, columns=93) as child:
        child.expect("40 93\r\nxterm-256color truecolor\r\n")
        child.sendline("typed")
        child.expect("<typed>")
        end(child)
    assert child.exitstatus == 0


def test_an_interrupt_is_the_command_s(shop: Project) -> None:
    """Runcept is not there any more to be interrupted."""
    script = 'trap "echo caught; exit 9" INT; echo up; while :; do sleep 0.05; done'
    with terminal(shop, "exec", "--", "sh", "-c", script) as child:
        child.expect("up")
        child.sendintr()
        child.expect("caught")
        end(child)
    assert child.exitstatus == 9


def test_a_stop_of_the_process_leaves_the_command(shop: Project) -> None:
    """It was not started by it: also what it leaves behind goes on."""
    shop.run("activate")
    started = shop.run("exec", "web", "--", "sh", "-c", "sleep 60 > left 2>&1 & echo $!").stdout
    pid = int(started)
    try:
        shop.run("deactivate")
        os.kill(pid, 0)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_exec_counts_as_use(shop: Project) -> None:
    """Who works beside a process works with the project."""

    def used() -> Any:
        (known,) = shop.json("environments")["environments"]
        return known["last_activity_at"]

    shop.run("activate")
    before = used()
    shop.run("exec", "--", "true")
    assert used() > before


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ([], "runcept exec -- COMMAND…"),
        (["web"], "runcept exec web -- COMMAND…"),
        (["web", "--"], "runcept exec web -- COMMAND…"),
        (["web", "ls", "-l"], "runcept exec web -- ls -l"),
        (["ls", "-l", "a b"], "runcept exec -- ls -l 'a b'"),
        (["web", "ls", "--", "-l"], "runcept exec web -- ls -l"),
    ],
)
def test_a_command_that_is_not_behind_the_dashes_is_shown_there(shop: Project, arguments: list[str], hint: str) -> None:
    """Else a word could be the name of a process today, and that of a program tomorrow."""
    done = shop.run("exec", *arguments, ok=False)
    assert done.returncode == 2
    assert f"hint: Write `{hint}`." in done.stderr
    assert not (shop.home / "daemon.sock").exists()


def test_what_cannot_be_is_said(shop: Project) -> None:
    """A process that there is not, a directory that is gone, and an answer that is not ours to give."""
    done = shop.run("exec", "wbe", "--", "true", ok=False)
    assert (done.returncode, "Did you mean web?" in done.stderr) == (3, True)
    (shop.path / "sub").rmdir()
    done = shop.run("exec", "web", "--", "true", ok=False)
    assert (done.returncode, "sub: no such file or directory" in done.stderr) == (1, True)
    assert shop.json("exec", "--", "true", ok=False)["error"]["code"] == "usage"
    assert shop.run("exec", "--", "echo", "--json", "-e", "--").stdout == "--json -e --\n"
