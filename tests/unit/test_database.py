"""The state on disk: what is kept, what happens to a file that is none, and to one that cannot be written."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from runcept.core.life import Life
from runcept.core.model import Process, Project, State
from runcept.database.connection import open_database
from runcept.database.migrations import newest_version
from runcept.database.queries import Database, StoredEvent, StoredRun

PROJECT = Project(path="/p", name="p", processes=(Process(name="web", command="x", argv=("x",), working_dir="/p"),))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    connection, set_aside = open_database(str(tmp_path / "runcept.db"))
    assert set_aside is None
    opened = Database(connection)
    yield opened
    opened.close()


def test_an_environment_comes_back_as_it_was_kept(database: Database) -> None:
    """Project, captured environment, lives and activity."""
    life = Life(name="web", state=State.BACKOFF, reason="exit code 1", wanted=True, run=3, failures=[1.5], deadline=9.0)
    with database.transaction():
        database.save_environment(PROJECT, {"A": "b"}, 12.5)
        database.save_lives("/p", [life])
        database.save_activity("/p", 13.0, 4.0, "cli")
    (stored,) = database.environments()
    assert (stored.project, stored.environ, stored.activated_at) == (PROJECT, {"A": "b"}, 12.5)
    assert stored.lives == [life]
    assert (stored.last_activity_at, stored.last_activity) == (13.0, 4.0)


def test_forgetting_an_environment_keeps_its_history(database: Database) -> None:
    """Its processes and activity go with it."""
    event = StoredEvent(1.0, "/p", "web", "exited", "exit code 1", "supervisor", {"exit_code": 1})
    with database.transaction():
        database.save_environment(PROJECT, None, None)
        database.save_lives("/p", [Life(name="web")])
        database.add_events([event])
        database.forget_environment("/p")
    assert database.environments() == []
    assert database.events("/p") == [event]


def test_the_newest_events_come_in_order(database: Database) -> None:
    """Of one environment or of all."""
    events = [StoredEvent(float(i), f"/{i % 2}", None, "ready", str(i), "cli", {}) for i in range(10)]
    with database.transaction():
        database.add_events(events)
    assert database.events(limit=3) == events[-3:]
    assert [event.message for event in database.events("/1", limit=2)] == ["7", "9"]


def test_a_run_is_unreleased_from_its_decision_to_its_release(database: Database) -> None:
    """So that a new daemon knows of it at every instant between."""
    with database.transaction():
        database.begin_run("web-1-x", "/p", "web", 1)
    assert database.unreleased_runs() == [StoredRun("web-1-x", "/p", "web", 1, None, None, None)]
    with database.transaction():
        database.spawned_run("web-1-x", 42, 777, "boot", 5.0)
        database.ended_run("web-1-x", None, "SIGKILL", 6.0)
    assert database.unreleased_runs() == [StoredRun("web-1-x", "/p", "web", 1, 42, 777, "boot", None, "SIGKILL", 6.0)]
    with database.transaction():
        database.release_run("web-1-x")
    assert database.unreleased_runs() == []


def test_a_transaction_is_kept_whole_or_not_at_all(database: Database) -> None:
    """An error inside takes everything back, and is not swallowed."""

    def write_and_fail() -> None:
        with database.transaction():
            database.save_environment(PROJECT, None, None)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert database.environments() == []


def test_a_database_that_cannot_be_written_is_said_once_and_heals(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The daemon goes on with what it has in memory."""
    other = sqlite3.connect(tmp_path / "runcept.db", isolation_level=None)
    database._connection.execute("PRAGMA busy_timeout = 10")
    other.execute("BEGIN IMMEDIATE")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with database.transaction():
                database.save_environment(PROJECT, None, None)
        assert caplog.text.count("state is not kept") == 1
        other.execute("ROLLBACK")
        with database.transaction():
            database.save_environment(PROJECT, None, None)
        assert "state is kept again" in caplog.text
    other.close()
    assert len(database.environments()) == 1


def test_the_boot_is_remembered(database: Database) -> None:
    """It tells a recycled pid from a living process."""
    assert database.last_boot() is None
    with database.transaction():
        database.save_boot("one")
        database.save_boot("two")
    assert database.last_boot() == "two"


@pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_file_that_is_no_database_is_set_aside(tmp_path: Path, content: bytes) -> None:
    """It is kept under another name, and a new one is begun."""
    path = tmp_path / "runcept.db"
    path.write_bytes(content)
    connection, sentence = open_database(str(path))
    connection.close()
    assert sentence is not None
    (aside,) = tmp_path.glob("runcept.db.unusable-*")
    assert aside.read_bytes() == content
    assert str(aside) in sentence


def test_a_database_of_a_newer_runcept_is_set_aside(tmp_path: Path) -> None:
    """It is not written to: the newer one may come back."""
    path = tmp_path / "runcept.db"
    newer = sqlite3.connect(path)
    newer.execute(f"PRAGMA user_version = {newest_version() + 1}")
    newer.commit()
    newer.close()
    connection, sentence = open_database(str(path))
    connection.close()
    assert sentence is not None
    assert f"its schema is version {newest_version() + 1}" in sentence


def test_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    """It holds environments, and so secrets."""
    connection, _ = open_database(str(tmp_path / "runcept.db"))
    connection.close()
    assert (tmp_path / "runcept.db").stat().st_mode & 0o777 == 0o600
