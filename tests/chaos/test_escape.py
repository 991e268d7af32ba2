"""Nothing outlives a stop: what refuses, hides, forks away, or has lost those who knew it."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from tests.chaos.ledger import Ledger
from tests.chaos.stage import Stage, is_alive
from tests.support import wait_until

CHAIN = """
import os, time
while True:
    if os.fork():
        os._exit(0)
    os.setsid()
    with open("chain", "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(0.002)
"""


def one(stage: Stage, text: str) -> None:
    stage.write_file(f'[project]\nname = "p"\n[[process]]\nname = "web"\n{text}\n')


def pids(path: Path) -> list[int]:
    """The complete lines of a file of pids."""
    return [int(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []


def test_a_stopped_child_is_killed_at_its_grace(stage: Stage) -> None:
    """SIGSTOP keeps SIGTERM from it: SIGKILL comes half a second after the grace at the latest."""
    one(stage, 'command = ["sleep", "1000"]\nstop_timeout = "500ms"')
    pid = stage.ask_for("start", "web").processes[0].pid
    os.kill(pid, signal.SIGSTOP)
    begun = time.monotonic()
    assert stage.ask_for("stop", "web").ok
    assert 0.5 <= time.monotonic() - begun < 1.5
    assert not is_alive(pid)
    assert stage.statuses()["web"].exit_signal == "SIGKILL"


def test_what_a_leader_leaves_that_dies_first_gets_its_signal_and_its_grace(stage: Stage) -> None:
    """It is told to end as the leader would be, and may say goodbye."""
    child = "trap 'echo goodbye; exit' TERM; echo $$ > child; while :; do sleep 0.02; done"
    (stage.project / "child.sh").write_text(child)
    one(stage, 'command = "sh child.sh & while [ ! -s child ]; do sleep 0.02; done; exit 3"')
    assert not stage.ask_for("activate").ok
    (left,) = pids(stage.project / "child")
    wait_until(lambda: stage.statuses()["web"].state == "failed")
    assert not is_alive(left)
    wait_until(lambda: "goodbye" in stage.messages("web"))
    assert stage.statuses()["web"].exit_code == 3


def test_a_chain_that_forks_anew_and_anew_is_caught(stage: Stage) -> None:
    """Each generation lives two milliseconds, in a session of its own, as nobody's child."""
    (stage.project / "chain.py").write_text(CHAIN)
    one(stage, f'command = "{sys.executable} -I -S chain.py; exec sleep 1000"\nstop_timeout = "100ms"')
    stage.ask_for("start", "web")
    wait_until(lambda: len(pids(stage.project / "chain")) > 20)
    assert stage.ask_for("stop", "web").ok
    count = len(pids(stage.project / "chain"))
    assert not is_alive(pids(stage.project / "chain")[-1])
    assert len(pids(stage.project / "chain")) == count


def test_who_has_hidden_is_found_by_a_daemon_and_a_keeper_that_never_saw_it(stage: Stage) -> None:
    """A double fork with an empty environment, started and hidden at once; then both of us are killed."""
    stage.write({"stubborn": 'stop_timeout = "200ms"'})
    stage.ask_for("start", "stubborn")
    hidden = wait_until(lambda: [entry for entry in Ledger(stage).journal() if entry.what == "child"])[0]
    stage.strike(daemon=True, keeper=True)
    assert hidden.is_alive()
    assert stage.ask_for("stop", "stubborn").ok
    assert not hidden.is_alive()


def test_another_run_is_not_taken_for_ours(stage: Stage) -> None:
    """Of two that hide alike, the stop of one leaves the other alone."""
    stage.write({"stubborn": 'stop_timeout = "100ms"', "stubborn-2": 'stop_timeout = "100ms"'})
    stage.ask_for("activate")
    wait_until(lambda: len([entry for entry in Ledger(stage).journal() if entry.what == "child"]) == 2)
    assert stage.ask_for("stop", "stubborn").ok
    assert {entry.name for entry in Ledger(stage).journal() if entry.is_alive()} == {"stubborn-2"}
    assert len([entry for entry in Ledger(stage).journal() if entry.is_alive()]) == 2
