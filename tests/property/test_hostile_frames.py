"""Any bytes, and any message that is nearly right, on both sockets: an answer or an end, and never a crash."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.chaos.stage import Stage

from runcept.api.codec import FRAME_MAX, decode_reply, decode_request, encode_error, encode_result
from runcept.api.operations import OPERATIONS
from runcept.core.printable import printable
from runcept.core.secrets import mask, secret_values
from runcept.errors import BadRequest
from runcept.keeper.loop import Keeper
from runcept.keeper.system import Portable
from runcept.keeper.wire import Wire

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(["", "web", "/", "../x", "\0", "\n", "\ud800", "x" * 300, "/nowhere", "cli"])
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = sorted({field for operation in OPERATIONS.values() for field in operation.params.__struct_fields__})
PARAMS = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), ANYTHING, max_size=6) | ANYTHING
METHODS = st.sampled_from([name for name in OPERATIONS if name != "daemon_stop"]) | st.text(max_size=10)
REQUESTS = st.fixed_dictionaries(
    {}, optional={"jsonrpc": ANYTHING, "id": st.integers(0, 9) | ANYTHING, "method": METHODS, "params": PARAMS}
)
WAITING = {name for name, operation in OPERATIONS.items() if "timeout" in operation.params.__struct_fields__}


def at_once(message: dict[str, Any]) -> dict[str, Any]:
    """What could be a request that waits does not: it would be answered in its time, and that is a minute or more."""
    params = message.get("params", {})
    if message.get("method") not in WAITING or not isinstance(params, dict):
        return message
    timeout = params.get("timeout", 60)
    is_long = isinstance(timeout, int | float) and timeout > 1
    return message | {"params": params | {"timeout": 0}} if is_long else message


LINES = st.binary(max_size=200).map(lambda data: data.replace(b"\n", b"")) | REQUESTS.map(
    lambda message: json.dumps(at_once(message)).encode()
)


@given(LINES)
@example(b"[" * 100_000)
@example(b'{"id":1,"method":"status","params":' + b"[" * 100_000)
@example(b'{"id":1180591620717411303424,"method":"daemon_status"}')  # answered with an id that could not be encoded
@example(b'{"id":1,"method":"\xed\xa0\x80"}')
@settings(max_examples=400, deadline=None)
def test_a_line_is_a_request_or_refused(line: bytes) -> None:
    """Whatever is taken can be answered; its parameters are of the operation's type, or refused."""
    try:
        request = decode_request(line)
    except BadRequest as error:
        encode_error(None, error)
        return
    encode_result(request.id, {})
    if operation := OPERATIONS.get(request.method):
        with contextlib.suppress(msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            msgspec.json.decode(request.params, type=operation.params)


@given(LINES)
@example(b"[" * 100_000)
@settings(max_examples=100, deadline=None)
def test_a_line_of_the_daemon_is_a_reply_or_refused(line: bytes) -> None:
    """A client that reached something else says so."""
    with contextlib.suppress(BadRequest):
        decode_reply(line)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """A daemon for all examples."""
    with tempfile.TemporaryDirectory(prefix="runcept-test-") as directory:
        made = Stage(Path(os.path.realpath(directory)))
        made.write_file('[project]\nname = "p"\n[[process]]\nname = "web"\ncommand = ["sleep", "1000"]\n')
        made.ask_for("start", "web")
        yield made
        assert made.end()


@given(lines=st.lists(LINES, max_size=8))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_daemon_answers_each_line_and_lives(stage: Stage, lines: list[bytes]) -> None:
    """Once, with a result or an error of ours; only one that says "internal error" would be a defect."""
    project = json.dumps(str(stage.project)).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(f"{stage.home}/daemon.sock")
        sent = [line.replace(b'"/"', project) for line in lines]
        connection.sendall(b"".join(line + b"\n" for line in [*sent, b'{"id":"last","method":"daemon_status"}']))
        answers = 0
        with connection.makefile("rb") as incoming:
            while answers <= len(lines):
                message = json.loads(incoming.readline(FRAME_MAX))
                if "method" not in message:
                    answers += 1
                    assert "internal error" not in str(message.get("error")), (message, sent)


@given(st.lists(st.binary(max_size=100) | LINES.map(lambda line: line + b"\n"), max_size=6))
@example([b"[" * 100_000 + b"\n"])
@example([b"1" * 5000 + b"\n"])
@example([b"\xff\n"])
@example([b'{"op":"hello"}', b"\n"])
@settings(max_examples=200, deadline=None)
def test_what_arrives_at_the_keeper_is_messages_or_the_end(chunks: list[bytes]) -> None:
    """In whatever pieces it arrives."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire = Wire(ours)
        for chunk in chunks:
            theirs.sendall(chunk)
            if chunk:
                assert all(isinstance(message, dict) for message in wire.receive())
        wire.send({"any": "\ud800"})
        wire.flush()


OPS = st.sampled_from(["hello", "adopt", "signal", "consumed", "release", "goodbye", "spawn"]) | ANYTHING
KEEPER_FIELDS = {
    "key": st.sampled_from(["run", "other"]) | ANYTHING,
    "directory": st.sampled_from(["{new}", "\0", "/"]) | SCALARS,
    "argv": st.sampled_from([["true"], [], ["\0"], ["no such program"]]) | ANYTHING,
    "env": st.sampled_from([{}, {"A": "b"}, {"": ""}, {"A=": "\0"}]) | ANYTHING,
    "cwd": st.just("/") | SCALARS,
    "pid": st.sampled_from([0, -1, 1, 2**22 + 1]) | ANYTHING,
    "start_time": ANYTHING,
    "signal": st.sampled_from([0, 15, 65, -1]) | ANYTHING,
    "to": st.sampled_from(["group", "process"]) | ANYTHING,
    "offset": ANYTHING,
    "restart": ANYTHING,
    "umask": ANYTHING,
    "meta": ANYTHING,
}


@contextlib.contextmanager
def _within(directory: str) -> Iterator[None]:
    """Work there: a run may be asked for in a directory of any name, and not all names begin with a slash."""
    os.mkdir(directory)
    with contextlib.chdir(directory):
        yield


@given(st.lists(st.fixed_dictionaries({"op": OPS}, optional=KEEPER_FIELDS), max_size=8))
@example([{"op": "spawn", "key": "other", "directory": "here", "argv": ["true"], "env": {}, "cwd": "/"}])
@example([{"op": "consumed", "key": "run", "offset": "x"}])  # ended the keeper when the run wrote something
@example([{"op": "spawn", "key": ["x"], "directory": "{new}", "argv": ["true"], "env": {}, "cwd": "/"}])  # was lost
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_the_keeper_is_asked_it_goes_on_with_what_it_holds(messages: list[dict[str, Any]]) -> None:
    """An answer or an error; then what is held is read, looked at and told as ever."""
    with tempfile.TemporaryDirectory(prefix="runcept-test-") as home, _within(f"{home}/here"):
        lock = os.open(home, os.O_RDONLY)
        keeper = Keeper(home, lock, Portable(), 1 << 20, 10)
        ours, theirs = socket.socketpair()
        keeper.wire = Wire(ours)
        keeper.control.register(ours, 1, keeper._listen)
        number = 0

        def ask(message: dict[str, Any]) -> None:
            nonlocal number
            number += 1
            directory = message.get("directory")
            is_away = isinstance(directory, str) and (directory == "{new}" or directory.startswith("/"))
            new = {"directory": f"{home}/{number}"} if is_away else {}
            theirs.sendall(json.dumps(message | new | {"id": number}).encode() + b"\n")
            keeper._listen()
            keeper._catch_up(0.0)
            keeper._flush()

        try:
            argv = ["sleep", "100"]  # ends by itself, should this worker be killed
            ask({"op": "spawn", "key": "run", "directory": "{new}", "argv": argv, "env": {}, "cwd": "/"})
            first = keeper.runs["run"]
            others = {child.pid for child in psutil.Process().children()} - {first.pid}
            for message in messages:
                ask(message)
                if keeper.wire is None:
                    break
            for run in list(keeper.runs.values()):
                keeper._save(run)
                keeper._check(run)
            held = {run.pid for run in (first, *keeper.runs.values())}
            assert {child.pid for child in psutil.Process().children()} - others <= held, "nobody holds it"
        finally:
            for run in {first, *keeper.runs.values()}:
                if run.own and run.pid > 1:
                    for kill in (
                        os.killpg,
                        os.kill,
                    ):  # a fork that has not got to its session yet is in no group of its own
                        with contextlib.suppress(OSError):
                            kill(run.pid, 9)
                run.close()
            theirs.close()
            ours.close()
            keeper.control.close()
            keeper.pipes.close()
            os.close(lock)


ENVIRONS = st.dictionaries(st.sampled_from(["API_KEY", "PASSWORD", "URL", "A"]), st.text(max_size=40))


@given(st.text(max_size=200), ENVIRONS)
@example('login --password "x y"z', {})
@settings(max_examples=300, deadline=None)
def test_no_known_secret_is_left_in_a_text(text: str, environ: dict[str, str]) -> None:
    """Wherever in it they stand; and the width is kept where it is asked for."""
    values = secret_values(environ)
    text = f"{text} {' '.join(values)}{text}"
    assert not [value for value in values if value in mask(text, values) and not set(value) <= {"*"}]
    assert len(mask(text, values, keep_width=True)) == len(text)


@given(st.text(max_size=80), st.booleans())
@settings(max_examples=300, deadline=None)
def test_what_is_printable_stays_so(text: str, color: bool) -> None:
    """One line, nothing that acts; and nothing changes when it is made printable again."""
    shown = printable(text, color=color)
    assert "\n" not in shown
    assert printable(shown, color=False) == printable(printable(shown, color=False), color=False)
    controls = {chr(number) for number in (*range(9), *range(10, 32), *range(127, 160))}
    assert not set(printable(text, color=False)) & controls
