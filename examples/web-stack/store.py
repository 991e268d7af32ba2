"""The jobs in SQLite: api.py adds them, worker.py completes them. One connection a use; WAL lets both write."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

MIGRATIONS = (  # PRAGMA user_version counts those that a database has had
    """CREATE TABLE jobs (
         id INTEGER PRIMARY KEY,
         text TEXT NOT NULL,
         result TEXT,
         created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
         finished_at TEXT
       )""",
    "CREATE INDEX jobs_unfinished ON jobs (id) WHERE result IS NULL",
)


@contextmanager
def database() -> Iterator[sqlite3.Connection]:
    """A connection whose work is committed when the block ends well, and closed in any case."""
    with closing(sqlite3.connect(os.environ["DATABASE"], timeout=5)) as connection, connection:
        yield connection


def add(text: str) -> int:
    """A new job; its id."""
    with database() as db:
        return int(db.execute("INSERT INTO jobs (text) VALUES (?)", (text,)).lastrowid or 0)


def text_of(job: int) -> str:
    """What the worker is to look at."""
    with database() as db:
        return str(db.execute("SELECT text FROM jobs WHERE id = ?", (job,)).fetchone()[0])


def unfinished() -> list[int]:
    """The jobs that have no result yet, oldest first."""
    with database() as db:
        return [job for (job,) in db.execute("SELECT id FROM jobs WHERE result IS NULL ORDER BY id")]


def finish(job: int, result: dict[str, object]) -> None:
    """Keep the result of a job."""
    with database() as db:
        db.execute(
            "UPDATE jobs SET result = ?, finished_at = CURRENT_TIMESTAMP WHERE id = ?", (json.dumps(result), job)
        )


def find(job: int) -> dict[str, object] | None:
    """A job as the API shows it: `{id, state, text, result}`; None where there is none."""
    with database() as db:
        row = db.execute("SELECT text, result FROM jobs WHERE id = ?", (job,)).fetchone()
    if row is None:
        return None
    text, result = row
    return {
        "id": job,
        "state": "done" if result else "queued",
        "text": text,
        "result": json.loads(result) if result else None,
    }


def counts() -> dict[str, int]:
    """How many jobs there are, and how many of them are done."""
    with database() as db:
        total, done = db.execute("SELECT count(*), count(result) FROM jobs").fetchone()
    return {"total": total, "done": done}
