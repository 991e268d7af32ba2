"""JSON-RPC over the control socket, spoken by hand: what is answered, what is refused, and that nobody is held up."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.support import wait_until

from runcept.api.codec import FRAME_MAX


class Daemon:
    """A daemon of a home of its own, started as the keeper would."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.project = root / "project"
        self.project.mkdir()
        (self.project / ".runcept.toml").write_text(
            '[project]\nname = "p"\n[[process]]\nname = "web"\ncommand = "sleep 1000"\nstop_timeout = "1s"\n'
        )
        self.process = subprocess.Popen(
            [sys.executable, "-m", "runcept.daemon", str(self.home)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until(self.is_up)

    def is_up(self) -> bool:
        try:
            self.connect().close()
        except OSError:
            return False
        return True

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        try:
            connection.connect(str(self.home / "daemon.sock"))
        except OSError:
            connection.close()
            raise
        return connection

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=20)


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with tempfile.TemporaryDirectory(prefix="runcept-test-") as directory:
        started = Daemon(Path(os.path.realpath(directory)))
        yield started
        started.end()


@pytest.fixture
def client(daemon: Daemon) -> Iterator[socket.socket]:
    with daemon.connect() as connection:
        yield connection


def ask(connection: socket.socket, raw: bytes) -> dict[str, Any]:
    connection.sendall(raw)
    return receive(connection)


def receive(connection: socket.socket) -> dict[str, Any]:
    """One line, and nothing of the next."""
    line = b""
    while not line.endswith(b"\n"):
        seen = connection.recv(65536, socket.MSG_PEEK) or pytest.fail("the daemon hung up")
        line += connection.recv(seen.find(b"\n") + 1 or len(seen))
    answer: dict[str, Any] = json.loads(line)
    return answer


def request(method: str, request_id: object = 1, **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}).encode() + b"\n"


def test_a_request_is_answered_with_its_id(client: socket.socket) -> None:
    """Whether that is a number or a string."""
    for request_id in (7, "seven"):
        answer = ask(client, request("daemon_status", request_id))
        assert (answer["jsonrpc"], answer["id"]) == ("2.0", request_id)
        assert answer["result"]["running"] is True


@pytest.mark.parametrize(
    ("raw", "number", "code"),
    [
        (b"nonsense\n", -32600, "bad-request"),
        (b"\xff\xfe\n", -32600, "bad-request"),
        (b"[1, 2]\n", -32600, "bad-request"),
        (b'{"id": 1}\n', -32600, "bad-request"),
        (b"[" * 100_000 + b"\n", -32600, "bad-request"),
        (request("no_such_method"), -32601, "unknown-method"),
        (request("status"), -32600, "bad-request"),
        (request("status", environment=3), -32600, "bad-request"),
        (request("start", environment="/", names="web"), -32600, "bad-request"),
        (request("status", environment="no such name"), -32000, "environment-not-found"),
        (request("status", environment="/nowhere"), -32000, "project-not-found"),
        (request("status", environment="/x\0y"), -32600, "bad-request"),
    ],
)
def test_what_is_wrong_is_said_and_the_connection_goes_on(
    client: socket.socket, raw: bytes, number: int, code: str
) -> None:
    """An error object with our code, hint and exit status in `data`."""
    error = ask(client, raw)["error"]
    assert (error["code"], error["data"]["code"]) == (number, code)
    assert error["message"]
    assert error["data"]["exit_status"] > 0
    assert ask(client, request("daemon_status"))["result"]["running"] is True


def test_a_line_longer_than_a_frame_is_refused(daemon: Daemon) -> None:
    """The client is told, and cut off; the daemon keeps none of it."""
    with daemon.connect() as connection:
        try:
            connection.sendall(b"x" * (FRAME_MAX + 100_000))
        except OSError:
            return  # it was cut off while it was still sending
        answer = receive(connection)
        assert answer["error"]["data"]["code"] == "bad-request"


def test_half_a_request_and_a_hang_up_are_nothing(daemon: Daemon) -> None:
    """Also a hundred times."""
    for _ in range(100):
        with daemon.connect() as connection:
            connection.sendall(b'{"jsonrpc": "2.0", "id": 1, "meth')
    with daemon.connect() as connection:
        assert ask(connection, request("daemon_status"))["result"]["running"] is True


