"""The daemon's own log: its last lines in the time of the wall here, and those to come, through its rotation."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import wait_until
from tests.unit.cli_stage import Stage, shop_stage

from runcept.cli.daemon_log import follow


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return shop_stage(tmp_path)


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Five hours behind UTC in winter."""
    monkeypatch.setenv("TZ", "EST5EDT")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_new_york")
def test_a_person_reads_the_local_time_and_a_script_utc(stage: Stage) -> None:
    """A traceback of the daemon's stderr, which has no time, stays as it is."""
    (stage.home / "logs").mkdir(parents=True)
    record = {"ts": "2026-01-02T03:04:05.678901Z", "level": "info", "message": "daemon started"}
    (stage.home / "logs" / "daemon.log").write_text(json.dumps(record) + "\n")
    (stage.home / "logs" / "daemon.stderr").write_text("MemoryError\n")
    assert stage.run("daemon", "logs").out == "MemoryError\n2026-01-01 22:04:05  info  daemon started\n"
    assert stage.run("daemon", "logs", "--json").json["lines"] == [{"message": "MemoryError"}, record]
    assert stage.run("daemon", "logs", "-n", "1").out.count("\n") == 1
    assert stage.run("daemon", "logs", "-n", "0").out == ""


def test_following_goes_through_rotation_and_misses_nothing(tmp_path: Path) -> None:
    """What was written to the old file before it was moved comes before what is in the new one."""
    log = tmp_path / "daemon.log"
    log.write_text("before\nfirst\n")
    seen: list[str] = []
    over = threading.Event()

    def read() -> None:
        for line in follow(str(log), len("before\n"), over.is_set):
            seen.append(line)  # noqa: PERF402  each is looked for as it comes

    reader = threading.Thread(target=read)
    reader.start()
    try:
        wait_until(lambda: seen == ["first"], what="the first line")
        with log.open("a") as file:
            file.write("second\nthi")
            file.flush()
            os.rename(log, tmp_path / "daemon.log.1")
            file.write("rd\n")
        log.write_text("fourth\n")
        wait_until(lambda: len(seen) == 4, what="the line in the new file")
    finally:
        over.set()
        reader.join(10)
    assert not reader.is_alive()
    assert seen == ["first", "second", "third", "fourth"]
