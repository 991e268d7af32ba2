"""Hooks and desktop notifications of real projects: when they run, with what, and that nothing waits for them."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from tests.e2e.conftest import Project
from tests.support import wait_until

TELL = (
    'echo \\"$RUNCEPT_PROCESS $RUNCEPT_EVENT $RUNCEPT_EXIT_CODE$RUNCEPT_EXIT_SIGNAL\\"'
    ' >> \\"$RUNCEPT_ENVIRONMENT/told\\"'
)
ALL = ", ".join(f'{hook} = "{TELL}"' for hook in ("ready", "failed", "unhealthy", "exited"))


def told(project: Project, name: str = "told") -> list[str]:
    """The lines that hooks have written."""
    file = project.path / name
    return file.read_text().splitlines() if file.exists() else []


def history(project: Project, kind: str = "hook") -> list[tuple[str, str]]:
    """Process and message of the events of a kind."""
    with closing(sqlite3.connect(f"file:{project.home}/runcept.db?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT process, message FROM events WHERE kind = ? ORDER BY id", (kind,))
        return [(process, message) for process, message in rows]


def test_each_event_of_a_process_runs_its_hook(project: Project) -> None:
    """Ready, unhealthy, exited and failed, of the project's hooks for every process; a task is ready when done."""
    (project.path / "up").touch()
    project.write(f"""
[project]
name = "shop"
hooks = {{ {ALL} }}
[[process]]
name = "web"
command = "exec sleep 1000"
health_check = {{ url = "cmd://test -e up", interval = 0.1, retries = 1, start_period = 0 }}
[[process]]
name = "task"
kind = "task"
command = "true"
[[process]]
name = "worker"
kind = "task"
command = "exit 3"
[[process]]
name = "needy"
command = "true"
depends_on = ["worker"]
""")
    project.run("activate", ok=False)
    first = {"web ready ", "task exited 0", "task ready 0", "worker exited 3", "worker failed 3", "needy failed "}
    wait_until(lambda: set(told(project)) == first, what="the first hooks")
    (project.path / "up").unlink()
    wait_until(lambda: "web unhealthy " in told(project), what="the hook of unhealthy")
    os.kill(project.processes()["web"]["pid"], signal.SIGKILL)
    wait_until(lambda: {"web exited SIGKILL", "web failed SIGKILL"} <= set(told(project)), what="the last hooks")
    assert len(told(project)) == len(first) + 3


def test_a_hook_has_what_its_process_has(project: Project) -> None:
    """Environment, directory and umask, and what happened beside them."""
    (project.path / "sub").mkdir()
    project.write("""
[project]
name = "shop"
env = { A = "project" }
[[process]]
name = "web"
command = "exec sleep 1000"
working_dir = "sub"
ports = "auto"
env = { B = "ä b" }
hooks = { ready = "umask > mask; env -0 > environ.part; mv environ.part environ" }
""")
    project.run("activate")
    file = project.path / "sub" / "environ"
    wait_until(file.exists, what="the hook")
    found = dict(entry.split("=", 1) for entry in file.read_text().rstrip("\0").split("\0"))
    web = project.processes()["web"]
    expected = {
        "A": "project",
        "B": "ä b",
        "PORT": str(web["ports"][0]),
        "RUNCEPT_ENVIRONMENT": str(project.path),
        "RUNCEPT_EVENT": "ready",
        "RUNCEPT_EXIT_CODE": "",
        "RUNCEPT_EXIT_SIGNAL": "",
        "RUNCEPT_HOME": str(project.home),
        "RUNCEPT_PID": str(web["pid"]),
        "RUNCEPT_PROCESS": "web",
        "RUNCEPT_PROJECT": "shop",
        "RUNCEPT_REASON": f"run 1, pid {web['pid']}",
        "RUNCEPT_RUN": "1",
    }
    assert expected.items() <= found.items()
    assert (project.path / "sub" / "mask").read_text() == "0022\n"


