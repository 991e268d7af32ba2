"""Brings the database up to date, each step in a transaction of its own, and ends."""

from __future__ import annotations

import os

from store import MIGRATIONS, database

os.makedirs(os.path.dirname(os.environ["DATABASE"]) or ".", exist_ok=True)
with database() as db:
    db.execute("PRAGMA journal_mode = WAL")
    (had,) = db.execute("PRAGMA user_version").fetchone()
    for number, statement in enumerate(MIGRATIONS[had:], start=had + 1):
        db.executescript(f"BEGIN; {statement}; PRAGMA user_version = {number}; COMMIT;")
        print(f"migration {number} of {len(MIGRATIONS)} applied")
print(f"{os.environ['DATABASE']} is up to date")
