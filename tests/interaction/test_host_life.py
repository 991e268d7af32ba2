"""When the host comes and goes, and what becomes of a command when one of the three processes dies or is stopped."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pexpect
import psutil
import pytest
from tests.e2e.conftest import Project
from tests.interaction.host_stage import (
    ALONE,
    BY_HOST,
    child_of,
    host_of,
    idle_host_of,
    in_use,
    listening_host,
    outcome,
)
from tests.support import has_ended, wait_until

import runcept
from runcept.client.host_start import start_host

INTERRUPTED = (
    "\x1b[31mruncept:\x1b[0m interrupted; what was started goes on running\r\n"
    "  \x1b[36mhint:\x1b[0m `runcept status` shows it, `runcept deactivate` stops it.\r\n"
)
LOST = "runcept: the process that ran this command ended without a word; `runcept status` shows what it did\n"


@pytest.fixture(scope="module")
def shared() -> Iterator[Project]:
    """A home for the tests that leave it as it was: its daemon runs; a host is made by who needs one."""
    with in_use() as made:
        made.run("start", "db")
        yield made


@pytest.fixture
def own() -> Iterator[Project]:
    """A home for one test alone."""
    with in_use() as made:
        yield made


@contextmanager
def following(project: Project) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """`logs -f` by the host, once it has written its first line; and the host's child that runs it."""
    host = idle_host_of(project)
    command = [*BY_HOST, "logs", "db", "-f", "-n", "1"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=project.path, env=project.environ, stdout=pipe, stderr=pipe, text=True, process_group=0
    ) as caller:
        try:
            child = child_of(host)
            assert caller.stdout is not None
            assert caller.stdout.readline()
            yield caller, child
        finally:
            caller.kill()


def said(caller: subprocess.Popen[str]) -> str:
    """What a caller that has ended wrote to stderr."""
    assert caller.stderr is not None
    return caller.stderr.read()


# ---------------------------------------------------------------------------------------------- signals


def test_an_interrupt_ends_the_command_as_in_a_process_of_its_own(shared: Project) -> None:
    """130, no traceback, and the child is gone as well."""
    with following(shared) as (caller, child):
        caller.send_signal(signal.SIGINT)
        assert (caller.wait(10), said(caller)) == (130, "")
        wait_until(lambda: has_ended(child), what="the end of the child")


@pytest.mark.parametrize("way", [BY_HOST, ALONE])
def test_ctrl_c_ends_an_activation_with_the_same_words(shared: Project, way: list[str]) -> None:
    """The terminal sends it to the caller alone, for the child is of another session; what was started stays."""
    environ = {key: value for key, value in shared.environ.items() if key != "NO_COLOR"} | {"TERM": "xterm"}
    command = [*way, "activate", "slow"]
    terminal = pexpect.spawn(
        command[0], command[1:], cwd=str(shared.path), env=environ, encoding="utf-8", timeout=10, dimensions=(24, 80)
    )
    terminal.expect("slow.*starting")
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130, terminal.before
    assert terminal.before.endswith(INTERRUPTED), terminal.before
    assert shared.processes()["slow"]["state"] == "starting"
    shared.run("stop", "slow")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_that_ends_the_command_ends_the_caller(shared: Project, number: signal.Signals) -> None:
    """Whoever waits for it sees the signal, not a status."""
    with following(shared) as (caller, child):
        caller.send_signal(number)
        assert (caller.wait(10), said(caller)) == (-number, "")
        wait_until(lambda: has_ended(child), what="the end of the child")


def test_a_signal_that_the_caller_was_started_to_ignore_is_ignored(shared: Project) -> None:
    """As under nohup."""
    host = idle_host_of(shared)
    line = "trap '' HUP; exec \"$@\""
    command = ["sh", "-c", line, "sh", *BY_HOST, "logs", "db", "-f", "-n", "1"]
    with subprocess.Popen(command, cwd=shared.path, env=shared.environ, stdout=subprocess.PIPE) as caller:
        child = child_of(host)
        assert caller.stdout is not None
        assert caller.stdout.readline()
        caller.send_signal(signal.SIGHUP)
        assert not has_ended(child)
        caller.send_signal(signal.SIGTERM)
        assert caller.wait(10) == -signal.SIGTERM


