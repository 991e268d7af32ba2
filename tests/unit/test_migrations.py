"""Databases of every version that ever was: each is stored here, and is read by the Runcept of today."""

from __future__ import annotations

import random
import re
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import msgspec
import pytest

from runcept.core.life import Life
from runcept.core.model import Health, Project, State
from runcept.database.connection import Storage
from runcept.database.migrations import migrate, newest_version
from runcept.database.queries import Database

STORED = {
    int(re.sub(r"\D", "", path.stem)): path
    for path in (Path(__file__).parent.parent / "databases").glob("version-*.sql")
}
SLOW = """
CREATE TABLE first (number INTEGER) STRICT;
INSERT INTO first WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150000) SELECT i FROM n;
CREATE TABLE second (number INTEGER) STRICT;
INSERT INTO second SELECT number FROM first; -- as much again; and a semicolon in a comment
"""
MIGRATING = f"""
import sqlite3
from runcept.database.migrations import migrate
connection = sqlite3.connect("state.db", isolation_level=None)
connection.execute("PRAGMA journal_mode = WAL").fetchall()
connection.execute("PRAGMA cache_size = 10").fetchall()  # so that much is written before the end
print("begins", flush=True)
migrate(connection, {{1: "CREATE TABLE old (number INTEGER) STRICT;", 2: '''{SLOW}'''}})
print("done", flush=True)
"""


def stored(path: Path, version: int) -> str:
    """A database of that version, as it was stored."""
    connection = sqlite3.connect(path / "runcept.db")
    connection.executescript(STORED[version].read_text(encoding="utf-8"))
    connection.close()
    return str(path / "runcept.db")


def test_a_database_of_every_version_is_stored() -> None:
    """Whoever adds a migration stores one of the version before it first: `python -m tests.databases`."""
    assert sorted(STORED) == list(range(1, newest_version() + 1)), (
        "run `python -m tests.databases`, before the migration"
    )


@pytest.mark.parametrize("version", sorted(STORED))
def test_a_database_of_an_earlier_version_is_read_whole(tmp_path: Path, version: int) -> None:
    """Every project, every life in every state, runs, history, and the boot."""
    path = stored(tmp_path, version)
    before = sqlite3.connect(path)
    counts = {
        table: before.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("processes", "runs", "events")
    }
    before.close()
    storage = Storage(path)
    database = Database(storage)
    assert database.warnings() == []
    assert storage.connection.execute("PRAGMA user_version").fetchone() == (newest_version(),)
    (environment,) = database.environments()
    lives = {life.name: life for life in environment.lives}
    assert len(lives) == counts["processes"] == len(environment.project.processes)
    assert {life.state for life in lives.values()} == set(State)
    assert all(life.state == name for name, life in lives.items())
    assert (environment.project.name, environment.environ) == ("shop", {"PATH": "/usr/bin:/bin"})
    assert environment.activated_at is not None
    assert environment.last_activity is not None
    assert lives["running"].health is Health.HEALTHY
    assert lives["failed"].exit_signal == "SIGSEGV"
    assert lives["backoff"].deadline is not None
    unreleased = {run.process: run for run in database.unreleased_runs()}
    assert {"running", "starting", "stopping"} <= set(unreleased)
    assert unreleased["running"].pid == lives["running"].pid
    events = database.events(limit=10_000)
    assert len(events) == counts["events"]
    assert {"activated", "starting", "ready", "exited", "failed", "restarting", "stopped"} <= {e.kind for e in events}
    assert database.last_boot()
    database.close()


