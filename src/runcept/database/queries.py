"""Every question that is asked of the database, and every answer that is kept. SQL lives here and nowhere else."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from runcept.core.life import Life
from runcept.core.model import Project

__all__ = ["Database", "StoredEnvironment", "StoredEvent", "StoredRun"]

_log = logging.getLogger(__name__)
_encode = msgspec.json.encode


class StoredEnvironment(msgspec.Struct, frozen=True):
    """One known environment; instants are seconds since the epoch, `last_activity` is monotonic."""

    project: Project
    environ: dict[str, str] | None
    activated_at: float | None
    lives: list[Life]
    last_activity_at: float | None = None
    last_activity: float | None = None


class StoredRun(msgspec.Struct, frozen=True):
    """One run of a process that has not been released yet: its directory may hold output that is in no log."""

    key: str
    environment: str
    process: str
    run: int
    pid: int | None
    start_time: int | None
    boot_id: str | None


class StoredEvent(msgspec.Struct, frozen=True):
    """One line of the history."""

    at: float
    environment: str | None
    process: str | None
    kind: str
    message: str
    actor: str
    data: dict[str, Any]


class Database:
    """The state that survives the daemon, over an open connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._writes: list[tuple[str, Sequence[Sequence[object]]]] = []
        """Statements and their rows, for the end of the transaction."""
        self.is_failing = False
        """The last transaction could not be kept."""

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside is kept together at its end, or not at all where an error leaves it.

        Where it cannot be kept (a full, locked or read-only disk) the daemon goes on with what it has in memory, and
        says so once until it works again.
        """
        self._writes.clear()
        try:
            yield
            self._commit()
        finally:
            self._writes.clear()

    def _write(self, statement: str, *rows: Sequence[object]) -> None:
        self._writes.append((statement, rows))

    def _commit(self) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for statement, rows in self._writes:
                self._connection.executemany(statement, rows)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if not self.is_failing:
                _log.error("state is not kept: %s", error)
            self.is_failing = True
        else:
            if self.is_failing:
                _log.warning("state is kept again")
            self.is_failing = False

    def close(self) -> None:
        """Write the WAL back and close."""
        self._connection.close()

    # ------------------------------------------------------------------------------------ environments

    def environments(self) -> list[StoredEnvironment]:
        """All known ones, with the lives of their processes."""
        lives: dict[str, list[Life]] = {}
        for path, life in self._connection.execute("SELECT environment, life FROM processes"):
            lives.setdefault(path, []).append(msgspec.json.decode(life, type=Life))
        rows = self._connection.execute(
            "SELECT e.path, project, environ, activated_at, a.at, a.monotonic"
            " FROM environments e LEFT JOIN activity a ON a.environment = e.path ORDER BY e.rowid"
        )
        return [
            StoredEnvironment(
                project=msgspec.json.decode(project, type=Project),
                environ=None if environ is None else msgspec.json.decode(environ, type=dict[str, str]),
                activated_at=activated_at,
                lives=lives.get(path, []),
                last_activity_at=at,
                last_activity=monotonic,
            )
            for path, project, environ, activated_at, at, monotonic in rows
        ]

    def save_environment(self, project: Project, environ: dict[str, str] | None, activated_at: float | None) -> None:
        """Keep what an environment is."""
        self._write(
            "INSERT INTO environments (path, name, description, project, environ, activated_at)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET name = excluded.name,"
            " description = excluded.description, project = excluded.project, environ = excluded.environ,"
            " activated_at = excluded.activated_at",
            (
                project.path,
                project.name,
                project.description,
                _encode(project),
                None if environ is None else _encode(environ),
                activated_at,
            ),
        )

    def forget_environment(self, path: str) -> None:
        """Drop it with its processes and its activity; the history stays."""
        self._write("DELETE FROM environments WHERE path = ?", (path,))

    def save_lives(self, environment: str, lives: Iterable[Life]) -> None:
        """Keep the lives of these processes."""
        self._write(
            "INSERT INTO processes (environment, name, life) VALUES (?, ?, ?)"
            " ON CONFLICT (environment, name) DO UPDATE SET life = excluded.life",
            *((environment, life.name, _encode(life)) for life in lives),
        )

    def save_activity(self, environment: str, at: float, monotonic: float, actor: str) -> None:
        """Keep when it was used last, and by whom."""
        self._write(
            "INSERT INTO activity (environment, at, monotonic, actor) VALUES (?, ?, ?, ?) ON CONFLICT (environment)"
            " DO UPDATE SET at = excluded.at, monotonic = excluded.monotonic, actor = excluded.actor",
            (environment, at, monotonic, actor),
        )

    # -------------------------------------------------------------------------------------------- runs

    def begin_run(self, key: str, environment: str, process: str, run: int) -> None:
        """Keep that a run is about to be spawned; it is unreleased from here on."""
        self._write(
            "INSERT OR REPLACE INTO runs (key, environment, process, run) VALUES (?, ?, ?, ?)",
            (key, environment, process, run),
        )

    def spawned_run(self, key: str, pid: int, start_time: int, boot_id: str, at: float) -> None:
        """Keep the identity of its main process."""
        self._write(
            "UPDATE runs SET pid = ?, start_time = ?, boot_id = ?, started_at = ? WHERE key = ?",
            (pid, start_time, boot_id, at, key),
        )

    def ended_run(self, key: str, code: int | None, signal: str | None, at: float) -> None:
        """Keep how it ended."""
        self._write(
            "UPDATE runs SET exit_code = ?, exit_signal = ?, ended_at = ? WHERE key = ?", (code, signal, at, key)
        )

    def release_run(self, key: str) -> None:
        """Keep that its output is in the log and its directory is gone."""
        self._write("UPDATE runs SET released = 1 WHERE key = ?", (key,))

    def is_released(self, key: str) -> bool:
        """Whether it is known that a run is over, with its output in the log."""
        return bool(self._connection.execute("SELECT 1 FROM runs WHERE key = ? AND released", (key,)).fetchone())

    def unreleased_runs(self) -> list[StoredRun]:
        """The runs that a daemon has to take care of, oldest first."""
        rows = self._connection.execute(
            "SELECT key, environment, process, run, pid, start_time, boot_id FROM runs WHERE NOT released"
            " ORDER BY environment, process, run"
        )
        return [StoredRun(*row) for row in rows]

    # ----------------------------------------------------------------------------------------- history

    def add_events(self, events: Iterable[StoredEvent]) -> None:
        """Append to the history."""
        self._write(
            "INSERT INTO events (at, environment, process, kind, message, actor, data) VALUES (?, ?, ?, ?, ?, ?, ?)",
            *((e.at, e.environment, e.process, e.kind, e.message, e.actor, _encode(e.data)) for e in events),
        )

    def events(self, environment: str | None = None, limit: int = 100) -> list[StoredEvent]:
        """The newest `limit` events, oldest of them first; of one environment, or of all."""
        rows = self._connection.execute(
            "SELECT at, environment, process, kind, message, actor, data FROM events"
            " WHERE ?1 IS NULL OR environment = ?1 ORDER BY id DESC LIMIT ?2",
            (environment, limit),
        ).fetchall()
        return [
            StoredEvent(at, path, process, kind, message, actor, msgspec.json.decode(data))
            for at, path, process, kind, message, actor, data in reversed(rows)
        ]

    # -------------------------------------------------------------------------------------------- boot

    def last_boot(self) -> str | None:
        """Which boot of the machine the state was written in."""
        row = self._connection.execute("SELECT boot_id FROM boot").fetchone()
        return None if row is None else str(row[0])

    def save_boot(self, boot_id: str) -> None:
        """Keep which boot of the machine this is."""
        self._write("INSERT OR REPLACE INTO boot (only, boot_id) VALUES (1, ?)", (boot_id,))
