"""One instance at most, whoever asks for what at the same time, and everybody is told the truth."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.chaos.ledger import Ledger
from tests.chaos.stage import Stage, is_alive
from tests.support import wait_until

from runcept.api import messages as m
from runcept.client.connection import Connection
from runcept.errors import DaemonUnreachable, RemoteError


def at_once(stage: Stage, *requests: str) -> list[Any]:
    """Ask for all of these on `steady` at the same time, and wait for all answers."""
    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(lambda method: stage.ask_for(method, "steady"), requests))


def began(stage: Stage) -> int:
    """How many processes began; that two of them never lived at once each of them has found out by itself."""
    journal = Ledger(stage).journal()
    assert not [entry for entry in journal if entry.what == "double"]
    return len([entry for entry in journal if entry.what == "began"])


def test_twenty_starts_at_once_start_one(stage: Stage) -> None:
    """And all twenty are told that it runs, with the same pid."""
    stage.write({"steady": ""})
    answers = at_once(stage, *["start"] * 20)
    assert all(answer.ok for answer in answers)
    assert len({answer.processes[0].pid for answer in answers}) == 1
    assert began(stage) == 1


def test_five_restarts_at_once_leave_one(stage: Stage) -> None:
    """All five are answered once it runs anew."""
    stage.write({"steady": ""})
    first = stage.ask_for("start", "steady").processes[0]
    answers = at_once(stage, *["restart"] * 5)
    assert all(answer.ok for answer in answers)
    assert all(answer.processes[0].run > first.run for answer in answers)
    wait_until(lambda: stage.statuses()["steady"].state == "running")
    view = stage.statuses()["steady"]
    assert [entry.pid for entry in Ledger(stage).journal() if entry.is_alive()] == [view.pid]
    assert 2 <= began(stage) <= view.run  # one that was stopped in its first moments may have said nothing


def test_restart_and_stop_at_once_end_in_one_of_both(stage: Stage) -> None:
    """Ten times: it runs, or it is stopped; what is told is what is."""
    stage.write({"steady": ""})
    stage.ask_for("start", "steady")
    for _ in range(10):
        at_once(stage, "restart", "stop")
        view = stage.statuses()["steady"]
        living = [entry.pid for entry in Ledger(stage).journal() if entry.is_alive()]
        assert (view.state, living) in [("running", [view.pid]), ("stopped", [])]
    began(stage)


def test_stop_ends_a_back_off(stage: Stage) -> None:
    """It is not started again when the pause is over: the next start is run 2, and somebody's."""
    stage.write({"quits": 'restart = "on-failure"\nrestart_delay = "300ms"\nrestart_max_delay = "300ms"'})
    stage.ask_for("start", "quits", wait=False)
    wait_until(lambda: stage.statuses()["quits"].state == "backoff")
    assert stage.ask_for("stop", "quits").ok
    stage.ask_for("start", "quits", wait=False)
    wait_until(lambda: began(stage) == 2)
    assert stage.statuses()["quits"].run == 2


def test_stop_reaches_what_waits_for_a_dependency(stage: Stage) -> None:
    """It never begins, also when the dependency is ready later; who waits for its start is told."""
    stage.write({"steady": 'health_check = "cmd://test -e go"', "client": 'depends_on = ["steady"]'})
    with ThreadPoolExecutor(1) as pool:
        start = pool.submit(stage.ask_for, "start", "client")
        wait_until(lambda: stage.statuses()["client"].state == "pending")
        assert stage.ask_for("stop", "client").ok
        (stage.project / "go").touch()
        answer = start.result()
    assert not answer.ok
    assert {view.name: view.state for view in answer.processes}["client"] == "stopped"
    wait_until(lambda: Ledger(stage).journal())
    assert {entry.name for entry in Ledger(stage).journal()} == {"steady"}


