"""Few descriptors, few processes, many cycles, many of everything: what is used is bounded, and given back."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.chaos.stage import Stage, is_alive
from tests.support import has_ended, wait_until

from runcept.api import messages as m
from runcept.client.autostart import ensure_daemon

MB = 1_000_000
CYCLES = 250
"""Of two starts, a restart and two stops: enough to see a descriptor or a task a cycle."""
MANY = int(os.environ.get("RUNCEPT_CHAOS_MANY", "300"))
"""Processes at once; `make chaos` runs a thousand."""
CGROUP = Path("/sys/fs/cgroup/pids")


def start_under(stage: Stage, files: tuple[int, int]) -> None:
    """Start a daemon from a shell with these limits (soft, hard) on open files."""
    start = f"""
import resource
from runcept.client.autostart import ensure_daemon
resource.setrlimit(resource.RLIMIT_NOFILE, {files})
ensure_daemon({stage.home!r}).close()
"""
    subprocess.run([sys.executable, "-c", start], check=True)


def seconds_used(pids: list[int]) -> float:
    """Of processor time, so far."""
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


@contextlib.contextmanager
def no_more_processes(pid: int) -> Iterator[None]:
    """Let a process of ours not fork: by its limit, which does not bind root, or by its cgroup, which does."""
    if os.geteuid():
        before = resource.prlimit(pid, resource.RLIMIT_NPROC)
        resource.prlimit(pid, resource.RLIMIT_NPROC, (0, before[1]))
        try:
            yield
        finally:
            resource.prlimit(pid, resource.RLIMIT_NPROC, before)
        return
    group = CGROUP / f"runcept-test-{pid}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"root is bound by cgroups alone, and there is none for pids here: {error}")
    try:
        (group / "cgroup.procs").write_text(str(pid))
        (group / "pids.max").write_text("0")
        yield
    finally:
        for member in (group / "cgroup.procs").read_text().split():
            (CGROUP / "cgroup.procs").write_text(member)
        wait_until(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


def test_sixty_four_descriptors_are_enough_for_forty_processes(stage: Stage) -> None:
    """Started under `ulimit -n 64`, daemon and keeper help themselves, and the processes get what was given."""
    names = [f"p{index}" for index in range(40)]
    command = 'command = "ulimit -S -n; exec sleep 1000"'
    stage.write_file('[project]\nname = "p"\n' + "".join(f'[[process]]\nname = "{n}"\n{command}\n' for n in names))
    start_under(stage, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    assert stage.ask_for("activate").ok
    wait_until(lambda: all(stage.messages(name) == ["64"] for name in names))
    stage.kill(stage.daemons())
    assert all(view.state == "running" for view in stage.statuses().values())


def test_what_a_hard_limit_leaves_no_room_for_is_refused_with_words(stage: Stage) -> None:
    """Of forty some run and the others say why not; what runs can be stopped and logged, and makes room for others."""
    names = [f"p{index}" for index in range(40)]
    command = 'command = "while sleep 0.1; do echo line; done"'
    stage.write_file('[project]\nname = "p"\n' + "".join(f'[[process]]\nname = "{n}"\n{command}\n' for n in names))
    start_under(stage, (64, 64))
    assert not stage.ask_for("activate").ok
    views = stage.statuses()
    states = Counter(view.state for view in views.values())
    assert states == {"running": 6, "failed": 34}
    running = [name for name in names if views[name].state == "running"]
    failed = [name for name in names if views[name].state == "failed"]
    assert all("`ulimit -n` leaves room for 6 processes" in (views[name].reason or "") for name in failed)
    ours = [*stage.daemons(), *stage.keepers()]
    wait_until(lambda: all(stage.messages(name) for name in running))
    used, begun = seconds_used(ours), time.monotonic()
    wait_until(lambda: time.monotonic() > begun + 1)
    assert seconds_used(ours) < used + 0.5
    assert stage.ask_for("stop", *running[:3]).ok
    assert stage.ask_for("start", *failed[:3]).ok
    stage.kill(stage.daemons())
    after = stage.statuses()
    assert all(after[name].pid == views[name].pid for name in running[3:])
    assert [view.state for view in after.values()].count("running") == 6
    assert "Traceback" not in (Path(stage.home) / "logs" / "keeper.log").read_text()


def test_a_start_without_a_process_left_fails_with_words_and_is_tried_again(stage: Stage) -> None:
    """As the restart policy wants; nobody dies of it, and once there may be processes again there are."""
    again = 'restart = "always"\nrestart_delay = "20ms"\nrestart_max_delay = "200ms"\nmax_restarts = 100000'
    stage.write({"steady": "", "client": "", "storm": again})
    before = {view.name: view.pid for view in stage.ask_for("start", "steady", "storm").processes}
    (keeper,), daemons = stage.keepers(), stage.daemons()
    with no_more_processes(keeper):
        answer = stage.ask_for("start", "client")
        assert not answer.ok
        assert "no more processes are allowed (`ulimit -u`" in answer.processes[0].reason
        stage.kill([before["storm"]])
        wait_until(lambda: "no more processes are allowed" in (stage.statuses()["storm"].reason or ""))
        assert stage.statuses()["storm"].state == "backoff"
        assert stage.statuses()["steady"].pid == before["steady"]
        stage.kill(stage.daemons())
        assert stage.statuses()["steady"].pid == before["steady"]
    wait_until(lambda: stage.statuses()["storm"].state == "running")
    assert stage.ask_for("start", "client").ok
    assert (stage.keepers(), stage.daemons() == daemons) == ([keeper], False)


def test_many_processes_at_once(stage: Stage) -> None:
    """All of them run, are adopted and stopped; and what each takes is given back."""
    names = [f"p{index}" for index in range(MANY)]
    command = 'command = ["sleep", "1000"]'
    stage.write_file('[project]\nname = "p"\n' + "".join(f'[[process]]\nname = "{n}"\n{command}\n' for n in names))
    stage.statuses()
    (keeper,) = stage.keepers()
    assert stage.ask_for("activate", seconds=300).ok
    before = {name: view.pid for name, view in stage.statuses().items()}
    assert len(set(before.values())) == MANY
    (daemon,) = stage.daemons()
    assert psutil.Process(daemon).num_fds() < 5 * MANY + 50
    assert psutil.Process(keeper).memory_info().rss < 30 * MB
    assert psutil.Process(daemon).memory_info().rss < 100 * MB
    stage.kill([daemon])
    assert {name: view.pid for name, view in stage.statuses().items()} == before
    assert stage.ask_for("deactivate", seconds=300).ok
    assert not any(is_alive(pid) for pid in before.values() if pid)
    wait_until(lambda: not list((Path(stage.home) / "runs").iterdir()), seconds=60)
    ours = [*stage.daemons(), keeper]
    wait_until(lambda: all(psutil.Process(pid).num_fds() < 30 for pid in ours))


def test_many_processes_that_end_while_no_daemon_runs(stage: Stage) -> None:
    """The next daemon answers as soon as it knows how: it is not taken for one that does not start."""
    names = [f"p{index}" for index in range(MANY)]
    command = 'command = ["sleep", "1000"]'
    stage.write_file('[project]\nname = "p"\n' + "".join(f'[[process]]\nname = "{n}"\n{command}\n' for n in names))
    assert stage.ask_for("activate", seconds=300).ok
    pids = [view.pid for view in stage.statuses().values() if view.pid]
    assert len(pids) == MANY
    stage.kill([*stage.daemons(), *pids])
    assert {view.reason for view in stage.statuses().values()} == {"killed by SIGKILL"}
    wait_until(lambda: not list((Path(stage.home) / "runs").iterdir()), seconds=60)


def test_a_thousand_known_environments_are_light(stage: Stage) -> None:
    """Each costs a few kilobytes, and asking for all of them or one of them takes a moment."""
    count = 1000
    paths = [stage.project.parent / f"known-{index}" for index in range(count)]
    for path in paths:
        path.mkdir()
        process = '[[process]]\nname = "p{}"\ncommand = "exec sleep 1000"\n'
        (path / ".runcept.toml").write_text('[project]\nname = "p"\n' + "".join(map(process.format, range(5))))
    with ensure_daemon(stage.home) as connection:
        (daemon,) = stage.daemons()
        before = psutil.Process(daemon).memory_info().rss
        for path in paths:
            connection.call("status", m.Status(environment=str(path)))
        assert psutil.Process(daemon).memory_info().rss < before + 40 * MB
        assert len(connection.call("environments", m.Environments()).environments) == count
        used = seconds_used([daemon])
        assert len(connection.call("ps").processes) == 5 * count
        assert connection.call("start", m.Start(environment=str(paths[7]), names=["p0"])).ok
        assert connection.call("stop", m.Stop(environment=str(paths[7]), names=["p0"])).ok
        assert seconds_used([daemon]) < used + 1.5


def test_two_thousand_children_are_swept_at_once(stage: Stage) -> None:
    """By a stop, and when their leader dies."""
    loop = "i=0; while [ $i -lt 2000 ]; do sleep 1000 & i=$((i+1)); done; echo all; wait"
    stage.write_file(f'[project]\nname = "p"\n[[process]]\nname = "web"\ncommand = "{loop}"\n')
    for end in ("stop", "death"):
        pid = stage.ask_for("start", "web").processes[0].pid
        wait_until(lambda: stage.messages("web").count("all") == ("stop", "death").index(end) + 1, seconds=60)  # noqa: B023
        children = psutil.Process(pid).children()
        assert len(children) == 2000
        (daemon,) = stage.daemons()
        used = seconds_used([daemon])
        if end == "stop":
            assert stage.ask_for("stop", "web").ok
        else:
            stage.kill([pid])
            wait_until(lambda: stage.statuses()["web"].state == "failed", seconds=30)
        assert all(map(has_ended, children))
        assert seconds_used([daemon]) < used + 5


def test_what_cycles_leave_behind_is_nothing(stage: Stage) -> None:
    """Descriptors and memory of daemon and keeper are flat over starts, stops, restarts and crashes."""
    stage.write({"steady": "", "quits": ""})

    def cycle(count: int) -> None:
        for _ in range(count):
            stage.ask_for("start", "steady", "quits", wait=False)
            stage.ask_for("restart", "steady", wait=False)
            assert stage.ask_for("stop", "steady", "quits").ok

    def descriptors() -> list[int]:
        return [psutil.Process(pid).num_fds() for pid in (*stage.daemons(), *stage.keepers())]

    def memory() -> int:
        return sum(psutil.Process(pid).memory_info().rss for pid in (*stage.daemons(), *stage.keepers()))

    cycle(5)
    wait_until(lambda: not list((Path(stage.home) / "runs").iterdir()))
    before, memory_before = descriptors(), memory()
    cycle(CYCLES)
    wait_until(lambda: not list((Path(stage.home) / "runs").iterdir()))
    wait_until(lambda: all(now <= then + 1 for now, then in zip(descriptors(), before, strict=True)))
    assert memory() < memory_before + 4 * MB


def test_a_line_of_twenty_megabytes_takes_no_twenty_megabytes(stage: Stage) -> None:
    """It is logged in parts, whole and in order, and who asks meanwhile is answered."""
    code = "import sys; sys.stdout.write('start' + 'x' * 20_000_000 + 'end\\\\n'); sys.stdout.flush(); input()"
    keys = f"command = ['{sys.executable}', '-I', '-S', '-c', \"{code}\"]"
    stage.write_file(f'[project]\nname = "p"\n[[process]]\nname = "web"\n{keys}\n')
    stage.statuses()
    (daemon,), (keeper,) = stage.daemons(), stage.keepers()
    before = psutil.Process(daemon).memory_info().rss
    stage.ask_for("start", "web", wait=False)
    most = 0

    def is_logged() -> bool:
        nonlocal most
        most = max(most, psutil.Process(daemon).memory_info().rss)
        stage.statuses()
        log = Path(stage.log("web"))
        return log.exists() and log.stat().st_size > 20_000_000

    wait_until(is_logged, seconds=30)
    wait_until(lambda: sum(map(len, stage.messages("web"))) == 20_000_008)
    assert most < before + 20 * MB
    assert psutil.Process(keeper).memory_info().rss < 20 * MB
