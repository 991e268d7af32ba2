"""What a process gets from the keeper, and what is said when it cannot be started: over both halves."""

from __future__ import annotations

import ast
import errno
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.interaction.keeper_bench import Bench, bench
from tests.support import wait_until

from runcept.process.identity import start_time


@pytest.fixture(params=["linux", "portable"])
def keeper(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A keeper, by what Linux has and by what every system has."""
    with bench(f"system={request.param}") as made:
        yield made


def test_environment_is_exactly_what_was_given(keeper: Bench) -> None:
    """Nothing is added, nothing changed: not by the keeper, not by a shell, also where it is not UTF-8."""
    given = {"A": "$HOME %s 'x'\n\t", "EMPTY": "", "UMLAUT": "äß", "BYTES": os.fsdecode(b"\xff\xfe"), "PATH": "/bin"}
    [(_, said)] = keeper.finish("env", "print(repr(open('/proc/self/environ','rb').read()))", env=given)
    variables = ast.literal_eval(said.decode())
    assert sorted(variables.split(b"\0")[:-1]) == sorted(os.fsencode(f"{k}={v}") for k, v in given.items())


def test_working_directory_is_the_one_given(keeper: Bench, tmp_path: Path) -> None:
    """Spaces and other letters than ASCII included."""
    place = tmp_path / "ein Verzeichnis äöü"
    place.mkdir()
    said = keeper.finish("cwd", "import os; print(os.getcwd())", cwd=str(place))
    assert said == [(0, f"{place}\n".encode())]


def test_only_stdin_stdout_and_stderr_are_open(keeper: Bench) -> None:
    """No lock, socket, pipe or file of the keeper reaches a child; stdin is /dev/null."""
    keeper.spawn("other", ["sleep", "60"])
    code = "import os; print(sorted(int(f) for f in os.listdir('/proc/self/fd'))[:-1], os.readlink('/proc/self/fd/0'))"
    assert keeper.finish("fds", code) == [(0, b"[0, 1, 2] /dev/null\n")]


def test_signals_have_their_defaults_and_none_is_blocked(keeper: Bench) -> None:
    """The keeper ignores SIGINT, Python SIGPIPE; a child inherits neither, and no mask."""
    keeper.spawn("signals", ["cat", "/proc/self/status"])
    keeper.exited("signals")
    status = dict(line.split(b":\t", 1) for line in keeper.output("signals").splitlines() if b":\t" in line)
    of_the_c_library = 0b11 << 31  # 32 and 33, signal(7): make leaves them ignored, and nobody can change that
    assert [int(status[name], 16) & ~of_the_c_library for name in (b"SigBlk", b"SigIgn", b"SigCgt")] == [0, 0, 0]


def test_it_leads_a_session_and_a_group_of_its_own(keeper: Bench) -> None:
    """So that a terminal, the daemon or another run cannot signal it by accident."""
    child = keeper.spawn("session", ["sleep", "60"])
    assert os.getsid(child["pid"]) == os.getpgid(child["pid"]) == child["pid"]


def test_file_limit_is_the_users_and_does_not_bound_the_runs() -> None:
    """The keeper raises its own; a program that closes every possible descriptor must not pay for that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        with bench() as keeper:
            for number in range(80):
                keeper.spawn(f"run-{number}", ["sleep", "60"])
            assert len(os.listdir(f"/proc/{keeper.keeper.pid}/fd")) > 128
            said = keeper.finish("limit", "import resource; print(*resource.getrlimit(resource.RLIMIT_NOFILE))")
            assert said == [(0, f"128 {hard}\n".encode())]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_command_is_searched_in_the_path_that_was_given(keeper: Bench, tmp_path: Path) -> None:
    """Not in the keeper's; and a command with a slash is relative to the working directory."""
    for place, word in (("bin", "found"), ("other", "wrong")):
        (tmp_path / place).mkdir()
        script = tmp_path / place / "tool"
        script.write_text(f"#!/bin/sh\necho {word}\n")
        script.chmod(0o755)
    keeper.spawn("path", ["tool"], env={"PATH": f"/nowhere:{tmp_path}/bin:{tmp_path}/other"})
    keeper.spawn("slash", ["bin/tool"], cwd=str(tmp_path))
    for key in ("path", "slash"):
        keeper.exited(key)
        assert keeper.output(key) == b"found\n"


@pytest.mark.parametrize(
    ("argv", "cwd", "told"),
    [
        (["runcept-no-such-program"], "/", ("exec", errno.ENOENT)),
        (["./no-such-program"], "/", ("exec", errno.ENOENT)),
        (["./plain-file"], "{tmp}", ("exec", errno.EACCES)),
        (["/etc"], "/", ("exec", errno.EACCES)),
        (["sh"], "{tmp}/missing", ("chdir", errno.ENOENT)),
        (["sh"], "{tmp}/plain-file", ("chdir", errno.ENOTDIR)),
        (["a\0b"], "/", ("exec", errno.EINVAL)),
    ],
)
def test_failure_is_told_by_stage_and_errno(
    keeper: Bench, tmp_path: Path, argv: list[str], cwd: str, told: tuple[str, int]
) -> None:
    """The things that go wrong can be told apart, nothing is held, and the next start works."""
    (tmp_path / "plain-file").write_text("text")
    answer = keeper.spawn_request("bad", argv, cwd=cwd.format(tmp=tmp_path))
    assert (answer["error"]["strerror"], answer["error"]["errno"]) == told
    assert keeper.connect()["runs"] == []
    assert keeper.finish("good", "print(1)") == [(0, b"1\n")]


@pytest.mark.parametrize(("end", "code", "number"), [
    ("sys.exit(0)", 0, None),
    ("sys.exit(3)", 3, None),
    ("os._exit(255)", 255, None),
    ("os.kill(os.getpid(), signal.SIGKILL)", None, signal.SIGKILL),
    ("os.kill(os.getpid(), signal.SIGSEGV)", None, signal.SIGSEGV),
    ("os.kill(os.getpid(), signal.SIGTERM)", None, signal.SIGTERM),
])  # fmt: skip
def test_exit_is_told_exactly(keeper: Bench, end: str, code: int | None, number: int | None) -> None:
    """A code, or a signal and no code; and the record is on disk before the daemon hears of it."""
    keeper.python("end", f"import os, signal, sys; print('last words', flush=True); {end}")
    event = keeper.exited("end")
    record = json.loads(Path(keeper.directory("end"), "exit.json").read_text())
    assert (event["code"], event["signal"]) == (code, number) == (record["code"], record["signal"])
    assert event["size"] == len("last words\n") == record["size"]
    assert keeper.output("end") == b"last words\n"


def test_record_of_a_run_is_there_when_its_program_begins(keeper: Bench) -> None:
    """It is written before the exec, so a keeper killed at any instant leaves no program that nobody knows of."""
    child = keeper.spawn("record", ["cat", keeper.directory("record") + "/run.json"], meta={"any": ["thing", None]})
    keeper.exited("record")
    about = json.loads(keeper.output("record"))
    assert about["pid"] == child["pid"]
    assert about["meta"] == {"any": ["thing", None]}
    assert about["start_time"] == child["start_time"]


def test_signals_reach_the_group(keeper: Bench) -> None:
    """Also what a leader that has ended left in it: its zombie keeps the number, so no signal can hit a stranger."""
    code = "import subprocess; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True)"
    leader = keeper.python("all", code + "; p.wait()")["pid"]
    keeper.python("left", code)
    sleepers = [int(wait_until(lambda key=key: keeper.output(key))) for key in ("all", "left")]
    keeper.ask("signal", key="all", signal=signal.SIGTERM)
    assert keeper.exited("all")["signal"] == signal.SIGTERM
    wait_until(lambda: start_time(sleepers[0]) is None, what="the end of the group")
    assert keeper.exited("left")["code"] == 0
    assert start_time(sleepers[1]) is not None
    keeper.ask("signal", key="left", signal=signal.SIGKILL)
    wait_until(lambda: start_time(sleepers[1]) is None, what="the end of what was left")
    assert start_time(leader) is not None
    keeper.ask("release", key="all")
    assert keeper.request("signal", key="all", signal=signal.SIGTERM)["error"]["errno"] == errno.ESRCH


def test_a_key_that_is_held_is_refused(keeper: Bench) -> None:
    """Whoever asks for it again has lost count, and what is held stays held."""
    first = keeper.spawn("one", ["sleep", "60"])
    assert keeper.spawn_request("one", ["sleep", "60"])["error"]["errno"] == errno.EEXIST
    (held,) = keeper.connect()["runs"]
    assert (held["key"], held["pid"]) == ("one", first["pid"])


def test_leader_stays_a_zombie_until_it_is_released(keeper: Bench) -> None:
    """Its pid, group and session cannot become somebody else's while the daemon cleans up after it."""
    child = keeper.python("held", "")
    keeper.exited("held")
    stat = Path(f"/proc/{child['pid']}/stat")
    assert stat.read_text().rpartition(")")[2].split()[0] == "Z"
    keeper.finish("another", "")  # a later SIGCHLD must not reap it either
    assert stat.read_text().rpartition(")")[2].split()[0] == "Z"
    keeper.ask("release", key="held")
    assert not stat.exists()


def test_release_of_a_living_one_is_refused(keeper: Bench) -> None:
    """What lives is held."""
    keeper.spawn("living", ["sleep", "60"])
    assert keeper.request("release", key="living")["error"]["errno"] == errno.EBUSY
    assert [run["key"] for run in keeper.connect()["runs"]] == ["living"]


def test_unknown_orphans_are_reaped_and_held_ones_are_not() -> None:
    """A subreaper is handed everybody's orphans; only the leaders of runs stay zombies."""
    with bench() as keeper:
        code = """
import os
pid = os.fork()
if pid == 0:
    os.setsid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        os.read(0, 1)
        os._exit(0)
    os._exit(0)
os.waitpid(pid, 0)
"""
        keeper.python("parent", code)
        keeper.exited("parent")
        wait_until(lambda: keeper.output("parent").endswith(b"\n"))
        orphan = int(keeper.output("parent"))
        wait_until(lambda: not Path(f"/proc/{orphan}").exists(), what="reaping the orphan")
        keeper.ask("release", key="parent")


def test_interpreter_of_the_keeper_is_isolated(keeper: Bench) -> None:
    """Nothing of the user's Python reaches it: no site-packages, no PYTHONPATH."""
    arguments = Path(f"/proc/{keeper.keeper.pid}/cmdline").read_bytes().split(b"\0")
    assert arguments[1:3] == [b"-I", b"-S"]
    assert os.path.realpath(sys.executable) == os.readlink(f"/proc/{keeper.keeper.pid}/exe")


def held_up(keeper: Bench, key: str, place: Path, **more: Any) -> dict[str, Any]:
    """A child that waits before its exec: for somebody to read from a FIFO that it takes for its control group."""
    os.mkfifo(place / "cgroup.procs")
    answer = keeper.ask("spawn", **keeper.parameters(key, ["echo", "at last"], **more), cgroup=str(place))
    keeper.pids.add(answer["pid"])
    return answer


def let_go(place: Path) -> None:
    """It goes on."""
    assert (place / "cgroup.procs").read_text() == "0"


def begun(keeper: Bench, key: str) -> dict[str, Any]:
    """The event that a program was executed."""
    return keeper.event(lambda event: event["event"] == "begun" and event["key"] == key)


def test_a_child_that_hangs_before_its_program_holds_up_nobody(keeper: Bench, tmp_path: Path) -> None:
    """It is held from its fork on, has nothing of the keeper's open, and is told to have begun when it has."""
    answer = held_up(keeper, "hangs", tmp_path)
    assert not answer["begun"]
    assert keeper.finish("other", "print(1)") == [(0, b"1\n")]
    assert [(run["pid"], run["begun"]) for run in keeper.connect()["runs"]] == [(answer["pid"], False)]
    if Path("/proc/self/fd").exists():
        wait_until(lambda: start_time(answer["pid"]) is not None)
        wait_until(lambda: len(os.listdir(f"/proc/{answer['pid']}/fd")) == 4, what="nothing but 0 to 2 and the report")
    assert keeper.request("release", key="hangs")["error"]["errno"] == errno.EBUSY
    let_go(tmp_path)
    begun(keeper, "hangs")
    assert keeper.exited("hangs")["code"] == 0
    assert keeper.output("hangs") == b"at last\n"


def test_a_child_that_hangs_before_its_program_can_be_killed(keeper: Bench, tmp_path: Path) -> None:
    """By its group, as any other."""
    answer = held_up(keeper, "hangs", tmp_path)
    wait_until(lambda: os.getpgid(answer["pid"]) == answer["pid"], what="its session")
    keeper.ask("signal", key="hangs", signal=signal.SIGKILL)
    assert keeper.exited("hangs")["signal"] == signal.SIGKILL
    keeper.ask("release", key="hangs")


def test_a_program_that_never_ran_says_why_whoever_listens(keeper: Bench, tmp_path: Path) -> None:
    """Also to a daemon that has not asked for it: with its end."""
    held_up(keeper, "fails", tmp_path, cwd=str(tmp_path / "missing"))
    keeper.connect()
    let_go(tmp_path)
    end = keeper.exited("fails")
    assert (end["code"], end["failed"]) == (127, f"chdir {errno.ENOENT}")
    (run,) = keeper.connect()["runs"]
    assert run["exit"]["failed"] == f"chdir {errno.ENOENT}"
    keeper.ask("release", key="fails")


def test_nothing_is_told_of_a_program_before_it_has_begun(keeper: Bench) -> None:
    """However quick it is: who is told of output first does not know yet where to put it."""
    keys = [f"quick-{number}" for number in range(80)]
    for key in keys:
        keeper.pids.add(keeper.ask("spawn", **keeper.parameters(key, ["/bin/echo", "at once"]))["pid"])
    for key in keys:
        keeper.exited(key)
        told = [event["event"] for event in keeper.events if event.get("key") == key]
        assert told[0] == "begun"
        keeper.ask("release", key=key)
