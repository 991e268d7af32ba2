"""Memory, CPU and ports of a run, and who holds a port: against real processes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence

import pytest
from tests.support import wait_until

from runcept.process import linux, portable
from runcept.process.ports import is_free, owner_of, pick_free
from runcept.process.usage import Sampler, urls

SERVER = """
import os, socket, sys
families = {True: socket.AF_INET6, False: socket.AF_INET}
sockets = [socket.create_server((host, 0), family=families[':' in host]) for host in sys.argv[1:]]
if os.fork() == 0:
    more = socket.create_server(('127.0.0.1', 0))
    print(more.getsockname()[1], flush=True)
    input()
print(*(s.getsockname()[1] for s in sockets), flush=True)
input()
"""


BUSY = """
import os
if os.fork() == 0:
    memory = bytearray(b'1') * 30_000_000
    print(1, flush=True)
    while True: pass
input()
"""

SHARED = """
import os, socket
server = socket.create_server(('127.0.0.1', 0))
print(server.getsockname()[1], flush=True)
os.fork()
input()
"""


@contextlib.contextmanager
def running(code: str, arguments: Sequence[str] = ()) -> Iterator[subprocess.Popen[str]]:
    """A Python program in a session of its own, ended with its group."""
    command = [sys.executable, "-I", "-S", "-c", code, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True) as process:
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_memory_and_cpu_are_of_the_whole_tree() -> None:
    """30 MB in a child and a busy loop in it are counted for the run; an idle run uses nothing."""
    with running(BUSY) as hungry, running("print(1, flush=True); input()") as idle:
        for process in (hungry, idle):
            assert process.stdout is not None
            process.stdout.readline()
        sampler: Sampler[str] = Sampler()
        leaders = {"hungry": hungry.pid, "idle": idle.pid, "gone": 2**22 + 1}
        first = sampler.sample(leaders)
        assert first["hungry"].cpu_percent is None
        assert first["hungry"].memory_bytes > 30_000_000 > first["idle"].memory_bytes > 1_000_000
        assert len(first["hungry"].pids) == 2
        with contextlib.suppress(subprocess.TimeoutExpired):
            idle.wait(0.4)
        second = sampler.sample(leaders)
        assert 10 < (second["hungry"].cpu_percent or 0) < 130
        assert (second["idle"].cpu_percent or 0) < 5
        assert (second["gone"].memory_bytes, second["gone"].ports, second["gone"].pids) == (0, (), ())


def test_ports_are_of_the_whole_tree_and_both_families() -> None:
    """A server's own and its worker's; ascending."""
    hosts = ["127.0.0.1", "0.0.0.0", *(["::1"] if socket.has_ipv6 else [])]
    with running(SERVER, hosts) as server:
        assert server.stdout is not None
        ports = sorted(int(word) for _ in range(2) for word in server.stdout.readline().split())
        assert Sampler[str]().sample({"server": server.pid})["server"].ports == tuple(ports)
        tree = Sampler[str]().sample({"server": server.pid})["server"].pids
        assert linux.listening(tree) == portable.listening(tree)
        assert linux.listening(tree, only={ports[0]}) == portable.listening(tree, only={ports[0]})


def test_urls_leave_out_what_speaks_no_http() -> None:
    """A browser has no business at a database's port."""
    assert urls([3000, 5432, 6379, 8000]) == ["http://localhost:3000", "http://localhost:8000"]


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_taken_port_has_an_owner_and_is_not_free(host: str) -> None:
    """At whatever address it is held; afterwards it is free again."""
    if ":" in host and not socket.has_ipv6:
        pytest.skip("no IPv6 on this machine")
    code = SERVER.replace("if os.fork() == 0:", "if False:")
    with running(code, [host]) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        assert not is_free(port)
        owner = owner_of(port)
        assert owner is not None
        assert owner[0] == server.pid
        assert owner[1].startswith(sys.executable)
    wait_until(lambda: is_free(port))
    assert owner_of(port) is None


def test_owner_of_a_shared_port_is_the_first_of_its_holders() -> None:
    """A server that forks its workers, all with the socket: the server is named."""
    with running(SHARED) as server:
        assert server.stdout is not None
        owner = owner_of(int(server.stdout.readline()))
        assert owner is not None
        assert owner[0] == server.pid


def test_connection_that_lingers_does_not_take_a_port() -> None:
    """TIME_WAIT after a restart is no conflict: servers bind over it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            connection, _ = server.accept()
            connection.close()
            assert client.recv(1) == b""
    assert is_free(port)


def test_picked_port_is_free_and_not_excluded() -> None:
    """Ten of them, all different when each is excluded from the next."""
    picked: set[int] = set()
    for _ in range(10):
        port = pick_free(picked)
        assert port not in picked
        assert is_free(port)
        picked.add(port)
