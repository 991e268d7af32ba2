"""What belongs to a run is found and ended, however it tries to get away; and nothing else is."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from types import ModuleType

import pytest
from tests.interaction.keeper_bench import Bench, bench
from tests.support import program, wait_until

from runcept.process import linux, members, portable
from runcept.process.identity import start_time
from runcept.process.members import Member
from runcept.process.signals import send, sweep

FAMILY = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def away(*steps):
    # fork, do the steps, and become something that ignores SIGTERM
    reading, writing = os.pipe()
    if os.fork() == 0:
        for step in steps: step()
        os.write(writing, b'%d ' % os.getpid())
        os.execve('/bin/sleep', ['sleep', '60'], environ)
    os.write(1, os.read(reading, 20))
def fork():
    if os.fork(): os._exit(0)
environ = dict(os.environ)
away()
away(os.setsid)
away(fork)
away(os.setsid, fork)
environ = {}
away()
os.write(1, b'\\n')
"""


@pytest.fixture
def keeper() -> Iterator[Bench]:
    """A keeper that is the parent of orphans."""
    with bench() as made:
        yield made


def marker(key: str) -> dict[str, str]:
    """The variables of a run."""
    project = f"/some/project äö {os.getpid()}"  # of this test runner alone: tags are seen by all
    return {"RUNCEPT_ENVIRONMENT": project, "RUNCEPT_PROCESS": key, "RUNCEPT_RUN": "1"}


def family(keeper: Bench, key: str, then: str) -> tuple[int, set[int]]:
    """A run with runaways: the pid of its leader, and theirs."""
    leader = keeper.python(key, FAMILY + then, env={"PATH": os.environ["PATH"]} | marker(key))["pid"]
    wait_until(lambda: keeper.output(key).endswith(b"\n"))
    pids = {int(word) for word in keeper.output(key).split()}
    keeper.pids |= pids
    wait_until(lambda: all("sleep" in Path(f"/proc/{pid}/comm").read_text() for pid in pids))
    return leader, pids


def find(keeper: Bench, leader: int, key: str, others: set[int] | None = None) -> set[int]:
    """The pids that belong to a run now."""
    taken = members.census()
    found = members.members_of(taken, leader, keeper.keeper.pid, marker(key), exclude=others or set())
    return {member.pid for member in found}


def test_runaways_belong_to_their_run_while_its_leader_lives(keeper: Bench) -> None:
    """Another session, another parent, another environment: still members. The other run's are not."""
    leader, runaways = family(keeper, "one", "signal.pause()")
    other, others = family(keeper, "two", "signal.pause()")
    assert find(keeper, leader, "one", {other}) == {leader} | runaways
    assert find(keeper, other, "two", {leader}) == {other} | others


def test_runaways_belong_to_their_run_when_its_leader_is_a_zombie_and_gone(keeper: Bench) -> None:
    """Found by session, group, parents and marker; a zombie is no member."""
    leader, runaways = family(keeper, "one", "")
    other, others = family(keeper, "two", "signal.pause()")
    keeper.exited("one")
    assert find(keeper, leader, "one", {other}) == runaways
    keeper.ask("release", key="one")
    assert find(keeper, leader, "one", {other}) == runaways
    assert find(keeper, other, "two") == {other} | others


def test_orphan_that_cleared_its_environment_is_known_from_before(keeper: Bench) -> None:
    """It has another session and no marker: that it was a descendant once is all that tells."""
    code = """
import os, signal
if os.fork() == 0:
    os.setsid()
    if os.fork(): signal.pause()
    os.write(1, b'%d\\n' % os.getpid())
    os.execve('/bin/sleep', ['sleep', '60'], {})
signal.pause()
"""
    leader = keeper.python("one", code, env=marker("one"))["pid"]
    orphan = int(wait_until(lambda: keeper.output("one")))
    between = next(pid for pid in find(keeper, leader, "one") if pid not in (leader, orphan))
    keeper.pids.add(between)
    assert orphan in find(keeper, leader, "one")
    os.kill(between, signal.SIGKILL)
    os.kill(leader, signal.SIGKILL)
    keeper.exited("one")
    wait_until(lambda: start_time(between) is None)
    assert find(keeper, leader, "one") == {orphan}


def test_recycled_pid_of_a_leader_is_not_a_member(keeper: Bench) -> None:
    """Where nobody holds the zombie, the leader's start time tells."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        try:
            taken = members.census()
            held = members.members_of(taken, stranger.pid, keeper.keeper.pid, marker("x"), start_time=1)
            assert held == []
        finally:
            stranger.kill()


HIDDEN = """
import ctypes, os, subprocess, sys, time
from runcept.process import linux, members
if subprocess.run(["mount", "-t", "proc", "-o", "hidepid=1", "proc", "/proc"]).returncode:
    sys.exit(77)
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: who changes its user hides from itself
child = subprocess.Popen(["sleep", "60"], start_new_session=True)
assert linux.entry(1) is None
until = time.monotonic() + 30
while linux.command_of(child.pid) != "sleep 60" and time.monotonic() < until:  # it is being executed
    time.sleep(0.001)
