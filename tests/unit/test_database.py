"""The state on disk: what is kept, what happens to a file that is none, and to one that cannot be written."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.support import wait_until

from runcept.core.history import Choice
from runcept.core.life import Life
from runcept.core.model import Process, Project, State
from runcept.database.connection import Storage
from runcept.database.migrations import newest_version
from runcept.database.queries import Database, EventsAsked, EventScan, RunRecord, StoredEvent, StoredRun
from runcept.scheduler.inactivity import Uses

PROJECT = Project(path="/p", name="p", processes=(Process(name="web", command="x", argv=("x",), working_dir="/p"),))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(Storage(str(tmp_path / "runcept.db")))
    assert opened.warnings() == []
    yield opened
    opened.close()


def test_an_environment_comes_back_as_it_was_kept(database: Database) -> None:
    """Project, captured environment, lives and activity."""
    life = Life(name="web", state=State.BACKOFF, reason="exit code 1", wanted=True, run=3, failures=[1.5], deadline=9.0)
    with database.transaction():
        database.save_environment(PROJECT, {"A": "b"}, 12.5)
        database.save_lives("/p", [life])
        database.save_activity("/p", 13.0, 4.0, "cli", Uses({"web": 3.5}, {"": 3.0}))
    (stored,) = database.environments()
    assert (stored.project, stored.environ, stored.activated_at) == (PROJECT, {"A": "b"}, 12.5)
    assert stored.lives == [life]
    assert (stored.last_activity_at, stored.last_activity) == (13.0, 4.0)
    assert stored.uses == Uses({"web": 3.5}, {"": 3.0})


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


def numbered(environment: str | None, count: int, kind: str = "ready") -> list[StoredEvent]:
    return [StoredEvent(float(n), environment, None, kind, str(n), "cli", {}) for n in range(count)]


def test_the_oldest_events_of_an_environment_are_dropped(database: Database) -> None:
    """Step by step, each of so many; what is rare is not crowded out by what is not."""
    with database.transaction():
        database.add_events(numbered("/rare", 3) + numbered("/often", 1000) + numbered(None, 50, "daemon_started"))
    steps = []
    while dropped := database.prune_events("/often", 90, 0.0, 100):
        steps.append(dropped)
    assert steps == [100] * 9 + [10]
    assert [event.message for event in database.events("/often", limit=1000)] == [str(n) for n in range(910, 1000)]
    assert database.prune_events(None, 20, 0.0, 100) == 30
    assert database.prune_events("/rare", 90, 0.0, 100) == 0
    assert len(database.events("/rare")) == 3
    assert len(database.events(limit=1000)) == 3 + 90 + 20


def test_old_events_are_dropped_however_few_they_are(database: Database) -> None:
    """By their instant; those of the daemon itself too."""
    with database.transaction():
        database.add_events(numbered("/p", 10) + numbered(None, 10))
    assert database.prune_events("/p", 1000, 7.0, 5) == 5
    assert database.prune_events("/p", 1000, 7.0, 5) == 2
    assert database.prune_events("/p", 1000, 7.0, 5) == 0
    assert [event.at for event in database.events("/p")] == [7.0, 8.0, 9.0]
    assert database.prune_events(None, 1000, 100.0, 100) == 10


def test_nothing_is_dropped_while_that_cannot_be_kept(database: Database, tmp_path: Path) -> None:
    """A sweep would go on for ever, and what it wants would pile up."""
    with database.transaction():
        database.add_events(numbered("/p", 10))
    other = sqlite3.connect(tmp_path / "runcept.db", isolation_level=None)
    database._connection.execute("PRAGMA busy_timeout = 10")
    other.execute("BEGIN IMMEDIATE")
    with database.transaction():
        database.add_events(numbered("/p", 1))
    assert database.prune_events("/p", 0, 0.0, 100) == 0
    other.execute("ROLLBACK")
    other.close()


def test_the_runs_of_a_forgotten_environment_are_dropped_when_they_are_old(database: Database) -> None:
    """Those of known ones are kept, and those that are not released."""
    with database.transaction():
        database.save_environment(PROJECT, None, None)
        for key, path in (("known", "/p"), ("forgotten", "/gone"), ("unreleased", "/gone"), ("new", "/gone")):
            database.begin_run(key, path, key, 1)
            database.ended_run(key, 0, None, 50.0 if key == "new" else 5.0)
            if key != "unreleased":
                database.release_run(key)
    assert database.prune_runs(10.0, 100) == 1
    assert not database.last_runs("/gone", "forgotten", 5)
    assert database.last_runs("/gone", "new", 5)


def test_the_last_runs_say_why_they_are_over(database: Database) -> None:
    """The newest first, so many; of one that lives, and of one that never began, what there is."""
    with database.transaction():
        for run in (1, 2, 3):
            database.begin_run(f"web-{run}", "/p", "web", run)
        database.spawned_run("web-2", 42, 777, "boot", 5.0)
        database.ended_run("web-2", None, "SIGKILL", 6.5)
        database.explain_run("/p", "web", 2, "killed by SIGKILL")
    assert database.last_runs("/p", "web", 2) == [
        RunRecord(3, None, None, None, None, None, None),
        RunRecord(2, 42, 5.0, 6.5, None, "SIGKILL", "killed by SIGKILL"),
    ]


def test_events_are_read_from_where_one_is(database: Database) -> None:
    """Forward and back, of one environment, of the daemon as well, or of all; each once, in the order of its id."""
    with database.transaction():
        for n in range(6):
            database.add_events([StoredEvent(0.0, ("/a", "/b", None)[n % 3], None, "ready", str(n), "cli", {})])

    def said(scan: EventScan) -> tuple[str, int | None]:
        return "".join(row.event.message for row in scan.rows), scan.last

    alone, everything = EventsAsked("/a", daemon=False), EventsAsked(None)
    assert said(database.events_before(7, 10, alone)) == ("30", None)
    assert said(database.events_before(7, 3, EventsAsked("/a"))) == ("532", 3)
    assert said(database.events_before(5, 10, everything)) == ("3210", None)
    assert said(database.events_after(1, 2, everything)) == ("12", 3)
    assert said(database.events_after(1, 10, EventsAsked("/a"))) == ("235", None)
    assert said(database.events_after(0, 6, everything._replace(choice=Choice(since=1.0)))) == ("", 6)
    assert database.newest_event() == 6
    assert (database.next_history(""), database.next_history("/a"), database.next_history("/b")) == ("/a", "/b", None)


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


def test_the_history_keeps_its_order_when_the_clock_is_put_back(database: Database) -> None:
    """It is the order of what happened, whatever was on the clock."""
    events = [StoredEvent(at, "/p", "web", "ready", str(at), "cli", {}) for at in (3600.0, 3601.0, 1.0, 2.0)]
    for event in events:
        with database.transaction():
            database.add_events([event])
    assert database.events() == events


def test_of_the_runs_of_a_process_the_last_hundred_are_remembered(database: Database) -> None:
    """And those of others, and what is not released, however old."""
    with database.transaction():
        database.begin_run("old-and-kept", "/p", "web", 0)
        database.begin_run("other", "/p", "worker", 1)
        database.release_run("other")
    for run in range(1, 251):
        with database.transaction():
            database.begin_run(f"web-{run}", "/p", "web", run)
            database.release_run(f"web-{run}")
    rows = database._connection.execute("SELECT key FROM runs WHERE process = 'web' AND released").fetchall()
    assert {key for (key,) in rows} == {f"web-{run}" for run in range(151, 251)}
    assert [run.key for run in database.unreleased_runs()] == ["old-and-kept"]
    assert database.is_released("other")


def kept(path: Path) -> list[str]:
    """The paths of the environments that are in the file."""
    other = sqlite3.connect(path)
    try:
        return [name for (name,) in other.execute("SELECT path FROM environments ORDER BY path")]
    finally:
        other.close()


def save(database: Database, path: str) -> None:
    with database.transaction():
        database.save_environment(msgspec.structs.replace(PROJECT, path=path), None, None)


@pytest.mark.parametrize("names", [[""], ["", "-wal", "-shm"]])
def test_a_file_that_is_deleted_is_made_again_with_all_that_it_held(
    database: Database, tmp_path: Path, names: list[str]
) -> None:
    """By the next transaction: what was in the file that is gone, and what comes."""
    path = tmp_path / "runcept.db"
    save(database, "/a")
    for name in names:
        (tmp_path / f"runcept.db{name}").unlink()
    save(database, "/b")
    assert kept(path) == ["/a", "/b"]
    assert path.stat().st_mode & 0o777 == 0o600
    save(database, "/c")
    assert kept(path) == ["/a", "/b", "/c"]
    assert database.warnings() == []
    assert not list(tmp_path.glob("*.new"))


def test_a_file_that_is_replaced_is_set_aside(database: Database, tmp_path: Path) -> None:
    """What we know is newer than any copy that somebody puts in its place; the copy is kept, and that is said."""
    path = tmp_path / "runcept.db"
    save(database, "/a")
    copy = tmp_path / "copy"
    copy.write_bytes(b"somebody else's")
    copy.replace(path)
    save(database, "/b")
    assert kept(path) == ["/a", "/b"]
    (sentence,) = database.warnings()
    (aside,) = tmp_path.glob("runcept.db.replaced-*[0-9]")
    assert str(aside) in sentence
    assert aside.read_bytes() == b"somebody else's"


def test_what_is_in_memory_goes_into_a_file_as_soon_as_there_can_be_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its directory is not there at first; that is said, and no more once it is."""
    home = tmp_path / "home"
    with caplog.at_level(logging.WARNING):
        database = Database(Storage(str(home / "runcept.db")))
        save(database, "/a")
        assert "what happens is not kept" in "".join(database.warnings())
        assert caplog.text.count("what happens is not kept") == 1
        home.mkdir()

        def is_kept() -> bool:
            save(database, "/b")
            return not database.warnings()

        wait_until(is_kept)
        assert kept(home / "runcept.db") == ["/a", "/b"]
        assert caplog.text.count("state is kept again") == 1
    database.close()