def test_a_suspended_caller_suspends_the_command(shared: Project) -> None:
    """Ctrl-Z and fg."""
    with following(shared) as (caller, child):
        process = psutil.Process(caller.pid)
        for _ in range(2):
            caller.send_signal(signal.SIGTSTP)
            for each in (process, child):
                wait_until(lambda each=each: each.status() == psutil.STATUS_STOPPED, what="the stop")
            caller.send_signal(signal.SIGCONT)
            for each in (process, child):
                wait_until(lambda each=each: each.status() != psutil.STATUS_STOPPED, what="the continuation")
        caller.send_signal(signal.SIGINT)
        assert caller.wait(10) == 130


# ---------------------------------------------------------------------------------------------- deaths


def test_a_command_whose_caller_was_killed_ends(shared: Project) -> None:
    """Nobody reads it, and nobody could end it."""
    with following(shared) as (caller, child):
        caller.kill()
        wait_until(lambda: has_ended(child), what="the end of the child")


def test_a_command_that_was_killed_looks_killed(shared: Project) -> None:
    """The caller dies of the same signal, as the out-of-memory killer would have had it."""
    with following(shared) as (caller, child):
        child.kill()
        assert (caller.wait(10), said(caller)) == (-signal.SIGKILL, "")


def test_a_command_outlives_its_host(own: Project) -> None:
    """It goes on, can be interrupted, and says itself how it ended; the next command makes another host."""
    host = host_of(own)
    own.run("start", "db")
    with following(own) as (caller, child):
        host.kill()
        wait_until(lambda: has_ended(host), what="the end of the host")
        own.run("restart", "db")
        assert caller.stdout is not None
        assert caller.stdout.readline()
        caller.send_signal(signal.SIGINT)
        assert (caller.wait(10), said(caller)) == (130, "")
        wait_until(lambda: has_ended(child), what="the end of the child")
    assert host_of(own).pid != host.pid


def test_a_command_that_ends_without_a_word_is_an_error(own: Project) -> None:
    """When host and command are both killed nobody knows what became of it; it is not run again."""
    host = host_of(own)
    own.run("start", "db")
    with following(own) as (caller, child):
        host.kill()
        child.kill()
        assert (caller.wait(10), said(caller)) == (5, LOST)


def test_a_host_that_hangs_costs_two_seconds_and_runs_nothing_later(own: Project) -> None:
    """The command is run by its caller, once."""
    own.run("start", "db")
    host = host_of(own)
    host.suspend()
    own.run("restart", "db")
    host.resume()
    assert outcome(own, BY_HOST, ["--version"])[2] == 0  # it has looked at who asked before this one
    assert own.processes()["db"]["run"] == 2


# ---------------------------------------------------------------------------------------------- life


def test_the_host_ends_with_the_daemon(own: Project) -> None:
    """Nothing of Runcept's stays where `daemon stop` has been said, also by the host's own child."""
    host = host_of(own)
    assert outcome(own, BY_HOST, ["daemon", "stop"])[2] == 0
    wait_until(lambda: has_ended(host), what="the end of the host")
    assert not (own.home / "host.sock").exists()


def test_a_host_ends_where_nobody_asks(own: Project) -> None:
    """After the time that it was given; it sleeps until then."""
    _end(host_of(own))
    pid = start_host(str(own.home), 0.2)
    assert pid is not None
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert not (own.home / "host.sock").exists()


def test_an_idle_host_sleeps(shared: Project) -> None:
    """Not one wake-up until somebody asks."""
    host = host_of(shared)

    def slept() -> bool:
        before = host.num_ctx_switches()
        select.select([], [], [], 0.5)  # what is observed, not waited for
        return host.num_ctx_switches() == before

    wait_until(slept, what="half a second without a wake-up")


def test_there_is_one_host(own: Project) -> None:
    """Whoever comes second starts none."""
    host = host_of(own)
    assert start_host(str(own.home)) is None
    assert host_of(own).pid == host.pid


