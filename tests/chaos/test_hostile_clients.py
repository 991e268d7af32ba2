"""Clients that send nonsense, too much, too slowly or nothing, to the daemon and to the keeper: nobody else notices."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import select
import signal
import socket
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.chaos.stage import Stage
from tests.support import wait_until

from runcept.api.codec import FRAME_MAX, REQUEST_MAX
from runcept.client.connection import Connection
from runcept.errors import UsageError

MB = 1_000_000
CLIENTS = 200


@pytest.fixture
def held(stage: Stage) -> Iterator[Stage]:
    """A stage with a process that runs, and at the end runs still: same pid, same daemon, same keeper."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 2048), hard), hard))
    stage.write({"steady": ""})
    pid = stage.ask_for("start", "steady").processes[0].pid
    ours = (stage.daemons(), stage.keepers())
    try:
        yield stage
        assert (stage.statuses()["steady"].pid, stage.statuses()["steady"].state) == (pid, "running")
        wait_until(lambda: (stage.daemons(), stage.keepers()) == ours)  # a fork of the keeper's looks like it at first
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connect(stage: Stage, name: str = "daemon") -> socket.socket:
    """As anybody does who knows the path."""
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(30)
    wait_until(lambda: _connected(made, f"{stage.home}/{name}.sock"))
    return made


def _connected(made: socket.socket, path: str) -> bool:
    with contextlib.suppress(BlockingIOError, ConnectionRefusedError):  # many wait to be accepted
        made.connect(path)
        return True
    return False


def request(method: str, request_id: object = 1, **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}).encode() + b"\n"


def answer(connection: socket.socket) -> dict[str, Any]:
    """One line, and nothing of the next; the notifications before it are left out."""
    while True:
        line = b""
        while not line.endswith(b"\n"):
            seen = connection.recv(65536, socket.MSG_PEEK) or pytest.fail("the daemon hung up")
            line += connection.recv(seen.find(b"\n") + 1 or len(seen))
        found: dict[str, Any] = json.loads(line)
        if found.get("method") != "change":
            return found


def unread(connection: socket.socket) -> int:
    """How much of what was sent is not read yet: unix(7), SIOCOUTQ."""
    return int.from_bytes(fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0" * 4), sys.byteorder)


def send_what_goes(connections: list[socket.socket], data: bytes, *, quiet: float = 3.0) -> int:
    """Send `data` to each as far as it is taken, until nobody has taken anything for `quiet` s; how much in all."""
    left = {each: memoryview(data) for each in connections}
    total = 0
    for each in left:
        each.setblocking(False)
    while left:
        _, ready, _ = select.select([], list(left), [], quiet)
        if not ready:
            break
        for each in ready:
            try:
                count = each.send(left[each])
            except (BrokenPipeError, ConnectionResetError):
                del left[each]
                continue
            total += count
            left[each] = left[each][count:]
            if not left[each]:
                del left[each]
    return total


def memory(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


def is_answered(stage: Stage, seconds: float = 10) -> None:
    """Somebody else is served, and soon."""
    begun = time.monotonic()
    stage.statuses()
    assert time.monotonic() - begun < seconds


def with_one_that_is_never_ready(stage: Stage) -> None:
    """Another process, for requests that wait for ever."""
    steady = Path(stage.project, ".runcept.toml").read_text(encoding="utf-8")
    never = (
        "[[process]]\nname = 'never'\ncommand = 'sleep 1000'\nhealth_check = 'tcp://127.0.0.1:1'\nautostart = false\n"
    )
    stage.write_file(steady + never)


# -------------------------------------------------------------------------------------------------- too much


def test_two_hundred_frames_that_never_end_take_little_memory(held: Stage) -> None:
    """Each client begins a request as large as one may be. What all of them together can have us keep is bounded."""
    (daemon,) = held.daemons()
    before = memory(daemon)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(held)) for _ in range(CLIENTS)]
        sent = send_what_goes(clients, b"x" * (REQUEST_MAX - 1))
        assert sent > 50 * MB
        assert memory(daemon) < before + 150 * MB
        is_answered(held)
    is_answered(held)


