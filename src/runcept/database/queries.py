"""Every question that is asked of the database, and every answer that is kept. SQL lives here and nowhere else."""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec

from runcept.core.history import Choice
from runcept.core.life import Life
from runcept.core.model import Project
from runcept.database.connection import LOCK_PATIENCE_SECONDS, Storage
from runcept.scheduler.inactivity import Uses

__all__ = [
    "Database",
    "EventRow",
    "EventScan",
    "EventsAsked",
    "RunRecord",
    "StoredEnvironment",
    "StoredEvent",
    "StoredRun",
]

_log = logging.getLogger(__name__)
_encode = msgspec.json.encode
_UNKEPT_MAX = 20_000
_RUNS_MAX = 100
"""Runs of a process that are remembered after their release."""


class StoredEnvironment(msgspec.Struct, frozen=True):
    """One known environment; instants are seconds since the epoch, `last_activity` is monotonic."""

    project: Project
    environ: dict[str, str] | None
    activated_at: float | None
    lives: list[Life]
    last_activity_at: float | None = None
    last_activity: float | None = None
    umask: int | None = None
    uses: Uses | None = None


class StoredRun(msgspec.Struct, frozen=True):
    """One run of a process that has not been released yet: its directory may hold output that is in no log."""

    key: str
    environment: str
    process: str
    run: int
    pid: int | None
    start_time: int | None
    boot_id: str | None
    exit_code: int | None = None
    exit_signal: str | None = None
    ended_at: float | None = None
    """Seconds since the epoch."""


class RunRecord(msgspec.Struct, frozen=True):
    """One run of a process, over or not; instants are seconds since the epoch."""

    run: int
    pid: int | None
    started_at: float | None
    ended_at: float | None
    exit_code: int | None
    exit_signal: str | None
    reason: str | None


class StoredEvent(msgspec.Struct, frozen=True):
    """One line of the history."""

    at: float
    environment: str | None
    process: str | None
    kind: str
    message: str
    actor: str
    data: dict[str, Any]


class EventRow(NamedTuple):
    """An event and its id, by which it is told from all others, and which grows."""

    id: int
    event: StoredEvent


class EventsAsked(NamedTuple):
    """Which events: of an environment (None: of all), of the daemon itself as well, and which of those."""

    environment: str | None
    daemon: bool = True
    choice: Choice = Choice()


class EventScan(NamedTuple):
    """What was found among the events that were looked at, and the id of the last of them; None: there are no more."""

    rows: list[EventRow]
    last: int | None


@contextmanager
def _readable(what: str) -> Iterator[None]:
    """A row that a defect of ours, or of the disk, has made unreadable must not cost all the others."""
    try:
        yield
    except msgspec.DecodeError as error:
        _log.error("%s: what was kept of it cannot be read: %s", what, error)


