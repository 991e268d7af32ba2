"""The client's connection, against a daemon that answers from a script over a real socket."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from runcept.api.messages import Activate, DaemonStatus, Environments, NoParams, Outcome, Start
from runcept.client.connection import Connection
from runcept.client.testing import Notify, ScriptedDaemon
from runcept.core.views import ProcessView, State
from runcept.errors import BadRequest, DaemonUnreachable, HomeUnsafe, PortTaken, RemoteError, UsageError
from runcept.paths import ensure_home, socket_path


def view(name: str, state: State) -> ProcessView:
    return ProcessView(environment="/shop", name=name, state=state)


@pytest.fixture
def home(tmp_path: Path) -> str:
    ensure_home(str(tmp_path / "home"))
    return str(tmp_path / "home")


def test_an_answer_has_the_type_that_the_table_of_operations_names(home: str) -> None:
    """No caller takes dictionaries apart."""
    with ScriptedDaemon(home, {"daemon_status": DaemonStatus(running=True, pid=7)}), Connection(home) as connection:
        assert connection.call("daemon_status") == DaemonStatus(running=True, pid=7)


def test_one_connection_takes_one_question_after_another(home: str) -> None:
    """An answer goes to its own question."""
    script = {"environments": {"environments": []}, "daemon_status": {"running": True}}
    with ScriptedDaemon(home, script) as daemon, Connection(home) as connection:
        connection.call("environments", Environments(text="shop"))
        assert connection.call("daemon_status").running
    assert daemon.requests == [
        ("environments", {"actor": "cli", "text": "shop", "active": False, "processes": False}),
        ("daemon_status", {"actor": "cli"}),
    ]


def test_progress_arrives_before_the_answer_and_in_order(home: str) -> None:
    """A board can be drawn from it."""

    def activate(_: object, notify: Notify) -> Outcome:
        notify(view("web", State.STARTING))
        notify(view("web", State.RUNNING))
        return Outcome(environment="/shop", processes=[view("web", State.RUNNING)], ok=True)

    seen: list[State] = []
    with ScriptedDaemon(home, {"activate": activate}), Connection(home) as connection:
        outcome = connection.call("activate", Activate(environment="/shop"), lambda each: seen.append(each.state))
    assert seen == [State.STARTING, State.RUNNING]
    assert outcome.ok


def test_an_error_of_the_daemon_looks_like_the_one_that_was_raised_there(home: str) -> None:
    """Code, words, hint, exit status and facts come through the socket."""
    raised = PortTaken(8000, 4711, "node server.js")

    def start(_: object, __: Notify) -> object:
        raise raised

    with ScriptedDaemon(home, {"start": start}), Connection(home) as connection, pytest.raises(RemoteError) as caught:
        connection.call("start", Start(environment="/shop", names=["web"]))
    assert caught.value.as_dict() == raised.as_dict()
    assert caught.value.exit_status == raised.exit_status


def test_where_nobody_listens_there_is_no_connection(home: str) -> None:
    """Neither without a socket nor with the one that a dead daemon left."""
    assert Connection.if_running(home) is None
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(socket_path(home))
    assert Connection.if_running(home) is None
    with pytest.raises(DaemonUnreachable):
        Connection(home)


def test_a_stale_socket_is_left_for_the_daemon_to_replace(home: str) -> None:
    """Whoever connects cannot know that nobody is about to listen there."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(socket_path(home))
    Connection.if_running(home)
    assert os.path.lexists(socket_path(home))


def test_a_daemon_that_hangs_up_is_told_apart_from_one_that_answers(home: str) -> None:
    """It ended in the middle of a question."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(socket_path(home))
        listener.listen()
        with Connection(home) as connection:
            listener.accept()[0].close()
            with pytest.raises(DaemonUnreachable):
                connection.call("daemon_status")


def test_a_silent_daemon_is_given_up_after_the_patience(home: str) -> None:
    """A command never hangs for ever on a daemon that is stuck."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(socket_path(home))
        listener.listen()
        with Connection(home) as connection, pytest.raises(DaemonUnreachable, match="in time"):
            connection.call("daemon_status", NoParams(), patience=0.05)


def test_an_answer_of_another_shape_is_an_error_of_the_protocol(home: str) -> None:
    """A daemon of another version is not misread."""
    script = {"daemon_status": {"pid": "seven"}}
    with ScriptedDaemon(home, script), Connection(home) as connection, pytest.raises(BadRequest):
        connection.call("daemon_status")


def test_what_json_cannot_carry_is_refused_before_it_is_sent(home: str) -> None:
    """A path need not be UTF-8; a message must."""
    with ScriptedDaemon(home, {}), Connection(home) as connection, pytest.raises(UsageError):
        connection.call("start", Start(environment="/caf\udce9", names=[]))


def test_a_home_that_others_may_write_to_is_not_connected_to(home: str) -> None:
    """Somebody else could have put the socket there."""
    with ScriptedDaemon(home, {}):
        os.chmod(home, 0o777)
        with pytest.raises(HomeUnsafe):
            Connection(home)
        os.chmod(home, 0o700)
