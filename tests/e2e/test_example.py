"""examples/web-stack and its demo do what their papers say, on ports of their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil
import pytest
from tests.e2e.conftest import BIN, Project
from tests.support import free_ports, program, wait_until

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PORTS = {"api": 8710, "frontend": 8711, "redis": 8712}


def copy_stack(target: Path) -> dict[str, int]:
    """A fresh copy of the example whose ports are free ones; which they are."""
    made = shutil.ignore_patterns("data", ".runcept", "__pycache__")
    shutil.copytree(EXAMPLES / "web-stack", target, ignore=made, dirs_exist_ok=True)
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    file = target / ".runcept.toml"
    ours = {str(port): str(ports[name]) for name, port in PORTS.items()}
    file.write_text(re.sub("|".join(ours), lambda found: ours[found[0]], file.read_text()))
    return ports


def ask(url: str, body: dict[str, str] | None = None) -> Any:
    """The JSON that is answered."""
    with urlopen(Request(url, json.dumps(body).encode() if body else None), timeout=10) as reply:
        return json.load(reply)


@pytest.mark.parametrize("queue", ["redis-server", "stand-in"])
def test_the_web_stack_does_a_job_from_page_to_database(project: Project, queue: str) -> None:
    """A job posted to the frontend comes back done, with real redis and with its stand-in; then all stops cleanly."""
    if queue == "redis-server":
        program("redis-server")
    else:
        project.environ["PATH"] = str(BIN)
    ports = copy_stack(project.path)
    project.run("activate")
    processes = project.processes()
    services = {name: each for name, each in processes.items() if name != "migrate"}
    assert {(each["state"], each["health"]) for each in services.values()} == {("running", "healthy")}
    assert processes["migrate"]["state"] == "exited"
    assert processes["redis"]["ports"] == [ports["redis"]]
    assert ("stand-in" in project.log("redis")) == (queue == "stand-in")

    site = f"http://127.0.0.1:{ports['frontend']}"
    job = ask(f"{site}/api/jobs", {"text": "to be or not to be"})["id"]
    wait_until(lambda: ask(f"{site}/api/jobs/{job}")["state"] == "done", what="the job being done")
    assert ask(f"{site}/api/jobs/{job}")["result"]["words"] == 6
    expected = {("frontend", "POST /api/jobs 202"), ("api", "POST /jobs 202"), ("worker", f"job {job}: 6 words")}

    def said() -> set[tuple[str, str]]:
        lines = project.json("logs", "-n", "1000")["lines"]
        return {(line["process"], line["message"].split(" in ")[0]) for line in lines if line["stream"] == "stdout"}

    wait_until(lambda: expected <= said(), what="the three lines in the log")

    project.run("deactivate")
    log = project.log()
    for farewell in ("frontend stopped", "api stopped", "worker stopped; jobs done: 1"):
        assert farewell in log


def run_demo(root: Path) -> subprocess.CompletedProcess[str]:
    """The demo of the copy at `root`; its temporary home is there too, and nothing of it may outlive it."""
    demo, environ = [sys.executable, root / "examples" / "demo.py"], os.environ | {"TMPDIR": str(root)}
    done = subprocess.run(demo, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    left = [
        each.info
        for each in psutil.process_iter(["pid", "cmdline"])
        if str(root) in " ".join(each.info["cmdline"] or ())
    ]
    assert not left, done.stdout + done.stderr
    return done


@pytest.fixture
def checkout(tmp_path: Path) -> tuple[Path, dict[str, int]]:
    """A directory that looks like the repository to the demo, and the ports of its stack."""
    ports = copy_stack(tmp_path / "examples" / "web-stack")
    shutil.copy(EXAMPLES / "demo.py", tmp_path / "examples")
    return tmp_path, ports


def test_the_demo_shows_each_command_and_ends_well(checkout: tuple[Path, dict[str, int]]) -> None:
    """`make demo` activates, has a job done, shows status and logs, deactivates, and says what to try next."""
    root, _ = checkout
    done = run_demo(root)
    assert done.returncode == 0, done.stdout + done.stderr
    steps = [
        "$ runcept activate",
        "$ curl",
        '"state": "done"',
        "$ runcept status",
        "$ runcept logs",
        "$ runcept deactivate",
    ]
    places = [done.stdout.index(step) for step in steps]
    assert places == sorted(places)
    assert "runcept activate\n" in done.stdout[places[-1] :]


def test_the_demo_says_what_failed(checkout: tuple[Path, dict[str, int]]) -> None:
    """When the page's port is taken, the demo ends with status 1 and the port is named."""
    root, ports = checkout
    with socket.create_server(("127.0.0.1", ports["frontend"])):
        done = run_demo(root)
    assert done.returncode == 1
    assert "The demo failed: `runcept activate" in done.stderr
    assert f"port {ports['frontend']} is held by pid {os.getpid()}" in done.stdout + done.stderr
