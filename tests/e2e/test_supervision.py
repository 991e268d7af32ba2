"""Real processes under a real daemon: how they are started, watched, restarted and stopped."""

from __future__ import annotations

import os
import signal
import socket
import stat
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.e2e.conftest import Project
from tests.support import free_ports, has_ended, wait_until

HEAD = '[project]\nname = "p"\n'


def one(project: Project, text: str) -> None:
    """A project of one process `web` with these keys."""
    project.write(f'{HEAD}[[process]]\nname = "web"\n{text}\n')


def web(project: Project) -> dict[str, Any]:
    return project.processes()["web"]


def alive(pid: int) -> bool:
    try:
        return not has_ended(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


# ------------------------------------------------------------------------------------------------ starting


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ('command = ["no-such-program"]', "command not found: no-such-program"),
        ('command = ["./plain"]', "plain is not executable"),
        ('command = ["./folder"]', "folder is a directory, not a program"),
        ('command = "sleep 9"\nworking_dir = "missing"', "missing: it does not exist"),
        ('command = "no-such-program --flag"', "exit code 127"),
    ],
)
def test_why_a_process_could_not_be_started_is_said(project: Project, keys: str, reason: str) -> None:
    """Each cause has its own sentence, and `activate` exits 1."""
    (project.path / "plain").write_text("not a program")
    (project.path / "folder").mkdir()
    one(project, keys)
    assert project.run("activate", ok=False).returncode == 1
    assert web(project)["state"] == "failed"
    assert reason in web(project)["reason"]


def test_the_reason_of_a_crash_holds_the_last_line_of_stderr(project: Project) -> None:
    """A missing module is told without a look at the log."""
    one(project, 'command = ["python3", "-c", "import no_such_module"]')
    outcome = project.json("activate", ok=False)
    assert outcome["ok"] is False
    reason = outcome["processes"][0]["reason"]
    assert reason == "exit code 1: ModuleNotFoundError: No module named 'no_such_module'"


def test_the_environment_of_a_process_is_what_the_contract_says(project: Project) -> None:
    """The asking shell's, the project's, the process's, who it is, its ports, and nothing of the daemon."""
    project.environ["FROM_SHELL"] = "shell $HOME %s"
    project.environ["OVERRIDDEN"] = "shell"
    (port,) = free_ports(1)
    project.write(
        f"""
        [project]
        name = "p"
        env = {{ OVERRIDDEN = "project", NUMBER = 7 }}
        [[process]]
        name = "web"
        command = "env -0 > env; exec sleep 100"
        env = {{ EXACT = "$NOT %EXPANDED ü" }}
        ports = [{port}]
        """
    )
    project.run("activate")
    raw = (project.path / "env").read_bytes().rstrip(b"\0").split(b"\0")
    environ = dict(os.fsdecode(entry).split("=", 1) for entry in raw)
    expected = {
        "FROM_SHELL": "shell $HOME %s",
        "OVERRIDDEN": "project",
        "NUMBER": "7",
        "EXACT": "$NOT %EXPANDED ü",
        "RUNCEPT_ENVIRONMENT": str(project.path),
        "RUNCEPT_PROCESS": "web",
        "RUNCEPT_RUN": "1",
        "PORT": str(port),
        "PORT0": str(port),
    }
    assert {name: environ.get(name) for name in expected} == expected
    assert "RUNCEPT_HOME" not in environ


def test_a_simple_command_is_the_process_itself(project: Project) -> None:
    """Its pid is the program's, not a shell's."""
    one(project, 'command = "sleep 1000"')
    project.run("activate")
    assert psutil.Process(web(project)["pid"]).cmdline() == ["sleep", "1000"]


def test_dependents_start_as_soon_as_what_they_need_is_ready_not_by_levels(project: Project) -> None:
    """`fast` does not wait for `slow`, which is of the same level as its own dependency."""
    project.write(
        HEAD
        + """
        [[process]]
        name = "needs-fast"
        command = "sleep 1000"
        depends_on = ["fast"]
        [[process]]
        name = "fast"
        command = "sleep 1000"
        [[process]]
        name = "slow"
        command = "sleep 1000"
        health_check = "cmd://test -e go"
        """
    )
    project.run("activate", "--no-wait")
    wait_until(lambda: project.processes()["needs-fast"]["state"] == "running")
    slow = project.processes()["slow"]
    assert (slow["state"], slow["health"]) == ("starting", "unknown")
    assert "cmd://test -e go" in slow["reason"] or "exit" in slow["reason"]
    (project.path / "go").touch()
    wait_until(lambda: project.processes()["slow"]["state"] == "running")


