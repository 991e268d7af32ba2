"""A home in use, and the two ways to run a command in it: by the warm host alone, and in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from tests.e2e.conftest import BIN, Project
from tests.support import wait_until

__all__ = ["ALONE", "BY_HOST", "PROJECT", "child_of", "host_of", "idle_host_of", "in_use", "listening_host", "outcome"]

PROJECT = """
[project]
name = "shop"
description = "sells ⚙"

[[process]]
name = "web"
command = "seq 1 50000; exec sleep 1000"

[[process]]
name = "db"
command = "echo witness=$WITNESS user=$USER; exec sleep 1000"
autostart = false

[[process]]
name = "slow"
command = "exec sleep 1000"
autostart = false
health_check = "log://never"
"""

ALONE = [
    sys.executable,
    "-c",
    "import sys; from runcept.cli.in_process import run_here; sys.exit(run_here(sys.argv[1:]))",
]
BY_HOST = [
    sys.executable,
    "-c",
    "import sys; sys.modules['runcept.cli.in_process'] = None; from runcept.cli.entry import main; main()",
]
"""What cannot be run by the host fails here with a traceback: the way back to this process is closed."""

Outcome = tuple[bytes, bytes, int]


@contextmanager
def in_use() -> Iterator[Project]:
    """A project in a fresh home whose daemon runs and whose host is warm; afterwards none of it may be left."""
    with tempfile.TemporaryDirectory(prefix="runcept-test-") as directory:
        root = Path(os.path.realpath(directory))
        (root / "project").mkdir()
        environ = {key: value for key, value in os.environ.items() if not key.startswith(("RUNCEPT", "COLUMNS"))}
        environ |= {
            "RUNCEPT_HOME": str(root / "home"),
            "USER": "of-the-host",
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        }
        project = Project(root / "project", root / "home", environ)
        project.write(PROJECT)
        project.run("daemon", "start")
        try:
            host_of(project)
            yield project
        finally:
            project.run("daemon", "stop", "--kill", timeout=30)
            _, left = psutil.wait_procs(project.left_behind(), timeout=10)
            for process in left:
                process.kill()
        assert not left, "the daemon was stopped and these still ran"


def host_of(project: Project) -> psutil.Process:
    """The host of the project's home, warm; the command before this one has started it where none was."""
    project.run("daemon", "status")
    return wait_until(lambda: listening_host(project), what="a warm host")


def idle_host_of(project: Project) -> psutil.Process:
    """The host, once the commands of before have ended."""
    host = host_of(project)
    wait_until(lambda: not host.children(), what="the end of earlier commands")
    return host


def child_of(host: psutil.Process) -> psutil.Process:
    """The one command that the host runs now."""
    [child] = wait_until(host.children, what="a command of the host")
    return child


def outcome(project: Project, way: list[str], arguments: list[str], **changes: object) -> Outcome:
    """(stdout, stderr, exit status), without the instants and ages that differ from one moment to the next."""
    settings = {"cwd": project.path, "env": project.environ, "stdin": subprocess.DEVNULL, **changes}
    done = subprocess.run([*way, *arguments], capture_output=True, timeout=30, check=False, **settings)  # type: ignore[call-overload]
    return (_timeless(done.stdout), _timeless(done.stderr), done.returncode)


def _timeless(output: bytes) -> bytes:
    return re.sub(rb'"(last_activity_at|uptime_seconds|cpu_percent|memory_bytes)":[^,}]+', rb'"\1":null', output)


def listening_host(project: Project) -> psutil.Process | None:
    """Its children, which look like it, are not it."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "runcept.host" in words and str(project.home) in words and _is_leader(process):
            return process if (project.home / "host.sock").exists() else None
    return None


def _is_leader(process: psutil.Process) -> bool:
    try:
        return os.getsid(process.pid) == process.pid
    except ProcessLookupError:  # it ended meanwhile
        return False
