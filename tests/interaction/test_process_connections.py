"""Who is connected from outside: real sockets of real processes, in both halves, by netlink and by the tables."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from tests.support import wait_until

from runcept.process import linux, portable, sock_diag, system
from runcept.process.connections import Finder, Party
from runcept.process.tcp import ESTABLISHED, LISTEN, MAPPED, TIME_WAIT, TcpSocket

SERVER = """
import socket, sys
host = sys.argv[1]
family = socket.AF_INET6 if ":" in host else socket.AF_INET
server = socket.create_server((host, 0), family=family, dualstack_ipv6=host == "::")
print(server.getsockname()[1], flush=True)
held = []
while True:
    held.append(server.accept())
"""
CLIENT = """
import os, socket, sys
held = socket.create_connection((sys.argv[1], int(sys.argv[2])))
if "apart" in sys.argv and os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
print(flush=True)
input()
held.close()
print(flush=True)
input()
"""
HERE = ("/project", "web")
ANY = (LISTEN, ESTABLISHED, TIME_WAIT)


@pytest.fixture(params=["netlink", "tables", "portable"], autouse=True)
def half(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way of looking."""
    if request.param == "tables":
        monkeypatch.setattr(sock_diag, "_TCPDIAG_GETSOCK", 99)
    elif request.param == "netlink" and sys.platform != "linux":
        pytest.skip("netlink is Linux")
    for name in ("SEES_ALL", "sockets", "holders", "tag_of", "entries"):
        monkeypatch.setattr(system, name, getattr(portable if request.param == "portable" else linux, name))
    return str(request.param)


@contextlib.contextmanager
def program(code: str, *arguments: str, tag: int = 0) -> Iterator[subprocess.Popen[str]]:
    """A Python program in a session of its own, ended with its group, that has said that it is there."""
    command = [sys.executable, "-I", "-S", "-c", code, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True) as process:
        try:
            if tag:
                linux.set_tag(process.pid, tag)
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def line(process: subprocess.Popen[str]) -> str:
    """What it says next."""
    assert process.stdout
    return process.stdout.readline().strip()


@contextlib.contextmanager
def server(host: str = "127.0.0.1") -> Iterator[tuple[Party, int]]:
    """A process of the environment that listens, and its port."""
    with program(SERVER, host) as process:
        port = int(line(process))
        yield Party(*HERE, process.pid, 0), port


@contextlib.contextmanager
def client(host: str, port: int, *how: str) -> Iterator[subprocess.Popen[str]]:
    """A process that is connected there."""
    with program(CLIENT, host, str(port), *how) as process:
        line(process)
        yield process


def go_on(process: subprocess.Popen[str]) -> None:
    """Have it close its end."""
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()
    line(process)


@pytest.mark.parametrize(
    ("listens", "connects"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::1", "::1"),
        ("::", "::1"),
        ("::", "127.0.0.1"),  # its end is ::ffff:127.0.0.1
    ],
)
def test_a_connection_from_outside_is_seen_as_long_as_it_is_open(listens: str, connects: str) -> None:
    """In both families, and across them; nothing is seen before and after."""
    finder = Finder()
    with server(listens) as (party, port):
        assert finder.look([party], 1.0) == {}
        with client(connects, port) as other:
            assert finder.look([party], 2.0) == {HERE: 2.0}
            assert finder.look([party], 3.0) == {HERE: 3.0}
            go_on(other)
            assert finder.look([party], 4.0).get(HERE, 0.0) < 4.0


def test_what_is_connected_within_an_environment_is_not(half: str) -> None:
    """Nor is what a process of it has started that has left its session and its parent; another environment's is."""
    finder = Finder()
    with server() as (party, port), client("127.0.0.1", port) as other:
        worker = Party("/project", "worker", other.pid, 0)
        assert finder.look([party, worker], 1.0) == {}
        assert Finder().look([party, worker._replace(environment="/another")], 2.0) == {HERE: 2.0}
    if half == "portable":
        return  # nothing marks what has left
    tag = 0x1234567
    with server() as (party, port), program(CLIENT, "127.0.0.1", str(port), "apart", tag=tag) as other:
        line(other)
        assert finder.look([party, Party("/project", "worker", other.pid, tag)], 3.0) == {}
        with client("127.0.0.1", port):
            assert finder.look([party, Party("/project", "worker", other.pid, tag)], 4.0) == {HERE: 4.0}


def test_a_health_check_is_none(half: str) -> None:
    """We connect ourselves, open and closed: the daemon does nothing else."""
    finder = Finder()
    with server() as (party, port):
        alone = party._replace(is_alone=True)
        with socket.create_connection(("127.0.0.1", port)) as ours:
            own = {ours.getsockname()[1]}
            assert finder.look([alone], 1.0, own) == {}
            if half != "portable":
                assert Finder().look([alone], 1.0) == {}
        assert finder.look([alone], 2.0, own) == {}


