"""Daemon, keeper or both stand still for a while (SIGSTOP): that is held against nobody, and then all goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from tests.chaos.ledger import Ledger
from tests.chaos.stage import Stage, is_alive
from tests.support import wait_until

from runcept.api import messages as m
from runcept.client.connection import Connection
from runcept.paths import database

soon = partial(wait_until, seconds=30)
POLITE = "command = \"trap 'echo goodbye; exit 7' TERM; echo up; while :; do sleep 0.05; done\""
STUBBORN = 'command = "trap : TERM; echo up; while :; do sleep 0.05; done"'


def one(stage: Stage, text: str, project: str = "") -> None:
    stage.write_file(f'[project]\nname = "p"\n{project}\n[[process]]\nname = "web"\n{text}\n')


@contextlib.contextmanager
def suspended(pids: list[int]) -> Iterator[None]:
    """They stand still within the `with`."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def until(instant: float) -> None:
    """Time is what these tests are about: it has to pass."""
    soon(lambda: time.monotonic() >= instant)


def events(stage: Stage) -> list[str]:
    """The kinds of the history so far."""
    connection = sqlite3.connect(database(stage.home))
    try:
        return [kind for (kind,) in connection.execute("SELECT kind FROM events ORDER BY id")]
    finally:
        connection.close()


def who(stage: Stage, name: str) -> list[int]:
    return [*(stage.daemons() if name != "keeper" else []), *(stage.keepers() if name != "daemon" else [])]


def state(stage: Stage) -> str:
    """Without counting as activity."""
    (view,) = stage.ask("ps").processes
    return str(view.state)


@pytest.mark.parametrize("name", ["daemon", "keeper", "both"])
def test_a_grace_ends_when_they_go_on(stage: Stage, name: str) -> None:
    """It is not cut short; what is left when it is over is killed."""
    one(stage, f'{STUBBORN}\nstop_timeout = "3s"')
    pid = stage.ask_for("start", "web").processes[0].pid
    soon(lambda: stage.messages("web"))
    begun = time.monotonic()
    stage.ask_for("stop", "web", wait=False)
    assert state(stage) == "stopping"
    with suspended(who(stage, name)):
        soon(lambda: not is_alive(pid) or time.monotonic() >= begun + 5)
        assert time.monotonic() >= begun + 3
        until(begun + 5)
    soon(lambda: not is_alive(pid))
    soon(lambda: state(stage) == "stopped")
    assert stage.statuses()["web"].exit_signal == "SIGKILL"


@pytest.mark.parametrize("name", ["daemon", "keeper", "both"])
def test_what_ends_in_time_while_they_are_suspended_was_not_killed(stage: Stage, name: str) -> None:
    """Its exit status and its last line are told."""
    one(stage, f'{POLITE}\nstop_timeout = "1s"')
    pid = stage.ask_for("start", "web").processes[0].pid
    soon(lambda: stage.messages("web"))
    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(stage.ask_for, "stop", "web")
        soon(lambda: state(stage) != "running")
        with suspended(who(stage, name)):
            until(time.monotonic() + 2)
            assert not is_alive(pid)
        assert stopping.result().ok
    view = stage.statuses()["web"]
    assert (view.exit_code, view.exit_signal) == (7, None)
    assert stage.messages("web") == ["up", "goodbye"]


def test_a_suspended_keeper_keeps_no_signal_from_a_process(stage: Stage) -> None:
    """It is told to end, and has the rest of its grace for that."""
    one(stage, f'{POLITE}\nstop_timeout = "5s"')
    pid = stage.ask_for("start", "web").processes[0].pid
    soon(lambda: stage.messages("web"))
    with suspended(stage.keepers()):
        stage.ask_for("stop", "web", wait=False)
        begun = time.monotonic()
        soon(lambda: not is_alive(pid))
        assert time.monotonic() - begun < 4
    soon(lambda: state(stage) == "stopped")
    assert stage.statuses()["web"].exit_code == 7
    assert stage.messages("web") == ["up", "goodbye"]


