"""Disks that are full, and files that go away: the daemon and the processes live, and go on when it is over."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.chaos.ledger import Ledger
from tests.chaos.stage import Stage
from tests.support import wait_until

from runcept.paths import daemon_log


@contextlib.contextmanager
def small_disk(where: Path, size: str) -> Iterator[Path]:
    """A file system of `size` at the directory; gives the file that fills it: remove it, and there is room again."""
    if os.geteuid():
        pytest.skip("only root can mount a tmpfs")
    where.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", where], capture_output=True, check=False
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
        ballast.unlink()
        wait_until(lambda: len(numbers(stage, "steady")[0]) > seen)
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
        ballast.unlink()
        assert_complete(stage, "steady")
        assert stage.end()


def test_a_log_that_is_deleted_truncated_or_replaced_goes_on(stage: Stage) -> None:
    """With the next line, in the file that is there then."""
    stage.write({"steady": ""})
    stage.ask_for("start", "steady")
    log = Path(stage.log("steady"))
    other = log.with_suffix(".other")

    def grows() -> None:
        last = max((numbers(stage, "steady") or [[0]])[0], default=0)
        wait_until(lambda: max(numbers(stage, "steady")[0], default=0) > last)

    grows()
    log.unlink()
    wait_until(lambda: log.exists() and log.stat().st_size)
    grows()
    os.truncate(log, 0)
    grows()
    other.write_text("a line of somebody else's\n")
    other.replace(log)
    grows()
    assert "a line of somebody else's" in log.read_text()
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
