"""A celery worker against a redis of its own: the stack that many Python projects run in development."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.e2e.conftest import Project
from tests.support import free_ports, program

TASKS = """
import os
from celery import Celery

app = Celery("tasks", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app.conf.broker_connection_retry_on_startup = True

@app.task
def add(x, y):
    print(f"adding {x} and {y}")
    return x + y
"""


def test_a_celery_worker_does_a_task_and_shuts_down_warm(project: Project) -> None:
    """The worker starts after redis, is ready when it says so, does a task sent from outside, and ends its warm way."""
    [port] = free_ports(1)
    url = f"redis://127.0.0.1:{port}/0"
    (project.path / "tasks.py").write_text(TASKS)
    redis_command = [program("redis-server"), "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    project.write(f"""
        [project]
        name = "celery"
        env = {{ REDIS_URL = "{url}" }}
        [[process]]
        name = "worker"
        command = "celery -A tasks worker --pool solo --loglevel INFO"
        depends_on = ["redis"]
        health_check = 'log://celery@\\S+ ready'
        [[process]]
        name = "redis"
        command = {json.dumps(redis_command)}
        ports = [{port}]
        health_check = "tcp://127.0.0.1:{port}"
    """)
    project.run("activate")
    processes = project.processes()
    assert {each["health"] for each in processes.values()} == {"healthy"}
    assert processes["worker"]["started_at"] > processes["redis"]["started_at"]

    sent = subprocess.run(
        [sys.executable, "-c", "from tasks import add; print(add.delay(2, 3).get(timeout=30))"],
        cwd=project.path,
        env=project.environ | {"REDIS_URL": url},
        capture_output=True,
        text=True,
        check=True,
    )
    assert sent.stdout == "5\n"
    found = project.json("logs", "worker", "--grep", "adding 2 and 3|succeeded in .*: 5")["lines"]
    assert len(found) == 2
    assert {line["process"] for line in found} == {"worker"}

    project.run("deactivate")
    assert "Warm shutdown" in project.log("worker")
    assert {each["state"] for each in project.processes().values()} == {"stopped"}
    assert project.processes()["worker"]["exit_code"] == 0
