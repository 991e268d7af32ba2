"""What Runcept adds to the time until three programs are ready: the first command of all, and later ones."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from statistics import median
from typing import IO

from benchmarks.measure import Figure, print_table, seconds
from benchmarks.stage import stage

__all__ = ["TITLE", "figures"]

ROUNDS = 7
TITLE = "Activation of a database, a server that needs it, and a worker"
PROJECT = """
[project]
name = "three"
[[process]]
name = "database"
command = {database}
health_check = "tcp://127.0.0.1:{database_port}"
[[process]]
name = "web"
command = {web}
health_check = "http://127.0.0.1:{web_port}/"
depends_on = ["database"]
[[process]]
name = "worker"
command = {worker}
health_check = "log://ready"
"""
LISTEN = "import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep(1e6)"
WORK = "import json, logging, time; print('ready', flush=True); time.sleep(1e6)"


class Programs:
    """The three commands, with ports that were free a moment ago."""

    def __init__(self) -> None:
        with ExitStack() as stack:
            sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
            self.database_port, self.web_port = (each.getsockname()[1] for each in sockets)
        self.database = [sys.executable, "-c", LISTEN.format(port=self.database_port)]
        self.web = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(self.web_port)]
        self.worker = [sys.executable, "-u", "-c", WORK]

    def project_file(self) -> str:
        """The same as Runcept is told of them."""
        return PROJECT.format(**vars(self))

    def start_directly(self) -> float:
        """Seconds until all are ready, in the same order, watched as closely as can be."""
        begun = time.perf_counter()
        with ExitStack() as stack:
            worker = stack.enter_context(Started(self.worker, stdout=subprocess.PIPE))
            stack.enter_context(Started(self.database))
            await_listening(self.database_port)
            stack.enter_context(Started(self.web))
            await_listening(self.web_port)
            output: IO[bytes] | None = worker.stdout
            assert output
            output.readline()
            return time.perf_counter() - begun


class Started(subprocess.Popen[bytes]):
    """A program that is killed at the end of its `with`."""

    def __init__(self, command: list[str], stdout: int = subprocess.DEVNULL) -> None:
        super().__init__(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.DEVNULL)

    def __exit__(self, *error: object) -> None:
        self.kill()
        super().__exit__(*error)  # type: ignore[arg-type]


def await_listening(port: int) -> None:
    """Until somebody accepts connections."""
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.001)


def figures() -> Iterator[Figure]:
    """Direct start, first activation and later activation, in turn."""
    direct, first, later = [], [], []
    for _ in range(ROUNDS):
        programs = Programs()
        direct.append(programs.start_directly())
        with stage(programs.project_file()) as here:
            first.append(seconds(lambda: here.runcept("activate")))
            here.runcept("deactivate")
            later.append(seconds(lambda: here.runcept("activate")))
    own = median(direct)
    name = "their own readiness"
    yield Figure("first activate, no daemon: beyond the processes' readiness", median(first) - own, "s", own, name, 1.0)
    yield Figure("activate, daemon runs: beyond the processes' readiness", median(later) - own, "s", own, name, 0.25)


if __name__ == "__main__":
    raise SystemExit(not print_table(TITLE, figures()))