def test_a_stop_by_a_person_runs_exited_and_not_failed(project: Project) -> None:
    """Also where the daemon ends with it: what is about to run has its turn."""
    hooks = ALL.replace('exited = "', 'exited = "sleep 0.5; ')
    web = '[[process]]\nname = "web"\ncommand = "exec sleep 1000"'
    project.write(f'[project]\nname = "shop"\nhooks = {{ {hooks} }}\n{web}')
    project.run("activate")
    project.run("daemon", "stop")
    assert sorted(told(project)) == ["web exited SIGTERM", "web ready "]
    assert [message.partition(" after")[0] for _, message in history(project)] == [
        "hook ready of web: exit code 0",
        "hook exited of web: exit code 0",
    ]


def test_a_hook_that_hangs_delays_nothing(project: Project) -> None:
    """Nor does one that floods, in any number of processes: status, restarts and stops take the time that they take."""
    processes = "".join(
        f'[[process]]\nname = "p{number}"\ncommand = "exec sleep 1000"\nhooks = {{ ready = "{command}" }}\n'
        for number, command in enumerate(["sleep 1000", "exec yes", "trap '' TERM; sleep 1000 & wait"] * 4)
    )
    project.write(f'[project]\nname = "shop"\n{processes}')
    project.run("activate")
    hanging = f"{project.path}"

    def hooks() -> list[psutil.Process]:
        pids = {each["pid"] for each in project.processes().values()}
        return [each for each in project.left_behind() if each.pid not in pids and environment_of(each) == hanging]

    wait_until(lambda: len(hooks()) >= 8, what="the hooks")
    project.run("status")
    for arguments in (["status"], ["restart", "p0"], ["stop", "p1"], ["deactivate"]):
        begun = time.monotonic()
        project.run(*arguments)
        assert time.monotonic() - begun < 15  # half of what the hooks have
    assert hooks(), "the stop of a process does not end its hook"
    project.run("daemon", "stop")
    wait_until(lambda: not project.left_behind(), what="the end of the hooks")


def environment_of(process: psutil.Process) -> str:
    try:
        return process.environ().get("RUNCEPT_ENVIRONMENT", "")
    except psutil.Error:
        return ""


def test_a_process_that_crashes_without_pause_runs_its_hook_now_and_then(project: Project) -> None:
    """With what happened last, and how many times."""
    project.write("""
[project]
name = "shop"
[[process]]
name = "web"
command = "exit 3"
restart = "always"
restart_delay = 0
restart_max_delay = 0
max_restarts = 40
hooks = { exited = "echo $RUNCEPT_RUN >> told", failed = "echo failed >> told" }
""")
    begun = time.monotonic()
    project.run("activate", ok=False)
    wait_until(lambda: "failed" in told(project), seconds=60, what="the end of the crashes")
    wait_until(lambda: "41" in told(project), what="the hook of the last run")
    assert len(told(project)) <= time.monotonic() - begun + 3
    wait_until(lambda: any(", for the last of " in message for _, message in history(project)), what="how it went")


def test_a_hook_may_ask_runcept(project: Project) -> None:
    """It finds the daemon of its home, and what it asks is done."""
    project.write("""
[project]
name = "shop"
[[process]]
name = "web"
command = "echo last words; exit 3"
hooks = { failed = "runcept logs web --no-prefix > mail; runcept start helper" }
[[process]]
name = "helper"
command = "exec sleep 1000"
autostart = false
""")
    project.run("activate", ok=False)
    wait_until(lambda: project.processes()["helper"]["state"] == "running", what="what the hook started")
    assert "last words\n" in (project.path / "mail").read_text()
    wait_until(lambda: history(project), what="the end of the hook")
    assert psutil.pid_exists(project.processes()["helper"]["pid"])


def test_a_daemon_that_follows_a_killed_one_tells_what_is_new_alone(project: Project) -> None:
    """What was told is not told again; what happened while there was no daemon is."""
    project.write(f"""
[project]
name = "shop"
hooks = {{ {ALL} }}
[[process]]
name = "web"
command = "exec sleep 1000"
[[process]]
name = "worker"
command = "exec sleep 1000"
""")
    project.run("activate")
    wait_until(lambda: len(history(project)) == 2, what="the first hooks")
    daemon = psutil.Process(project.json("daemon", "status")["pid"])
    worker = project.processes()["worker"]["pid"]
    daemon.kill()
    os.kill(worker, signal.SIGTERM)
    wait_until(lambda: len(told(project)) == 4, what="the hooks of the end of the worker")
    project.run("status")
    assert sorted(told(project)) == ["web ready ", "worker exited SIGTERM", "worker failed SIGTERM", "worker ready "]


