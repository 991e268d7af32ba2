"""`runcept mcp` between a client and a stand-in for the host: what it passes on, and what if the host ends."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.e2e.conftest import BIN, Project, fresh_project
from tests.support import running, wait_until

from runcept.paths import socket_path

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
_SECONDS = 20.0


def call(number: int | str, method: str = "tools/list", **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def answer(number: int | str, **result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "result": result}


class Lines:
    """Whole lines from a descriptor, with a bound on how long one waits for them."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._data = b""

    def next(self) -> bytes:
        """The next line with its end; empty at the end of the stream."""
        deadline = time.monotonic() + _SECONDS
        while b"\n" not in self._data:
            assert self.is_ready(deadline - time.monotonic()), "no line came"
            data = os.read(self._descriptor, 1 << 20)
            if not data:
                return b""
            self._data += data
        line, _, self._data = self._data.partition(b"\n")
        return line + b"\n"

    def is_ready(self, seconds: float = 0.0) -> bool:
        return bool(self._data) or bool(select.select([self._descriptor], [], [], max(seconds, 0.0))[0])


class Guest:
    """One relay, as the host sees it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._lines = Lines(connection.fileno())
        self.hello = self.hear()

    def hear_raw(self) -> bytes:
        return self._lines.next()

    def hear(self) -> Any:
        return json.loads(self.hear_raw())

    def say(self, *messages: dict[str, Any]) -> None:
        self.connection.sendall(b"".join(json.dumps(each).encode() + b"\n" for each in messages))

    def hang_up(self) -> None:
        self.connection.close()


class Host:
    """A stand-in: it listens where a host does, and says what the test says."""

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o700, exist_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(socket_path(str(home), "mcp"))
        self._listener.listen()
        self._listener.settimeout(_SECONDS)
        self._guests: list[Guest] = []

    def guest(self) -> Guest:
        """The next relay that comes, or comes again."""
        found = Guest(self._listener.accept()[0])
        self._guests.append(found)
        return found

    def close(self) -> None:
        self._listener.close()
        for each in self._guests:
            each.hang_up()


class Client:
    """One relay, as its client sees it."""

    def __init__(self, project: Project, *arguments: str, **changes: Any) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed with the client
        settings: dict[str, Any] = {"cwd": project.path, "env": project.environ, **changes}
        command = [BIN / "runcept", *arguments, "mcp"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self._errors, bufsize=0, **settings)
        assert self.process.stdout is not None
        self._lines = Lines(self.process.stdout.fileno())

    def say_raw(self, data: bytes) -> None:
        assert self.process.stdin is not None
        while data:
            data = data[self.process.stdin.write(data) :]

    def say(self, *messages: dict[str, Any]) -> None:
        self.say_raw(b"".join(json.dumps(each).encode() + b"\n" for each in messages))

    def hear_raw(self) -> bytes:
        return self._lines.next()

    def hear(self) -> Any:
        return json.loads(self.hear_raw())

    def heard_nothing(self) -> bool:
        return not self._lines.is_ready()

    def close_input(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def status(self) -> int:
        return self.process.wait(_SECONDS)

    def errors(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self._errors):
            if stream is not None:
                stream.close()


@contextmanager
def client_of(project: Project, *arguments: str, **changes: Any) -> Iterator[Client]:
    made = Client(project, *arguments, **changes)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def project() -> Iterator[Project]:
    """With a home in which nothing runs; a host that a relay has started ends with the test."""
    with fresh_project() as made:
        yield made
        for each in hosts(made):
            each.terminate()


def hosts(project: Project) -> list[psutil.Process]:
    return [each for each in project.left_behind() if "runcept.mcp" in each.cmdline()]


@pytest.fixture
def host(project: Project) -> Iterator[Host]:
    made = Host(project.home)
    yield made
    made.close()


@pytest.fixture
def client(project: Project, host: Host) -> Iterator[Client]:
    del host  # it listens
    with client_of(project) as made:
        yield made


def begun(client: Client, host: Host) -> Guest:
    """The handshake is done."""
    guest = host.guest()
    client.say(INITIALIZE)
    assert guest.hear() == INITIALIZE
    guest.say(answer(0, protocolVersion="2025-11-25"))
    assert client.hear()["id"] == 0
    client.say(INITIALIZED)
    assert guest.hear() == INITIALIZED
    return guest


# ----------------------------------------------------------------------------------------------- passing on


def test_it_says_first_where_its_client_works(project: Project, host: Host) -> None:
    """The directory, and the project that was named for it."""
    with client_of(project):
        assert host.guest().hello == {"cwd": str(project.path), "environment": None}
    with client_of(project, "-e", 'ä "shop"'):
        assert host.guest().hello == {"cwd": str(project.path), "environment": 'ä "shop"'}


def test_messages_pass_byte_for_byte(client: Client, host: Host) -> None:
    """In both directions, with their spaces, their escapes and what is no message at all."""
    guest = host.guest()
    lines = [
        b'{"id": 7,\t"method" : "x\\u00e4"}\n',
        '{"method":"ä"}\r\n'.encode(),
        b"garbage\n",
        b"[1, 2]\n",
        b"\xff\xfe\n",
    ]
    client.say_raw(b"".join(lines))
    assert [guest.hear_raw() for _ in lines] == lines
    guest.connection.sendall(b"".join(lines))
    assert [client.hear_raw() for _ in lines] == lines


@pytest.mark.parametrize("seed", range(3))
def test_messages_may_come_in_any_pieces(client: Client, host: Host, seed: int) -> None:
    """A read may end anywhere, in the middle of a character too."""
    guest = host.guest()
    pieces = random.Random(seed)
    texts = ["ä€" * pieces.randint(0, 40) for _ in range(30)]
    lines = [json.dumps(call(n, text=text), ensure_ascii=False).encode() + b"\n" for n, text in enumerate(texts)]
    data = b"".join(lines)
    while data:
        size = pieces.choice([1, 2, 7, 500])
        client.say_raw(data[:size])
        guest.connection.sendall(data[:size])
        data = data[size:]
    assert [guest.hear_raw() for _ in lines] == lines
    assert [client.hear_raw() for _ in lines] == lines


def test_blank_lines_are_no_messages(client: Client, host: Host) -> None:
    """Nobody is told of them."""
    guest = host.guest()
    client.say_raw(b"\n  \r\n")
    client.say(call(1))
    assert guest.hear() == call(1)


def test_a_message_of_2_mb(client: Client, host: Host) -> None:
    """There and back."""
    guest = host.guest()
    large = call(1, text="x" * (2 << 20))
    client.say(large)
    assert guest.hear() == large
    guest.say(answer(1, text="y" * (2 << 20)))
    assert len(client.hear()["result"]["text"]) == 2 << 20


def test_requests_of_the_server_and_their_answers_pass(client: Client, host: Host) -> None:
    """Also with an id that the client uses itself."""
    guest = begun(client, host)
    client.say(call(1))
    guest.hear()
    guest.say(call(1, "elicitation/create"))
    assert client.hear() == call(1, "elicitation/create")
    client.say(answer(1, action="accept"))
    assert guest.hear() == answer(1, action="accept")
    guest.hang_up()
    assert client.hear()["id"] == 1, "the client's own request is still without an answer"


def test_a_message_that_is_too_long_ends_it(client: Client, host: Host) -> None:
    """It says so on stderr, and takes no more memory than that."""
    host.guest()
    with pytest.raises(BrokenPipeError):
        client.say_raw(b"x" * (40 << 20))
    assert client.status() == 1
    assert client.errors() == "runcept: a message is longer than 16777216 bytes\n"


# ---------------------------------------------------------------------------------------------- the host ends


def test_calls_in_flight_fail_when_the_host_ends(client: Client, host: Host) -> None:
    """Each once, saying that it may have been done; what was answered already does not."""
    guest = begun(client, host)
    client.say(call(1), call("two"), call(3))
    assert [guest.hear()["id"] for _ in range(3)] == [1, "two", 3]
    guest.say(answer(3))
    assert client.hear() == answer(3)
    guest.hang_up()
    told = [client.hear() for _ in range(2)]
    assert sorted(str(each["id"]) for each in told) == ["1", "two"]
    assert {each["error"]["code"] for each in told} == {-32000}
    assert "may have been done" in told[0]["error"]["message"]
    next_guest = host.guest()
    assert next_guest.hear()["method"] == "initialize"
    assert client.heard_nothing()


def test_the_next_host_hears_what_the_client_said_to_begin_with(client: Client, host: Host) -> None:
    """Its handshake and the subscriptions that it did not take back; what that host answers is not passed on."""
    guest = begun(client, host)
    subscribed = [call(each, "resources/subscribe", uri=f"runcept://{each}") for each in ("a", "b", "c")]
    client.say(*subscribed, call("d", "resources/unsubscribe", uri="runcept://b"))
    for number in ("a", "b", "c", "d"):
        assert guest.hear()["id"] == number
        guest.say(answer(number))
        client.hear()
    for _ in range(2):  # the one after the next hears the same
        guest.hang_up()
        guest = host.guest()
        assert guest.hello["cwd"]
        replayed = [guest.hear() for _ in range(4)]
        assert [each["method"] for each in replayed] == [
            *("initialize", "notifications/initialized", "resources/subscribe", "resources/subscribe"),
        ]
        assert replayed[0]["params"] == INITIALIZE["params"]
        assert [each["params"]["uri"] for each in replayed[2:]] == ["runcept://a", "runcept://c"]
        asked = [each["id"] for each in replayed if "id" in each]
        assert len(set(asked)) == 3
        assert not set(asked) & {0, "a", "b", "c", "d"}
        guest.say(*map(answer, asked))
        guest.say({"jsonrpc": "2.0", "id": asked[-1], "error": {"code": -32002, "message": "gone"}})
    client.say(call(9))
    assert guest.hear() == call(9)
    guest.say(answer(9))
    assert client.hear() == answer(9), "the first that the client hears since"


def test_what_a_host_has_not_said_a_word_about_is_asked_of_the_next(client: Client, host: Host) -> None:
    """One that is being killed listens for a moment longer than it serves. Not for ever: the fourth is an error."""

    def asked(guest: Guest, number: int) -> Guest:
        while guest.hear() != call(number):  # what is said again comes first
            pass
        return guest

    begun(client, host).hang_up()
    dying = host.guest()
    client.say(call(1))
    for _ in range(2):
        asked(dying, 1).hang_up()
        dying = host.guest()
    asked(dying, 1).say(answer(1))
    assert client.hear() == answer(1)
    dying.hang_up()
    dying = host.guest()
    client.say(call(2))
    for _ in range(4):
        asked(dying, 2).hang_up()
        dying = host.guest()
    assert client.hear()["error"]["code"] == -32000
    assert client.heard_nothing()


def test_a_host_that_ends_between_two_calls_is_not_noticed(client: Client, host: Host) -> None:
    """Nothing was in flight, so there is nothing to say."""
    guest = begun(client, host)
    guest.hang_up()
    guest = host.guest()
    replayed = [guest.hear(), guest.hear()]
    guest.say(answer(replayed[0]["id"]))
    client.say(call(1))
    assert guest.hear() == call(1)
    guest.say(answer(1))
    assert client.hear() == answer(1)


def test_a_handshake_that_was_not_answered_is_asked_again(client: Client, host: Host) -> None:
    """The client waits for one answer and gets one, from the next host."""
    guest = host.guest()
    client.say(INITIALIZE)
    assert guest.hear() == INITIALIZE
    guest.hang_up()
    guest = host.guest()
    assert guest.hear() == INITIALIZE
    guest.say(answer(0, protocolVersion="2025-11-25"))
    assert client.hear()["id"] == 0
    client.say(INITIALIZED)
    assert guest.hear() == INITIALIZED
    assert client.heard_nothing()


def test_a_handshake_is_asked_again_whatever_was_answered_meanwhile(client: Client, host: Host) -> None:
    """An answer to something else does not stand for its own."""
    guest = host.guest()
    client.say(INITIALIZE)
    client.say_raw(b"garbage\n")
    guest.hear_raw()
    guest.hear_raw()
    guest.say({"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "This is not JSON."}})
    assert client.hear()["id"] is None
    guest.hang_up()
    assert host.guest().hear() == INITIALIZE


def test_a_call_that_was_cancelled_is_not_answered(client: Client, host: Host) -> None:
    """Not by a host, and not by the end of it."""
    guest = begun(client, host)
    client.say(call(1), call(2), {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
    for _ in range(3):
        guest.hear()
    guest.hang_up()
    assert client.hear()["id"] == 2
    host.guest()
    assert client.heard_nothing()


@pytest.mark.parametrize(
    "method", ["resources/subscribe", "resources/unsubscribe", "notifications/cancelled", "initialize"]
)
@pytest.mark.parametrize("params", [[1], "x", 5, None, {"uri": [1]}, {"requestId": [1]}, {"requestId": {}}])
def test_parameters_of_any_kind_are_the_hosts_to_refuse(client: Client, host: Host, method: str, params: Any) -> None:
    """The relay looks at them and lives."""
    guest = host.guest()
    odd = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    client.say(odd, call(2))
    assert [guest.hear(), guest.hear()] == [odd, call(2)]
    guest.say(answer(2))
    assert client.hear() == answer(2)


def test_a_host_that_is_gone_is_replaced_by_a_real_one(project: Project, host: Host) -> None:
    """The relay starts it, and the call that comes then is answered."""
    with client_of(project) as client:
        guest = begun(client, host)
        host.close()
        guest.hang_up()
        client.say(call(5, "tools/list"))
        found = client.hear()
        if "error" in found:  # it was on its way to the host that ended
            assert found["error"]["code"] == -32000
            client.say(call(6, "tools/list"))
            found = client.hear()
        assert len(found["result"]["tools"]) == 15


def test_a_host_that_cannot_start_is_told_with_its_last_line(project: Project, tmp_path: Path) -> None:
    """To each call, in an error; and the relay goes on, for it may be mended."""
    (tmp_path / "anyio.py").write_text("raise ImportError('no room on this machine')\n")
    with client_of(project, env=project.environ | {"PYTHONPATH": str(tmp_path)}) as client:
        client.say(INITIALIZE)
        told = client.hear()
        assert told["id"] == 0
        assert told["error"]["code"] == -32001
        assert told["error"]["message"] == ("Runcept's MCP host could not start: ImportError: no room on this machine")
        client.say(call(1))
        assert client.hear()["id"] == 1
        (tmp_path / "anyio.py").unlink()
        client.say(INITIALIZE | {"id": 2})
        assert client.hear()["result"]["serverInfo"]["name"] == "runcept"


def test_a_home_that_cannot_be_used_is_told(project: Project) -> None:
    """With what can be done about it."""
    project.home.mkdir(mode=0o777)
    project.home.chmod(0o777)
    with client_of(project) as client:
        client.say(INITIALIZE)
        message = client.hear()["error"]["message"]
        assert str(project.home) in message
        assert message.endswith(f"chmod 700 {project.home}")
    project.home.chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_the_socket_of_another_user_is_refused(project: Project) -> None:
    """Not a byte is said to who listens there; a host of our own takes its place."""
    project.home.mkdir(mode=0o700)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(socket_path(str(project.home), "mcp"))
    stranger = (
        "import os, socket, sys\n"
        "os.setuid(65534)\n"
        "listener = socket.socket(fileno=int(sys.argv[1]))\n"
        "listener.listen()\n"
        "print('listens', flush=True)\n"
        "print(listener.accept()[0].recv(100), flush=True)\n"
    )
    fds = {"pass_fds": [listener.fileno()]}
    command = [sys.executable, "-c", stranger, str(listener.fileno())]
    with listener, running(command, stdout=subprocess.PIPE, **fds) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "listens\n"
        with client_of(project) as client:
            client.say(INITIALIZE)
            assert client.hear()["result"]["serverInfo"]["name"] == "runcept"
        assert process.stdout.readline() == "b''\n"


# --------------------------------------------------------------------------------------------- the client ends


def test_it_ends_when_its_client_closes_its_input(client: Client, host: Host) -> None:
    """With status 0, without a word, and the host hears of it."""
    guest = begun(client, host)
    client.close_input()
    assert client.status() == 0
    assert guest.hear_raw() == b""
    assert client.errors() == ""


def test_it_ends_when_nobody_reads_its_output(project: Project, host: Host) -> None:
    """Without a traceback."""
    with client_of(project) as client:
        guest = begun(client, host)
        assert client.process.stdout is not None
        client.process.stdout.close()
        guest.say(answer(5))
        assert client.status() == 0
        assert client.errors() == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_quietly(client: Client, host: Host, number: signal.Signals) -> None:
    """As clients do that are in a hurry."""
    guest = begun(client, host)
    client.process.send_signal(number)
    assert client.status() in {0, -number}
    assert guest.hear_raw() == b""
    assert client.errors() == ""


# ------------------------------------------------------------------------------------------------------ costs


def test_what_it_costs(project: Project, host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """It is there in less than three times what a bare interpreter takes, and holds less than 15 MiB."""

    def until_it_speaks() -> float:
        started = time.monotonic()
        with client_of(project):
            host.guest()
            return time.monotonic() - started

    def bare() -> float:
        started = time.monotonic()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        return time.monotonic() - started

    rounds = [(until_it_speaks(), bare()) for _ in range(12)]
    relay, interpreter = (min(column) for column in zip(*rounds, strict=True))
    with client_of(project) as client:
        begun(client, host)
        memory = psutil.Process(client.process.pid).memory_info().rss / (1 << 20)
    with capsys.disabled():
        sys.stdout.write(
            f" [relay {relay * 1000:.0f} ms, interpreter {interpreter * 1000:.0f} ms, "
            f"ratio {relay / interpreter:.1f}, {memory:.1f} MiB]"
        )
    assert relay < 8 * interpreter
    assert memory < 20


def test_a_relay_that_waits_does_nothing(client: Client, host: Host) -> None:
    """It does not look again and again."""
    begun(client, host)
    process = psutil.Process(client.process.pid)
    before = process.cpu_times()
    switches = process.num_ctx_switches().voluntary
    client.say(call(1))
    wait_until(lambda: process.num_ctx_switches().voluntary > switches, what="the relay's turn")
    after = process.cpu_times()
    assert after.user + after.system - before.user - before.system < 0.5