@pytest.mark.parametrize("name", ["daemon", "keeper", "both"])
def test_a_back_off_that_comes_due_meanwhile_starts_one(stage: Stage, name: str) -> None:
    """However long ago it was."""
    stage.write({"quits": 'restart = "on-failure"\nrestart_delay = "1s"\nmax_restarts = 1'})
    stage.ask_for("activate", wait=False)
    soon(lambda: stage.statuses()["quits"].state == "backoff")
    with suspended(who(stage, name)):
        until(time.monotonic() + 3)
        assert len(Ledger(stage).journal()) == 1
    soon(lambda: stage.statuses()["quits"].state == "failed")
    assert [(entry.what, entry.run) for entry in Ledger(stage).journal()] == [("began", 1), ("began", 2)]


def test_a_probe_whose_time_ran_out_for_us_is_no_failure(stage: Stage) -> None:
    """It is asked again; one failure would be enough to be unhealthy."""
    check = 'url = "cmd://echo >> probes; sleep 0.5", interval = "100ms", timeout = "1s", retries = 1'
    one(stage, f'command = ["sleep", "1000"]\nhealth_check = {{{check}}}')
    stage.ask_for("start", "web")
    probes = stage.project / "probes"
    size = probes.stat().st_size
    soon(lambda: probes.stat().st_size > size)
    with suspended(stage.daemons()):
        size = probes.stat().st_size
        until(time.monotonic() + 2.5)
    soon(lambda: probes.stat().st_size >= size + 2)
    assert stage.statuses()["web"].health == "healthy"
    assert "unhealthy" not in events(stage)


def test_a_line_that_was_written_meanwhile_makes_ready(stage: Stage) -> None:
    """It was there before the start period was over, though nobody had looked."""
    check = 'url = "log://ready", start_period = "1500ms"'
    one(
        stage,
        f'command = "until [ -e go ]; do sleep 0.02; done; echo ready; exec sleep 1000"\nhealth_check = {{{check}}}',
    )
    begun = time.monotonic()
    stage.ask_for("activate", wait=False)
    soon(lambda: stage.statuses()["web"].pid)
    with suspended(stage.daemons()):
        (stage.project / "go").touch()
        until(begun + 4)
    soon(lambda: stage.statuses()["web"].state == "running")
    assert stage.statuses()["web"].health == "healthy"
    assert "unhealthy" not in events(stage)


def test_a_request_that_was_sent_meanwhile_counts_against_inactivity(stage: Stage) -> None:
    """Nothing is stopped under the hands of who has just asked."""
    one(stage, 'command = ["sleep", "1000"]', 'inactivity_timeout = "5s"')
    pid = stage.ask_for("start", "web").processes[0].pid
    begun = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        with suspended(stage.daemons()), Connection(stage.home) as connection:
            asked = pool.submit(connection.call, "status", m.Status(environment=str(stage.project)))
            until(begun + 6)
            for daemon in stage.daemons():
                os.kill(daemon, signal.SIGCONT)
            assert [view.state for view in asked.result().processes] == ["running"]
        until(time.monotonic() + 1)
    assert is_alive(pid)
    assert "inactivity_stop" not in events(stage)
    soon(lambda: not is_alive(pid))  # once that was long enough ago as well


def test_what_is_unused_all_the_while_is_stopped_when_the_daemon_goes_on(stage: Stage) -> None:
    """The time of others goes on while it stands still."""
    one(stage, 'command = ["sleep", "1000"]', 'inactivity_timeout = "3s"')
    pid = stage.ask_for("start", "web").processes[0].pid
    with suspended(stage.daemons()):
        until(time.monotonic() + 4)
        assert is_alive(pid)
    soon(lambda: not is_alive(pid))


@pytest.mark.parametrize("name", ["daemon", "keeper", "both"])
def test_no_line_is_lost_or_doubled(stage: Stage, name: str) -> None:
    """A storm that has to wait meanwhile, and goes on."""
    stage.write({"storm": "", "steady": ""})
    stage.ask_for("activate")
    soon(lambda: stage.messages("steady"))
    with suspended(who(stage, name)):
        until(time.monotonic() + 2)
    known = len(stage.messages("steady"))
    soon(lambda: len(stage.messages("steady")) > known)
    assert stage.ask_for("deactivate").ok
    assert stage.end()
    verdict = Ledger(stage).judge()
    assert verdict.wrong == {}
    assert verdict.runs == 2