def test_what_came_and_went_is_told_of_for_a_minute(half: str) -> None:
    """Where nobody inside could have been it, with the instant of its end; where somebody could, it is not counted."""
    if half == "portable":
        pytest.skip("a socket that is closed is nobody's there")
    finder = Finder()
    with program(
        "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)\n"
        "while True: s.accept()[0].close()"
    ) as process:
        port = int(line(process))
        party = Party(*HERE, process.pid, 0)
        with client("127.0.0.1", port):
            pass
        wait_until(
            lambda: any(
                each.state == TIME_WAIT and port in {each.port, each.peer_port} for each in linux.sockets((), ANY)
            )
        )
        begun = time.monotonic()
        found = finder.look([party._replace(is_alone=True)], begun)
        assert begun - 10 < found[HERE] <= begun
        time_of_end = found[HERE]
        later = finder.look([party._replace(is_alone=True)], time.monotonic())[HERE]
        assert abs(later - time_of_end) < 2  # between the instant and the look, others may run
        assert finder.look([party], begun) == {}


@pytest.mark.parametrize("inside", [False, True])
def test_what_was_seen_open_counts_when_it_is_closed(half: str, inside: bool) -> None:
    """Then it is known whose it was, whoever else there is."""
    if half == "portable":
        pytest.skip("a socket that is closed is nobody's there")
    code = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)\n"
        "c = s.accept()[0]; c.recv(1); c.close(); input()"
    )
    finder = Finder()
    with program(code) as process:
        port = int(line(process))
        party = Party(*HERE, process.pid, 0)
        with client("127.0.0.1", port) as other:
            parties = [party, Party("/project", "worker", other.pid, 0)] if inside else [party]
            finder.look(parties, 1.0)
            go_on(other)
            wait_until(
                lambda: any(each.state == TIME_WAIT and each.peer_port == port for each in linux.sockets((), ANY))
            )
            assert (HERE in finder.look(parties, 100.0)) is not inside


def test_a_port_that_was_given_is_its_own_whoever_listens(half: str) -> None:
    """A container's port is listened on by docker's own process, not by `docker compose up`."""
    if half == "portable":
        pytest.skip("only the processes' own sockets are seen there")
    with server() as (other, port), client("127.0.0.1", port), program("input()") as compose:
        party = Party(*HERE, compose.pid, 0)
        assert Finder().look([party], 1.0) == {}
        assert Finder().look([party._replace(ports=(port,))], 1.0) == {HERE: 1.0}
        assert other.pid != party.pid


def test_listeners_of_one_port_at_different_addresses_are_told_apart() -> None:
    """Two projects may have the same port, one in each family."""
    with server("::1") as (six, port):
        code = SERVER.replace("(host, 0)", f"(host, {port})")
        with program(code, "127.0.0.1") as process:
            line(process)
            four = Party("/another", "web", process.pid, 0)
            with client("127.0.0.1", port):
                assert Finder().look([six, four], 1.0) == {("/another", "web"): 1.0}
            with client("::1", port):
                assert HERE in Finder().look([six, four], 1.0)


@pytest.mark.parametrize("state", [ESTABLISHED, TIME_WAIT])
def test_another_machine_is_always_outside(monkeypatch: pytest.MonkeyPatch, state: int) -> None:
    """Its end is in no table of ours; also where somebody inside connects as well."""
    with server() as (party, port):
        us, them = MAPPED + socket.inet_aton("192.0.2.1"), MAPPED + socket.inet_aton("192.0.2.2")
        here = [each for each in system.sockets([party.pid], ANY) if each.port == port]
        anywhere = [each._replace(address=bytes(16)) for each in here]
        theirs = TcpSocket(state, us, port, them, 40000, 0, 2.0 if state == TIME_WAIT else 0.0)
        monkeypatch.setattr(
            system, "sockets", lambda _, states, __=(): [each for each in (*anywhere, theirs) if each.state in states]
        )
        assert Finder().look([party], 10.0) == {HERE: 8.0 if state == TIME_WAIT else 10.0}


def test_netlink_and_the_tables_say_the_same(half: str) -> None:
    """Of an established connection in each family, of both its ends; the kernel leaves out other ports."""
    if half != "netlink":
        pytest.skip("once is enough")
    with contextlib.ExitStack() as stack:
        (_, four), (_, six), (_, another) = (stack.enter_context(server(host)) for host in ("127.0.0.1", "::1", "::1"))
        for host, port in (("127.0.0.1", four), ("::1", six), ("::1", another)):
            stack.enter_context(client(host, port))

        def ends(found: list[TcpSocket]) -> set[TcpSocket]:
            ours = [each for each in found if {each.port, each.peer_port} & {four, six}]
            return {each for each in ours if each.state != TIME_WAIT}

        def agree() -> set[TcpSocket]:
            """Others may use the same port at another address meanwhile."""
            told = ends(sock_diag.sockets(ANY))
            is_same = told == ends(list(linux._sockets_of_tables())) == ends(sock_diag.sockets(ANY, {four, six}))
            return told if is_same else set()

        assert len(wait_until(agree)) >= 6
        chosen = sock_diag.sockets(ANY, {four, six})
        assert all({each.port, each.peer_port} & {four, six} for each in chosen)
        assert not any(another in {each.port, each.peer_port} for each in chosen)
