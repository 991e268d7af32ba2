"""Rotation as a user meets it: the key `log` of the project file, `logs` through the rotations, `logs --clear`."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest
from tests.e2e.conftest import BIN, Project
from tests.support import running, wait_until

COUNTER = "i=0; while :; do i=$((i+1)); echo line $i; [ $((i % 25)) -gt 0 ] || sleep 0.01; done"
PROJECT = f"""
[project]
name = "shop"

[[process]]
name = "burst"
command = "seq 1 5000; exec sleep 1000"
log = {{ max_size = "20KB", keep = 1000 }}

[[process]]
name = "counter"
command = ["sh", "-c", "{COUNTER}"]
log = {{ max_size = "20KB", keep = 20, compress = false }}
autostart = false

[[process]]
name = "quiet"
command = "echo here I am; exec sleep 1000"
"""


@pytest.fixture
def shop(project: Project) -> Project:
    """A project whose logs are rotated."""
    project.write(PROJECT)
    project.run("activate")
    wait_until(lambda: project.log("burst").endswith("\n5000"), what="the last line")
    return project


def logs(project: Project) -> list[str]:
    return sorted(path.name for path in (project.path / ".runcept" / "logs").iterdir())


def test_logs_are_rotated_compressed_and_read_as_one(shop: Project) -> None:
    """The files are as small as asked for; `logs` shows every line of them, with its run."""
    files = [name for name in logs(shop) if name.startswith("burst.jsonl")]
    assert len(files) > 10
    for name in files:
        assert (shop.path / ".runcept" / "logs" / name).stat().st_size <= 20_000
    wait_until(lambda: any(name.endswith(".gz") for name in logs(shop)), what="a compressed file")
    lines = shop.json("logs", "burst", "-n", "100000", "--stream", "stdout")["lines"]
    assert [line["message"] for line in lines] == [str(number) for number in range(1, 5001)]
    assert {line["run"] for line in lines} == {1}
    assert shop.run("logs", "burst", "--grep", "^4321$").stdout == "burst | 4321\n"


def test_an_old_log_is_bounded_and_a_follower_misses_nothing(shop: Project) -> None:
    """`logs -f` goes on across rotations; no more than `keep` files stay, and `daemon restart` costs no line."""
    command = [BIN / "runcept", "--json", "logs", "counter", "-f", "--stream", "stdout"]
    with running(command, cwd=shop.path, env=shop.environ, stdout=subprocess.PIPE) as follower:
        assert follower.stdout is not None
        shop.run("start", "counter")
        numbers = [int(json.loads(follower.stdout.readline())["message"].split()[1]) for _ in range(2700)]
        shop.run("daemon", "restart")
        last = numbers[-1]
        numbers += [int(json.loads(follower.stdout.readline())["message"].split()[1]) for _ in range(2700)]
        follower.send_signal(signal.SIGINT)
        follower.communicate(timeout=10)
    assert numbers == list(range(numbers[0], numbers[0] + 5400))
    assert last < numbers[-1]
    shop.run("stop", "counter")
    files = [name for name in logs(shop) if name.startswith("counter.jsonl")]
    assert files == sorted(["counter.jsonl", *(f"counter.jsonl.{number}" for number in range(1, 21))])
    kept = shop.json("logs", "counter", "-n", "100000", "--stream", "stdout")["lines"]
    found = [int(line["message"].split()[1]) for line in kept]
    assert found == list(range(found[0], found[0] + len(found)))


def test_a_log_is_cleared_while_its_process_runs(shop: Project) -> None:
    """Rotations and all; others stay, the process does not notice, what it writes then is there."""
    before = shop.processes()["burst"]["pid"]
    assert shop.run("logs", "--clear", "burst").stdout == "cleared burst\n"
    assert [name for name in logs(shop) if name.startswith("burst")] == ["burst.jsonl"]
    assert [line["event"] for line in shop.json("logs", "burst")["lines"]] == ["continued"]
    assert "here I am" in shop.log("quiet")
    assert shop.processes()["burst"]["pid"] == before
    shop.run("restart", "burst")
    wait_until(lambda: shop.log("burst").endswith("\n5000"), what="the lines of the next run")
    assert {line["run"] for line in shop.json("logs", "burst", "-n", "1000")["lines"]} == {2}


def test_logs_are_cleared_without_a_daemon(shop: Project) -> None:
    """Nothing is started for it; a second time is no error."""
    shop.run("daemon", "stop")
    cleared = shop.json("logs", "--clear", "burst", "q*")
    assert cleared == {"environment": str(shop.path), "cleared": ["burst", "quiet"]}
    assert logs(shop) == []
    shop.run("logs", "--clear", "*")
    assert shop.json("daemon", "status")["running"] is False


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--clear"], 2, "takes names"),
        (["--clear", "quiet", "-f"], 2, "no other option"),
        (["--clear", "quiet", "--since", "1h"], 2, "no other option"),
        (["--clear", "quit"], 3, "Did you mean quiet?"),
    ],
)
def test_a_clear_that_is_not_clear_is_refused(project: Project, arguments: list[str], status: int, words: str) -> None:
    """What is removed is named, in full."""
    project.write(PROJECT)
    said = project.run("logs", *arguments, ok=False)
    assert said.returncode == status
    assert words in said.stderr


@pytest.mark.parametrize("with_daemon", [True, False])
def test_a_log_that_cannot_be_removed_is_told(shop: Project, with_daemon: bool) -> None:
    """With the same words whoever does it."""
    shop.run("stop" if with_daemon else "daemon", "quiet" if with_daemon else "stop")
    log = shop.path / ".runcept" / "logs" / "quiet.jsonl"
    log.unlink()
    log.mkdir()
    said = shop.run("logs", "--clear", "quiet", ok=False)
    assert said.returncode == 1
    assert said.stderr.startswith("runcept: the log of quiet cannot be removed: ")


BOUNDED = """
[project]
name = "shop"
log = { max_size = "20KB", keep = 1000, compress = false, max_total = "200KB" }
[[process]]
name = "early"
command = "seq 1 2000"
kind = "task"
[[process]]
name = "burst"
command = "seq 1 20000; exec sleep 1000"
depends_on = [{ name = "early", condition = "completed" }]
[[process]]
name = "quiet"
command = "echo here I am; exec sleep 1000"
"""


def test_all_logs_of_a_project_are_bounded(project: Project) -> None:
    """What is oldest goes, also of a process that was renamed; what others write is in its place all the same."""
    directory = project.path / ".runcept" / "logs"
    directory.mkdir(parents=True)
    (directory / "renamed.jsonl").write_bytes(b"long ago\n" * 30_000)
    project.write(BOUNDED)
    project.run("activate")
    wait_until(lambda: project.log("burst").endswith("\n20000"), what="the last line")
    wait_until(lambda: sum(path.stat().st_size for path in directory.iterdir()) <= 240_000, what="a bounded directory")
    left = set(logs(project))
    assert {"quiet.jsonl", "early.jsonl", "burst.jsonl"} <= left
    assert not left & {"early.jsonl.5", "renamed.jsonl"}
    assert project.log("quiet").splitlines()[1] == "here I am"
    kept = [int(line) for line in project.log("burst").splitlines() if line.isdecimal()]
    assert kept == list(range(kept[0], 20_001))
    assert len(kept) > 1000