class Database:
    """The state that survives the daemon, as it is stored."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._writes: list[tuple[str, Sequence[Sequence[object]]]] = []
        """Statements and their rows, for the end of the transaction."""
        self._unkept: deque[tuple[str, Sequence[Sequence[object]]]] = deque(maxlen=_UNKEPT_MAX)
        """Those of transactions that could not be kept: they come before those of the next one that can."""
        self._trouble: str | None = None
        for sentence in storage.set_aside:
            _log.error("%s", sentence)
        self._say(storage.trouble)

    def warnings(self) -> list[str]:
        """What a user should know of the state: a file was set aside, or what happens is not kept."""
        return [*self._storage.set_aside, *([self._trouble] if self._trouble else [])]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside is kept together at its end, or not at all where an error leaves it.

        Where it cannot be kept (a full, locked or read-only disk) the daemon goes on with what it has in memory, and
        says so once until it works again; then all of it is kept.
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
        known = len(self._storage.set_aside)
        try:
            self._storage.attend()
            self._connection.execute("BEGIN IMMEDIATE")
            for statement, rows in (*self._unkept, *self._writes):
                self._execute(statement, rows)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._unkept.extend(self._writes)
            self._storage.doubt(error)
            self._say(f"state is not kept: {error}")
        else:
            self._unkept.clear()
            self._say(self._storage.trouble)
        for sentence in self._storage.set_aside[known:]:
            _log.error("%s", sentence)

    def _execute(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        try:
            self._connection.executemany(statement, rows)
        except sqlite3.IntegrityError:  # a defect of ours: it would fail again and again, and take all others along
            _log.exception("cannot be kept: %s", statement)

    def _say(self, trouble: str | None) -> None:
        """Once, when it begins and when it is over.

        The whole daemon waits for a lock that somebody else holds: once, not again for each transaction.
        """
        before, self._trouble = self._trouble, trouble
        if (before is None) is (trouble is None):
            return
        if trouble is None:
            _log.warning("state is kept again")
        else:
            _log.error("%s", trouble)
        patience = LOCK_PATIENCE_SECONDS if trouble is None else 0
        self._connection.execute(f"PRAGMA busy_timeout = {round(1000 * patience)}")

    @property
    def _connection(self) -> sqlite3.Connection:
        return self._storage.connection

    def close(self) -> None:
        """Write the WAL back and close."""
        self._storage.close()

    # ------------------------------------------------------------------------------------ environments

    def environments(self) -> list[StoredEnvironment]:
        """All known ones, with the lives of their processes. What cannot be read is left out, and said."""
        lives: dict[str, list[Life]] = {}
        for path, name, life in self._connection.execute("SELECT environment, name, life FROM processes"):
            with _readable(f"{path}: {name}"):
                lives.setdefault(path, []).append(msgspec.json.decode(life, type=Life))
        rows = self._connection.execute(
            "SELECT e.path, project, environ, activated_at, umask, a.at, a.monotonic, a.uses"
            " FROM environments e LEFT JOIN activity a ON a.environment = e.path ORDER BY e.rowid"
        )
        found = []
        for path, project, environ, activated_at, umask, at, monotonic, uses in rows:
            with _readable(path):
                found.append(
                    StoredEnvironment(
                        project=msgspec.json.decode(project, type=Project),
                        environ=None if environ is None else msgspec.json.decode(environ, type=dict[str, str]),
                        activated_at=activated_at,
                        lives=lives.get(path, []),
                        last_activity_at=at,
                        last_activity=monotonic,
                        umask=umask,
                        uses=None if uses is None else msgspec.json.decode(uses, type=Uses),
                    )
                )
        return found

    def save_environment(
        self, project: Project, environ: dict[str, str] | None, activated_at: float | None, umask: int | None = None
    ) -> None:
        """Keep what an environment is."""
        self._write(
            "INSERT INTO environments (path, name, description, project, environ, activated_at, umask)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET name = excluded.name,"
            " description = excluded.description, project = excluded.project, environ = excluded.environ,"
            " activated_at = excluded.activated_at, umask = excluded.umask",
            (
                project.path,
                project.name,
                project.description,
                _encode(project),
                None if environ is None else _encode(environ),
                activated_at,
                umask,
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

    def save_activity(self, environment: str, at: float, monotonic: float, actor: str, uses: Uses) -> None:
        """Keep when it was used last, and by whom."""
        self._write(
            "INSERT INTO activity (environment, at, monotonic, actor, uses) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (environment) DO UPDATE SET at = excluded.at, monotonic = excluded.monotonic,"
            " actor = excluded.actor, uses = excluded.uses",
            (environment, at, monotonic, actor, _encode(uses)),
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

    def explain_run(self, environment: str, process: str, run: int, reason: str) -> None:
        """Keep why it is over."""
        self._write(
            "UPDATE runs SET reason = ? WHERE environment = ? AND process = ? AND run = ?",
            (reason, environment, process, run),
        )

    def last_runs(self, environment: str, process: str, limit: int) -> list[RunRecord]:
        """The newest `limit` runs of a process, newest first."""
        rows = self._connection.execute(
            "SELECT run, pid, started_at, ended_at, exit_code, exit_signal, reason FROM runs"
            " WHERE environment = ? AND process = ? ORDER BY run DESC LIMIT ?",
            (environment, process, limit),
        )
        return [RunRecord(*row) for row in rows]

    def release_run(self, key: str) -> None:
        """Keep that its output is in the log and its directory is gone; forget what was long ago."""
        self._write("UPDATE runs SET released = 1 WHERE key = ?", (key,))
        self._write(
            "DELETE FROM runs WHERE released AND (environment, process) = (SELECT environment, process FROM runs"
            " WHERE key = ?1) AND run <= (SELECT run FROM runs WHERE key = ?1) - ?2",
            (key, _RUNS_MAX),
        )

    def is_released(self, key: str) -> bool:
        """Whether it is known that a run is over, with its output in the log."""
        return bool(self._connection.execute("SELECT 1 FROM runs WHERE key = ? AND released", (key,)).fetchone())

    def unreleased_runs(self) -> list[StoredRun]:
        """The runs that a daemon has to take care of, oldest first."""
        rows = self._connection.execute(
            "SELECT key, environment, process, run, pid, start_time, boot_id, exit_code, exit_signal, ended_at"
            " FROM runs WHERE NOT released ORDER BY environment, process, run"
        )
        return [StoredRun(*row) for row in rows]

    # ----------------------------------------------------------------------------------------- history

    def add_events(self, events: Iterable[StoredEvent]) -> None:
        """Append to the history."""
        rows = [(e.at, e.environment, e.process, e.kind, e.message, e.actor, _encode(e.data)) for e in events]
        self._write(
            "INSERT INTO events (at, environment, process, kind, message, actor, data) VALUES (?, ?, ?, ?, ?, ?, ?)",
            *rows,
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

    def newest_event(self) -> int:
        """The id of the last event; 0 where there is none."""
        (newest,) = self._connection.execute("SELECT max(id) FROM events").fetchone()
        return int(newest or 0)

    def events_after(self, after: int, limit: int, asked: EventsAsked) -> EventScan:
        """Look at the first `limit` events with a greater id."""
        return self._scan("id > :edge", "id", after, limit, asked)

    def events_before(self, before: int, limit: int, asked: EventsAsked) -> EventScan:
        """Look at the last `limit` events with a smaller id, the newest first."""
        return self._scan("id < :edge", "id DESC", before, limit, asked)

    def _scan(self, beyond: str, order: str, edge: int, limit: int, asked: EventsAsked) -> EventScan:
        """Each part is in the order of its index, so that none is longer in coming than its `limit` rows."""
        columns = "id, at, environment, process, kind, message, actor, data"
        parts = ["environment = :environment", *(["environment IS NULL"] if asked.daemon else [])]
        wholes = " UNION ALL ".join(
            f"SELECT * FROM (SELECT {columns} FROM events WHERE {part} AND {beyond} ORDER BY {order} LIMIT :limit)"  # noqa: S608  all of it is written here
            for part in (["1"] if asked.environment is None else parts)
        )
        rows = self._connection.execute(
            f"{wholes} ORDER BY {order} LIMIT :limit",
            {"environment": asked.environment, "edge": edge, "limit": limit},
        ).fetchall()
        found = [
            EventRow(row, StoredEvent(at, path, process, kind, message, actor, msgspec.json.decode(data)))
            for row, at, path, process, kind, message, actor, data in rows
            if asked.choice.takes(at, process, kind)
        ]
        return EventScan(found, rows[-1][0] if len(rows) == limit else None)

    def processes_in_history(self, environment: str) -> list[str]:
        """The names that its events have, those of processes that it has no more as well."""
        rows = self._connection.execute(
            "SELECT DISTINCT process FROM events WHERE environment = ? AND process IS NOT NULL", (environment,)
        )
        return [str(name) for (name,) in rows]

    def next_history(self, after: str) -> str | None:
        """The environment behind this one, by path, that has events, known or forgotten; None: it was the last."""
        rows = self._look("SELECT environment FROM events WHERE environment > ? ORDER BY environment LIMIT 1", after)
        return str(rows[0][0]) if rows else None

    def prune_events(self, environment: str | None, keep: int, before: float, limit: int) -> int:
        """Drop, of the `limit` oldest events of an environment or of the daemon itself, what is too much. How many.

        That is what is beyond the newest `keep`, and what is older than `before` (seconds since the epoch).
        """
        if self._unkept:  # what is dropped now could not be
            return 0
        edges = self._look(
            "SELECT id FROM events WHERE environment IS ? ORDER BY id DESC LIMIT 1 OFFSET ?", environment, keep
        )
        edge = edges[0][0] if edges else 0
        oldest = self._look("SELECT id, at FROM events WHERE environment IS ? ORDER BY id LIMIT ?", environment, limit)
        dropped = [(row,) for row, at in oldest if row <= edge or at < before]
        if dropped:
            with self.transaction():
                self._write("DELETE FROM events WHERE id = ?", *dropped)
        return len(dropped)

    def prune_runs(self, before: float, limit: int) -> int:
        """Drop at most `limit` runs of forgotten environments that ended earlier (seconds since the epoch)."""
        if self._unkept:
            return 0
        found = self._look(
            "SELECT key FROM runs WHERE released AND ended_at < ?"
            " AND environment NOT IN (SELECT path FROM environments) LIMIT ?",
            before,
            limit,
        )
        if found:
            with self.transaction():
                self._write("DELETE FROM runs WHERE key = ?", *found)
        return len(found)

    def _look(self, question: str, *facts: object) -> list[Any]:
        """The rows; none where the file cannot be read: what is to be dropped is dropped another time."""
        try:
            return self._connection.execute(question, facts).fetchall()
        except sqlite3.Error as error:
            _log.warning("the history cannot be looked through: %s", error)
            return []

    # -------------------------------------------------------------------------------------------- boot

    def last_boot(self) -> str | None:
        """Which boot of the machine the state was written in."""
        row = self._connection.execute("SELECT boot_id FROM boot").fetchone()
        return None if row is None else str(row[0])

    def save_boot(self, boot_id: str) -> None:
        """Keep which boot of the machine this is."""
        self._write("INSERT OR REPLACE INTO boot (only, boot_id) VALUES (1, ?)", (boot_id,))