# --------------------------------------------------------------------------------------------- the desktop


@pytest.fixture
def desktop(project: Project) -> Path:
    """Where a `notify-send` on the PATH of the shell writes what it was asked to show, an argument a line."""
    shown = project.home.parent / "shown"
    programs = project.home.parent / "bin"
    programs.mkdir()
    sender = programs / "notify-send"
    sender.write_text(f'#!/bin/sh\n{{ echo "$DISPLAY"; printf "%s\\n" "$@"; echo ----; }} >> "{shown}"\n')
    sender.chmod(0o755)
    project.environ |= {"PATH": f"{programs}:{project.environ['PATH']}", "DISPLAY": ":7"}
    project.home.mkdir(mode=0o700)
    (project.home / "config.toml").write_text("notify = true\n")
    return shown


CASCADE = """
[project]
name = "shop"
[[process]]
name = "db"
kind = "task"
command = "echo '<b>no & disk' >&2; exit 3"
[[process]]
name = "web"
command = "true"
depends_on = ["db"]
[[process]]
name = "stays"
command = "exec sleep 1000"
"""


def notices(shown: Path) -> list[list[str]]:
    """What was shown, without the options."""
    text = shown.read_text() if shown.exists() else ""
    return [each.strip("\n").split("\n") for each in text.split("----\n")[:-1]]


def test_failures_are_shown_on_the_desktop_as_one(project: Project, desktop: Path) -> None:
    """By the desktop that the project was activated from; what others have said is no markup there."""
    project.write(CASCADE)
    project.run("activate", ok=False)
    wait_until(desktop.exists, what="the notice")
    wait_until(lambda: notices(desktop), what="the end of the notice")
    assert notices(desktop) == [
        [
            ":7",
            "--app-name=Runcept",
            "--icon=dialog-error",
            "--",
            "2 processes of shop failed: db, web",
            "db: exit code 3: &lt;b&gt;no &amp; disk",
            "web: dependency db failed: exit code 3: &lt;b&gt;no &amp; disk",
        ]
    ]
    assert not history(project, "notify")


def test_a_stop_by_a_person_is_not_shown(project: Project, desktop: Path) -> None:
    """Nor what is running again, nor anything without the setting."""
    project.write(f'{CASCADE}[[process]]\nname = "other"\nkind = "task"\ncommand = "exit 1"\n')
    project.run("activate", "stays")
    project.run("stop", "stays")
    project.run("start", "other", ok=False)
    project.run("stop", "other")
    (project.home / "config.toml").write_text("")
    project.run("start", "other", ok=False)
    project.run("stop", "other")
    (project.home / "config.toml").write_text("notify = true\n")
    project.run("start", "web", ok=False)  # a notice that does come: those before it would have come by then
    wait_until(lambda: any("web" in "".join(each) for each in notices(desktop)), what="the notice")
    assert not re.search("other|stays", desktop.read_text())


@pytest.mark.parametrize("broken", ["missing", "failing"])
def test_a_desktop_that_shows_nothing_is_told_once(project: Project, desktop: Path, broken: str) -> None:
    """In the history, and nothing else suffers."""
    sender = desktop.parent / "bin" / "notify-send"
    if broken == "missing":
        programs = desktop.parent / "few"
        programs.mkdir()
        for name in ("sh", "sleep", "echo", "true", "python3"):
            (programs / name).symlink_to(next(p for p in (Path("/bin") / name, Path("/usr/bin") / name) if p.exists()))
        project.environ["PATH"] = str(programs)
        expected = "failures are not shown on the desktop: there is neither notify-send nor osascript on the PATH"
    else:
        sender.write_text("#!/bin/sh\necho 'Cannot autolaunch D-Bus' >&2\nexit 1\n")
        expected = "a failure could not be shown on the desktop: notify-send exited with 1: Cannot autolaunch D-Bus"
    project.write(CASCADE)
    project.run("activate", ok=False)
    wait_until(lambda: history(project, "notify"), what="the word about it")
    project.run("start", "web", ok=False)
    log = project.home / "logs" / "daemon.log"
    wait_until(lambda: log.read_text().count("shown on the desktop") == 2, what="the next try")
    assert history(project, "notify") == [(None, expected)]
