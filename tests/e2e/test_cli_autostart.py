"""The daemon starts when a command needs it: once, with little of the caller's environment, or it says why not."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from tests.e2e.conftest import BIN, Project
from tests.support import running, wait_until

from runcept.client.testing import ScriptedDaemon
from runcept.paths import ensure_home

EMPTY = '[project]\nname = "shop"\n'


def daemons(project: Project) -> list[int]:
    """Pids of the daemons of the project's home."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if words[1:3] == ["-m", "runcept.daemon"] and words[3:4] == [str(project.home)]:
            found.append(process.pid)
    return found


def test_twenty_first_commands_make_one_daemon_and_get_twenty_answers(project: Project) -> None:
    """Nobody is refused, and nobody starts a second one."""
    project.write(EMPTY)
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: project.run("--json", "daemon", "start", ok=False), range(20)))
    assert [answer.returncode for answer in answers] == [0] * 20, [answer.stderr for answer in answers]
    assert len({answer.stdout.split('"pid":')[1].split(",")[0] for answer in answers}) == 1
    assert len(daemons(project)) == 1


def test_while_another_command_starts_it_a_command_waits_for_that_daemon(project: Project) -> None:
    """It starts none of its own, and goes on as soon as the socket answers."""
    ensure_home(str(project.home))
    with open(project.home / "start.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [BIN / "runcept", "--json", "daemon", "start"]
        with running(command, env=project.environ, stdout=subprocess.PIPE) as waiting:
            wait_until(lambda: lock.name in [file.path for file in psutil.Process(waiting.pid).open_files()])
            with ScriptedDaemon(str(project.home), {"daemon_status": {"running": True, "pid": 1}}):
                assert json.loads(waiting.communicate(timeout=20)[0])["pid"] == 1
    assert daemons(project) == []


def test_a_socket_that_a_dead_daemon_left_heals(project: Project) -> None:
    """As after a power cut."""
    project.write(EMPTY)
    project.home.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(project.home / "daemon.sock"))
    assert project.json("status")["name"] == "shop"


def test_after_a_kill_the_next_command_is_answered(project: Project) -> None:
    """Whether the keeper or the command starts the new daemon: one answers."""
    project.write(EMPTY)
    first = project.json("daemon", "start")["pid"]
    os.kill(first, signal.SIGKILL)
    assert project.json("status")["name"] == "shop"
    wait_until(lambda: len(daemons(project)) == 1, what="one daemon")
    assert project.json("daemon", "status")["pid"] != first


def test_the_daemon_is_detached_and_gets_little_of_the_callers_environment(project: Project) -> None:
    """Own session, no terminal, no descriptors and no secrets of ours, nothing of it in our directory."""
    project.environ["MY_SECRET"] = "hunter2"
    with open(project.path / "held", "w") as held:
        subprocess.run([BIN / "runcept", "daemon", "start"], env=project.environ, pass_fds=[held.fileno()], check=True)
    daemon = psutil.Process(project.json("daemon", "status")["pid"])
    assert "MY_SECRET" not in daemon.environ()
    assert daemon.environ()["PATH"] == project.environ["PATH"]
    assert daemon.cwd() == "/"
    assert os.getsid(daemon.pid) == daemon.pid
    assert str(project.path / "held") not in [file.path for file in daemon.open_files()]


def test_a_daemon_that_cannot_start_tells_why_at_once(project: Project) -> None:
    """Exit status 5 with its last words, well before the ten seconds are over."""
    project.write(EMPTY)
    project.home.mkdir(mode=0o700)
    (project.home / "daemon.lock").mkdir()  # what no daemon can do without
    said = project.run("status", ok=False, timeout=8)
    assert said.returncode == 5
    assert said.stderr.startswith("runcept: the daemon did not start: ")
    assert "daemon.stderr" in said.stderr
    (project.home / "daemon.lock").rmdir()


def test_a_home_with_a_long_path_works(project: Project) -> None:
    """The socket then lies under a hashed name, beyond the 107 bytes of sockaddr_un."""
    project.write(EMPTY)
    project.home = Path(f"{project.home}-{'x' * 120}")
    project.environ["RUNCEPT_HOME"] = str(project.home)
    assert project.json("status")["name"] == "shop"
    assert len(project.json("daemon", "status")["socket"]) <= 107


def test_a_restart_of_the_daemon_keeps_the_processes(project: Project) -> None:
    """An upgrade is no reason to stop what runs."""
    project.write(EMPTY + '[[process]]\nname = "web"\ncommand = "sleep 1000"\n')
    [web] = project.json("activate")["processes"]
    before = project.json("daemon", "status")["pid"]
    assert project.json("daemon", "restart")["pid"] != before
    [after] = project.json("status")["processes"]
    assert (after["pid"], after["state"]) == (web["pid"], "running")


def test_stopping_the_daemon_twice_is_no_error(project: Project) -> None:
    """The second says that none runs."""
    project.run("daemon", "start")
    assert project.run("daemon", "stop").stdout == "the daemon was stopped\n"
    assert project.run("daemon", "stop").stdout == "the daemon is not running\n"
    assert project.json("daemon", "status")["running"] is False


def test_a_daemon_in_the_foreground_serves_and_ends_with_an_interrupt(project: Project) -> None:
    """For those who want to watch it."""
    command = [BIN / "runcept", "daemon", "start", "--foreground"]
    with running(command, env=project.environ, stderr=subprocess.DEVNULL) as daemon:
        wait_until(lambda: project.json("daemon", "status")["running"], what="the daemon")
        assert project.json("daemon", "status")["pid"] == daemon.pid
        daemon.send_signal(signal.SIGINT)
        assert daemon.wait(20) == 0
