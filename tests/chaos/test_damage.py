"""A database that is damaged, locked, read-only or of tomorrow: the daemon starts, says so, and finds what runs."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.chaos.stage import Stage, is_alive
from tests.chaos.test_disk import fill, small_disk
from tests.support import wait_until

from runcept.api import messages as m
from runcept.database.migrations import migrate
from runcept.errors import RunceptError
from runcept.paths import daemon_log, database, ensure_home, runs_directory


def tear_a_page(path: str) -> None:
    """Noise where the tables are, behind a header that is sound."""
    with open(path, "r+b") as file:
        file.seek(4096 * 2)
        file.write(b"\xff" * (os.path.getsize(path) - file.tell()))


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


def warnings(stage: Stage) -> list[str]:
    """What a user is told."""
    found: list[str] = stage.ask("daemon_status").warnings
    return found


def runcept(stage: Stage, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What a person sees."""
    return subprocess.run(
        [Path(sys.executable).with_name("runcept"), *arguments],
        cwd=stage.project,
        env=os.environ | {"RUNCEPT_HOME": stage.home},
        capture_output=True,
        text=True,
        check=True,
    )


@contextmanager
def immutable(path: str) -> Iterator[None]:
    """Nobody can change it, not even root (chattr(1))."""
    if subprocess.run(["chattr", "+i", path], capture_output=True, check=False).returncode:
        pytest.skip("a file cannot be made immutable here: not root, or not that kind of disk")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", path], check=True)


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
        wait_until(lambda: is_one_file(path))
    with immutable(database(stage.home)):
        stage.kill(stage.daemons())
        assert identities(stage) == before
        assert "what happens is not kept" in said(stage)
        assert "what happens is not kept" in "".join(warnings(stage))
        assert stage.ask_for("stop", "steady").ok


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


@pytest.mark.parametrize("damage", [cut_in_half, of_tomorrow])
def test_a_person_sees_that_a_database_was_set_aside(stage: Stage, damage: Callable[[str], None]) -> None:
    """`status` and `daemon status` say it, on stderr and in the JSON; not for ever: the next daemon has a sound one."""
    stage.write({"steady": ""})
    stage.ask_for("activate")
    assert runcept(stage, "status").stderr == ""
    with no_daemon(stage) as path:
        damage(path)
    for command in (["status"], ["daemon", "status"]):
        shown = runcept(stage, *command)
        assert f"{path} could not be used" in shown.stderr
        assert "set aside as" in shown.stderr
        as_json = runcept(stage, "--json", *command)
        assert "set aside as" in json.loads(as_json.stdout)["warnings"][0]
        assert as_json.stderr == ""
    stage.kill(stage.daemons())
    assert warnings(stage) == []