def test_stop_reaches_what_is_being_started(stage: Stage) -> None:
    """Twenty times, at once after the start was asked for: nothing is left, whether it had begun or not."""
    stage.write({"steady": ""})
    for _ in range(20):
        stage.ask_for("start", "steady", wait=False)
        assert stage.ask_for("stop", "steady").ok
        assert not [entry for entry in Ledger(stage).journal() if entry.is_alive()]
    began(stage)


SLOW = """stop_timeout = "20s"
command = "trap 'while [ ! -e go ]; do sleep 0.02; done; exit' TERM; touch up; while :; do sleep 0.02; done"
"""


@pytest.fixture
def leaving(stage: Stage) -> Iterator[Stage]:
    """A stage whose daemon is about to end, and waits for `slow`, which ends once there is a file `go`."""
    stage.write_file(f'[project]\nname = "p"\n[[process]]\nname = "slow"\n{SLOW}')
    stage.ask_for("start", "slow")
    wait_until((stage.project / "up").exists)
    yield stage
    (stage.project / "go").touch()


def test_nothing_is_started_by_a_daemon_that_ends(leaving: Stage) -> None:
    """It would run on with nobody to look after it; who asks is told."""
    other = leaving.project.parent / "other"
    other.mkdir()
    (other / ".runcept.toml").write_text('[project]\nname = "o"\n[[process]]\nname = "web"\ncommand = "sleep 1000"\n')
    (daemon,) = leaving.daemons()
    with ThreadPoolExecutor(1) as pool, Connection(leaving.home) as connection:
        stop = pool.submit(leaving.ask, "daemon_stop", m.StopDaemon())
        wait_until(lambda: leaving.statuses()["slow"].state == "stopping")
        for request in (
            m.Start(environment=str(other), names=["web"]),
            m.Restart(environment=str(other), names=["web"]),
        ):
            with pytest.raises(RemoteError, match="is stopping"):
                connection.call(type(request).__name__.lower(), request)
        with pytest.raises(RemoteError, match="is stopping"):
            connection.call("activate", m.Activate(environment=str(other)))
        (leaving.project / "go").touch()
        assert stop.result().running
    wait_until(lambda: not is_alive(daemon))


def test_an_end_that_was_asked_for_comes_whoever_waits_for_it(leaving: Stage) -> None:
    """Who has asked leaves (a Ctrl-C) while processes take their time: the daemon ends when they have."""
    (daemon,) = leaving.daemons()
    with Connection(leaving.home) as connection, pytest.raises(DaemonUnreachable, match="in time"):
        connection.call("daemon_stop", m.StopDaemon(), patience=0.5)
    assert leaving.statuses()["slow"].state == "stopping"
    (leaving.project / "go").touch()
    wait_until(lambda: not is_alive(daemon))


def test_who_waits_for_what_an_edited_file_drops_is_answered(stage: Stage) -> None:
    """And everybody else goes on."""
    stage.write({"steady": 'health_check = "cmd://test -e go"', "client": 'depends_on = ["steady"]'})
    with ThreadPoolExecutor(1) as pool:
        start = pool.submit(stage.ask_for, "start", "client")
        wait_until(lambda: stage.statuses()["client"].state == "pending")
        stage.write({"steady": 'health_check = "cmd://test -e go"', "other": ""})
        assert stage.ask_for("start", "other").ok
        (stage.project / "go").touch()
        answer = start.result()
    assert not answer.ok
    assert [view.name for view in answer.processes] == ["steady"]
    assert stage.ask_for("deactivate").ok


def test_a_process_that_comes_back_into_the_file_goes_on_counting(stage: Stage) -> None:
    """Its log tells where it was: no two runs have one number."""
    stage.write({"steady": "", "client": ""})
    for _ in range(2):
        stage.ask_for("restart", "client")
    stage.ask_for("stop", "client")
    stage.write({"steady": ""})
    stage.ask_for("restart", "steady")
    stage.write({"steady": "", "client": ""})
    assert stage.ask_for("start", "client").processes[0].run == 3
