"""Nothing outlives a stop: what refuses, hides, forks away, or has lost those who knew it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.chaos.ledger import Ledger
from tests.chaos.stage import Stage, is_alive
from tests.support import wait_until

from runcept.api import messages as m

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


LOWERED = """
import os, resource, sys
resource.setrlimit(10, (1000, 1000))
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_who_may_not_be_tagged_is_started_and_ended_all_the_same(stage: Stage) -> None:
    """Under a lowered `ulimit -x` the tag cannot be set: members are found by what else is known of them."""
    stage.begin(sys.executable, "-c", LOWERED)
    one(stage, 'command = "setsid sleep 1000 & echo $! > away; exec sleep 1000"')
    assert stage.ask_for("start", "web").ok
    (away,) = wait_until(lambda: pids(stage.project / "away"))
    assert stage.ask_for("stop", "web").ok
    assert not is_alive(away)


def test_a_stopped_child_is_killed_at_its_grace(stage: Stage) -> None:
    """SIGSTOP keeps SIGTERM from it: SIGKILL comes half a second after the grace at the latest."""
    one(stage, 'command = ["sleep", "1000"]\nstop_timeout = "500ms"')
    pid = stage.ask_for("start", "web").processes[0].pid
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)  # else SIGTERM may come first
    begun = time.monotonic()
    assert stage.ask_for("stop", "web").ok
    assert 0.5 <= time.monotonic() - begun < 2.5, "a second on a machine that is not busy"
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


HIDDEN = """
import os, resource, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
resource.setrlimit(10, (12345, resource.RLIM_INFINITY))  # RLIMIT_LOCKS: off with the tag
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        resource.setrlimit(10, (54321, resource.RLIM_INFINITY))
        with open("child", "w") as file:
            file.write(f"{os.getpid()}\\n")
        os.execve("/bin/sleep", ["sleep", "1000"], {})
    os._exit(0)
os.wait()
os.execv("/bin/sleep", ["sleep", "1000"])
"""


def groups_of(stage: Stage) -> str:
    """Where control groups of this stage are made, from what the process table tells of a run."""
    view = stage.statuses()["web"]
    with open(f"/proc/{view.pid}/cgroup", encoding="ascii") as file:
        return next(line[3:].strip() for line in file if line.startswith("0::"))


@pytest.fixture
def grouped(stage: Stage) -> Stage:
    """One whose processes have control groups."""
    one(stage, 'command = ["sleep", "1000"]')
    stage.ask_for("start", "web")
    if not os.path.basename(groups_of(stage)).startswith("web-1-"):
        pytest.skip("no control group can be made here: that takes root, or a delegated one, and cgroup2")
    return stage


def test_a_control_group_holds_what_has_taken_off_everything_else(grouped: Stage) -> None:
    """No session, group, parent, environment or tag tells whose it is; also after daemon and keeper were killed."""
    for strikes in (False, True):
        (grouped.project / "child").unlink(missing_ok=True)
        (grouped.project / "hidden.py").write_text(HIDDEN)
        one(grouped, f'command = ["{sys.executable}", "-I", "-S", "hidden.py"]\nstop_timeout = "100ms"')
        grouped.ask_for("restart", "web")
        hidden = wait_until(lambda: pids(grouped.project / "child"))[0]
        if strikes:
            grouped.strike(daemon=True, keeper=True)
        assert is_alive(hidden)
        assert grouped.ask_for("stop", "web").ok
        assert not is_alive(hidden)


def test_control_groups_are_removed_with_their_runs(grouped: Stage) -> None:
    """Also what a process has made below its own; and at last the directory of them all."""
    mount = next(
        line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if " - cgroup2 " in line
    )
    group = Path(mount + groups_of(grouped))
    (group / "below" / "further").mkdir(parents=True)
    assert grouped.ask_for("restart", "web").ok
    wait_until(lambda: not group.exists())
    assert [each.name for each in group.parent.iterdir() if each.is_dir()] != []
    assert grouped.end()
    assert not group.parent.exists()


def test_a_daemon_that_a_process_has_started_outlives_it(grouped: Stage) -> None:
    """A shell that runs as a process of ours asks something when no daemon runs: that one is not the shell's."""
    code = f"from runcept.client.autostart import ensure_daemon; ensure_daemon({grouped.home!r}).close()"
    (grouped.project / "asks.py").write_text(code)
    shell = f"trap '' TERM; while [ ! -e go ]; do sleep 0.02; done; '{sys.executable}' asks.py; touch asked; sleep 1000"
    one(grouped, f'command = "{shell}"\nstop_timeout = "100ms"')
    grouped.ask_for("restart", "web")
    grouped.strike(daemon=True, keeper=True)
    (grouped.project / "go").touch()
    wait_until((grouped.project / "asked").exists)
    (daemon,), (keeper,) = grouped.daemons(), grouped.keepers()
    assert grouped.ask_for("stop", "web").ok
    assert grouped.daemons() == [daemon]
    assert grouped.keepers() == [keeper]


def begin_without_groups(stage: Stage, *command: str) -> None:
    """Start the daemon, below this command, where it sees no cgroup2."""
    if os.geteuid():
        pytest.skip("only root can hide a mount; nobody else has control groups as a rule")
    mounts = [row.split()[4] for row in Path("/proc/self/mountinfo").read_text().splitlines() if " - cgroup2 " in row]
    away = "; ".join(f"umount --lazy '{mount}'" for mount in mounts) or ":"
    stage.begin(*command, "unshare", "--mount", "sh", "-c", f'{away}; exec "$@"', "sh")