def test_memory_forgets_an_environment_as_a_file_does(tmp_path: Path) -> None:
    """With its processes and its activity."""
    database = Database(Storage(str(tmp_path / "nowhere" / "runcept.db")))
    save(database, "/p")
    with database.transaction():
        database.save_lives("/p", [Life(name="web")])
        database.forget_environment("/p")
    assert database._connection.execute("SELECT count(*) FROM processes").fetchone() == (0,)
    database.close()


def test_nothing_that_was_set_aside_is_set_aside_over_another(tmp_path: Path) -> None:
    """Also within one second, or when the clock has been put back."""
    contents = {f"not a database, {number}".encode() * 100 for number in range(3)}
    for content in contents:
        (tmp_path / "runcept.db").write_bytes(content)
        Storage(str(tmp_path / "runcept.db")).close()
    assert {path.read_bytes() for path in tmp_path.glob("runcept.db.unusable-*[0-9]")} == contents


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
    storage = Storage(str(path))
    storage.close()
    (sentence,) = storage.set_aside
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
    storage = Storage(str(path))
    storage.close()
    (sentence,) = storage.set_aside
    assert f"its schema is version {newest_version() + 1}" in sentence


def test_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    """It holds environments, and so secrets."""
    Storage(str(tmp_path / "runcept.db")).close()
    assert (tmp_path / "runcept.db").stat().st_mode & 0o777 == 0o600
