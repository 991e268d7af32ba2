"""The MCP host of a home: when it ends, what it says to what is no message, and that its clients are apart."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.e2e.conftest import Project, fresh_project
from tests.interaction.test_mcp_relay import INITIALIZE, INITIALIZED, Lines, call, hosts
from tests.support import has_ended, wait_until

import runcept
from runcept.client.host_start import host_stderr, start_host
from runcept.paths import socket_path

_START = (
    "import sys; from runcept.client.host_start import start_host\n"
    "print(start_host(sys.argv[1], float(sys.argv[2]), kind='mcp'))"
)


@contextmanager
def _home() -> Iterator[Project]:
    with fresh_project() as made:
        made.home.mkdir(mode=0o700)
        (made.home / "logs").mkdir()
        yield made
        ended = hosts(made)
        for each in ended:
            each.terminate()
        wait_until(lambda: all(map(has_ended, ended)), what="the end of the hosts")  # they may be starting a daemon


@pytest.fixture
def project() -> Iterator[Project]:
    """With a home in which no host runs yet; those that were started end with the test."""
    with _home() as made:
        yield made


@pytest.fixture(scope="module")
def served() -> Iterator[Project]:
    """With a host that runs, for the tests that leave it as it was."""
    with _home() as made:
        started(made)
        yield made


class Guest:
    """A connection to the host, as a relay has it."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(socket_path(str(project.home), "mcp"))
        self._lines = Lines(self.socket.fileno())

    def say_raw(self, data: bytes) -> None:
        self.socket.sendall(data)

    def say(self, *messages: dict[str, Any]) -> None:
        self.say_raw(b"".join(json.dumps(each).encode() + b"\n" for each in messages))

    def hear_raw(self) -> bytes:
        return self._lines.next()

    def hear(self) -> Any:
        return json.loads(self.hear_raw())

    def begin(self) -> None:
        """The hello of a relay and the handshake of a client."""
        self.say({"cwd": str(self._project.path), "environment": None}, INITIALIZE)
        assert self.hear()["result"]["serverInfo"]["name"] == "runcept"
        self.say(INITIALIZED)

    def ask(self, number: int) -> Any:
        self.say(call(number))
        return self.hear()["result"]["tools"]


@contextmanager
def guest_of(project: Project) -> Iterator[Guest]:
    guest = Guest(project)
    with guest.socket:
        yield guest


def started(project: Project, idle: float = 600, **environ: str) -> psutil.Process:
    """A host that listens."""
    command = [sys.executable, "-c", _START, str(project.home), str(idle)]
    done = subprocess.run(command, env=project.environ | environ, capture_output=True, text=True, check=True)
    host = psutil.Process(int(done.stdout))

    def listens() -> bool:
        assert host.is_running(), Path(host_stderr(str(project.home), "mcp")).read_text()
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(socket_path(str(project.home), "mcp")) == 0

    wait_until(listens, 20, "a host that listens")
    return host


# ------------------------------------------------------------------------------------------------ life


def test_a_host_without_clients_ends(project: Project) -> None:
    """It takes its socket along, so that the next relay starts another one."""
    host = started(project, idle=0.1)
    wait_until(lambda: has_ended(host), 20, "the end of the host")
    assert not Path(socket_path(str(project.home), "mcp")).exists()


def test_a_host_with_a_client_stays(project: Project) -> None:
    """However long it says nothing, and for others too; and ends when it has gone."""
    host = started(project, idle=0.1)
    with guest_of(project) as guest:
        guest.begin()
        began = time.monotonic()
        for number in range(1, 6):
            assert guest.ask(number)
            wait_until(lambda limit=began + number: time.monotonic() > limit)  # type: ignore[misc]
        assert not has_ended(host)
        with guest_of(project) as other:
            other.begin()
    wait_until(lambda: has_ended(host), 20, "the end of the host")


def test_a_host_that_is_told_to_end_does_so_whoever_is_there(project: Project) -> None:
    """Its clients have a moment; their relays find the next one."""
    host = started(project)
    with guest_of(project) as guest:
        guest.begin()
        host.terminate()
        wait_until(lambda: has_ended(host), 20, "the end of the host")
        assert not guest.socket.recv(1)


def test_a_home_has_one_host(project: Project) -> None:
    """Whoever asks for another one is told that there is one; the lock is the host's as long as it lives."""
    host = started(project)
    assert start_host(str(project.home), kind="mcp") is None
    with open(project.home / "mcp.lock", "ab") as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert len(hosts(project)) == 1
    host.kill()
    wait_until(lambda: has_ended(host))
    assert started(project).pid != host.pid, "a dead one's socket is in nobody's way"
    with guest_of(project) as guest:
        guest.begin()