def test_long_requests_that_wait_take_little_memory_and_hold_no_short_ones_up(held: Stage) -> None:
    """Two hundred activations, with an environment of 3 MB each, of what never becomes ready."""
    with_one_that_is_never_ready(held)
    (daemon,) = held.daemons()
    before = memory(daemon)
    big = {f"V{number}": "v" * 1000 for number in range(3000)}
    line = request("start", environment=str(held.project), names=["never"], timeout=1e6, environ=big)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(held)) for _ in range(CLIENTS)]
        assert send_what_goes(clients, line) > 50 * MB
        assert memory(daemon) < before + 250 * MB
        is_answered(held)
        assert held.ask_for("start", "steady").ok
    assert held.ask_for("stop", "never").ok


def test_one_client_cannot_pile_requests_up(held: Stage) -> None:
    """What waits is counted in bytes as well: the rest stays in the socket, until it is answered."""
    (daemon,) = held.daemons()
    before = memory(daemon)
    environ = {"PADDING": "x" * 60_000}
    waits = request("start", environment=str(held.project), names=["never"], timeout=1e6, environ=environ)
    with_one_that_is_never_ready(held)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(held)) for _ in range(50)]
        assert send_what_goes(clients, waits * 100) < 50 * MB
        assert memory(daemon) < before + 150 * MB
        is_answered(held)
    assert held.ask_for("stop", "never").ok


def test_followers_that_do_not_read_take_little_memory(held: Stage) -> None:
    """Of the changes that they asked to be told they get what fits, and all of their answers; nobody is cut off."""
    with_one_that_is_never_ready(held)
    (daemon,) = held.daemons()
    before = memory(daemon)
    follow = request("start", "follows", environment=str(held.project), names=["never"], timeout=1e6, progress=True)
    held.ask_for("start", "never", wait=False)
    wait_until(lambda: held.statuses()["never"].state == "starting")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(held)) for _ in range(25)]
        for client in clients:
            client.sendall(follow * 60)
        wait_until(lambda: not any(map(unread, clients)))  # else what is read later starts it again
        for _ in range(60):
            is_answered(held)
        for _ in range(25):
            held.ask_for("restart", "never", wait=False)
            is_answered(held)
        assert memory(daemon) < before + 30 * MB
        assert held.ask_for("stop", "never").ok
        assert all("result" in answer(clients[0]) for _ in range(60))
        send_what_goes(clients, request("environments") * 3000)
        assert memory(daemon) < before + 30 * MB


def test_a_hundred_megabytes_in_one_frame_are_refused(held: Stage) -> None:
    """The sender is told and hung up on, long before they are sent."""
    (daemon,) = held.daemons()
    before = memory(daemon)
    with connect(held) as client:
        sent = send_what_goes([client], b"x" * (100 * MB), quiet=3)
        assert sent < FRAME_MAX
        assert "longer than" in answer(client)["error"]["message"]
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    assert memory(daemon) < before + 30 * MB


def test_a_request_that_we_would_refuse_is_not_sent(held: Stage) -> None:
    """The command says what is too long, instead of that the daemon has hung up."""
    from runcept.api.messages import Start

    params = Start(environment=str(held.project), names=[], environ={"BIG": "x" * REQUEST_MAX})
    with Connection(held.home) as connection, pytest.raises(UsageError, match="too long"):
        connection.call("start", params)


def test_an_environment_of_two_megabytes_fails_with_the_systems_reason(held: Stage) -> None:
    """execve(2) takes no variable of more than 128 KiB, and not all of them together: E2BIG."""
    held.write_file('[project]\nname = "p"\n[[process]]\nname = "steady"\ncommand = ["sleep", "1000"]\n'
                    '[[process]]\nname = "web"\ncommand = ["sleep", "1000"]\nautostart = false\n')  # fmt: skip
    outcome = held.ask_for("start", "web", environ={f"V{number}": "x" * 1000 for number in range(3000)})
    (view,) = outcome.processes
    assert (outcome.ok, view.state) == (False, "failed")
    assert "argument list too long" in view.reason


# -------------------------------------------------------------------------------------------------- too slow


