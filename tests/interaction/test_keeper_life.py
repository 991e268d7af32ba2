"""One keeper a home, which outlives the daemon and starts it again; and which costs nothing while nothing happens."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interaction.keeper_bench import Bench, bench
from tests.support import wait_until

from runcept.keeper.loop import Keeper
from runcept.keeper.system import Portable
from runcept.keeper.wire import Wire
from runcept.process.identity import start_time


@pytest.fixture(params=["linux", "portable"])
def keeper(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A keeper, by what Linux has and by what every system has."""
    with bench(f"system={request.param}") as made:
        yield made


def test_second_keeper_of_a_home_is_refused(keeper: Bench) -> None:
    """By a lock held for life: it ends at once, says why, and leaves the first one's socket alone."""
    first = keeper.keeper
    second = keeper.start()
    _, said = second.communicate(timeout=10)
    assert second.returncode == 3
    assert said.endswith(f" another keeper holds {keeper.home}\n")
    assert keeper.connect()["pid"] == first.pid


def test_lock_dies_with_the_keeper_and_not_with_its_children(keeper: Bench) -> None:
    """A child does not inherit it: the next keeper starts while the children of the last one live."""
    keeper.spawn("child", ["sleep", "60"])
    keeper.keeper.kill()
    keeper.keeper.wait()
    keeper.start()
    assert keeper.connect()["pid"] == keeper.keeper.pid


def test_socket_is_for_its_owner_alone(keeper: Bench) -> None:
    """Mode 0600 from the first moment on."""
    assert stat.S_IMODE(os.stat(keeper.path).st_mode) == 0o600


def test_signals_of_a_terminal_do_not_end_it(keeper: Bench) -> None:
    """Nor does SIGTERM while it holds a run; without any it ends, and takes its socket away."""
    child = keeper.spawn("child", ["sleep", "60"])
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGTERM):
        keeper.keeper.send_signal(number)
    assert [run["key"] for run in keeper.connect()["runs"]] == ["child"]
    keeper.ask("signal", key="child", signal=signal.SIGKILL)
    keeper.exited("child")
    assert child["pid"] == keeper.connect()["runs"][0]["pid"]
    keeper.ask("release", key="child")
    keeper.keeper.terminate()
    assert keeper.keeper.wait(10) == 0
    assert not os.path.exists(keeper.path)


def test_new_daemon_finds_everything_as_it_is(keeper: Bench) -> None:
    """What ended while no daemon was there included, with its exit and its size."""
    keeper.spawn("lives", ["sleep", "60"], meta=["anything"])
    ended = keeper.python("ended", "print('done'); raise SystemExit(4)")
    keeper.hang_up()
    wait_until(lambda: os.path.exists(keeper.directory("ended") + "/exit.json"))
    runs = {run["key"]: run for run in keeper.connect()["runs"]}
    assert runs["lives"]["meta"] == ["anything"]
    assert runs["lives"]["exit"] is None
    assert (runs["ended"]["pid"], runs["ended"]["size"], runs["ended"]["exit"]["code"]) == (ended["pid"], 5, 4)


def test_newest_connection_is_the_daemons(keeper: Bench) -> None:
    """The one before is hung up: two daemons never both believe that they decide."""
    old = keeper.socket
    keeper.socket = None
    keeper.connect()
    assert old is not None
    assert old.recv(1) == b""
    old.close()
    assert keeper.ask("goodbye") == {}


def test_nonsense_harms_nobody_but_its_sender(keeper: Bench) -> None:
    """A line that is not JSON ends the connection; a request that means nothing is answered so."""
    keeper.spawn("child", ["sleep", "60"])
    assert keeper.request("no-such-operation")["error"]["strerror"] == "request"
    assert keeper.request("spawn")["error"]["strerror"] == "request"
    assert keeper.socket is not None
    keeper.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert keeper.socket.recv(1) == b""
    assert len(keeper.connect()["runs"]) == 1


DAEMON = """
import os, socket, sys
with open(sys.argv[2], "a") as file: file.write(f"{os.getpid()} {os.getsid(0)} {os.getcwd()}\\n")
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
if sys.argv[3] == "hello":
    connection.sendall(b'{"id":1,"op":"hello","restart":null}\\n')
    connection.recv(4096)
    sys.stdin.read()
    import signal; signal.pause()
"""


def started(journal: Path) -> list[list[str]]:
    """What each daemon said of itself: pid, session, directory."""
    return [line.split() for line in journal.read_text().splitlines()] if journal.exists() else []


def test_daemon_is_started_again_when_it_dies(keeper: Bench, tmp_path: Path) -> None:
    """In a session of its own and at once; and it is reaped when it dies in turn."""
    journal = tmp_path / "journal"
    keeper.connect([sys.executable, "-I", "-S", "-c", DAEMON, keeper.path, str(journal), "hello"])
    keeper.hang_up()
    [[pid, session, directory]] = wait_until(lambda: started(journal))
    assert (session, directory) == (pid, "/")
    os.kill(int(pid), signal.SIGKILL)
    wait_until(lambda: start_time(int(pid)) is None, what="reaping the daemon")


def test_daemon_that_cannot_start_is_tried_ever_more_rarely(keeper: Bench, tmp_path: Path) -> None:
    """0.1 s, 0.3 s, 0.9 s …: three attempts within the first two seconds, and not ten."""
    journal = tmp_path / "journal"
    keeper.connect([sys.executable, "-I", "-S", "-c", DAEMON, keeper.path, str(journal), "mute"])
    begun = time.monotonic()
    keeper.hang_up()
    wait_until(lambda: len(started(journal)) >= 3)
    assert time.monotonic() - begun > 1.0
    assert len(started(journal)) <= 4
    keeper.connect()  # a daemon by hand ends the attempts