def test_idle_clients_hold_nobody_up(daemon: Daemon) -> None:
    """Two hundred of them."""
    idle = [daemon.connect() for _ in range(200)]
    try:
        with daemon.connect() as connection:
            assert ask(connection, request("daemon_status"))["result"]["running"] is True
    finally:
        for connection in idle:
            connection.close()


def test_requests_of_one_connection_do_not_wait_for_each_other(daemon: Daemon, client: socket.socket) -> None:
    """A long wait is answered after a short question that came later."""
    path = str(daemon.project)
    client.sendall(request("start", 1, environment=path, names=["web"]) + request("daemon_status", 2))
    first, second = receive(client), receive(client)
    assert {first["id"], second["id"]} == {1, 2}
    assert first["id"] == 2, "the process needs a moment to be ready"
    ask(client, request("stop", 3, environment=path, names=["web"]))


def test_progress_is_notified_until_the_answer(daemon: Daemon, client: socket.socket) -> None:
    """Each change of the process once, in order, then the result."""
    client.sendall(request("activate", 5, environment=str(daemon.project), progress=True))
    told = []
    while "method" in (message := receive(client)):
        assert message["method"] == "change"
        assert message["params"]["request"] == 5
        (process,) = message["params"]["processes"]
        told.append((process["state"], process["pid"], process["reason"]))
    assert message["result"]["ok"] is True
    assert [state for state, _, _ in told] == ["starting", "starting", "running"]
    assert len(set(told)) == len(told), "nothing is told twice"
    ask(client, request("deactivate", 6, environment=str(daemon.project)))


def test_a_client_that_hangs_up_leaves_what_it_began(daemon: Daemon) -> None:
    """The process is started all the same."""
    with daemon.connect() as connection:
        connection.sendall(request("start", 1, environment=str(daemon.project), names=["web"]))
    with daemon.connect() as connection:

        def state() -> str:
            view = ask(connection, request("status", 2, environment=str(daemon.project)))["result"]
            found: str = view["processes"][0]["state"]
            return found

        wait_until(lambda: state() == "running")
        ask(connection, request("deactivate", 3, environment=str(daemon.project)))


def test_a_client_that_does_not_read_is_not_read_from_either(daemon: Daemon) -> None:
    """Its answers do not pile up without end, and others are served."""
    memory = psutil.Process(daemon.process.pid).memory_info().rss
    with daemon.connect() as stuck, daemon.connect() as other:
        stuck.setblocking(False)
        questions = request("status", 1, environment=str(daemon.project)) * 100

        def is_full() -> bool:
            try:
                while True:
                    stuck.send(questions)
            except BlockingIOError:
                return not select.select([], [stuck], [], 2)[1]

        wait_until(is_full, seconds=60)
        assert psutil.Process(daemon.process.pid).memory_info().rss < memory + 6 * FRAME_MAX
        assert ask(other, request("daemon_status"))["result"]["running"] is True


def test_environments_are_found_by_name_and_forgotten_when_inactive(daemon: Daemon, client: socket.socket) -> None:
    """A name is enough where it is unique; an active environment cannot be dropped."""
    path = str(daemon.project)
    ask(client, request("activate", environment=path))
    assert ask(client, request("status", environment="p"))["result"]["path"] == path
    refused = ask(client, request("forget", environment="p"))["error"]["data"]
    assert refused["code"] == "environment-active"
    ask(client, request("deactivate", environment="p"))
    assert ask(client, request("forget", environment="p"))["result"]["environments"] == []
    assert ask(client, request("status", environment="p"))["error"]["data"]["code"] == "environment-not-found"


def test_a_second_daemon_of_the_same_home_leaves(daemon: Daemon) -> None:
    """Quietly, and the first one goes on."""
    second = subprocess.run(
        [sys.executable, "-m", "runcept.daemon", str(daemon.home)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert second.returncode == 0
    assert "is running already" in second.stderr
    assert daemon.is_up()
