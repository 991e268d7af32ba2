"""What keeps a project up and what does not, with the real daemon and timeouts of seconds."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.conftest import BIN, Project
from tests.support import free_ports, running, stays, wait_until

from runcept.units import parse_instant

SERVER = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
held = []
while True:
    held.append(server.accept())
"""
CLIENT = """
import socket, sys, time
held = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
while "again" in sys.argv:
    socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close()
    time.sleep(0.1)
print(flush=True)
input()
"""
HTTP = f"{sys.executable} -u -m http.server --bind 127.0.0.1"
LATE = 60.0
"""Seconds, on a machine that has other things to do."""


def process(name: str, command: str | list[str], *lines: str) -> str:
    """A table of the file."""
    return "\n".join(["[[process]]", f'name = "{name}"', f"command = {json.dumps(command)}", *lines, ""])


def write(project: Project, timeout: str, *processes: str) -> None:
    """A project whose own timeout is this; "off": it has none."""
    project.write(f'[project]\nname = "p"\ninactivity_timeout = "{timeout}"\n' + "\n".join(processes))


def server(port: int, *lines: str, name: str = "web") -> str:
    """A process that accepts every connection and keeps it."""
    return process(name, [sys.executable, "-c", SERVER, str(port)], f"ports = [{port}]", *lines)


def states(project: Project) -> dict[str, str]:
    """By name; asking for them is no use."""
    return {each["name"]: each["state"] for each in project.json("ps")["processes"]}


def events(project: Project, kind: str) -> list[tuple[str | None, str, dict[str, Any]]]:
    """(process, message, data) of each in the history."""
    with contextlib.closing(sqlite3.connect(project.home / "runcept.db")) as history:
        rows = history.execute("SELECT process, message, data FROM events WHERE kind = ? ORDER BY id", (kind,))
        return [(name, message, json.loads(data)) for name, message, data in rows]


def stay_up(project: Project, seconds: float, *names: str) -> None:
    """So long, these run."""
    run = dict.fromkeys(names, "running")
    stays(lambda: run.items() <= states(project).items(), seconds)


def stops(project: Project, *names: str) -> None:
    """They do, all of these."""
    wait_until(lambda: all(states(project)[name] == "stopped" for name in names), seconds=LATE, what="the stop")


