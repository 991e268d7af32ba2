"""What a death of the daemon, the keeper or both must not cost: what was begun goes on, and what ended is known."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.chaos.actor import start_time
from tests.chaos.ledger import Ledger
from tests.chaos.stage import Stage, is_alive
from tests.support import running, wait_until

from runcept.paths import database


def one(stage: Stage, text: str) -> None:
    stage.write_file(f'[project]\nname = "p"\n[[process]]\nname = "web"\n{text}\n')


def edit(stage: Stage, statement: str, *values: Any) -> None:
    """Change what is stored, while no daemon runs."""
    connection = sqlite3.connect(database(stage.home))
    with connection:
        connection.execute(statement, values)
    connection.close()


def test_everything_is_adopted_within_a_second_of_the_next_command(stage: Stage) -> None:
    """Forty processes, daemon and keeper killed: the answer tells the same pids."""
    names = [f"p{index}" for index in range(40)]
    processes = "".join(f'[[process]]\nname = "{name}"\ncommand = ["sleep", "1000"]\n' for name in names)
    stage.write_file(f'[project]\nname = "p"\n{processes}')
    stage.ask_for("activate")
    before = {name: (view.pid, view.run, view.started_at, view.reason) for name, view in stage.statuses().items()}
    stage.strike(daemon=True, keeper=True)
    begun = time.monotonic()
    after = {name: (view.pid, view.run, view.started_at, view.reason) for name, view in stage.statuses().items()}
    took = time.monotonic() - begun
    assert after == before
    assert took < 5, f"{took:.2f} s; a second on a machine that is not busy"


def test_a_run_that_was_being_forgotten_is_not_logged_again(stage: Stage) -> None:
    """What is left of its directory, when a daemon was killed while removing it, is not taken for output."""
    one(stage, 'command = "echo once; exit 1"')
    stage.ask_for("activate")
    runs = Path(stage.home) / "runs"
    wait_until(lambda: not list(runs.iterdir()))
    left = runs / "web-1-12345678~over"
    left.mkdir()
    (left / f"{0:016x}.raw").write_bytes(b"once\n")
    stage.kill(stage.daemons())
    stage.statuses()
    assert stage.messages("web") == ["once"]
    assert not left.exists()


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGRTMIN, signal.SIGRTMIN + 6, signal.SIGRTMAX])
def test_every_signal_has_a_name(stage: Stage, number: int) -> None:
    """Also the real-time ones, of which Python knows only the first and the last."""
    one(stage, f"command = ['{sys.executable}', '-I', '-S', '-c', 'import os; os.kill(os.getpid(), {number})']")
    names = {11: "SIGSEGV", 34: "SIGRTMIN", 40: "SIGRTMIN+6", 64: "SIGRTMAX"}
    stage.ask_for("activate")
    wait_until(lambda: stage.statuses()["web"].state == "failed")
    view = stage.statuses()["web"]
    assert (view.state, view.exit_code, view.exit_signal) == ("failed", None, names[number])


def test_an_exit_while_no_keeper_lived_is_known(stage: Stage) -> None:
    """The daemon held a descriptor of the process; the log says that its last words may be missing."""
    one(stage, 'command = "while [ ! -e go ]; do sleep 0.02; done; exit 7"')
    pid = stage.ask_for("activate").processes[0].pid
    (daemon,) = stage.daemons()
    os.kill(daemon, signal.SIGSTOP)
    stage.kill(stage.keepers())
    (stage.project / "go").touch()
    wait_until(lambda: not is_alive(pid))
    os.kill(daemon, signal.SIGCONT)
    wait_until(lambda: stage.statuses()["web"].state == "failed")
    assert stage.statuses()["web"].exit_code == 7
    assert any("no keeper held it" in line for line in stage.messages("web", "runcept"))


def test_an_exit_after_another_keeper_took_over_is_known(stage: Stage) -> None:
    """Though the process is not its child."""
    one(stage, 'command = "while [ ! -e go ]; do sleep 0.02; done; echo last words; exit 9"')
    stage.ask_for("activate")
    stage.strike(daemon=True, keeper=True)
    stage.statuses()
    (stage.project / "go").touch()
    wait_until(lambda: stage.statuses()["web"].state == "failed")
    assert stage.statuses()["web"].exit_code == 9
    assert stage.messages("web") == ["last words"]


def test_a_start_in_the_hands_of_a_dying_keeper_is_made_good(stage: Stage) -> None:
    """Whoever asked is answered once it runs: one copy, by the next keeper."""
    stage.write({"steady": "", "client": ""})
    stage.ask_for("start", "client")
    (keeper,) = stage.keepers()
    os.kill(keeper, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        start = pool.submit(stage.ask_for, "start", "steady")
        wait_until(lambda: stage.statuses()["steady"].state == "starting")
        stage.kill([keeper])
        answer = start.result()
    assert answer.ok
    living = [entry for entry in Ledger(stage).journal() if entry.name == "steady" and entry.is_alive()]
    assert [entry.pid for entry in living] == [answer.processes[0].pid]


@pytest.mark.parametrize("grace", [20, 2])
def test_a_stop_that_the_daemon_did_not_live_to_pass_on_is_passed_on(stage: Stage, grace: float) -> None:
    """The process gets its signal from the next daemon, and is not killed for having heard nothing till then."""
    one(stage, f"""command = "trap 'sleep 0.8; exit 5' TERM; while :; do sleep 0.02; done"\nstop_timeout = {grace}""")
    stage.ask_for("activate")
    (keeper,) = stage.keepers()
    os.kill(keeper, signal.SIGSTOP)  # so that the signal does not arrive
    stage.ask_for("stop", "web", wait=False)
    wait_until(lambda: stage.statuses()["web"].state == "stopping")
    stage.kill([*stage.daemons(), keeper])
    dead_since = time.monotonic()
    wait_until(lambda: time.monotonic() > dead_since + min(grace, 2))
    wait_until(lambda: stage.statuses()["web"].state == "stopped")
    view = stage.statuses()["web"]
    assert (view.exit_code, view.exit_signal) == (5, None)


def test_a_keeper_that_is_held_still_costs_a_stop_nothing_of_its_grace(stage: Stage) -> None:
    """The signal goes past it in time, however short that is."""
    one(stage, """command = "trap 'exit 5' TERM; while :; do sleep 0.02; done"\nstop_timeout = 0.45""")
    pid = stage.ask_for("activate").processes[0].pid
    (keeper,) = stage.keepers()
    os.kill(keeper, signal.SIGSTOP)
    try:
        stage.ask_for("stop", "web", wait=False)
        wait_until(lambda: not is_alive(pid))
    finally:
        os.kill(keeper, signal.SIGCONT)
    wait_until(lambda: stage.statuses()["web"].state == "stopped")
    view = stage.statuses()["web"]
    assert (view.exit_code, view.exit_signal) == (5, None)


def test_a_line_that_made_ready_is_not_forgotten(stage: Stage) -> None:
    """It was logged, and the daemon died before it could say so: the next one looks into the log."""
    one(stage, 'command = "echo listening; exec sleep 1000"\nhealth_check = "log://listening"')
    stage.ask_for("activate")
    stage.strike(daemon=True, keeper=True)
    edit(
        stage,
        "UPDATE processes SET life = CAST(json_set(life, '$.state', 'starting', '$.health', 'unknown',"
        " '$.ready', json('false')) AS BLOB)",
    )
    wait_until(lambda: stage.statuses()["web"].state == "running")
    assert stage.statuses()["web"].health == "healthy"


@pytest.mark.parametrize(
    ("later", "run_boot", "last_boot"),
    [(1, None, None), (0, "another", None), (0, "another", "another")],
    ids=["recycled", "of another boot", "after a reboot"],
)
def test_a_recycled_pid_is_nobody_of_ours(
    stage: Stage, later: int, run_boot: str | None, last_boot: str | None
) -> None:
    """Who has it now, since later, or since the reboot, is not signalled, not shown, and not in the way."""
    one(stage, 'command = ["sleep", "1000"]\nstop_timeout = "100ms"')
    pid = stage.ask_for("activate").processes[0].pid
    stage.strike(daemon=True, keeper=True)
    stage.kill([pid])
    for run in os.listdir(os.path.join(stage.home, "runs")):
        os.unlink(os.path.join(stage.home, "runs", run, "run.json"))
    with running(["sleep", "1000"]) as innocent:
        edit(stage, "UPDATE runs SET pid = ?, start_time = ?", innocent.pid, start_time(innocent.pid) - later)
        edit(stage, "UPDATE runs SET boot_id = coalesce(?, boot_id)", run_boot)
        edit(stage, "UPDATE boot SET boot_id = coalesce(?, boot_id)", last_boot)
        edit(stage, "UPDATE processes SET life = CAST(json_set(life, '$.pid', ?1) AS BLOB)", innocent.pid)
        wait_until(lambda: stage.statuses()["web"].state in {"failed", "stopped"})
        view = stage.statuses()["web"]
        assert (view.pid, view.exit_code, view.exit_signal) == (None, None, None)
        stage.kill(stage.daemons())
        again = stage.statuses()["web"]
        assert (again.state, again.pid, again.reason) == (view.state, None, view.reason)
        stage.ask_for("stop", "web")
        assert stage.ask_for("start", "web").ok
        assert stage.ask_for("stop", "web").ok
        assert innocent.poll() is None


@pytest.mark.parametrize("is_released", [True, False])
def test_what_is_stored_as_alive_and_known_to_nobody_is_corrected(stage: Stage, *, is_released: bool) -> None:
    """No fact about it would ever come, so nobody could ever stop it."""
    one(stage, 'command = ["sleep", "1000"]')
    stage.ask_for("start", "web")
    assert stage.ask_for("stop", "web").ok
    runs = Path(stage.home) / "runs"
    wait_until(lambda: not list(runs.iterdir()))
    stage.strike(daemon=True, keeper=True)
    edit(stage, "UPDATE runs SET released = ?", is_released)
    edit(
        stage,
        "UPDATE processes SET life = CAST(json_set(life, '$.state', 'running', '$.pid', ?) AS BLOB)",
        os.getpid(),
    )
    assert stage.statuses()["web"].state == "stopped"
    assert stage.ask_for("start", "web").ok


@pytest.mark.parametrize("name", ["daemon", "keeper"])
def test_a_socket_that_was_removed_is_made_anew(stage: Stage, name: str) -> None:
    """Who is still there is found by its lock, and what runs is not lost over it."""
    one(stage, 'command = ["sleep", "1000"]')
    before = stage.ask_for("start", "web").processes[0].pid
    daemons, keepers = stage.daemons(), stage.keepers()
    (Path(stage.home) / f"{name}.sock").unlink()
    if name == "keeper":
        stage.kill(daemons)
    assert stage.statuses()["web"].pid == before
    wait_until(lambda: stage.keepers() == keepers)
    if name == "daemon":
        wait_until(lambda: stage.daemons() == daemons, what="the end of the one that was started in vain")


def test_a_daemon_without_its_socket_ends_as_it_should(stage: Stage) -> None:
    """It says goodbye to the keeper, which starts no other one."""
    one(stage, 'command = ["sleep", "1000"]')
    pid = stage.ask_for("start", "web").processes[0].pid
    ours = [*stage.daemons(), *stage.keepers()]
    (Path(stage.home) / "daemon.sock").unlink()
    os.kill(ours[0], signal.SIGTERM)
    wait_until(lambda: not any(map(is_alive, [*ours, pid])))
    assert stage.daemons() == []


def test_daemons_that_are_started_at_once_end_none_of_them(stage: Stage) -> None:
    """Each that meets the lock tells its holder that it was not found, however young that is: nobody dies of it."""
    one(stage, 'command = ["sleep", "1000"]')
    pid = stage.ask_for("start", "web").processes[0].pid
    for _ in range(3):
        stage.strike(daemon=True, keeper=True)
        with ExitStack() as stack:
            command = [sys.executable, "-m", "runcept.daemon", stage.home]
            nothing = subprocess.DEVNULL
            started = [stack.enter_context(running(command, stderr=nothing)) for _ in range(8)]
            wait_until(lambda started=started: sum(each.poll() is None for each in started) == 1)
            assert stage.statuses()["web"].pid == pid
            assert [each.returncode for each in started if each.poll() is not None] == [0] * 7


def test_a_keeper_that_dies_while_a_new_daemon_takes_over_loses_nothing(stage: Stage) -> None:
    """What that keeper had told is not true any more: the next one takes over all, and tells of every end."""
    names = [f"p{index}" for index in range(60)]
    processes = "".join(f'[[process]]\nname = "{name}"\ncommand = ["sleep", "1000"]\n' for name in names)
    stage.write_file(f'[project]\nname = "p"\n{processes}')
    stage.ask_for("activate")
    before = {name: view.pid for name, view in stage.statuses().items()}
    connection = sqlite3.connect(database(stage.home))

    def adopted() -> int:
        (count,) = connection.execute("SELECT count(*) FROM events WHERE kind = 'adopted'").fetchone()
        return int(count)

    stage.kill(stage.daemons())
    deadline = time.monotonic() + 10
    while not adopted() and time.monotonic() < deadline:
        pass  # it takes over all of them within milliseconds
    stage.kill(stage.keepers())
    assert adopted() > 0
    connection.close()
    assert {name: view.pid for name, view in stage.statuses().items()} == before
    assert stage.ask_for("stop", *names, seconds=20).ok
