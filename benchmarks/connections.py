"""What it costs to see whether anybody is connected: one look at 50 processes that listen, 300 connections.

At most once a second, and each 30 seconds for timeouts of ten minutes and more.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import psutil

from benchmarks.measure import Figure, print_table
from runcept.process.connections import Finder, Party
from runcept.scheduler.inactivity import Need, interval

__all__ = ["TITLE", "figures"]

TITLE = "A look for connections from outside"
PROCESSES = 50
CONNECTIONS = 300
ROUNDS = 50
SERVER = """
import socket
server = socket.create_server(("127.0.0.1", 0), backlog=100)
print(server.getsockname()[1], flush=True)
held = []
while True:
    held.append(server.accept())
"""
CLIENT = """
import socket, sys
ports = sys.argv[2:]
held = [socket.create_connection(("127.0.0.1", int(ports[i % len(ports)]))) for i in range(int(sys.argv[1]))]
print(flush=True)
input()
"""


def figures() -> Iterator[Figure]:
    """The first look finds out whose each socket is; the others know."""
    with ExitStack() as stack:
        servers = [stack.enter_context(_program(SERVER)) for _ in range(PROCESSES)]
        ports = [_line(server) for server in servers]
        stack.enter_context(_program(CLIENT, str(CONNECTIONS), *ports))
        parties = [Party("/p", f"p{number}", server.pid, 0) for number, server in enumerate(servers)]
        finder = Finder()
        while len(finder.look(parties, time.monotonic())) < PROCESSES:
            time.sleep(0.05)
        first = cpu(lambda: Finder().look(parties, time.monotonic()), 5)
        look = cpu(lambda: finder.look(parties, time.monotonic()), ROUNDS)
        table = cpu(Path("/proc/net/tcp").read_bytes, 10) if Path("/proc/net/tcp").exists() else None
        each = cpu(lambda: [psutil.Process(server.pid).net_connections("tcp") for server in servers], 3)
    often = interval([Need(frozenset(), 600.0)]) or 1.0
    yield Figure("the first look", first, "s", each, "psutil, process by process")
    yield Figure("each further look", look, "s", table, "reading /proc/net/tcp once")
    yield Figure("a second, with a timeout of 10m", look / often, "s", limit=0.001)
    yield Figure("a second, with a timeout of 1m", look / (interval([Need(frozenset(), 60.0)]) or 1), "s", limit=0.001)


def cpu(action: Callable[[], object], rounds: int) -> float:
    """Seconds of CPU that it takes, kernel and all: the median. What it waits for others is not its cost."""

    def once() -> float:
        begun = time.process_time()
        action()
        return time.process_time() - begun

    return median(once() for _ in range(rounds))


def _program(code: str, *arguments: str) -> _Program:
    return _Program([sys.executable, "-I", "-S", "-c", code, *arguments])


class _Program(subprocess.Popen[str]):
    """One in a session of its own, with a pipe each way; killed at the end."""

    def __init__(self, command: list[str]) -> None:
        super().__init__(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)

    def __exit__(self, *error: object) -> None:
        self.kill()
        super().__exit__(None, None, None)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


if __name__ == "__main__":
    raise SystemExit(not print_table(TITLE, figures()))