def test_a_person_sees_that_state_is_not_kept_as_long_as_it_is_not(stage: Stage) -> None:
    """A lock that another program holds; once it is gone, so is the warning."""
    stage.write({"steady": ""})
    stage.ask_for("activate")
    other = sqlite3.connect(database(stage.home), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    stage.ask_for("restart", "steady")
    assert "state is not kept: database is locked" in runcept(stage, "status").stderr
    other.execute("ROLLBACK")
    other.close()
    assert runcept(stage, "status").stderr == ""


@pytest.mark.parametrize("version", [1])
def test_a_daemon_starts_over_a_database_of_an_earlier_version(stage: Stage, version: int) -> None:
    """It shows what was; nothing of it lives, since that was before a reboot, and nobody is signalled."""
    stored = Path(__file__).parent.parent / "databases" / f"version-{version}.sql"
    ensure_home(stage.home)
    connection = sqlite3.connect(database(stage.home))
    connection.executescript(stored.read_text(encoding="utf-8"))
    connection.close()
    (environment,) = stage.ask("environments", m.Environments()).environments
    assert (environment.name, environment.path) == ("shop", "/home/dev/project")
    states = {view.name: (view.state, view.pid) for view in stage.ask("ps").processes}
    assert states.pop("exited") == ("exited", None)
    assert states.pop("failed") == ("failed", None)
    assert set(states.values()) == {("stopped", None)}
    assert len(states) == 6
    assert warnings(stage) == []


def test_a_database_that_is_deleted_under_the_daemon_is_made_again(stage: Stage) -> None:
    """With all that was in it: a daemon that is killed afterwards loses nothing."""
    stage.write({"steady": "", "client": ""})
    stage.ask_for("start", "steady")
    for path in Path(stage.home).glob("runcept.db*"):
        path.unlink()
    stage.ask_for("start", "client")
    stage.ask_for("stop", "steady")
    assert warnings(stage) == []
    before = identities(stage)
    stage.kill(stage.daemons())
    wait_until(stage.daemons)
    assert identities(stage) == before
    assert before["steady"][0] == "stopped"
    connection = sqlite3.connect(database(stage.home))
    kinds = [kind for (kind,) in connection.execute("SELECT kind FROM events ORDER BY id")]
    connection.close()
    assert kinds[:2] == ["daemon_started", "starting"]


def test_a_shared_memory_file_that_cannot_be_written_keeps_nobody_from_working(stage: Stage) -> None:
    """The WAL is there and its index cannot be used: what runs is found, and all is kept again later."""
    stage.write({"steady": "", "client": ""})
    stage.ask_for("activate")
    before = identities(stage)
    with immutable(database(stage.home) + "-shm"):
        stage.kill(stage.daemons())
        assert identities(stage) == before
        assert "not kept" in "".join(warnings(stage))
        assert stage.ask_for("stop", "client").ok
    wait_until(lambda: identities(stage) and not warnings_of_now(stage))
    before = identities(stage)
    stage.kill(stage.daemons())
    assert identities(stage) == before
    assert before["client"][0] == "stopped"


def warnings_of_now(stage: Stage) -> list[str]:
    """Those that are over when they are: what was set aside remains so."""
    return [warning for warning in warnings(stage) if "set aside" not in warning]


def test_a_home_that_cannot_be_written_stops_nothing(stage: Stage) -> None:
    """What runs can be seen and stopped, also by a daemon that starts in it; a start says why there can be none."""
    stage.write({"steady": "", "client": "", "server": ""})
    stage.ask_for("start", "steady", "client")
    before = identities(stage)
    with immutable(stage.home):
        assert identities(stage) == before
        assert stage.ask_for("stop", "client").ok
    with immutable(os.path.join(stage.home, "runs")):
        outcome = stage.ask_for("start", "client")
        assert not outcome.ok
        assert "not permitted" in outcome.processes[0].reason
    assert stage.ask_for("start", "client").ok
    assert stage.statuses()["steady"].pid == before["steady"][1]


def test_a_home_that_no_daemon_can_start_in_says_so_and_leaves_what_runs(stage: Stage) -> None:
    """A command fails, and says why; when the home can be written again, the next one finds all."""
    stage.write({"steady": ""})
    stage.ask_for("activate")
    before = identities(stage)
    with immutable(stage.home):
        stage.kill(stage.daemons())
        with pytest.raises(RunceptError) as raised:
            stage.ask("ps", seconds=0)
        assert raised.value.exit_status == 5
        assert is_alive(int(str(before["steady"][1])))
    assert identities(stage) == before


def test_a_daemon_starts_on_a_full_disk(stage: Stage) -> None:
    """It uses its state from memory, and says so; when there is room, all of it is kept."""
    with small_disk(Path(stage.home), "3m") as ballast:
        stage.write({"steady": "", "client": ""})
        stage.ask_for("activate")
        before = identities(stage)
        with no_daemon(stage):
            fill(ballast)
        assert identities(stage) == before
        assert stage.ask_for("stop", "client").ok
        assert "not kept" in "".join(warnings(stage))
        ballast.unlink()
        wait_until(lambda: identities(stage) and not warnings(stage))
        before = identities(stage)
        assert before["client"][0] == "stopped"
        stage.kill(stage.daemons())
        assert identities(stage) == before
        assert stage.end()


def test_a_disk_that_is_full_in_the_middle_of_a_migration_leaves_what_was(tmp_path: Path) -> None:
    """It is the old version, whole; and the new one as soon as there is room."""
    scripts = {1: "CREATE TABLE old (number INTEGER) STRICT;"}
    rows = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT i FROM n"
    with small_disk(tmp_path / "disk", "12m") as ballast:
        path = tmp_path / "disk" / "state.db"
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("PRAGMA cache_size = 10").fetchall()
        migrate(connection, scripts)
        scripts[2] = f"CREATE TABLE new (number INTEGER) STRICT;\nINSERT INTO new {rows};"
        fill(ballast)
        with pytest.raises(sqlite3.OperationalError, match="full"):
            migrate(connection, scripts)
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("old",)]
        ballast.unlink()
        migrate(connection, scripts)
        assert connection.execute("SELECT count(*) FROM new").fetchone() == (300_000,)
        connection.close()


@pytest.mark.parametrize("lives", [True, False], ids=["lives", "ended"])
def test_a_run_that_only_its_directory_knows_is_taken_up(stage: Stage, lives: bool) -> None:
    """Daemon, keeper and database are lost: what lives is managed again, what it wrote is logged, nothing is left."""
    stage.write_file('[project]\nname = "p"\n[[process]]\nname = "web"\ncommand = "echo begun; exec sleep 1000"\n')
    pid = stage.ask_for("start", "web").processes[0].pid
    wait_until(lambda: stage.messages("web"))
    stage.strike(daemon=True, keeper=True)
    for path in Path(stage.home).glob("runcept.db*"):
        path.unlink()
    runs = Path(runs_directory(stage.home))
    (runs / "nonsense").mkdir()
    if not lives:
        stage.kill([pid])
        (raw,) = runs.glob("web-1-*/*.raw")
        with raw.open("ab") as file:  # as the keeper may have had the time to
            file.write(b"last words")
    stage.ask("ps")
    if lives:
        assert identities(stage) == {"web": ("running", pid, 1)}
        assert stage.ask_for("stop", "web").ok
        assert not is_alive(pid)
    wait_until(lambda: not any(runs.iterdir()), what="the end of all directories")
    assert stage.messages("web") == (["begun"] if lives else ["begun", "last words"])


def test_what_a_run_that_is_over_wrote_is_logged_after_the_loss_of_the_database(stage: Stage) -> None:
    """Its log could not be written, the next run of its process is up, and only the keeper knows of both."""
    stage.write_file(
        '[project]\nname = "p"\n[[process]]\nname = "web"\ncommand = "echo $RUNCEPT_RUN; exec sleep 1000"\n'
    )
    stage.ask_for("start", "web")
    stage.ask_for("stop", "web")
    runs = Path(runs_directory(stage.home))
    wait_until(lambda: not list(runs.iterdir()))
    log = Path(stage.log("web"))
    log.unlink()
    log.mkdir()
    stage.ask_for("start", "web")
    stage.ask_for("restart", "web")
    before = identities(stage)
    with no_daemon(stage) as path:
        of_tomorrow(path)
        log.rmdir()
    assert identities(stage) == before
    wait_until(lambda: stage.messages("web") == ["2", "3"], what="both lines in the log")
    assert [line for line in stage.messages("web", "runcept") if line.startswith("run 2: ")] == [
        "run 2: killed by SIGTERM"
    ]
    wait_until(lambda: len(list(runs.iterdir())) == 1, what="the end of the earlier run")
