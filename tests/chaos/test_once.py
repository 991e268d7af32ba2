"""One instance at most, whoever asks for what at the same time, and everybody is told the truth."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.chaos.ledger import Ledger
from tests.chaos.stage import Stage
from tests.support import wait_until


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