found = members.members(child.pid, 0, {})
child.kill()
child.wait()
print([member.command for member in found], linux.command_of(1) == "")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount /proc so that it hides processes, and leave root")
def test_what_is_hidden_is_passed_over() -> None:
    """Under `hidepid=1` whoever is not root is refused a look at the others: they are none of its own."""
    command = [program("unshare"), "--mount", sys.executable, "-c", HIDDEN]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    if done.returncode == 77 or done.stderr.startswith("unshare"):
        pytest.skip(f"/proc cannot be mounted here: {done.stderr}")
    assert done.stderr == ""
    assert done.stdout == "['sleep 60'] True\n"


PARENT = "import subprocess; subprocess.Popen(['sleep', '60']); import signal; signal.pause()"


def test_what_a_dying_stranger_has_is_not_claimed_with_it(keeper: Bench) -> None:
    """The keeper of another home, killed during the look: it cannot be asked whose it is, and its runs are not ours."""
    with subprocess.Popen([sys.executable, "-c", PARENT], start_new_session=True) as stranger:
        (child,) = wait_until(lambda: Path(f"/proc/{stranger.pid}/task/{stranger.pid}/children").read_text().split())
        try:
            taken = members.census()
            taken.strays.append(taken.entries[stranger.pid])  # as if its parent had gone before it was looked at
            stranger.kill()
            stranger.wait()
            found = members.members_of(taken, 1 << 22, keeper.keeper.pid, marker("x"), start_time=1)
            assert {member.pid for member in found} <= {stranger.pid}
        finally:
            os.kill(int(child), signal.SIGKILL)


def test_a_stray_of_another_home_is_not_ours_although_it_has_our_marker(keeper: Bench) -> None:
    """The same project, process and run, but another tag."""
    environ = {"PATH": os.environ["PATH"]} | marker("x")
    with subprocess.Popen(["sleep", "60"], env=environ, start_new_session=True) as stranger:
        try:
            for home, ours in (("/another", []), ("/ours", [stranger.pid])):
                linux.set_tag(stranger.pid, members.tag(marker("x"), home))
                taken = members.census()
                taken.strays.append(taken.entries[stranger.pid])
                found = members.members_of(taken, 1 << 22, keeper.keeper.pid, marker("x"), start_time=1, home="/ours")
                assert [member.pid for member in found] == ours
        finally:
            stranger.kill()


def test_a_session_whose_leader_is_gone_is_not_ours_for_its_number_alone(keeper: Bench) -> None:
    """Nobody held the pid of the leader, so it may have been another's since, which left this behind."""
    code = "import os, time\nif os.fork(): os._exit(0)\nos.write(1, b'%d' % os.getpid()); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True) as stranger:
        assert stranger.stdout is not None
        left = int(os.read(stranger.stdout.fileno(), 20))
        stranger.wait()
        try:
            for tag, ours in ((members.tag(marker("y")), []), (members.tag(marker("x")), [left])):
                linux.set_tag(left, tag)
                found = members.members_of(members.census(), stranger.pid, keeper.keeper.pid, marker("x"), start_time=1)
                assert [member.pid for member in found] == ours
        finally:
            os.kill(left, signal.SIGKILL)


AFTERTHOUGHT = """
import os, signal, time
def leave(*_):
    if os.fork() == 0: os.execv('/bin/sleep', ['sleep', '60'])
    os._exit(0)
signal.signal(signal.SIGUSR1, leave)
os.write(1, b'\\n')
while True: time.sleep(60)
"""