def test_without_control_groups_the_sweep_leaves_nothing_either(stage: Stage) -> None:
    """Where no cgroup2 is to be seen: what hides from session, group, parent and environment is found by its tag."""
    begin_without_groups(stage)
    stage.write({"stubborn": 'stop_timeout = "200ms"'})
    stage.ask_for("start", "stubborn")
    hidden = wait_until(lambda: [entry for entry in Ledger(stage).journal() if entry.what == "child"])[0]
    assert "stubborn-1-" not in Path(f"/proc/{hidden.pid}/cgroup").read_text()
    assert stage.ask_for("stop", "stubborn").ok
    assert not hidden.is_alive()


def test_what_cannot_be_killed_is_named_and_started_no_second_time(stage: Stage) -> None:
    """Another user's process, and a daemon without the right to signal that: the command fails and says who is left."""
    begin_without_groups(stage, "setpriv", "--bounding-set=-kill", "--inh-caps=-kill")
    one(stage, 'command = ["setpriv", "--reuid=65534", "sleep", "1000"]\nstop_timeout = "100ms"')
    pid = stage.ask_for("start", "web").processes[0].pid
    wait_until(lambda: "sleep" in Path(f"/proc/{pid}/comm").read_text())
    try:
        outcome = stage.ask_for("stop", "web")
        assert not outcome.ok
        (view,) = outcome.processes
        assert (view.state, view.pid) == ("failed", pid)
        assert view.reason == f"cannot be ended: pid {pid} (sleep 1000)"
        again = stage.ask_for("start", "web")
        assert not again.ok
        assert f"pid {pid} (sleep 1000)" in again.processes[0].reason
        assert is_alive(pid)
    finally:
        stage.kill([pid])
    wait_until(lambda: stage.ask_for("start", "web").ok, seconds=30)
    stage.strike(daemon=True, keeper=True)
    stage.kill([view.pid for view in stage.statuses().values() if view.pid])


def test_status_shows_all_that_lives_of_a_process(stage: Stage) -> None:
    """Its children below it, and behind them what has left its parent, its session and its environment."""
    (stage.project / "family.py").write_text("""
import os, subprocess, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve("/bin/sleep", ["sleep", "1001"], {})
    os._exit(0)
os.wait()
child = subprocess.Popen(["sh", "-c", "sleep 1002 & sleep 1003"])
time.sleep(1000)
""")
    one(stage, f'command = ["{sys.executable}", "-I", "-S", "family.py"]\nstop_timeout = "100ms"')
    pid = stage.ask_for("start", "web").processes[0].pid

    def tree() -> list[Any]:
        (view,) = stage.ask("status", m.Status(environment=str(stage.project), tree=True)).processes
        return list(view.tree)

    wait_until(lambda: len(tree()) == 5)
    (main, shell, *sleepers, stray) = tree()
    assert (main.pid, main.parent, main.command) == (pid, None, f"{sys.executable} -I -S family.py")
    assert (shell.parent, shell.command) == (pid, "sh -c sleep 1002 & sleep 1003")
    assert {(each.parent, each.command) for each in sleepers} == {(shell.pid, "sleep 1002"), (shell.pid, "sleep 1003")}
    assert (stray.parent, stray.command) == (None, "sleep 1001")
    printed = subprocess.run(
        [Path(sys.executable).parent / "runcept", "status", "web"],
        cwd=stage.project,
        env={**os.environ, "RUNCEPT_HOME": stage.home},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"{stray.pid}  sleep 1001  (has left its parent)" in printed
    assert f"    {sleepers[0].pid}  {sleepers[0].command}" in printed


def test_what_was_given_up_stays_so_whatever_becomes_of_the_daemon(stage: Stage) -> None:
    """A new one neither takes it for running nor starts it again, and tells how it ended while none was there."""
    begin_without_groups(stage, "setpriv", "--bounding-set=-kill", "--inh-caps=-kill")
    one(stage, 'command = ["setpriv", "--reuid=65534", "sleep", "1000"]\nstop_timeout = "100ms"\nrestart = "always"')
    pid = stage.ask_for("start", "web").processes[0].pid
    assert pid is not None
    wait_until(lambda: "sleep" in Path(f"/proc/{pid}/comm").read_text())
    try:
        assert not stage.ask_for("stop", "web").ok
        stage.kill(stage.daemons())
        view = stage.statuses()["web"]
        assert (view.state, view.pid, view.run) == ("failed", pid, 1)
        (keeper,) = stage.keepers()
        os.kill(keeper, signal.SIGSTOP)  # it would start the next daemon at once
        stage.kill(stage.daemons())
    finally:
        stage.kill([pid])
    os.kill(keeper, signal.SIGCONT)
    view = wait_until(lambda: (seen := stage.statuses()["web"]).pid is None and seen, what="how it ended")
    assert (view.state, view.exit_signal, view.run) == ("failed", "SIGKILL", 1)
    assert any(line.startswith("run 1: killed by SIGKILL") for line in stage.messages("web", "runcept"))
