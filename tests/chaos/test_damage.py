"""A database that is damaged, locked, read-only or of tomorrow: the daemon starts, says so, and finds what runs."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.chaos.stage import Stage
from tests.support import wait_until

from runcept.paths import daemon_log, database


def tear_a_page(path: str) -> None:
    """Noise where the tables are, behind a header that is sound."""
    with open(path, "r+b") as file:
        file.seek(4096 * 2)
        file.write(os.urandom(4096 * 3))


def cut_in_half(path: str) -> None:
    """As a copy that was interrupted."""
    os.truncate(path, os.path.getsize(path) // 2)


def of_tomorrow(path: str) -> None:
    """Written by a Runcept that is newer than this one."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 9999")
    connection.close()


def with_rows_of_nonsense(path: str) -> None:
    """A sound database of what nobody can read."""
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE processes SET life = CAST('{\"state\": 7}' AS BLOB)")
        connection.execute("UPDATE environments SET project = CAST('[]' AS BLOB)")
    connection.close()


def make_a_directory(path: str) -> None:
    """No file at all."""
    os.unlink(path)
    os.mkdir(path)


def identities(stage: Stage) -> dict[str, tuple[object, ...]]:
    return {name: (view.state, view.pid, view.run) for name, view in stage.statuses().items()}


def said(stage: Stage) -> str:
    """The daemon's log."""
    return Path(daemon_log(stage.home)).read_text(encoding="utf-8")


def is_one_file(path: str) -> bool:
    """Whether the write-ahead log has been written back: not before the last thread of the killed daemon is gone."""
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()
    return True


@contextmanager
def no_daemon(stage: Stage) -> Iterator[str]:
    """Daemon killed, keeper held still, so that it starts none; the database in one file, and its path."""
    (keeper,) = stage.keepers()
    os.kill(keeper, signal.SIGSTOP)
    try:
        stage.kill(stage.daemons())
        wait_until(lambda: is_one_file(database(stage.home)))
        yield database(stage.home)
    finally:
        os.kill(keeper, signal.SIGCONT)


@pytest.mark.parametrize("damage", [tear_a_page, cut_in_half, of_tomorrow, with_rows_of_nonsense, make_a_directory])
def test_what_runs_is_found_with_a_damaged_database(stage: Stage, damage: Callable[[str], None]) -> None:
    """Through the keeper: same pids, same runs; and it can be stopped."""
    stage.write({"steady": "", "client": ""})
    stage.ask_for("activate")
    stage.ask_for("restart", "client")
    before = identities(stage)
    with no_daemon(stage) as path:
        damage(path)
    assert identities(stage) == before
    assert "runcept.db" in said(stage) or "cannot be read" in said(stage)
    assert stage.ask_for("deactivate").ok


def test_a_read_only_database_is_used_from_memory(stage: Stage) -> None:
    """What was kept is known, what runs can be stopped; what happens is not kept, and that is said."""
    stage.write({"steady": "", "client": ""})
    stage.ask_for("start", "steady")
    before = identities(stage)
    with no_daemon(stage) as path:
        if subprocess.run(["chattr", "+i", path], capture_output=True, check=False).returncode:
            pytest.skip("a file cannot be made immutable here: not root, or not that kind of disk")
    try:
        assert identities(stage) == before
        assert "what happens is not kept" in said(stage)
        assert stage.ask_for("stop", "steady").ok
    finally:
        subprocess.run(["chattr", "-i", database(stage.home)], check=True)


def test_a_locked_database_holds_up_nobody_for_long(stage: Stage) -> None:
    """What happens meanwhile is in memory, and kept when the lock is gone: also what a killed daemon needs."""
    stage.write({"steady": "", "client": ""})
    stage.ask_for("activate")
    other = sqlite3.connect(database(stage.home), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert stage.ask_for("restart", "steady", seconds=10).ok
    assert stage.ask_for("stop", "client", seconds=10).ok
    assert said(stage).count("state is not kept") == 1
    other.execute("ROLLBACK")
    other.close()
    stage.ask_for("start", "steady")
    before = identities(stage)
    stage.kill(stage.daemons())
    wait_until(stage.daemons)
    assert identities(stage) == before
    assert before["steady"][2] == 2
    assert before["client"][0] == "stopped"
