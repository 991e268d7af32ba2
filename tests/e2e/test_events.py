"""The history as people and scripts see it: `events`, `events -f` across daemons, and the last runs of a process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import BIN, Project
from tests.support import running, wait_until

from runcept.api.messages import EventList, Events, Stop
from runcept.client.connection import Connection
from runcept.core.history import KINDS

SHOP = """
[project]
name = "shop"

[[process]]
name = "db"
command = "exec sleep 1000"

[[process]]
name = "web"
command = "exec sleep 1000"
depends_on = ["db"]

[[process]]
name = "crash"
command = "echo boom >&2; exit 3"
autostart = false
"""


def told(project: Project, *arguments: str) -> list[dict[str, Any]]:
    """What `events` says."""
    found: list[dict[str, Any]] = project.json("events", *arguments)["events"]
    return found


def brief(events: list[dict[str, Any]]) -> list[tuple[str | None, str, str]]:
    """Process, kind and actor of each."""
    return [(each["process"], each["kind"], each["actor"]) for each in events]


def daemon_pid(project: Project) -> int:
    """Of the daemon that runs."""
    pid: int = project.json("daemon", "status")["pid"]
    return pid


def kill_daemon(project: Project) -> None:
    """As a crash would."""
    pid = wait_until(lambda: daemon_pid(project), what="a daemon")
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(FileNotFoundError):
        wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z", what="the end of the daemon")


def test_every_change_is_told_in_order_with_who_asked(project: Project) -> None:
    """Start, readiness, restart, stop and end, by whom; one after the other in the order of their ids."""
    project.write(SHOP)
    project.run("activate")
    project.run("restart", "web")
    with Connection(str(project.home)) as connection:
        connection.call("stop", Stop(environment=str(project.path), names=["web"], actor="mcp"))
    project.run("start", "crash", ok=False)
    project.run("deactivate")
    events = told(project)
    assert [each["id"] for each in events] == sorted({each["id"] for each in events})
    web = [each for each in brief(events) if each[0] == "web"]
    assert web == [
        ("web", "pending", "cli"),
        *[("web", kind, "cli") for kind in ("starting", "ready")],
        *[("web", kind, "cli") for kind in ("stopping", "exited", "restarting", "starting", "ready")],
        *[("web", kind, "mcp") for kind in ("stopping", "exited", "stopped")],
    ]
    crash = [each for each in events if each["process"] == "crash"]
    assert [(each["kind"], each["actor"]) for each in crash] == [
        ("starting", "cli"),
        ("exited", "supervisor"),
        ("failed", "supervisor"),
        ("stopped", "cli"),
    ]
    assert crash[1]["message"] == "exit code 3: boom"
    assert (crash[1]["data"]["exit_code"], crash[1]["data"]["run"]) == (3, 1)
    own = [each for each in brief(events) if each[0] is None]
    assert own == [(None, "daemon_started", "supervisor"), (None, "activated", "cli"), (None, "deactivated", "cli")]


def test_an_event_has_the_shape_that_scripts_rely_on(project: Project) -> None:
    """Each field in each event; null where there is none."""
    project.write(SHOP)
    project.run("activate", "db")
    for event in told(project):
        assert event.keys() == {"id", "ts", "environment", "process", "kind", "message", "actor", "data"}
        assert event["kind"] in KINDS
        assert event["ts"].endswith("Z")
        assert event["environment"] in {None, str(project.path)}


def test_events_are_chosen_by_name_kind_and_time(project: Project) -> None:
    """And -n counts what is chosen; what is none is said."""
    project.write(SHOP)
    project.run("activate")
    middle = told(project)[-1]["ts"]
    project.run("stop", "web")
    assert {each["process"] for each in told(project, "d*")} == {"db"}
    assert {each["process"] for each in told(project, "db", "web")} == {"db", "web"}
    assert brief(told(project, "--kind", "ready", "--kind", "stopped", "web")) == [
        ("web", "ready", "cli"),
        ("web", "stopped", "cli"),
    ]
    after = told(project, "--since", middle)
    assert brief(after)[-1] == ("web", "stopped", "cli")
    assert len(after) + len(told(project, "--until", middle)) == len(told(project)) + 1
    assert brief(told(project, "-n", "2")) == brief(told(project)[-2:])
    assert told(project, "--since", "10m", "-n", "all") == told(project)
    assert told(project, "--until", "10m") == []
    assert "nothing of that has happened" in project.run("events", "--until", "10m").stdout


def test_mistakes_are_told_with_what_can_be_done(project: Project) -> None:
    """An unknown kind, name or instant, and no project here."""
    project.write(SHOP)
    project.run("activate")
    wrong = project.run("events", "--kind", "crashed", ok=False)
    assert wrong.returncode == 2
    assert all(kind in wrong.stderr for kind in KINDS)
    wrong = project.run("events", "wbe", ok=False)
    assert (wrong.returncode, "Did you mean web?" in wrong.stderr) == (3, True)
    assert project.run("events", "--since", "soon", ok=False).returncode == 2
    assert project.run("events", "--all", "-e", ".", ok=False).returncode == 2
    elsewhere = project.path.parent
    project.path.joinpath(".runcept.toml").unlink()
    assert told(project, "web"), "what has happened stays, whatever becomes of the file"
    project.path = elsewhere
    wrong = project.run("events", ok=False)
    assert (wrong.returncode, "--all" in wrong.stderr) == (3, True)
    assert {each["environment"] for each in told(project, "--all")} == {None, str(elsewhere / "project")}
    assert "  shop  web " in project.run("events", "--all").stdout


def test_what_follows_from_inactivity_is_by_inactivity(project: Project) -> None:
    """To the last process."""
    project.write(SHOP.replace('name = "shop"', 'name = "shop"\ninactivity_timeout = "1s"'))
    project.run("activate")
    # Asked of all projects: that is no use of this one.
    wait_until(lambda: sum(e["kind"] == "stopped" for e in told(project, "--all")) == 2, what="the stop")
    events = brief(told(project, "--all"))
    stop = events.index((None, "inactivity_stop", "inactivity"))
    assert {actor for _, _, actor in events[stop:]} == {"inactivity"}
    assert [kind for _, kind, _ in events[stop:]] == ["inactivity_stop", *["stopping", "exited", "stopped"] * 2]


def test_a_new_keeper_and_what_it_adopts_are_told(project: Project) -> None:
    """By the supervisor; each process with its run and pid."""
    project.write(SHOP)
    project.run("activate")
    pids = {name: each["pid"] for name, each in project.processes().items() if each["pid"]}
    (keeper,) = [each for each in project.left_behind() if "runcept/keeper" in " ".join(each.cmdline())]
    keeper.kill()
    wait_until(lambda: len(told(project, "--kind", "adopted")) == 2, what="the adoptions")
    adopted = told(project, "--kind", "adopted", "--kind", "keeper_started")
    assert [each["kind"] for each in adopted] == ["keeper_started", "adopted", "adopted"]
    assert adopted[0]["data"]["pid"] != keeper.pid
    assert {each["process"]: each["data"] for each in adopted[1:]} == {
        name: {"run": 1, "pid": pid} for name, pid in pids.items()
    }
    kill_daemon(project)
    wait_until(lambda: len(told(project, "--kind", "adopted")) == 4, what="the adoptions by a new daemon")


@contextlib.contextmanager
def following(project: Project, *arguments: str, **attributes: Any) -> Iterator[subprocess.Popen[str]]:
    """`events -f` with its output in pipes."""
    command = [BIN / "runcept", "events", "-f", *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | attributes
    with running(command, cwd=project.path, env=project.environ, stdin=subprocess.DEVNULL, **streams) as process:
        yield process


def test_a_follower_misses_nothing_and_sees_nothing_twice_while_daemons_die(project: Project, tmp_path: Path) -> None:
    """Killed again and again while things happen, restarted, stopped and started: it sees what is in the history."""
    project.write(SHOP)
    project.run("activate", "db")
    out, err = tmp_path / "out", tmp_path / "err"
    arguments = ("--json", "-n", "all")
    with (
        out.open("w") as stdout,
        err.open("w") as stderr,
        following(project, *arguments, stdout=stdout, stderr=stderr) as follower,
    ):
        wait_until(out.read_text, what="the first page")
        for _ in range(3):
            restarting = threading.Thread(target=project.run, args=["restart", "db"], kwargs={"ok": False})
            restarting.start()
            kill_daemon(project)
            restarting.join()
        project.run("daemon", "restart")
        project.run("daemon", "stop")
        wait_until(lambda: "the daemon has ended" in err.read_text(), what="that being said")
        project.run("activate")
        project.run("stop", "web")
        newest = told(project)[-1]
        assert (newest["process"], newest["kind"]) == ("web", "stopped")
        wait_until(lambda: f'"id":{newest["id"]},' in out.read_text(), what="the last event")
        follower.send_signal(signal.SIGINT)
        assert follower.wait(10) == 130
    seen = [json.loads(line) for line in out.read_text().splitlines()]
    assert seen == told(project, "-n", "all")
    assert sum(each["kind"] == "daemon_started" for each in seen) >= 5


def test_a_follower_shows_each_at_once_and_ends_with_its_reader(project: Project) -> None:
    """As people see it, from now on; when the pipe is closed it does not wait for another one."""
    project.write(SHOP)
    project.run("activate")
    with following(project, "-n", "0", "web") as follower:
        assert follower.stdout is not None
        begun = time.monotonic()
        while not told(project, "web", "--kind", "stopping"):  # until it follows, there may be nothing to be seen
            project.run("stop", "web")
        line = follower.stdout.readline()
        assert "web" in line
        assert "stopping" in line
        assert time.monotonic() - begun < 10
        follower.stdout.close()
        assert follower.wait(10) == 141


def test_a_follower_ends_at_its_time(project: Project) -> None:
    """With --until, by itself; what has happened by then was shown."""
    project.write(SHOP)
    project.run("activate")
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
    with following(project, "--json", "--until", until) as follower:
        out, _ = follower.communicate(timeout=30)
    assert follower.returncode == 0
    assert [json.loads(line) for line in out.splitlines()] == told(project, "--until", until)


def test_following_is_no_use_of_a_project(project: Project) -> None:
    """A stream that is merely open keeps nothing alive; a look at the history does."""
    project.write(SHOP)
    project.run("activate")

    def used() -> str:
        (known,) = project.json("environments")["environments"]
        return str(known["last_activity_at"])

    before = used()
    with Connection(str(project.home)) as connection:
        page: EventList = connection.call("events", Events(environment=str(project.path), after=0, follow=True))
        assert page.events
        following_more = Events(environment=str(project.path), after=page.cursor, follow=True, timeout=0.2)
        assert connection.call("events", following_more) == EventList(events=[], cursor=page.cursor)
    assert used() == before
    told(project)
    assert used() > before


def stored(project: Project) -> sqlite3.Connection:
    """The database, while no daemon runs."""
    return sqlite3.connect(project.home / "runcept.db")


def fill(project: Project, environment: str | None, count: int, at: float) -> None:
    """Write as many events into a history, of that instant."""
    with contextlib.closing(stored(project)) as connection, connection:
        connection.executemany(
            "INSERT INTO events (at, environment, process, kind, message, actor, data)"
            " VALUES (?, ?, 'web', 'ready', ?, 'cli', '{}')".replace("'{}'", "CAST('{}' AS BLOB)"),
            [(at, environment, str(number)) for number in range(count)],
        )


def kept(project: Project) -> dict[str | None, int]:
    """How many events there are, by environment."""
    with contextlib.closing(stored(project)) as connection:
        return dict(connection.execute("SELECT environment, count(*) FROM events GROUP BY 1").fetchall())


def test_a_history_is_bounded_by_number_and_age(project: Project) -> None:
    """Of known and of forgotten projects, while the daemon answers; the newest are those that stay."""
    project.write(SHOP)
    project.run("status")
    project.run("daemon", "stop")
    fill(project, str(project.path), 25_000, time.time())
    fill(project, "/forgotten", 12_000, time.time())
    fill(project, "/old", 500, time.time() - 100 * 86_400)
    project.run("status")
    wait_until(lambda: sum(kept(project).values()) <= 20_010, 60, what="a bounded history")
    assert kept(project) == {None: 2, str(project.path): 10_000, "/forgotten": 10_000}
    assert told(project, "-n", "2", "web")[-1]["message"] == "24999"
    assert len(told(project, "-n", "all")) == 10_002


@pytest.mark.parametrize("end", ["kill", "restart"])
def test_runs_uptime_and_restarts_survive_the_daemon(project: Project, end: str) -> None:
    """The last five, with how and why each ended; what runs goes on being counted."""
    project.write(
        '[project]\nname = "shop"\n[[process]]\nname = "flaky"\nrestart = "always"\nrestart_delay = "10ms"\n'
        f"command = \"test -e {project.path}/go || {{ echo 'no go' >&2; exit 7; }}; exec sleep 1000\"\n"
    )
    project.run("activate", "--no-wait")
    wait_until(lambda: project.processes()["flaky"]["restarts"] >= 5, what="five restarts")
    (project.path / "go").touch()
    before = wait_until(
        lambda: view if (view := project.processes()["flaky"])["state"] == "running" else None, what="it running"
    )
    if end == "kill":
        kill_daemon(project)
    else:
        project.run("daemon", "restart")
    view = project.json("status", "flaky")
    assert (view["pid"], view["run"], view["restarts"]) == (before["pid"], before["run"], before["restarts"])
    assert view["uptime_seconds"] > before["uptime_seconds"]
    assert view["started_at"] == before["started_at"]
    living, *over = view["runs"]
    assert [each["run"] for each in view["runs"]] == list(range(view["run"], view["run"] - 5, -1))
    assert (living["pid"], living["ended_at"], living["reason"]) == (view["pid"], None, None)
    assert living["duration_seconds"] == view["uptime_seconds"]
    for each in over:
        assert (each["exit_code"], each["exit_signal"], each["reason"]) == (7, None, "exit code 7: no go")
        assert 0 <= each["duration_seconds"] < 10
    shown = project.run("status", "flaky").stdout
    assert "running" in shown
    assert shown.count("exit code 7  no go") == 4
    assert "runs" not in project.processes()["flaky"]