@contextlib.contextmanager
def connected(port: int, *how: str) -> Iterator[None]:
    """Somebody outside is."""
    with running(
        [sys.executable, "-c", CLIENT, str(port), *how], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as client:
        if not how:
            assert client.stdout
            client.stdout.readline()
        yield


def test_a_connection_from_outside_keeps_a_project_up_until_it_is_closed(project: Project) -> None:
    """As a browser tab that is open; then the reason says what happened and how to go on."""
    (port,) = free_ports(1)
    write(project, "3s", server(port))
    project.run("activate")
    with connected(port):
        stay_up(project, 8, "web")
    stops(project, "web")
    (stopped,) = project.json("ps")["processes"]
    assert "without activity; start or activate brings it back" in stopped["reason"]
    ((name, message, data),) = events(project, "inactivity_stop")
    assert (name, data["processes"]) == (None, ["web"])
    assert message.startswith("web: not used for ")
    project.run("activate")
    assert states(project) == {"web": "running"}


def test_connections_that_last_for_a_moment_keep_it_up(project: Project) -> None:
    """Each is over before anybody looks."""
    (port,) = free_ports(1)
    write(project, "3s", process("web", f"exec {HTTP} {port}"))
    project.run("activate")
    wait_until(lambda: can_connect(port))
    until = time.monotonic() + 8
    while time.monotonic() < until:
        subprocess.run([sys.executable, "-c", CLIENT.partition("while")[0], str(port)], check=True)
        time.sleep(0.5)
    assert states(project) == {"web": "running"}
    stops(project, "web")


def can_connect(port: int) -> bool:
    """Somebody listens."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def test_what_a_project_does_with_itself_does_not_keep_it_up(project: Project) -> None:
    """A connection that one process holds to another, new ones all the time, and health checks of every kind."""
    first, second = free_ports(2)
    client = [sys.executable, "-c", CLIENT, str(first), "again"]
    write(
        project,
        "4s",
        server(first, f'health_check = "tcp://127.0.0.1:{first}"', 'health_check_interval = "200ms"'),
        process("worker", client, 'depends_on = ["web"]'),
        process(
            "site",
            f"exec {HTTP} {second}",
            f'health_check = "http://127.0.0.1:{second}/"',
            'health_check_interval = "200ms"',
        ),
        process(
            "asked",
            "exec sleep 1000",
            f"health_check = \"cmd://{sys.executable} -c 'import socket; "
            f'socket.create_connection((\\"127.0.0.1\\", {second}))\'"',
            'health_check_interval = "500ms"',
        ),
    )
    project.run("activate")
    begun = time.monotonic()
    stops(project, "web", "worker", "site", "asked")
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("scheme", ["http", "tcp"])
def test_health_checks_of_a_process_that_is_alone_do_not_keep_it_up(project: Project, scheme: str) -> None:
    """They come and go between two looks, and nobody else inside could have been it: the daemon knows its own."""
    (port,) = free_ports(1)
    check = f'health_check = "{scheme}://127.0.0.1:{port}"'
    write(project, "4s", process("site", f"exec {HTTP} {port}", check, 'health_check_interval = "100ms"'))
    project.run("activate")
    begun = time.monotonic()
    stops(project, "site")
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize(
    ("source", "command"),
    [("output", "while sleep 0.3; do echo line; done"), ("cpu", "while :; do :; done")],
)
@pytest.mark.parametrize("counts", [True, False])
def test_output_and_work_keep_it_up_where_that_is_asked_for(
    project: Project, source: str, command: str, counts: bool
) -> None:
    """Else they do not."""
    activity = f'activity = ["requests", "{source}"]' if counts else ""
    write(project, "3s", process("job", command, activity))
    project.run("activate")
    if counts:
        stay_up(project, 7, "job")
        assert events(project, "inactivity_stop") == []
    else:
        stops(project, "job")


def test_nothing_counts_where_nothing_is_to(project: Project) -> None:
    """`activity = []`: it stops so long after its start, whatever is asked meanwhile."""
    write(project, "4s", process("demo", "exec sleep 1000", "activity = []"))
    project.run("activate")
    begun = time.monotonic()
    wait_until(lambda: project.processes()["demo"]["state"] == "stopped", seconds=LATE)
    assert time.monotonic() - begun > 2


def test_a_process_with_a_timeout_of_its_own_stops_alone(project: Project) -> None:
    """But not under what depends on it; `status` says when each stops."""
    (port,) = free_ports(1)
    write(
        project,
        "1h",
        server(port, 'depends_on = ["db"]', 'inactivity_timeout = "8s"'),
        process("db", "exec sleep 1000", 'inactivity_timeout = "3s"'),
        process("lone", "exec sleep 1000", 'inactivity_timeout = "3s"'),
        process("rest", "exec sleep 1000"),
    )
    project.run("activate")
    shown = project.json("status")
    own = {each["name"]: each["idle_stop_at"] for each in shown["processes"]}
    assert own["rest"] is None
    assert own["lone"] < own["web"] == own["db"] < shown["idle_stop_at"]
    told = project.run("status").stdout
    assert "stops at" in told
    assert "lone stops at" in told
    assert "if unused (in " in told
    begun = time.monotonic()
    stops(project, "lone")
    assert {name: state for name, state in states(project).items() if state == "running"}.keys() >= {"rest"}
    with connected(port):
        stay_up(project, 9, "web", "db", "rest")
    assert time.monotonic() - begun > 9
    stops(project, "web", "db")
    assert states(project)["rest"] == "running"
    stopped = [name for name, _, _ in events(project, "stopped")]
    assert stopped.index("web") < stopped.index("db")
    assert {name for name, _, _ in events(project, "inactivity_stop")} == {"lone", "web", "db"}


def test_it_is_announced_once_for_each_time_that_it_is_not_used(project: Project) -> None:
    """At nine tenths; the message says when, and what keeps it up."""
    write(project, "15s", process("web", "exec sleep 1000"))
    project.run("activate")
    wait_until(lambda: events(project, "inactivity_warning"), seconds=LATE)
    project.run("status")  # a use: it is announced again
    assert events(project, "inactivity_stop") == []
    ((name, message, data),) = events(project, "inactivity_warning")
    assert (name, data["processes"]) == (None, ["web"])
    assert "to be stopped in" in message
    assert "any command about it" in message
    stops(project, "web")
    assert len(events(project, "inactivity_warning")) == 2
    assert len(events(project, "inactivity_stop")) == 1


def test_reading_logs_is_a_use_and_a_stream_that_is_open_is_none(project: Project) -> None:
    """`logs` counts though it needs no daemon; `logs -f` when it begins, and then no more."""
    write(project, "4s", process("web", "echo up; exec sleep 1000"))
    project.run("activate")
    until = time.monotonic() + 7
    while time.monotonic() < until:
        assert "up" in project.run("logs").stdout
        time.sleep(0.3)
    assert states(project) == {"web": "running"}
    with running([BIN / "runcept", "logs", "-f"], cwd=project.path, env=project.environ, stdout=subprocess.PIPE):
        stops(project, "web")


def test_the_time_that_is_left_is_kept_when_the_daemon_is_killed(project: Project) -> None:
    """However often: it stops when it would have stopped."""
    write(project, "21s", process("web", "exec sleep 1000", 'inactivity_timeout = "20s"'))
    project.run("activate")
    begun = time.monotonic()
    before = project.json("environments")["environments"][0]["idle_stop_at"]
    for _ in range(3):
        time.sleep(2)  # the time that is lost where it is not kept
        daemon = project.json("daemon", "status")["pid"]
        os.kill(daemon, signal.SIGKILL)
        wait_until(lambda old=daemon: project.json("daemon", "status")["pid"] != old)
    after = project.json("environments")["environments"][0]["idle_stop_at"]
    assert abs(parse_instant(before) - parse_instant(after)) < 0.5
    stops(project, "web")
    assert time.monotonic() - begun < 20 + 6


def test_uses_of_before_a_reboot_count_for_nothing(project: Project) -> None:
    """They are of another clock, which may have been ahead by years."""
    write(project, "4s", process("web", "exec sleep 1000"), process("other", "exec sleep 1000", "autostart = false"))
    project.run("activate")
    project.run("start", "other")
    project.run("daemon", "stop")
    with contextlib.closing(sqlite3.connect(project.home / "runcept.db")) as database:
        database.execute("UPDATE boot SET boot_id = 'another'")
        ahead = json.dumps({"used": {"web": 1e9, "other": 1e9}}).encode()
        database.execute("UPDATE activity SET monotonic = 1e9, uses = ?", [ahead])
        database.commit()
    project.run("activate")
    stops(project, "web")


def test_a_connection_that_is_held_keeps_it_up_under_the_next_daemon(project: Project) -> None:
    """It finds it at its first look."""
    (port,) = free_ports(1)
    write(project, "4s", server(port))
    project.run("activate")
    with connected(port):
        stay_up(project, 5, "web")
        os.kill(project.json("daemon", "status")["pid"], signal.SIGKILL)
        stay_up(project, 6, "web")
    stops(project, "web")
