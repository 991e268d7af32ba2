"""What survives what: processes, lines and exit statuses when the daemon, the keeper, or both are killed."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import threading
from typing import Any

import psutil
import pytest
from tests.chaos.stage import is_alive
from tests.e2e.conftest import BIN, Project
from tests.support import has_ended, wait_until

STACK = """
[project]
name = "stack"

[[process]]
name = "counter"
command = ["sh", "-c", "i=1; while :; do echo line $i; i=$((i+1)); sleep 0.01; done"]

[[process]]
name = "quiet"
command = "sleep 1000"
stop_timeout = "5s"
"""


def daemon_pid(project: Project) -> int:
    pid: int = wait_until(lambda: project.json("daemon", "status")["pid"], what="a daemon")
    return pid


def keepers(project: Project) -> list[int]:
    return owned(project, "runcept/keeper")


def keeper_pid(project: Project) -> int:
    (keeper,) = keepers(project)
    return keeper


def daemons(project: Project) -> list[int]:
    return owned(project, "runcept.daemon")


def owned(project: Project, word: str) -> list[int]:
    found = []
    for each in project.left_behind():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended between the two looks
            if word in " ".join(each.cmdline()):
                found.append(each.pid)
    return found


def numbers(project: Project) -> list[int]:
    return [int(found[1]) for found in re.finditer(r"^line (\d+)$", project.log("counter"), re.MULTILINE)]


def identities(project: Project) -> dict[str, tuple[Any, ...]]:
    return {name: (each["pid"], each["run"], each["started_at"]) for name, each in project.processes().items()}


def kill(pid: int) -> None:
    """kill -9, and wait until it is no more."""
    process = psutil.Process(pid)
    process.send_signal(signal.SIGKILL)
    wait_until(lambda: has_ended(process))


def test_twenty_first_commands_at_once_start_one_daemon_and_are_all_answered(project: Project) -> None:
    """None of them starts a second one, and none fails for having been too early."""
    project.write(STACK)
    runs = [
        subprocess.Popen(
            [BIN / "runcept", "--json", "status"],
            cwd=project.path,
            env=project.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(20)
    ]
    answers = [run.communicate(timeout=60) for run in runs]
    assert [run.returncode for run in runs] == [0] * 20, answers
    assert len(daemons(project)) == 1


def test_after_a_kill_of_the_daemon_everything_goes_on(project: Project) -> None:
    """Same pids, one copy each, and the log is 1..N without a gap or a double."""
    project.write(STACK)
    project.run("activate")
    before = identities(project)
    for _ in range(3):
        seen = numbers(project)[-1]
        kill(daemon_pid(project))
        wait_until(lambda seen=seen: numbers(project)[-1] > seen + 20)  # type: ignore[misc]
    assert identities(project) == before
    project.run("stop", "counter")
    found = numbers(project)
    assert found == list(range(1, len(found) + 1))


def test_the_keeper_starts_the_daemon_again_when_nobody_asks(project: Project) -> None:
    """Within two seconds."""
    project.write(STACK)
    project.run("activate")
    killed = daemon_pid(project)
    kill(killed)
    wait_until(lambda: [pid for pid in daemons(project) if pid != killed], seconds=2)


def test_an_exit_while_no_daemon_ran_is_known_exactly(project: Project) -> None:
    """Code and signal, as the keeper wrote them down."""
    project.write(
        """
        [project]
        name = "exits"
        [[process]]
        name = "code"
        command = "while [ ! -e go ]; do sleep 0.02; done; echo last words; exit 7"
        [[process]]
        name = "signal"
        command = "while [ ! -e go ]; do sleep 0.02; done; kill -SEGV $$"
        """
    )
    project.run("activate")
    pids = [each["pid"] for each in project.processes().values()]
    os.kill(daemon_pid(project), signal.SIGSTOP)  # stopped: the keeper sees a daemon that says nothing
    (project.path / "go").touch()
    wait_until(lambda: all(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE for pid in pids))
    kill(daemons(project)[0])
    found = wait_until(lambda: project.processes() if project.processes()["code"]["state"] == "failed" else None)
    assert (found["code"]["exit_code"], found["code"]["exit_signal"]) == (7, None)
    assert "last words" in found["code"]["reason"]
    found = wait_until(lambda: project.processes() if project.processes()["signal"]["state"] == "failed" else None)
    assert (found["signal"]["exit_code"], found["signal"]["exit_signal"]) == (None, "SIGSEGV")


def test_after_a_kill_of_the_keeper_another_one_takes_over(project: Project) -> None:
    """Processes run on with their pids, stay stoppable, and their output is still kept."""
    project.write(STACK)
    project.run("activate")
    before = identities(project)
    old = keeper_pid(project)
    kill(old)
    wait_until(lambda: keepers(project))
    seen = numbers(project)[-1]
    wait_until(lambda: numbers(project)[-1] > seen + 20)
    assert identities(project) == before
    stopped = project.json("stop", "quiet", "counter")
    assert stopped["ok"]
    assert not is_alive(before["quiet"][0])


def test_after_a_kill_of_both_the_next_command_adopts_what_lives(project: Project) -> None:
    """The children get no SIGPIPE: they hold their FIFOs themselves."""
    project.write(STACK)
    project.run("activate")
    before = identities(project)
    keeper, daemon = keeper_pid(project), daemon_pid(project)
    os.kill(keeper, signal.SIGSTOP)  # so that it cannot start the daemon again between the two kills
    kill(daemon)
    kill(keeper)
    assert identities(project) == before
    seen = numbers(project)[-1]
    wait_until(lambda: numbers(project)[-1] > seen + 20)


def test_an_exit_that_nobody_saw_is_never_a_success(project: Project) -> None:
    """Keeper and daemon dead, and the process with them: its status is what the kernel still tells, or nothing."""
    project.write(STACK)
    project.run("activate")
    pid = project.processes()["quiet"]["pid"]
    keeper, daemon = keeper_pid(project), daemon_pid(project)
    os.kill(keeper, signal.SIGSTOP)
    kill(daemon)
    kill(keeper)
    kill(pid)
    quiet = project.processes()["quiet"]
    assert (quiet["state"], quiet["exit_code"]) == ("failed", None)
    if quiet["exit_signal"] is None:
        assert "nobody was there" in quiet["reason"]
    else:  # its zombie was there still, and the kernel is new enough to be asked
        assert quiet["exit_signal"] == "SIGKILL"


def test_a_restart_of_the_daemon_leaves_processes_alone(project: Project) -> None:
    """An upgrade is the same path as a crash, without the crash."""
    project.write(STACK)
    project.run("activate")
    before, daemon = identities(project), daemon_pid(project)
    project.run("daemon", "restart")
    assert daemon_pid(project) != daemon
    assert identities(project) == before


def test_a_back_off_that_came_due_while_no_daemon_ran_is_caught_up(project: Project) -> None:
    """The process is started by the next daemon, and its failures are still counted."""
    project.write(
        """
        [project]
        name = "crashing"
        [[process]]
        name = "flaky"
        command = "echo run >> runs; exit 1"
        restart = "on-failure"
        restart_delay = "1s"
        max_restarts = 3
        """
    )
    project.run("activate", "--no-wait")
    runs = project.path / "runs"
    wait_until(lambda: project.processes()["flaky"]["state"] == "backoff")
    kill(daemon_pid(project))
    wait_until(lambda: project.processes()["flaky"]["state"] == "failed", seconds=30)
    assert runs.read_text().count("run") == 4
    assert "gave up: restarted 3 times" in project.processes()["flaky"]["reason"]


def test_a_kill_in_the_middle_of_an_activation_starts_nothing_twice(project: Project) -> None:
    """At whatever instant: one copy of each process, and the activation goes on by itself."""
    names = [f"p{index}" for index in range(12)]
    project.write(
        '[project]\nname = "many"\n'
        + "".join(f'[[process]]\nname = "{name}"\ncommand = ["sleep", "1000"]\n' for name in names)
    )
    project.run("status")
    for delay in (0.0, 0.02, 0.05, 0.1):
        daemon = daemon_pid(project)
        activating = subprocess.Popen(
            [BIN / "runcept", "activate", "-q", "--no-wait"],
            cwd=project.path,
            env=project.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        timer = threading.Timer(delay + 0.1, os.kill, (daemon, signal.SIGKILL))
        timer.start()
        activating.wait(timeout=30)
        timer.join()
        project.run("activate")
        states = project.processes()
        sleeping = [
            each.pid
            for each in psutil.process_iter(["cmdline", "environ"])
            if each.info["cmdline"] == ["sleep", "1000"]
            and (each.info["environ"] or {}).get("RUNCEPT_ENVIRONMENT") == str(project.path)
        ]
        assert sorted(sleeping) == sorted(states[name]["pid"] for name in names)
        project.run("deactivate")


def test_who_waits_for_an_activation_hears_of_its_end_from_the_next_daemon(project: Project) -> None:
    """The command asks again: whoever typed it does not see that the daemon was killed."""
    check = f'health_check = {{ url = "cmd://test -e {project.path}/up", interval = "50ms" }}'
    project.write(f'[project]\nname = "p"\n[[process]]\nname = "web"\ncommand = "sleep 1000"\n{check}\n')
    project.run("status")
    daemon = daemon_pid(project)
    with subprocess.Popen(
        [BIN / "runcept", "activate"], cwd=project.path, env=project.environ, stdout=subprocess.PIPE, text=True
    ) as activating:
        wait_until(lambda: project.processes()["web"]["state"] == "starting", what="the start")
        os.kill(daemon, signal.SIGKILL)
        wait_until(lambda: daemon_pid(project) != daemon, what="the next daemon")
        (project.path / "up").touch()
        said, _ = activating.communicate(timeout=30)
        assert activating.returncode == 0
        assert "web" in said


@pytest.mark.parametrize("damage", [b"this is not a database at all, and long enough" * 50, b""])
def test_a_database_that_is_none_is_set_aside_and_what_runs_is_found(project: Project, damage: bytes) -> None:
    """Through the keeper, which knows what it holds."""
    project.write(STACK)
    project.run("activate")
    before = identities(project)
    keeper, daemon = keeper_pid(project), daemon_pid(project)
    os.kill(keeper, signal.SIGSTOP)
    kill(daemon)
    for suffix in ("", "-wal", "-shm"):
        (project.home / f"runcept.db{suffix}").unlink(missing_ok=True)
    (project.home / "runcept.db").write_bytes(damage)
    os.kill(keeper, signal.SIGCONT)
    assert {name: each[:2] for name, each in identities(project).items()} == {n: e[:2] for n, e in before.items()}
    project.run("stop", "counter")
    found = numbers(project)
    assert found == list(range(1, len(found) + 1))


def test_what_is_known_survives_in_a_database_of_the_newest_schema(project: Project) -> None:
    """Environments, processes, runs and events are kept; the file is the owner's alone."""
    project.write(STACK)
    project.run("activate")
    project.run("deactivate")
    project.run("daemon", "stop")
    path = project.home / "runcept.db"
    assert path.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT path FROM environments").fetchall() == [(str(project.path),)]
        kinds = {kind for (kind,) in connection.execute("SELECT kind FROM events")}
        runs = connection.execute("SELECT process, run, exit_signal, released FROM runs ORDER BY process").fetchall()
    connection.close()
    assert kinds >= {"daemon_started", "activated", "starting", "ready", "exited", "stopped", "deactivated"}
    assert runs == [("counter", 1, "SIGTERM", 1), ("quiet", 1, "SIGTERM", 1)]
    assert not list((project.home / "runs").iterdir())


def test_a_fresh_home_goes_on_counting_runs_where_the_log_ends(project: Project) -> None:
    """So that `logs --run N` means one run."""
    project.write(STACK)
    project.run("activate")
    project.run("restart", "quiet")
    project.run("daemon", "stop")
    project.home = project.home.with_name("another")
    project.environ["RUNCEPT_HOME"] = str(project.home)
    project.run("activate")
    assert project.processes()["quiet"]["run"] == 3
