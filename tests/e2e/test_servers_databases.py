"""Databases that people run in development: redis and PostgreSQL, each in a directory of its own."""

from __future__ import annotations

import json
import os
import pwd
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import redis
from tests.e2e.conftest import Project
from tests.support import free_ports, program, wait_until


def test_redis_is_ready_for_what_needs_it_and_saves_when_it_is_stopped(project: Project) -> None:
    """A task that needs redis finds it ready; SIGTERM lets it save, and the next start loads what it saved."""
    [port] = free_ports(1)
    redis_command = [program("redis-server"), "--bind", "127.0.0.1", "--port", str(port), "--save", "60", "1"]
    project.write(f"""
        [project]
        name = "redis"
        [[process]]
        name = "fill"
        kind = "task"
        command = "{program("redis-cli")} -p {port} SET greeting hello"
        depends_on = ["redis"]
        autostart = false
        [[process]]
        name = "redis"
        command = {json.dumps(redis_command)}
        ports = [{port}]
        health_check = "tcp://127.0.0.1:{port}"
    """)
    started = project.json("start", "fill")
    assert started["ok"]
    processes = project.processes()
    assert (processes["redis"]["state"], processes["redis"]["health"]) == ("running", "healthy")
    assert processes["redis"]["ports"] == [port]
    assert (processes["fill"]["state"], processes["fill"]["exit_code"]) == ("exited", 0)
    assert psutil.Process(processes["redis"]["pid"]).name() == "redis-server"

    project.run("stop", "redis")
    log = project.log("redis")
    assert log.index("Ready to accept connections") < log.index("DB saved on disk") < log.index("bye bye")
    assert project.processes()["redis"]["state"] == "stopped"

    project.run("activate")
    with redis.Redis(port=port) as client:
        assert client.get("greeting") == b"hello"


@dataclass
class Cluster:
    """A directory for a PostgreSQL cluster, and how its commands are started there."""

    directory: str
    port: int
    as_user: list[str]

    def command(self, name: str, *arguments: str) -> str:
        """The command as TOML; PostgreSQL refuses to run as root, so that root becomes nobody first."""
        found = Path(program("postgres")).resolve().parent / name  # initdb, psql and pg_isready lie beside it
        return json.dumps([*self.as_user, str(found), *arguments])


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """An empty directory that the user who will run the server owns."""
    [port] = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="runcept-test-postgres-") as directory:
        as_user: list[str] = []
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(directory, nobody.pw_uid, nobody.pw_gid)
            ids = [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
            as_user = [program("setpriv"), *ids, "--"]
        yield Cluster(directory, port, as_user)


def test_postgres_is_created_started_and_recovered_after_a_crash(project: Project, cluster: Cluster) -> None:
    """initdb, server, schema in this order; after a SIGKILL the server is started again and recovers; then it stops."""
    address = ("-h", "127.0.0.1", "-p", str(cluster.port))
    client = (*address, "-U", "postgres")
    fresh = ("-D", "data", "-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
    create = (
        *client,
        "-v",
        "ON_ERROR_STOP=1",
        "-c",
        "CREATE TABLE visit (id int); INSERT INTO visit VALUES (7)",
    )
    ready = " ".join(json.loads(cluster.command("pg_isready", *client)))
    project.write(f"""
        [project]
        name = "postgres"
        working_dir = "{cluster.directory}"
        [[process]]
        name = "initdb"
        kind = "task"
        command = {cluster.command("initdb", *fresh)}
        [[process]]
        name = "schema"
        kind = "task"
        command = {cluster.command("psql", *create)}
        depends_on = ["postgres"]
        [[process]]
        name = "postgres"
        command = {cluster.command("postgres", "-D", "data", *address, "-k", "", "-c", "fsync=off")}
        depends_on = ["initdb"]
        ports = [{cluster.port}]
        health_check = "cmd://{ready}"
        restart = "on-failure"
        restart_delay = "100ms"
        stop_signal = "SIGINT"  # PostgreSQL's fast shutdown; SIGTERM would wait for every client
    """)
    project.run("activate")
    processes = project.processes()
    assert {each["state"] for each in processes.values()} == {"exited", "running"}
    assert processes["postgres"]["health"] == "healthy"
    assert "INSERT 0 1" in project.log("schema")

    os.kill(processes["postgres"]["pid"], 9)
    wait_until(lambda: "automatic recovery in progress" in project.log("postgres"), 30, "recovery after the crash")
    wait_until(lambda: project.processes()["postgres"]["state"] == "running", 30, "the server being ready again")
    again = project.processes()["postgres"]
    assert again["restarts"] == 1
    assert again["pid"] != processes["postgres"]["pid"]

    project.run("deactivate")
    log = project.log("postgres")
    assert log.index("received fast shutdown request") < log.rindex("database system is shut down")
    assert not psutil.pid_exists(again["pid"])