def test_goodbye_is_not_a_death(keeper: Bench, tmp_path: Path) -> None:
    """A daemon that leaves on purpose is not started again, and its processes go on."""
    journal = tmp_path / "journal"
    child = keeper.spawn("child", ["sleep", "60"])
    keeper.connect([sys.executable, "-I", "-S", "-c", DAEMON, keeper.path, str(journal), "hello"])
    keeper.ask("goodbye")
    keeper.hang_up()
    with contextlib.suppress(subprocess.TimeoutExpired):
        keeper.keeper.wait(0.5)  # longer than the first attempt would take
    assert started(journal) == []
    assert start_time(child["pid"]) is not None


def test_goodbye_to_a_keeper_that_holds_nothing_ends_it(keeper: Bench) -> None:
    """At once, and it takes its socket away."""
    keeper.finish("over", "print(1)")
    assert keeper.ask("goodbye") == {}
    assert keeper.keeper.wait(5) == 0
    assert not os.path.exists(keeper.path)


def test_goodbye_counts_although_a_child_has_ended_at_that_moment() -> None:
    """The signal that tells of it is read after the goodbye; what is over stays over."""
    reading, writing = os.pipe()
    keeper = Keeper("/nowhere", reading, Portable(), 1 << 20, 10)
    try:
        keeper.signals = reading
        os.write(writing, bytes([signal.SIGCHLD]))
        keeper._do({"op": "goodbye"})
        keeper._signalled()
        assert keeper.done
    finally:
        for selector in (keeper.control, keeper.pipes):
            selector.close()
        os.close(reading)
        os.close(writing)


def test_keeper_that_is_left_alone_with_nothing_ends() -> None:
    """Once nobody has come for a while; not while it holds a run, and not while a daemon is there."""
    with bench("alone=1") as keeper:
        keeper.spawn("child", ["sleep", "60"])
        keeper.hang_up()
        with pytest.raises(subprocess.TimeoutExpired):
            keeper.keeper.wait(1.5)
        keeper.connect()
        keeper.ask("signal", key="child", signal=signal.SIGKILL)
        keeper.exited("child")
        keeper.ask("release", key="child")
        with pytest.raises(subprocess.TimeoutExpired):
            keeper.keeper.wait(1.5)
        keeper.hang_up()
        assert keeper.keeper.wait(5) == 0
        assert not os.path.exists(keeper.path)


def test_idle_keeper_uses_no_cpu_and_little_memory(keeper: Bench) -> None:
    """It is not even woken: not by ended leaders whose FIFOs have lost their last writer, which poll could report."""
    for number in range(10):
        keeper.python(f"ended-{number}", "print('x')")
        keeper.spawn(f"lives-{number}", ["sleep", "60"])
    for number in range(10):
        keeper.exited(f"ended-{number}")

    def status(name: str) -> int:
        lines = Path(f"/proc/{keeper.keeper.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))

    seen = [-1]

    def is_at_rest() -> bool:
        seen.append(status("voluntary_ctxt_switches"))
        return seen[-1] == seen[-2]

    wait_until(is_at_rest)
    wakeups = status("voluntary_ctxt_switches")
    with contextlib.suppress(subprocess.TimeoutExpired):
        keeper.keeper.wait(0.5)
    assert status("voluntary_ctxt_switches") - wakeups <= 2
    assert status("VmRSS") < 16 * 1024


def test_news_of_bytes_is_sent_along_with_what_else_is_said() -> None:
    """An answer in the same turn must not hold it back until something else happens."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire = Wire(ours)
        wire.spooled["run"] = {"size": 5, "stuck": ""}
        wire.send({"id": 1, "result": {}})
        assert wire.flush() == selectors.EVENT_READ
        assert [json.loads(line) for line in theirs.recv(4096).splitlines()] == [
            {"id": 1, "result": {}},
            {"event": "bytes", "key": "run", "size": 5, "stuck": ""},
        ]


def test_daemon_that_does_not_read_is_owed_little() -> None:
    """Of sizes it gets the newest, however long it slept; and it is not asked for more requests meanwhile."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire = Wire(ours)
        for size in range(100_000):
            wire.spooled["run"] = {"size": size}
            wire.flush()
        assert len(wire.outgoing) < 1 << 17
        received = b""
        while not received.endswith(b'"size": 99999}\n'):
            wire.flush()
            received += theirs.recv(1 << 20)
        assert received.count(b"\n") < 50_000
        assert wire.flush() == selectors.EVENT_READ
        wire.send({"id": 1, "result": "x" * (4 << 20)})
        assert wire.flush() == selectors.EVENT_WRITE


def test_many_starts_at_once_are_all_answered(keeper: Bench) -> None:
    """Requests that come faster than they are done wait their turn."""
    env = {"PATH": os.environ["PATH"]}
    for number in range(30):
        key = f"many-{number}"
        place = keeper.directory(key)
        keeper.tell("spawn", id=1000 + number, key=key, directory=place, argv=["true"], env=env, cwd="/", meta=None)
    for number in range(30):
        assert keeper.exited(f"many-{number}")["code"] == 0
        assert json.loads(Path(keeper.directory(f"many-{number}"), "exit.json").read_text())["code"] == 0