def test_a_task_runs_to_its_end_before_what_needs_it(project: Project) -> None:
    """And an activation that finds it done leaves it so."""
    project.write(
        HEAD
        + """
        [[process]]
        name = "web"
        command = "test -e migrated && exec sleep 1000"
        depends_on = ["migrate"]
        [[process]]
        name = "migrate"
        kind = "task"
        command = "echo ran >> migrated"
        """
    )
    project.run("activate")
    project.run("activate")
    found = project.processes()
    assert (found["migrate"]["state"], found["web"]["state"]) == ("exited", "running")
    assert (project.path / "migrated").read_text() == "ran\n"


def test_an_activation_leaves_what_runs_untouched(project: Project) -> None:
    """Same pid, same run."""
    one(project, 'command = "sleep 1000"')
    project.run("activate")
    before = web(project)
    project.run("activate")
    assert (web(project)["pid"], web(project)["run"]) == (before["pid"], 1)


def test_an_edited_command_is_used_by_the_next_start(project: Project) -> None:
    """Nobody has to deactivate for it."""
    one(project, 'command = "exit 3"')
    project.run("activate", ok=False)
    one(project, 'command = "sleep 1000"')
    project.run("start", "web")
    assert web(project)["state"] == "running"


def test_parallel_starts_make_one_process(project: Project) -> None:
    """Whoever comes second is told that it runs."""
    import subprocess

    from tests.e2e.conftest import BIN

    one(project, 'command = "echo started >> starts; exec sleep 1000"')
    project.run("status")
    starts = [
        subprocess.Popen(
            [BIN / "runcept", "start", "web"],
            cwd=project.path,
            env=project.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(8)
    ]
    assert [start.wait(timeout=60) for start in starts] == [0] * 8
    assert (project.path / "starts").read_text() == "started\n"


# --------------------------------------------------------------------------------------------------- ports


def test_a_taken_port_fails_at_once_and_names_its_owner(project: Project) -> None:
    """With pid and command, before the command is run, and also where it would be restarted."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        one(project, f'command = "touch ran; sleep 1000"\nports = [{port}]\nrestart = "always"')
        assert project.run("activate", "--timeout", "20s", ok=False).returncode == 1
        reason = web(project)["reason"]
    assert f"port {port} is held by pid {os.getpid()} (" in reason
    assert not (project.path / "ran").exists()


def test_auto_ports_are_free_and_injected(project: Project) -> None:
    """Two processes get two; `status` shows where they listen."""
    serve = '"python3 -m http.server $PORT"'
    project.write(
        HEAD + "".join(f'[[process]]\nname = "{name}"\ncommand = {serve}\nports = "auto"\n' for name in ("one", "two"))
    )
    project.run("activate")

    def listening() -> bool:
        return all(each["urls"] for each in project.processes().values())

    wait_until(listening)
    first, second = project.processes().values()
    assert first["ports"] != second["ports"]
    for each in (first, second):
        assert each["urls"] == [f"http://localhost:{each['ports'][0]}"]
        socket.create_connection(("127.0.0.1", each["ports"][0]), timeout=5).close()


# -------------------------------------------------------------------------------------------------- health


def test_a_line_of_output_makes_ready(project: Project) -> None:
    """`log://REGEX`, on either stream."""
    one(
        project,
        """command = "while [ ! -e go ]; do sleep 0.02; done; echo 'listening on 8000' >&2; sleep 1000"
        health_check = "log://listening on \\\\d+"
        """,
    )
    project.run("activate", "--no-wait")
    wait_until(lambda: web(project)["pid"])
    assert web(project)["state"] == "starting"
    (project.path / "go").touch()
    project.run("start", "web")
    assert (web(project)["state"], web(project)["health"]) == ("running", "healthy")


def test_an_activation_whose_time_is_up_says_what_it_waits_for(project: Project) -> None:
    """Exit status 124; the process stays as it is, and its dependents stay pending."""
    (port,) = free_ports(1)
    project.write(
        HEAD
        + f"""
        [[process]]
        name = "web"
        command = "sleep 1000"
        health_check = "tcp://localhost:{port}"
        [[process]]
        name = "worker"
        command = "sleep 1000"
        depends_on = ["web"]
        """
    )
    assert project.run("activate", "--timeout", "1s", ok=False).returncode == 124
    found = project.processes()
    assert found["web"]["state"] == "starting"
    assert "refused" in found["web"]["reason"]
    assert found["worker"]["state"] == "pending"
    assert "waits for web" in found["worker"]["reason"]


def test_an_unhealthy_process_is_restarted(project: Project) -> None:
    """When a restart policy is set, `retries` failures in a row are a failure like a crash."""
    one(
        project,
        """command = "sleep 1000"
        health_check = { url = "cmd://test ! -e broken", interval = "100ms", retries = 2, timeout = "2s" }
        restart = "on-failure"
        restart_delay = "10ms"
        """,
    )
    project.run("activate")
    first = web(project)
    assert first["health"] == "healthy"
    (project.path / "broken").touch()
    wait_until(lambda: web(project)["run"] > first["run"])
    (project.path / "broken").unlink()
    wait_until(lambda: web(project)["state"] == "running")
    assert web(project)["restarts"] >= 1
    assert not alive(first["pid"])


def test_a_crash_is_restarted_until_the_limit(project: Project) -> None:
    """Then it is failed, with the count and the cause."""
    one(
        project,
        """command = "echo run >> runs; exit 9"
        restart = "on-failure"
        restart_delay = "10ms"
        max_restarts = 2
        """,
    )
    assert project.run("activate", ok=False).returncode == 1
    assert (project.path / "runs").read_text().count("run") == 3
    assert web(project)["exit_code"] == 9
    assert "gave up: restarted 2 times" in web(project)["reason"]


def test_a_killed_process_has_a_signal_and_no_code(project: Project) -> None:
    """As it was: SIGSEGV is not 0."""
    one(project, 'command = "kill -SEGV $$"')
    project.run("activate", ok=False)
    assert (web(project)["exit_code"], web(project)["exit_signal"]) == (None, "SIGSEGV")
    assert web(project)["reason"] == "killed by SIGSEGV"


# ------------------------------------------------------------------------------------------------ stopping


def test_a_process_that_ignores_its_stop_signal_is_killed_at_its_grace(project: Project) -> None:
    """Within half a second of it."""
    one(project, 'command = "trap \'\' TERM; while :; do sleep 0.05; done"\nstop_timeout = "1s"')
    project.run("activate")
    pid = web(project)["pid"]
    begun = time.monotonic()
    project.run("stop", "web")
    assert 1.0 <= time.monotonic() - begun < 2.0
    assert not alive(pid)
    assert web(project)["exit_signal"] == "SIGKILL"


def test_the_stop_signal_is_the_one_that_is_set(project: Project) -> None:
    """And a process that ends well on it is stopped with its own status."""
    one(project, 'command = "trap \'exit 5\' USR1; while :; do sleep 0.02; done"\nstop_signal = "SIGUSR1"')
    project.run("activate")
    project.run("stop", "web")
    assert (web(project)["state"], web(project)["exit_code"]) == ("stopped", 5)


ESCAPE = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open("escaped", "w").write(str(os.getpid()))
        time.sleep(1000)
    os._exit(0)
time.sleep(1000)
"""


def test_an_escaped_grandchild_does_not_survive_stop(project: Project) -> None:
    """One that has left session, group and parent, and ignores TERM and HUP."""
    (project.path / "escape.py").write_text(ESCAPE)
    one(project, 'command = ["python3", "escape.py"]\nstop_timeout = "300ms"')
    project.run("activate")
    escaped = int(wait_until(lambda: (project.path / "escaped").exists() and (project.path / "escaped").read_text()))
    assert alive(escaped)
    project.run("stop", "web")
    assert not alive(escaped)


def test_what_a_crashed_leader_left_behind_is_gone_before_the_restart(project: Project) -> None:
    """A port or a lock that it holds would make the restart fail."""
    one(
        project,
        """command = "sleep 1000 & echo $! > child; while [ ! -e crash ]; do sleep 0.02; done; rm crash; exit 1"
        restart = "on-failure"
        restart_delay = "10ms"
        """,
    )
    project.run("activate")
    first = wait_until(lambda: (project.path / "child").exists() and (project.path / "child").read_text())
    (project.path / "crash").touch()
    wait_until(lambda: (project.path / "child").read_text() not in ("", first))
    assert not alive(int(first))


def test_a_grandchild_that_holds_stdout_delays_no_exit(project: Project) -> None:
    """The exit is seen within a second."""
    one(project, 'command = "sleep 1000 & exit 4"\nstop_timeout = "5s"')
    begun = time.monotonic()
    project.run("activate", ok=False)
    wait_until(lambda: web(project)["state"] == "failed")
    assert time.monotonic() - begun < 3
    assert web(project)["exit_code"] == 4


def test_stop_takes_dependents_first_and_says_so(project: Project) -> None:
    """The worker's last line comes before the database's."""
    trap = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.02; done"
    project.write(
        HEAD
        + f"""
        [[process]]
        name = "db"
        command = "{trap}"
        [[process]]
        name = "worker"
        command = "{trap}"
        depends_on = ["db"]
        """
    )
    project.run("activate")
    wait_until(lambda: project.log().count("up") == 2)
    outcome = project.json("stop", "db")
    assert {each["name"]: each["state"] for each in outcome["processes"]} == {"db": "stopped", "worker": "stopped"}
    said = [line["process"] for line in project.json("logs")["lines"] if line["message"] == "bye"]
    assert said == ["worker", "db"]


def test_restart_gives_a_new_run_and_keeps_dependents(project: Project) -> None:
    """With --dependents they come along."""
    project.write(
        HEAD
        + """
        [[process]]
        name = "db"
        command = "sleep 1000"
        [[process]]
        name = "worker"
        command = "sleep 1000"
        depends_on = ["db"]
        """
    )
    project.run("activate")
    before = project.processes()
    project.run("restart", "db")
    alone = project.processes()
    assert (alone["db"]["run"], alone["worker"]["pid"]) == (2, before["worker"]["pid"])
    outcome = project.json("restart", "db", "--dependents")
    assert [each["name"] for each in outcome["processes"]] == ["db", "worker"]
    together = project.processes()
    assert (together["db"]["run"], together["worker"]["run"]) == (3, 2)


def test_kill_all_leaves_nothing_of_any_environment(project: Project, tmp_path: Path) -> None:
    """Two projects, one command."""
    (tmp_path / ".runcept.toml").write_text(f'{HEAD}[[process]]\nname = "w"\ncommand = "sleep 1000"\n')
    one(project, 'command = "sleep 1000"')
    project.run("activate")
    project.run("activate", f"{tmp_path}/")
    pids = [each["pid"] for each in project.json("ps")["processes"]]
    assert len(pids) == 2
    assert all(alive(pid) for pid in pids)
    project.run("kill-all", "--yes")
    assert not any(alive(pid) for pid in pids)


# ---------------------------------------------------------------------------------------------- inactivity


def test_an_environment_that_nobody_uses_is_stopped(project: Project) -> None:
    """And the next activation brings it back."""
    project.write(
        '[project]\nname = "p"\ninactivity_timeout = "3s"\n[[process]]\nname = "web"\ncommand = "sleep 1000"\n'
    )
    project.run("activate")
    pid = project.json("ps")["processes"][0]["pid"]
    assert project.json("environments")["environments"][0]["idle_stop_at"] is not None
    wait_until(lambda: not alive(pid))
    stopped = project.json("ps")["processes"][0]
    assert stopped["state"] == "stopped"
    assert "without activity" in stopped["reason"]
    project.run("activate")


def test_use_keeps_an_environment_up(project: Project) -> None:
    """Any request that names it counts; looking at all environments does not."""
    project.write(
        '[project]\nname = "p"\ninactivity_timeout = "2s"\n[[process]]\nname = "web"\ncommand = "sleep 1000"\n'
    )
    project.run("activate")
    pid = web(project)["pid"]
    end = time.monotonic() + 4
    wait_until(lambda: project.processes() and time.monotonic() > end, seconds=20)
    assert alive(pid)
    wait_until(lambda: project.json("ps")["processes"][0]["state"] == "stopped")


# ------------------------------------------------------------------------------------------------- output


def test_an_exit_is_visible_only_when_its_last_line_is(project: Project) -> None:
    """Also when that is the last of two hundred thousand, and has no newline."""
    one(project, 'command = "seq 200000; printf the-end; exit 3"')
    project.run("activate", "--no-wait")
    wait_until(lambda: web(project)["exit_code"] == 3, seconds=30)
    lines = [line for line in project.json("logs", "-n", "300000")["lines"] if line["stream"] == "stdout"]
    assert [line["message"] for line in lines] == [*map(str, range(1, 200001)), "the-end"]


def test_the_log_alone_tells_the_story(project: Project) -> None:
    """Starts and exits are records of the stream `runcept`; runs are numbered."""
    one(project, 'command = "echo hello; exit 2"')
    project.run("activate", ok=False)
    project.run("start", "web", ok=False)
    lines = project.json("logs")["lines"]
    story = [(line["stream"], line["run"], line["message"].split(",")[0]) for line in lines]
    assert [each[:2] for each in story] == [
        ("runcept", 1),
        ("stdout", 1),
        ("runcept", 1),
        ("runcept", 2),
        ("stdout", 2),
        ("runcept", 2),
    ]
    assert "exit code 2" in story[2][2]


def test_logs_are_read_while_the_daemon_is_down(project: Project) -> None:
    """Straight from disk, and nothing is started for it."""
    one(project, 'command = "echo hello; sleep 1000"')
    project.run("activate")
    wait_until(lambda: "hello" in project.log())
    project.run("daemon", "stop")
    assert "hello" in project.log("web")
    assert not project.json("daemon", "status")["running"]


# ---------------------------------------------------------------------------------------------------- home


def test_the_home_is_the_owners_alone(project: Project) -> None:
    """Directory, socket and database, whatever the umask of the first command."""
    one(project, 'command = "sleep 1000"')
    before = os.umask(0)
    try:
        project.run("activate")
    finally:
        os.umask(before)
    assert stat.S_IMODE(project.home.stat().st_mode) == 0o700
    assert stat.S_IMODE((project.home / "daemon.sock").stat().st_mode) == 0o600
    assert stat.S_IMODE((project.home / "runcept.db").stat().st_mode) == 0o600


def test_a_home_with_a_long_path_has_its_socket_elsewhere(project: Project, tmp_path: Path) -> None:
    """In a directory of the owner's under /tmp, found by every client; awkward names of projects work as well."""
    home = tmp_path / ("a-very-long-name" * 5) / ("another" * 5)
    project.environ["RUNCEPT_HOME"] = str(home)
    project.home = home
    project.path = project.path.with_name("my projéct & more")
    project.path.mkdir()
    one(project, 'command = "echo here; sleep 1000"')
    project.run("activate")
    path = project.json("daemon", "status")["socket"]
    assert path.startswith(f"/tmp/runcept-{os.geteuid()}/")
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    wait_until(lambda: "here" in project.log("web"))


def test_the_daemon_ends_what_it_started_on_sigterm(project: Project) -> None:
    """As `runcept daemon stop`, and the keeper with it."""
    one(project, 'command = "sleep 1000"')
    project.run("activate")
    pid, daemon = web(project)["pid"], project.json("daemon", "status")["pid"]
    os.kill(daemon, signal.SIGTERM)
    wait_until(lambda: not alive(daemon))
    assert not alive(pid)
    wait_until(lambda: not [each for each in project.left_behind() if "runcept.host" not in " ".join(each.cmdline())])


def test_what_a_process_writes_at_once_belongs_to_its_run(project: Project) -> None:
    """Its first line comes after the record of its start, makes it ready, and is its last words; every time."""
    one(project, 'command = "echo at once; exec sleep 1000"\nhealth_check = "log://at once"')
    for run in range(1, 16):
        project.run("restart", "web", "--timeout", "20s")
        lines = [line for line in project.json("logs", "--run", "last")["lines"] if line["stream"] != "stderr"]
        assert [(line["run"], line["stream"]) for line in lines[:2]] == [(run, "runcept"), (run, "stdout")]
