"""`logs --errors` with real programs that fail: one that crashes again and again, one of many threads, a log of old."""

from __future__ import annotations

import json

import pytest
from tests.e2e.conftest import Project
from tests.support import wait_until

CRASHING = """
import sys
print("open", flush=True)
def serve(order):
    raise LookupError(f"order {order} has no price")
try:
    serve(id(sys))
except LookupError as error:
    raise RuntimeError("the shop cannot open") from error
"""
THREADS = """
import logging, sys, threading
logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
def work(n):
    for order in range(50):
        sys.stdout.write(f"order {order} of {n}\\n")
        try:
            int("x")
        except ValueError:
            logging.exception("order %d of %d failed", order, n)
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
[each.start() for each in threads]
[each.join() for each in threads]
"""
PROJECT = """
[project]
name = "shop"

[[process]]
name = "crashing"
command = ["python3", "-u", "crashing.py"]
restart = "on-failure"
restart_delay = "10ms"
max_restarts = 2

[[process]]
name = "threads"
kind = "task"
command = ["python3", "threads.py"]

[[process]]
name = "calm"
kind = "task"
command = "echo open; echo careful >&2"
"""


@pytest.fixture
def shop(project: Project) -> Project:
    """A project of which all has ended."""
    project.write(PROJECT)
    (project.path / "crashing.py").write_text(CRASHING, encoding="utf-8")
    (project.path / "threads.py").write_text(THREADS, encoding="utf-8")
    project.run("activate", ok=False)
    wait_until(
        lambda: [each["state"] for each in project.processes().values()] == ["failed", "exited", "exited"],
        seconds=60,
        what="the end of all",
    )
    return project


def test_what_went_wrong_is_told_once_with_its_count(shop: Project) -> None:
    """Each crash of a process that was started again is the same error; the streams of four threads are told apart."""
    (crash,) = shop.json("logs", "crashing", "--errors")["errors"]
    assert (crash["title"], crash["message"]) == ("RuntimeError", "the shop cannot open")
    assert (crash["kind"], crash["count"], crash["run"], crash["stream"]) == ("python", 3, 3, "stderr")
    assert crash["lines"][0] == "Traceback (most recent call last):"
    assert any("has no price" in line for line in crash["lines"])
    assert crash["lines"][-1] == "RuntimeError: the shop cannot open"
    (one,) = shop.json("logs", "threads", "--errors")["errors"]
    assert (one["title"], one["count"]) == ("ValueError", 200)
    assert shop.json("logs", "crashing", "--errors", "--run", "2")["errors"][0]["count"] == 1
    assert "\N{MULTIPLICATION SIGN} 3" in shop.run("logs", "c*", "--errors").stdout
    assert shop.run("logs", "calm", "--errors").stdout == "no errors in calm\n"


def test_errors_are_found_without_a_daemon_and_in_logs_of_old(shop: Project) -> None:
    """What an older version wrote is searched with the rest; nothing is started for it."""
    shop.run("daemon", "stop")
    log = shop.path / ".runcept" / "logs" / "calm.jsonl"
    old = {"timestamp": "2020-01-01T00:00:00Z", "level": "ERROR", "message": "no tea", "process_name": "calm"}
    text = "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\nKeyError: 'tea'\n"
    log.write_text(f"{text}{json.dumps(old)}\n{log.read_text(encoding='utf-8')}", encoding="utf-8")
    page = shop.json("logs", "calm", "--errors")
    assert [(each["title"], each["last_ts"]) for each in page["errors"]] == [
        ("ERROR", "2020-01-01T00:00:00.000000Z"),
        ("KeyError", None),
    ]
    assert page["searched"][0]["complete"] is True
    assert len(shop.json("logs", "--errors")["errors"]) == 4
    assert shop.json("logs", "--errors", "--since", "1h", "calm")["errors"] == []
    assert shop.json("daemon", "status")["running"] is False