def test_a_host_does_not_outlive_its_code(own: Project, tmp_path: Path) -> None:
    """A module that changes, as in an upgrade: the next command has the new code, and so has the next host."""
    shutil.copytree(Path(runcept.__file__).parent, tmp_path / "runcept", ignore=shutil.ignore_patterns("__pycache__"))
    entry = [sys.executable, "-c", "from runcept.cli.entry import main; main()"]
    first = host_of(own)  # of the installation that the tests run in
    own.environ["PYTHONPATH"] = str(tmp_path)
    assert outcome(own, entry, ["ps"])[2] == 0  # of the copy: the other's host is none of its own
    wait_until(lambda: has_ended(first), what="the end of the other installation's host")
    outcome(own, entry, ["ps"])
    second = wait_until(lambda: listening_host(own), what="a host of the copy")
    assert outcome(own, BY_HOST, ["ps"])[2] == 0
    app = tmp_path / "runcept" / "cli" / "app.py"
    app.write_text(app.read_text().replace("Runs the programs", "Starts and stops the programs"))
    assert b"Starts and stops" in outcome(own, entry, ["--help"])[0]
    wait_until(lambda: has_ended(second), what="the end of the host with the old code")
    wait_until(lambda: listening_host(own), what="a host with the new code")
    assert b"Starts and stops" in outcome(own, BY_HOST, ["--help"])[0]


def test_a_home_that_others_may_write_to_has_no_host(own: Project) -> None:
    """They could have put their own socket there."""
    host_of(own)
    own.home.chmod(0o777)
    try:
        assert outcome(own, ["runcept"], ["--json", "status"])[2] == 5
        assert b"ModuleNotFoundError" in outcome(own, BY_HOST, ["--version"])[1]  # it was not even asked
    finally:
        own.home.chmod(0o700)


def test_a_host_keeps_nothing_of_who_started_it(own: Project) -> None:
    """Neither its directory nor a pipe: whoever waits for the end of one gets it with the end of the command."""
    _end(host_of(own))
    reading, writing = os.pipe()
    with open(reading, "rb") as pipe:
        subprocess.run(["runcept", "ps"], cwd=own.path, env=own.environ, pass_fds=[writing], check=True)
        os.close(writing)
        assert pipe.read() == b""
    host = wait_until(partial(listening_host, own), what="the host that it left behind")
    assert (host.cwd(), os.getsid(host.pid)) == ("/", host.pid)
    assert set(host.environ()) <= {"HOME", "LOGNAME", "PATH", "USER", *filter(_is_pythons, own.environ)}


def _is_pythons(variable: str) -> bool:
    return variable.startswith("PYTHON")


@pytest.mark.parametrize("sent", [b"", b"\0", b"\xff\xff\xff\xff", b"\0\0\0\4abcd", b"\0\0\0\1" * 100])
def test_nonsense_is_not_answered(shared: Project, sent: bytes) -> None:
    """The host hangs up on it, and serves the next."""
    host_of(shared)
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(10)
        stranger.connect(str(shared.home / "host.sock"))
        stranger.sendall(sent)
        stranger.shutdown(socket.SHUT_WR)
        assert stranger.recv(5) == b""
    assert outcome(shared, BY_HOST, ["--version"])[2] == 0


@pytest.mark.parametrize("sent", [b"", b"\0\0\1\0 and not a word more"])
def test_who_does_not_say_what_it_wants_is_not_waited_for(shared: Project, sent: bytes) -> None:
    """Where the caller has lost its patience, so has the host."""
    host_of(shared)
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(10)
        stranger.connect(str(shared.home / "host.sock"))
        stranger.sendall(sent)
        assert stranger.recv(5) == b""


def _end(host: psutil.Process) -> None:
    host.terminate()
    wait_until(lambda: has_ended(host), what="the end of the host")


def test_a_host_that_a_managed_process_has_started_is_no_part_of_it(own: Project) -> None:
    """Else its stop would end the command that asks for it, and every other one that the host runs."""
    _end(host_of(own))
    project = (own.path / ".runcept.toml").read_text()
    runcept = Path(sys.executable).parent / "runcept"
    command = f"RUNCEPT_HOME={own.home} {runcept} ps > listed; touch done; exec sleep 1000"
    shell = f'[[process]]\nname = "shell"\ncommand = "{command}"\n'
    own.write(f"{project}\n{shell}")
    subprocess.run([*ALONE, "start", "shell"], cwd=own.path, env=own.environ, stdout=subprocess.DEVNULL, check=True)
    wait_until((own.path / "done").exists, what="a command of the managed process")
    host = wait_until(partial(listening_host, own), what="the host that it has started")
    assert own.run("stop", "shell").returncode == 0
    assert host.is_running()