def test_a_host_whose_code_has_changed_takes_nobody_new(project: Project, tmp_path: Path) -> None:
    """Those it has, it keeps to their end; meanwhile another one, with the new code, serves who comes."""
    shutil.copytree(Path(runcept.__file__).parent, tmp_path / "runcept", ignore=shutil.ignore_patterns("__pycache__"))
    old = started(project, PYTHONPATH=str(tmp_path))
    path = Path(socket_path(str(project.home), "mcp"))
    with guest_of(project) as guest:
        guest.begin()
        words = tmp_path / "runcept" / "mcp" / "tools.py"
        words.write_text(words.read_text().replace("Begin with this.", "Start here."))
        wait_until(lambda: not path.exists(), 20, "the end of its socket")
        assert "Begin with this." in json.dumps(guest.ask(1))
        new = started(project, PYTHONPATH=str(tmp_path))
        assert new.pid != old.pid
        with guest_of(project) as other:
            other.begin()
            assert "Start here." in json.dumps(other.ask(1))
        assert guest.ask(2)
        assert not has_ended(old)
    wait_until(lambda: has_ended(old), 20, "the end of the old host")
    assert path.exists(), "which leaves the socket of its successor alone"


def test_a_host_is_apart_from_who_started_it(project: Project) -> None:
    """In a session of its own, with none of its variables, nor its directory, nor its files."""
    host = started(project, SECRET_X="1", AWS_SECRET_ACCESS_KEY="2")
    assert os.getsid(host.pid) == host.pid
    assert not {"SECRET_X", "AWS_SECRET_ACCESS_KEY", "RUNCEPT_HOME"} & set(host.environ())
    assert host.cwd() == "/"


def test_the_socket_is_the_owners_alone(project: Project) -> None:
    """From its first instant."""
    started(project)
    assert Path(socket_path(str(project.home), "mcp")).stat().st_mode & 0o777 == 0o600


# --------------------------------------------------------------------------------------------- messages


@pytest.mark.parametrize(
    ("line", "code", "request_id"),
    [
        (b"garbage", -32700, None),
        (b"", -32700, None),
        (b'{"jsonrpc": "2.0", "id": 5', -32700, None),
        (b"\xff\xfe", -32700, None),
        (b"[" * 100_000, -32700, None),
        (b"[]", -32600, None),
        (b'[{"jsonrpc": "2.0", "id": 5, "method": "ping"}]', -32600, None),
        (b"5", -32600, None),
        (b'{"jsonrpc": "2.0", "id": 5}', -32600, 5),
        (b'{"jsonrpc": "1.0", "id": "x", "method": "ping"}', -32600, "x"),
        (b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', -32600, None),
        (b'{"jsonrpc": "2.0", "id": [5], "method": "ping"}', -32600, None),
        (b'{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}', -32600, None),
    ],
)
def test_what_is_no_message_is_answered(served: Project, line: bytes, code: int, request_id: Any) -> None:
    """JSON-RPC 2.0, section 5.1; nobody waits for ever, and the connection goes on."""
    with guest_of(served) as guest:
        guest.begin()
        guest.say_raw(line + b"\n")
        told = guest.hear()
        assert (told["id"], told["error"]["code"]) == (request_id, code)
        assert "Traceback" not in told["error"]["message"]
        assert guest.ask(1)


def test_a_hello_that_is_none_ends_the_connection(served: Project) -> None:
    """And no other one."""
    with guest_of(served) as good:
        good.begin()
        for hello in (b"\n", b"garbage\n", b"[]\n", b'{"environment": "x"}\n', b"\xff\n"):
            with guest_of(served) as bad:
                bad.say_raw(hello)
                assert bad.hear_raw() == b""
        assert good.ask(1)


def test_a_message_that_is_too_long_ends_its_connection(served: Project) -> None:
    """With a word; the host and the others go on."""
    [host] = hosts(served)
    with guest_of(served) as guest, guest_of(served) as other:
        guest.begin()
        other.begin()
        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            guest.say_raw(b"x" * (64 << 20))
        assert other.ask(1)
    assert not has_ended(host)


def test_a_client_that_does_not_read_holds_nobody_up(served: Project) -> None:
    """It gets all of its answers when it does; the others get theirs at once."""
    with guest_of(served) as slow, guest_of(served) as other:
        slow.begin()
        other.begin()
        slow.say(*(call(number) for number in range(1, 501)))  # 7 MB of answers
        for number in range(1, 21):
            assert other.ask(number)
        assert {slow.hear()["id"] for _ in range(500)} == set(range(1, 501))


def test_a_client_that_goes_in_the_middle_is_forgotten(served: Project) -> None:
    """A call of its is cancelled, and nothing of it is left."""
    [host] = hosts(served)
    before = host.num_fds()
    for _ in range(20):
        with guest_of(served) as guest:
            guest.begin()
            guest.say(call(1, "tools/call", name="list_environments", arguments={}), call(2))
    with guest_of(served) as other:
        other.begin()
    wait_until(lambda: host.num_fds() <= before + 4, what="the end of their descriptors")


def test_who_only_looks_is_no_defect(served: Project) -> None:
    """Nothing is written for it where defects are looked for."""
    log = Path(host_stderr(str(served.home), "mcp"))
    before = log.stat().st_size
    for _ in range(3):
        with guest_of(served):
            pass
    with guest_of(served) as other:
        other.begin()
    assert log.stat().st_size == before
