"""`rm -rf ~/.runcept` while everything runs: nothing is lost over it, and nothing runs twice."""

from __future__ import annotations

import os
import shutil
import signal

from tests.chaos.stage import Stage, is_alive
from tests.support import wait_until

PROJECT = '[project]\nname = "p"\n[[process]]\nname = "web"\ncommand = ["sleep", "1000"]\n'


def test_a_home_that_is_removed_while_it_runs_is_made_anew(stage: Stage) -> None:
    """Nobody else has come: the same daemon, keeper and process are found, and what they do is kept again."""
    stage.write_file(PROJECT)
    pid = stage.ask_for("start", "web").processes[0].pid
    daemons, keepers = stage.daemons(), stage.keepers()
    shutil.rmtree(stage.home)
    wait_until(lambda: os.path.exists(os.path.join(stage.home, "daemon.sock")), what="a home that is made anew")
    wait_until(lambda: os.path.exists(os.path.join(stage.home, "keeper.sock")), what="the keeper to be found in it")
    assert stage.statuses()["web"].pid == pid
    assert (stage.daemons(), stage.keepers()) == (daemons, keepers)
    stage.kill(daemons)
    assert stage.statuses()["web"].pid == pid
    assert stage.keepers() == keepers


def test_a_daemon_whose_home_another_has_ends_with_all_it_runs(stage: Stage) -> None:
    """It could not be reached any more; what is the other's, it leaves alone."""
    stage.write_file(PROJECT)
    pid = stage.ask_for("start", "web").processes[0].pid
    assert pid is not None
    old = [*stage.daemons(), *stage.keepers()]
    os.kill(old[0], signal.SIGSTOP)  # so that it does not notice before the other is there
    shutil.rmtree(stage.home)
    new = stage.ask_for("start", "web").processes[0].pid
    os.kill(old[0], signal.SIGCONT)
    wait_until(lambda: not any(map(is_alive, [*old, pid])), what="the end of the first daemon and what it ran")
    assert stage.statuses()["web"].pid == new
    assert not [name for name in os.listdir(stage.home) if "replaced" in name]
