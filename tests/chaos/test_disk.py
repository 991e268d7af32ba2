"""Disks that are full, and files that go away: the daemon and the processes live, and go on when it is over.

What output waits for is shown by status, and what is lost is told by the log.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.chaos.ledger import Ledger
from tests.chaos.stage import Stage
from tests.support import wait_until

from runcept.paths import daemon_log


@contextlib.contextmanager
def small_disk(where: Path, size: str, mode: str = "rw") -> Iterator[Path]:
    """A file system of `size` at the directory; gives the file that fills it: remove it, and there is room again."""
    if os.geteuid():
        pytest.skip("only root can mount a tmpfs")
    where.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700,{mode}", "tmpfs", where], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield where / "ballast"
    finally:
        subprocess.run(["umount", "--lazy", where], check=True)


def fill(ballast: Path) -> None:
    """Leave no room."""
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def warnings(stage: Stage, text: str) -> int:
    """How often the daemon has said this."""
    return Path(daemon_log(stage.home)).read_text(encoding="utf-8").count(text)


def notice(stage: Stage, name: str = "steady") -> str:
    """What status says of a process beside its state."""
    return stage.statuses()[name].notice or ""


def gaps(stage: Stage, name: str) -> list[dict[str, object]]:
    """The records of lost output in a log."""
    with open(stage.log(name), encoding="utf-8") as log:
        records = [json.loads(line) for line in log]
    return [record for record in records if record.get("event") == "gap"]


def spooled(stage: Stage) -> Path:
    """The directory of the only run."""
    (run,) = (Path(stage.home) / "runs").iterdir()
    return run


def grows(stage: Stage) -> None:
    """There are lines in the log that were not there before."""
    last = max(numbers(stage, "steady")[0], default=0)
    wait_until(lambda: max(numbers(stage, "steady")[0], default=0) > last)


def numbers(stage: Stage, name: str) -> list[list[int]]:
    """The numbers that a counting actor has in its log, of stdout and of stderr."""
    found: list[list[int]] = [[], []]
    for stream in (0, 1):
        lines = [line.split(" ") for line in stage.messages(name, ("stdout", "stderr")[stream])]
        found[stream] = [int(line[2]) for line in lines if len(line) == 3]
    return found


def assert_complete(stage: Stage, name: str) -> None:
    """Stopped: every line is there, once, in order."""
    stage.ask_for("stop", name)
    wait_until(lambda: not os.listdir(os.path.join(stage.home, "runs")), what="the release of the run")
    assert sum(map(len, numbers(stage, name))) == done(stage)
    for each in numbers(stage, name):
        assert each == list(range(1, len(each) + 1))


def done(stage: Stage) -> int:
    """How many lines the last actor has written."""
    counts = Ledger(stage).counts(Ledger(stage).journal()[-1])
    return counts[1] + counts[3]


def test_a_full_disk_of_logs_delays_lines_and_loses_none(stage: Stage) -> None:
    """They wait in the home; it is said once, and goes on by itself."""
    with small_disk(stage.project / ".runcept", "600k") as ballast:
        stage.write({"steady": ""})
        stage.ask_for("start", "steady")
        wait_until(lambda: numbers(stage, "steady")[0])
        fill(ballast)
        wait_until(lambda: warnings(stage, "output waits in the spool"))
        seen = len(numbers(stage, "steady")[0])
        assert stage.statuses()["steady"].state == "running"
        assert notice(stage) == f"its output waits to be logged: no space left on device: {stage.log('steady')}"
        ballast.unlink()
        wait_until(lambda: len(numbers(stage, "steady")[0]) > seen)
        wait_until(lambda: not notice(stage))
        assert_complete(stage, "steady")
        assert warnings(stage, "output waits in the spool") == 1


def test_what_starts_on_a_full_disk_is_logged_from_its_start(stage: Stage) -> None:
    """Its start is the first record, and its lines follow, as soon as there is room; until then it just runs."""
    with small_disk(stage.project / ".runcept", "600k") as ballast:
        stage.write({"steady": ""})
        (stage.project / ".runcept" / "logs").mkdir()
        (stage.project / ".runcept" / ".gitignore").write_text("*\n")
        Path(stage.log("steady")).touch()
        fill(ballast)
        assert stage.ask_for("start", "steady").ok
        wait_until(lambda: warnings(stage, "output waits in the spool"))
        ballast.unlink()
        wait_until(lambda: numbers(stage, "steady")[0])
        assert stage.messages("steady", "runcept")[0].startswith("run 1, pid ")
        assert_complete(stage, "steady")


def test_a_full_home_stops_nothing_and_loses_no_line(stage: Stage) -> None:
    """Neither output nor state can be kept: the pipes fill, status answers, and all goes on when there is room."""
    with small_disk(Path(stage.home), "3m") as ballast:
        stage.write({"steady": ""})
        stage.ask_for("start", "steady")
        wait_until(lambda: numbers(stage, "steady")[0])
        fill(ballast)
        wait_until(lambda: done(stage) > sum(map(len, numbers(stage, "steady"))) + 100)
        assert stage.statuses()["steady"].state == "running"
        assert notice(stage) == f"its output waits to be logged: no space left on device: {spooled(stage)}"
        stage.kill(stage.daemons())
        assert notice(stage).startswith("its output waits to be logged: no space left on device")
        ballast.unlink()
        assert_complete(stage, "steady")
        assert stage.end()


def test_a_log_that_is_deleted_truncated_or_replaced_goes_on(stage: Stage) -> None:
    """With the next line, in the file that is there then."""
    stage.write({"steady": ""})
    stage.ask_for("start", "steady")
    log = Path(stage.log("steady"))
    other = log.with_suffix(".other")
    grows(stage)
    log.unlink()
    wait_until(lambda: log.exists() and log.stat().st_size)
    grows(stage)
    os.truncate(log, 0)
    grows(stage)
    other.write_text("a line of somebody else's\n")
    other.replace(log)
    grows(stage)
    assert "a line of somebody else's" in log.read_text()
    shutil.rmtree(log.parent)
    wait_until(lambda: log.exists() and log.stat().st_size)
    grows(stage)
    assert stage.statuses()["steady"].state == "running"


def test_a_project_that_is_deleted_while_it_runs_can_be_stopped(stage: Stage) -> None:
    """Nothing of it is made anew; it is said once that its output is not logged."""
    stage.write({"steady": ""})
    pid = stage.ask_for("start", "steady").processes[0].pid
    shutil.rmtree(stage.project)
    wait_until(lambda: warnings(stage, "output waits in the spool"))
    (entry,) = Ledger(stage).journal()
    assert (entry.pid, entry.is_alive()) == (pid, True)
    stage.ask_for("stop", "steady", seconds=20)
    assert not entry.is_alive()
    assert not stage.project.exists()
    assert warnings(stage, "output waits in the spool") == 1


def test_what_takes_the_place_of_a_log_is_waited_out(stage: Stage) -> None:
    """It is said once, shown by status, survives a death of the daemon, and costs no line."""
    stage.write({"steady": ""})
    log = Path(stage.log("steady"))
    log.parent.mkdir(parents=True)
    log.mkdir()
    pid = stage.ask_for("start", "steady").processes[0].pid
    wait_until(lambda: str(log) in notice(stage))
    assert warnings(stage, "output waits in the spool") == 1
    stage.kill(stage.daemons())
    wait_until(lambda: str(log) in notice(stage))
    assert stage.statuses()["steady"].pid == pid
    log.rmdir()
    grows(stage)
    assert_complete(stage, "steady")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_log_without_permission_is_waited_out(stage: Stage) -> None:
    """As one that is in the way: it goes on when it may."""
    stage.write({"steady": ""})
    log = Path(stage.log("steady"))
    log.parent.mkdir(parents=True)
    log.touch(0o400)
    stage.ask_for("start", "steady")
    wait_until(lambda: notice(stage).endswith(f"permission denied: {log}"))
    log.chmod(0o600)
    grows(stage)
    assert_complete(stage, "steady")


def test_a_read_only_disk_is_waited_out(stage: Stage) -> None:
    """Mounted over the logs while they are written, as after an error of the disk; and a start says what it is."""
    stage.write({"steady": "", "client": ""})
    stage.ask_for("start", "steady")
    grows(stage)
    with small_disk(Path(stage.log("steady")).parent, "100k", "ro"):
        wait_until(lambda: notice(stage).endswith(f"read-only file system: {stage.log('steady')}"))
        assert stage.statuses()["steady"].state == "running"
    grows(stage)
    assert_complete(stage, "steady")
    assert warnings(stage, "output waits in the spool") == 1
    with small_disk(Path(stage.home) / "runs", "100k", "ro"):
        answer = stage.ask_for("start", "client")
    assert not answer.ok
    assert f"read-only file system: {stage.home}/runs/client-1-" in answer.processes[0].reason
    assert stage.ask_for("start", "client").ok


def test_a_start_on_a_full_home_says_so(stage: Stage) -> None:
    """In a sentence; once there is room, the next start is as any other."""
    with small_disk(Path(stage.home), "3m") as ballast:
        stage.write({"steady": ""})
        stage.statuses()
        fill(ballast)
        answer = stage.ask_for("start", "steady", seconds=10)
        assert not answer.ok
        assert f"no space left on device: {stage.home}/runs/steady-1-" in answer.processes[0].reason
        assert "Traceback" not in Path(daemon_log(stage.home)).read_text(encoding="utf-8")
        ballast.unlink()
        assert stage.ask_for("start", "steady").ok
        grows(stage)
        assert stage.end()


def test_a_stop_of_everything_on_a_full_disk_leaves_the_rest_to_the_next_daemon(stage: Stage) -> None:
    """Every line, and the record of the end: the daemon ends, and what it could not log waits in the home."""
    with small_disk(stage.project / ".runcept", "600k") as ballast:
        stage.write({"steady": ""})
        stage.ask_for("start", "steady")
        grows(stage)
        fill(ballast)
        wait_until(lambda: notice(stage))
        assert stage.end()
        ballast.unlink()
        stage.statuses()
        wait_until(lambda: not os.listdir(os.path.join(stage.home, "runs")), what="the release of the run")
        assert sum(map(len, numbers(stage, "steady"))) == done(stage)
        assert stage.messages("steady", "runcept")[1:] == ["run 1: killed by SIGKILL"]


def test_a_project_that_was_moved_is_logged_again_when_it_is_back(stage: Stage) -> None:
    """It is not made anew meanwhile, also not by a restart, which is tried until it succeeds."""
    again = 'restart = "always"\nrestart_delay = "20ms"\nrestart_max_delay = "200ms"\nmax_restarts = 1000'
    stage.write({"steady": again})
    pid = stage.ask_for("start", "steady").processes[0].pid
    grows(stage)
    away = stage.project.rename(stage.project.with_name("away"))
    wait_until(lambda: "the project's directory is gone" in notice(stage))
    stage.kill([pid])
    wait_until(lambda: "the project's directory is gone" in (stage.statuses()["steady"].reason or ""), seconds=30)
    assert not stage.project.exists()
    away.rename(stage.project)
    wait_until(lambda: stage.statuses()["steady"].state == "running", seconds=30)
    grows(stage)
    stage.ask_for("stop", "steady")


def test_what_is_removed_from_a_home_costs_what_was_in_it(stage: Stage) -> None:
    """The directory of a run: it goes on at once, in a new one. A part of what waits to be logged: the log tells."""
    with small_disk(stage.project / ".runcept", "600k") as ballast:
        stage.write({"steady": ""})
        stage.ask_for("start", "steady")
        grows(stage)
        shutil.rmtree(spooled(stage))
        grows(stage)
        stage.kill(stage.daemons())
        grows(stage)
        fill(ballast)
        wait_until(lambda: notice(stage))
        written = done(stage)
        wait_until(lambda: done(stage) > written + 20)
        (segment,) = spooled(stage).glob("*.raw")
        os.truncate(segment, 0)
        ballast.unlink()
        wait_until(lambda: gaps(stage, "steady"))
        grows(stage)
        stage.ask_for("stop", "steady")
        wait_until(lambda: not os.listdir(os.path.join(stage.home, "runs")), what="the release of the run")
        (gap,) = gaps(stage, "steady")
        assert int(str(gap["bytes"])) > 100
        assert str(gap["since"]) < str(gap["until"])


def test_a_log_that_cannot_be_written_costs_no_processor(stage: Stage) -> None:
    """It is tried again each second, whatever there is to be written; and what waits on disk is bounded."""
    code = "import os\nwhile True: os.write(1, b'x' * 99 + b'\\n' * 1)"
    command = f"command = {[sys.executable, '-I', '-S', '-c', code]!r}"
    stage.write_file(f'[project]\nname = "p"\n[[process]]\nname = "flood"\n{command}\n')
    log = Path(stage.log("flood"))
    log.parent.mkdir(parents=True)
    log.mkdir()
    stage.ask_for("start", "flood")
    wait_until(lambda: notice(stage, "flood"))

    def waiting() -> int:
        return sum(path.stat().st_size for path in spooled(stage).glob("*.raw"))

    ours = [psutil.Process(pid) for pid in (*stage.daemons(), *stage.keepers())]
    flood = psutil.Process(stage.statuses()["flood"].pid)
    wait_until(lambda: flood.status() == psutil.STATUS_SLEEPING and waiting() >= 64 << 20, seconds=20)
    before, begun = sum(sum(process.cpu_times()[:2]) for process in ours), time.monotonic()
    wait_until(lambda: time.monotonic() > begun + 2)
    assert sum(sum(process.cpu_times()[:2]) for process in ours) - before < 0.5
    assert waiting() < 80 << 20
    log.rmdir()
    wait_until(lambda: log.exists() and log.stat().st_size > 1_000_000, seconds=20)
    assert not notice(stage, "flood")
    assert stage.ask_for("stop", "flood").ok
