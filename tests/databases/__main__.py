"""`python -m tests.databases` stores a database of today's schema, before a migration makes another one.

A real daemon makes it: processes in every state, two runs of some, an environment that was captured, a history. What a
later Runcept must be able to read is what it finds in version-N.sql; once stored, such a file is not made again.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.chaos.stage import Stage
from tests.support import wait_until

from runcept.api import messages as m
from runcept.database.migrations import newest_version
from runcept.paths import database
from runcept.process.identity import boot_id

PROJECT = """
[project]
name = "shop"
description = "every state there is"
inactivity_timeout = "8h"
env = {MODE = "development"}

[[process]]
name = "stopped"
command = ["sleep", "1000"]

[[process]]
name = "starting"
command = "exec sleep 1000"
health_check = {url = "http://127.0.0.1:1/", interval = "1h", status = [200, 204]}

[[process]]
name = "pending"
command = ["sleep", "1000"]
depends_on = ["running", {name = "exited", condition = "completed"}, "starting"]

[[process]]
name = "running"
description = "with all that can be said of it"
command = "exec sleep 1000"
env = {GREETING = "hello"}
ports = "auto"
health_check = "cmd://true"
restart = "always"
log = {max_size = "1MB", keep = 2, compress = false}

[[process]]
name = "stopping"
command = "trap : INT; while :; do sleep 0.1; done"
stop_signal = "SIGINT"
stop_timeout = "1h"

[[process]]
name = "backoff"
command = "exit 3"
auto_restart = true
restart_delay = "1h"
restart_max_delay = "2h"

[[process]]
name = "exited"
kind = "task"
command = "true"

[[process]]
name = "failed"
command = "kill -SEGV $$"
inactivity_timeout = "1h"
"""


def store(path: Path) -> None:
    """Write the database of a daemon that was killed in the middle of all this."""
    with tempfile.TemporaryDirectory(prefix="runcept-test-") as directory:
        root = os.path.realpath(directory)
        stage = Stage(Path(root))
        stage.write_file(PROJECT)
        activate = m.Activate(environment=str(stage.project), wait=False, environ={"PATH": os.environ["PATH"]})
        stage.ask("activate", activate)
        wait_until(lambda: stage.statuses()["stopping"].state == "running")
        stage.ask_for("stop", "stopped")
        stage.ask_for("stop", "stopping", wait=False)
        wait_until(lambda: all(view.state == name for name, view in stage.statuses().items()), 30)
        stage.strike(daemon=True, keeper=True)
        copy = os.path.join(root, "copy.db")
        with sqlite3.connect(database(stage.home)) as source:
            source.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        source.close()
        shutil.copy(database(stage.home), copy)
        assert stage.end()
        other_words = {
            root: "/home/dev",
            os.environ["PATH"]: "/usr/bin:/bin",
            boot_id(): "00000000-0000-4000-8000-000000000000",
        }
        path.write_text(dump(copy, other_words), encoding="utf-8")


def dump(path: str, other_words: dict[str, str]) -> str:
    """The SQL that makes it, a row a line, JSON to be read by people; with these words for those."""
    connection = sqlite3.connect(path)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    lines = [f"PRAGMA user_version = {version};"]
    for kind in ("table", "index"):
        for name, sql in connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = ? AND sql IS NOT NULL ORDER BY rowid", (kind,)
        ).fetchall():
            lines.append(f"{sql};")
            if kind == "table":
                rows = connection.execute(f"SELECT * FROM {name} ORDER BY rowid")
                lines += [f"INSERT INTO {name} VALUES ({', '.join(map(literal, row))});" for row in rows]
    connection.close()
    text = "\n".join(lines) + "\n"
    for old, new in other_words.items():
        text = text.replace(old, new)
    return text


def literal(value: Any) -> str:
    """The value as SQL."""
    match value:
        case None:
            return "NULL"
        case bytes():
            return f"CAST({literal(value.decode())} AS BLOB)"
        case str():
            return "'" + value.replace("'", "''") + "'"
        case _:
            return repr(value)


if __name__ == "__main__":
    target = Path(__file__).with_name(f"version-{newest_version()}.sql")
    if target.exists():
        sys.exit(f"{target} is stored already")
    store(target)
    sys.stdout.write(f"wrote {target}\n")