@pytest.mark.parametrize("version", sorted(STORED))
def test_a_database_of_an_earlier_version_can_be_written(tmp_path: Path, version: int) -> None:
    """What is changed in it comes back."""
    database = Database(Storage(stored(tmp_path, version)))
    (environment,) = database.environments()
    changed = msgspec.structs.replace(environment.lives[0], reason="another one", run=77)
    with database.transaction():
        database.save_environment(environment.project, {"A": "b"}, 1.0)
        database.save_lives(environment.project.path, [changed])
        database.begin_run("k", environment.project.path, changed.name, 77)
        database.release_run("k")
    database.close()
    again = Database(Storage(str(tmp_path / "runcept.db")))
    (found,) = again.environments()
    assert changed in found.lives
    assert found.environ == {"A": "b"}
    assert again.is_released("k")
    again.close()


def test_fields_that_are_not_known_yet_or_not_any_more_are_no_hindrance() -> None:
    """Rows are JSON: a later Runcept may have added a field, an earlier one has not had the newest."""
    life = msgspec.json.decode(b'{"name":"web","state":"running","pid":7,"of_tomorrow":[1,{"a":2}]}', type=Life)
    assert life == Life(name="web", state=State.RUNNING, pid=7)
    project = msgspec.json.decode(
        b'{"path":"/p","name":"p","of_tomorrow":{},"processes":'
        b'[{"name":"web","command":"x","argv":["x"],"working_dir":"/p","health_check":'
        b'{"url":"cmd://x","probe":"cmd","target":"x","of_tomorrow":1}}]}',
        type=Project,
    )
    assert project.process("web").health_check is not None


def tables(path: Path) -> tuple[int, dict[str, int]]:
    """The version of a database, and its tables with how many rows they have."""
    connection = sqlite3.connect(path)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    counts = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    return version, counts


def size_of(path: Path) -> int:
    """In bytes; of a file that is not there, none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def test_a_migration_that_is_killed_at_any_instant_has_happened_or_has_not(tmp_path: Path) -> None:
    """Thirty kill -9, most of them while rows are written: never half of it, and the next one completes it."""
    chance, seen = random.Random(0), set()
    whole = {"old": 0, "first": 150_000, "second": 150_000}
    for _ in range(30):
        for file in tmp_path.iterdir():
            file.unlink()
        with subprocess.Popen([sys.executable, "-c", MIGRATING], cwd=tmp_path, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"begins\n"
            much = chance.randrange(0, 5_000_000)
            while process.poll() is None and size_of(tmp_path / "state.db-wal") < much:
                pass
            process.send_signal(signal.SIGKILL)
        version, counts = tables(tmp_path / "state.db")
        assert counts == ({}, {"old": 0}, whole)[version]
        seen.add(version)
        connection = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
        migrate(connection, {1: "CREATE TABLE old (number INTEGER) STRICT;", 2: SLOW})
        connection.close()
        assert tables(tmp_path / "state.db") == (2, whole)
    assert seen >= {1}, "no kill came in the middle"


def test_two_that_migrate_at_once_do_it_once(tmp_path: Path) -> None:
    """The one that comes second waits, and finds it done. Daemons do not get that far: they hold a lock of the home."""
    scripts = {1: "CREATE TABLE old (number INTEGER) STRICT;", 2: SLOW}
    both = Barrier(2)

    def open_and_migrate(_: int) -> None:
        connection = sqlite3.connect(tmp_path / "state.db", isolation_level=None, timeout=60)
        try:
            both.wait(10)
            migrate(connection, scripts)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(open_and_migrate, range(2)))
    assert tables(tmp_path / "state.db") == (2, {"old": 0, "first": 150_000, "second": 150_000})


def test_a_migration_that_fails_leaves_what_was(tmp_path: Path) -> None:
    """A defect in its last statement takes the first one back, and is told."""
    connection = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    scripts = {1: "CREATE TABLE old (number INTEGER) STRICT;"}
    migrate(connection, scripts)
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrate(connection, scripts | {2: "CREATE TABLE other (n INTEGER);\nINSERT INTO nowhere VALUES (1);"})
    assert not connection.in_transaction
    connection.close()
    assert tables(tmp_path / "state.db") == (1, {"old": 0})