def test_two_hundred_idle_clients_and_ones_that_dribble_hold_nobody_up(held: Stage) -> None:
    """Of a request one byte at a time, of a long one without its end."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(held)) for _ in range(CLIENTS)]
        for index, byte in enumerate(request("daemon_status")):
            for client in clients[:20]:
                client.send(bytes([byte]))
            if index % 20 == 0:
                is_answered(held)
        assert all(answer(client)["result"]["running"] for client in clients[:20])


def test_a_long_request_that_does_not_come_to_its_end_gives_its_place_up(held: Stage) -> None:
    """All places for long requests are taken by those that never end; one that does is answered all the same."""
    big = {f"V{number}": "v" * 1000 for number in range(200)}
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(held)) for _ in range(20)]
        send_what_goes(clients, b"x" * 200_000)
        assert held.ask_for("start", "steady", environ=big, seconds=60).ok


def test_more_clients_than_there_is_room_for_push_the_idle_ones_out(held: Stage) -> None:
    """The one that has been there for longest goes first; who waits for an answer stays."""
    held.write_file('[project]\nname = "p"\n[[process]]\nname = "steady"\ncommand = ["sleep", "1000"]\n'
                    '[[process]]\nname = "never"\ncommand = ["sleep", "1000"]\nautostart = false\n'
                    'health_check = "tcp://127.0.0.1:1"\n')  # fmt: skip
    with contextlib.ExitStack() as stack:
        waiting = stack.enter_context(connect(held))
        waiting.sendall(request("start", "waits", environment=str(held.project), names=["never"], timeout=1e6))
        wait_until(lambda: held.statuses()["never"].state == "starting")
        clients = [stack.enter_context(connect(held)) for _ in range(600)]
        is_answered(held)
        wait_until(lambda: select.select(clients[:50], [], [], 0)[0] == clients[:50])
        clients[-1].sendall(request("daemon_status"))
        assert answer(clients[-1])["result"]["running"]
        assert held.ask_for("stop", "never").ok
        assert answer(waiting)["id"] == "waits"


# -------------------------------------------------------------------------------------------------- nonsense


@pytest.fixture(scope="module")
def shared() -> Iterator[Stage]:
    """A stage for the tests that leave nothing behind."""
    with tempfile.TemporaryDirectory(prefix="runcept-test-") as directory:
        made = Stage(Path(os.path.realpath(directory)))
        made.ask("daemon_status")
        yield made
        assert made.end()


DEEP = b'{"a":' * 10_000 + b"1" + b"}" * 10_000
"""An object in an object in …"""


def raw_request(params: bytes) -> bytes:
    """One whose parameters are as they stand."""
    return b'{"jsonrpc":"2.0","id":1,"method":"stop","params":' + params + b"}\n"


HOSTILE: list[tuple[bytes, str]] = [
    (b"[" * 60_000 + b"\n", "bad-request"),
    (raw_request(DEEP), "bad-request"),
    (b'{"jsonrpc":"2.0","id":1,"method":"status","params":{"environment":"\\ud800"}}\n', "bad-request"),
    (b'{"jsonrpc":"2.0","id":1,"method":"status","params":{"environment":"/\xff"}}\n', "bad-request"),
    (b'{"jsonrpc":"2.0","id":1,"method":"\xc3\x28"}\n', "bad-request"),
    (b"[]\n", "bad-request"),
    (b"[" + request("daemon_status").rstrip() + b"," + request("daemon_status").rstrip() + b"]\n", "bad-request"),
    (b"null\n", "bad-request"),
    (b"\x00\n", "bad-request"),
    (b"\n", "bad-request"),
    (request("daemon_status", None), "bad-request"),
    (request("daemon_status", 2**70), "bad-request"),
    (request("daemon_status", -(2**70)), "bad-request"),
    (request("daemon_status", 1.5), "bad-request"),
    (request("daemon_status", "x" * 5000), "bad-request"),
    (request("daemon_status", [1]), "bad-request"),
    (request("x" * 5000), "bad-request"),
    (request("__init__"), "unknown-method"),
    (request("status", environment=""), "bad-request"),
    (request("status", environment="/" + "x/" * 4000), "bad-request"),
    (request("status", environment="/a\0b"), "bad-request"),
    (request("status", environment="../../etc"), "environment-not-found"),
    (request("status", environment="/proc/self/cwd/../../etc"), "project-not-found"),
    (request("status", environment="/", actor="root\nforged"), "bad-request"),
    (request("stop", environment="/", names=["x" * 5000]), "bad-request"),
    (request("stop", environment="/", names=[None]), "bad-request"),
    (request("start", environment="/", names=[], environ={"A": 1}), "bad-request"),
    (request("start", environment="/", names=[], environ=[]), "bad-request"),
    (request("start", environment="/", names=[], umask=-1), "bad-request"),
    (request("start", environment="/", names=[], umask=2**70), "bad-request"),
    (request("start", environment="/", names=[], timeout="soon"), "bad-request"),
    (raw_request(b'{"environment":"/","names":[],"timeout":1e999}'), "bad-request"),
    (raw_request(b'{"environment":"/","names":[],"timeout":NaN}'), "bad-request"),
    (raw_request(b'{"environment":"/","names":[],"timeout":' + b"9" * 5000 + b"}"), "bad-request"),
    *((request("clear_logs", environment="/", names=[name]), "bad-request") for name in
      ("../x", "a/b", "..", ".", "", "web\n", "web\0", "/etc/passwd", "x" * 65, "\u202eweb", "w\u00e9b")),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "code"), HOSTILE, ids=[raw[:60].decode("latin-1") for raw, _ in HOSTILE])
def test_nonsense_is_answered_and_the_connection_goes_on(shared: Stage, raw: bytes, code: str) -> None:
    """An error of ours, never an internal one."""
    with connect(shared) as client:
        client.sendall(raw)
        assert answer(client)["error"]["data"]["code"] == code
        client.sendall(request("daemon_status"))
        assert answer(client)["result"]["running"]


def test_the_same_id_twice_is_answered_twice(shared: Stage) -> None:
    """Whose ids are alike has to tell the answers apart himself."""
    with connect(shared) as client:
        client.sendall(request("daemon_status", 7) + request("no_such", 7) + request("daemon_status", 7))
        found = [answer(client) for _ in range(3)]
    assert [each["id"] for each in found] == [7, 7, 7]
    assert sorted("error" in each for each in found) == [False, False, True]


def test_names_of_processes_that_lead_elsewhere_are_none(held: Stage) -> None:
    """In a request they are not found; in a project file they are refused; on disk they are no logs."""
    for name in ("../steady", "/etc/passwd", "steady\0", "\n", "%2e%2e"):
        with connect(held) as client:
            client.sendall(request("start", environment=str(held.project), names=[name]))
            assert answer(client)["error"]["data"]["code"] == "process-not-found"
    assert not (held.project.parent / "steady.jsonl").exists()


# -------------------------------------------------------------------------------------------------- the keeper


def keeper_request(**message: Any) -> bytes:
    return json.dumps(message).encode() + b"\n"


def told_by_keeper(stage: Stage, message: bytes) -> dict[str, Any]:
    """Its answer. The daemon is stopped meanwhile: it would push us out, as the newest connection does."""
    for pid in stage.daemons():
        os.kill(pid, signal.SIGSTOP)
    try:
        with connect(stage, "keeper") as client, client.makefile("rb") as incoming:
            client.sendall(message)
            while line := incoming.readline():
                found: dict[str, Any] = json.loads(line)
                if "id" in found:
                    return found
    finally:
        for pid in stage.daemons():
            os.kill(pid, signal.SIGCONT)
    raise AssertionError("the keeper hung up")


KEEPER_HOSTILE = [
    b"[" * 100_000 + b"\n",
    b'{"a":' * 100_000 + b"\n",
    b"\xff\xfe\n",
    b"9" * 5000 + b"\n",
    b"nonsense",
    keeper_request(id=1, op="hello", restart=5) + b"x" * 10,
    keeper_request(id=1, op="hello", restart={"a": 1}),
    keeper_request(id=1, op="hello"),
    keeper_request(id=[1], op=["spawn"]),
    keeper_request(id=1, op="spawn", key=["unhashable"], directory="{home}/runs/x", argv=["true"], env={}, cwd="/"),
    keeper_request(id=1, op="spawn", key=None, directory=7, argv=["true"], env={}, cwd="/"),
    keeper_request(id=1, op="spawn", key="x\nforged", directory="/\0", argv=["true"], env={}, cwd="/"),
    keeper_request(id=1, op="spawn", key="y", directory="{home}/runs/y", argv=[], env={}, cwd="/"),
    keeper_request(id=1, op="spawn", key="z", directory="{home}/runs/z", argv=["true"], env={"A": 1}, cwd="/"),
    keeper_request(id=1, op="spawn", key="u", directory="{home}/runs/u", argv=["true"], env={}, cwd="/", umask="all"),
    keeper_request(id=1, op="adopt", key="a", directory="{home}", pid="1", start_time=1),
    keeper_request(id=1, op="adopt", key="b", directory="{home}", pid=2**70, start_time=1),
    keeper_request(id=1, op="adopt", key="c", directory="{home}", pid=1, start_time=1),
    keeper_request(id=1, op="signal", key="{key}", signal=2**70, to="group"),
    keeper_request(id=1, op="signal", key="{key}", signal="KILL", to="group"),
    keeper_request(id=1, op="signal", key="{key}", signal=10_000, to="group"),
    keeper_request(id=1, op="signal", key={"a": 1}, signal=9, to="group"),
    keeper_request(id=1, op="consumed", key="{key}", offset="x"),
    keeper_request(id=1, op="consumed", key="{key}", offset=[1]),
    keeper_request(id=1, op="consumed", key="{key}", offset=-(2**70)),
    keeper_request(id=1, op="release", key="{key}"),
    keeper_request(id=1, op="release", key="../../etc"),
    keeper_request(op="no\nsuch\u001b[2J"),
]


def test_nonsense_does_not_shake_the_keeper(stage: Stage) -> None:
    """Its processes run on under it, their output is logged, and the daemon comes back to it by itself."""
    stage.write({"steady": ""})
    pid = stage.ask_for("start", "steady").processes[0].pid
    (keeper,), (daemon,) = stage.keepers(), stage.daemons()
    (key,) = os.listdir(f"{stage.home}/runs")
    for raw in KEEPER_HOSTILE:
        raw = raw.replace(b"{home}", os.fsencode(stage.home)).replace(b"{key}", key.encode())  # noqa: PLW2901
        with connect(stage, "keeper") as client, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(raw)
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass  # until it has answered, or hung up
        assert psutil.Process(keeper).is_running(), raw[:100]
        assert stage.statuses()["steady"].pid == pid, raw[:100]
    lines = len(stage.messages("steady"))
    wait_until(lambda: len(stage.messages("steady")) > lines)
    wait_until(lambda: (stage.keepers(), stage.daemons()) == ([keeper], [daemon]))  # one too many finds the lock
    log = Path(stage.home, "logs", "keeper.log").read_text()
    assert all(line[:4].isdigit() or line.startswith("another keeper holds") for line in log.splitlines()), log
    assert "\x1b" not in log
    assert psutil.Process(keeper).memory_info().rss < 40 * MB


def test_idle_connections_and_frames_without_end_do_not_shake_the_keeper(stage: Stage) -> None:
    """Two hundred at once, and a hundred megabytes: the newest is taken for the daemon's until it is broken or left."""
    stage.write({"steady": ""})
    pid = stage.ask_for("start", "steady").processes[0].pid
    (keeper,) = stage.keepers()
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(connect(stage, "keeper")) for _ in range(CLIENTS)]
        send_what_goes(idle, b'{"op": "he')
        with connect(stage, "keeper") as client:
            assert send_what_goes([client], b"x" * (100 * MB), quiet=3) < 20 * MB
        assert memory(keeper) < 80 * MB
        wait_until(lambda: stage.statuses()["steady"].pid == pid)
        lines = len(stage.messages("steady"))
        wait_until(lambda: len(stage.messages("steady")) > lines)
    assert stage.ask_for("restart", "steady").ok
    wait_until(lambda: stage.keepers() == [keeper])