def test_what_was_left_behind_is_looked_for_after_the_end(keeper: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look from before the end, which others share for long, does not hide a child that came after it."""
    monkeypatch.setattr(members, "_CENSUS_SHARED", 60.0)
    leader = keeper.python("late", AFTERTHOUGHT)["pid"]
    wait_until(lambda: keeper.output("late"))
    before = members.members(leader, keeper.keeper.pid, marker("late"), since=time.monotonic())
    assert [member.pid for member in before] == [leader]
    os.kill(leader, signal.SIGUSR1)
    keeper.exited("late")
    left = members.members(leader, keeper.keeper.pid, marker("late"), since=time.monotonic())
    assert len(left) == 1
    send(left[0], signal.SIGKILL)


def living(pids: set[int]) -> set[int]:
    """Those that have not ended."""
    entries = {pid: linux.entry(pid) for pid in pids}
    return {pid for pid, entry in entries.items() if entry and not entry.is_zombie}


@pytest.mark.parametrize("then", ["signal.pause()", ""], ids=["leader lives", "leader ended"])
def test_sweep_leaves_nothing_behind(keeper: Bench, then: str) -> None:
    """SIGKILL ends all that belongs to the run, and nothing of the other run."""
    leader, runaways = family(keeper, "one", then)
    other, others = family(keeper, "two", "signal.pause()")

    async def find_members() -> list[Member]:
        return members.members(leader, keeper.keeper.pid, marker("one"), exclude={other})

    assert asyncio.run(sweep(find_members)) == []
    assert living({leader} | runaways) == set()
    assert living({other} | others) == {other} | others


def test_sweep_reaches_a_chain_that_forks_again_and_again(keeper: Bench) -> None:
    """Each generation leaves its session and its parent within a few milliseconds."""
    code = """
import os, time
end = time.monotonic() + 30  # a test that fails must not leave it behind
while time.monotonic() < end:
    if os.fork(): os._exit(0)
    os.setsid()
    time.sleep(0.002)
"""
    leader = keeper.python("chain", code, env={"PATH": os.environ["PATH"]} | marker("chain"))["pid"]
    keeper.exited("chain")

    async def find_members() -> list[Member]:
        return members.members(leader, keeper.keeper.pid, marker("chain"))

    assert asyncio.run(sweep(find_members)) == []
    assert find(keeper, leader, "chain") == set()
    children = Path(f"/proc/{keeper.keeper.pid}/task/{keeper.keeper.pid}/children")
    wait_until(lambda: children.read_text().split() == [str(leader)], what="nothing but the zombie")


def test_sweep_names_what_cannot_be_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that survives SIGKILL for 5 s (in the kernel, or another user's) is given up and named."""
    monkeypatch.setattr("runcept.process.signals._UNKILLABLE_SECONDS", 0.1)
    immortal = Member(2**22 + 1, 1, "a process in uninterruptible sleep")

    async def find_members() -> list[Member]:
        return [immortal]

    assert asyncio.run(sweep(find_members)) == [immortal]


def test_sweep_goes_on_as_long_as_new_ones_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not there before has had no SIGKILL yet, so it is not what cannot be killed."""
    monkeypatch.setattr("runcept.process.signals._UNKILLABLE_SECONDS", 0.05)
    immortal = Member(2**22 + 1, 1, "a process in uninterruptible sleep")
    newborn = iter(range(60))

    async def find_members() -> list[Member]:
        return [immortal, *(Member(2**22 + 2 + number, 1, "a fork") for number in islice(newborn, 1))]

    assert asyncio.run(sweep(find_members)) == [immortal]
    assert not list(newborn)


def test_signal_reaches_the_very_process_or_nobody() -> None:
    """A pid with another start time is a stranger, and is left alone."""
    with subprocess.Popen(["sleep", "60"]) as child:
        started = start_time(child.pid)
        assert started is not None
        assert not send(Member(child.pid, started + 1, ""), signal.SIGKILL)
        assert child.poll() is None
        assert send(Member(child.pid, started, ""), signal.SIGKILL)
        assert child.wait(10) == -signal.SIGKILL
    assert not send(Member(child.pid, started, ""), signal.SIGKILL)


def test_both_halves_see_the_same(keeper: Bench) -> None:
    """What /proc says and what psutil says of one process: parents, session, group, state, marker, command."""
    held = keeper.python("held", "")["pid"]
    keeper.exited("held")
    env = {"PATH": os.environ["PATH"]} | marker("lives")
    lives = keeper.spawn("lives", ["sleep", "60"], env=env)["pid"]

    def facts(half: ModuleType, pid: int) -> Mapping[str, object]:
        entry = half.entry(pid)
        return {
            k: v
            for k, v in asdict(entry).items()
            if k not in ("start_time", "cpu_seconds", "children_cpu_seconds", "memory_bytes")
        }

    for pid in (held, lives, os.getpid()):
        assert facts(linux, pid) == facts(portable, pid)
    halves: list[ModuleType] = [linux, portable]
    for half in halves:
        assert half.entry(held).is_zombie
        assert half.entry(2**22 + 1) is None
        assert half.command_of(lives) == "sleep 60"
        assert half.command_of(2**22 + 1) == ""
        assert half.carries(lives, marker("lives"))
        assert not half.carries(lives, marker("other"))
        assert not half.carries(2**22 + 1, marker("lives"))
        assert {os.getpid(), held, lives} <= {entry.pid for entry in half.entries()}
        assert half.boot_id() == half.boot_id() != ""


def test_halves_have_the_same_functions() -> None:
    """So that either can stand behind `system`."""
    assert sorted(linux.__all__) == sorted(portable.__all__)
    assert sys.platform == "linux"


def test_the_same_project_of_another_home_is_another_run() -> None:
    """Its processes must not be ended by ours."""
    assert members.tag(marker("web"), "/home/one") != members.tag(marker("web"), "/home/two")