@pytest.mark.parametrize(
    "meta", [None, "x", [1], {}, {"RUNCEPT_ENVIRONMENT": 1, "RUNCEPT_PROCESS": 2, "RUNCEPT_RUN": "x"}]
)
@pytest.mark.parametrize("command", ["true", "sleep 1000"])
def test_a_run_that_somebody_else_had_the_keeper_start_stops_no_daemon(stage: Stage, meta: Any, command: str) -> None:
    """One that lives is left alone, one that is over is let go of; by the daemon that is there, and by the next one."""
    stage.write({"steady": ""})
    pid = stage.ask_for("start", "steady").processes[0].pid
    outside = stage.project.parent / "outside"
    spawn = {"op": "spawn", "argv": command.split(), "env": {"PATH": os.environ["PATH"]}, "cwd": "/", "meta": meta}
    message = keeper_request(id=1, key="../../outside", directory=str(outside), **spawn)
    stranger = told_by_keeper(stage, message)["result"]["pid"]
    try:
        wait_until(lambda: stage.statuses()["steady"].pid == pid)
        stage.kill(stage.daemons())
        wait_until(stage.daemons)
        assert stage.statuses()["steady"].pid == pid
        assert psutil.pid_exists(stranger) is (command != "true")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(stranger, 9)
    assert outside.exists(), "its name leads out of our directory: nothing is removed by it"
    wait_until(lambda: stage.ask_for("restart", "steady").ok)
    if command != "true":  # it has ended: the next look at the keeper lets go of it
        stage.kill(stage.daemons())
        wait_until(stage.daemons)
