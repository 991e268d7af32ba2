-- What survives the daemon. Instants named `…_at` are seconds since the epoch; `monotonic` ones belong to `boot_id`.

CREATE TABLE environments (
    path         TEXT PRIMARY KEY,   -- canonical absolute path of the directory that holds .runcept.toml
    name         TEXT NOT NULL,
    description  TEXT NOT NULL,
    project      BLOB NOT NULL,      -- JSON of core.model.Project, as activated
    environ      BLOB,               -- JSON: the environment captured at the last activation from a command line
    activated_at REAL
) STRICT;

CREATE TABLE processes (
    environment TEXT NOT NULL REFERENCES environments (path) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    life        BLOB NOT NULL,       -- JSON of core.lifecycle.Life
    PRIMARY KEY (environment, name)
) STRICT;

CREATE TABLE runs (
    key         TEXT PRIMARY KEY,    -- names the directory of the run and the run to the keeper
    environment TEXT NOT NULL,
    process     TEXT NOT NULL,
    run         INTEGER NOT NULL,
    pid         INTEGER,
    start_time  INTEGER,             -- clock ticks since boot, proc(5): tells a recycled pid
    boot_id     TEXT,
    started_at  REAL,
    ended_at    REAL,
    exit_code   INTEGER,
    exit_signal TEXT,
    released    INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX runs_by_process ON runs (environment, process, run);

CREATE TABLE events (
    id          INTEGER PRIMARY KEY,
    at          REAL NOT NULL,
    environment TEXT,
    process     TEXT,
    kind        TEXT NOT NULL,
    message     TEXT NOT NULL,
    actor       TEXT NOT NULL,
    data        BLOB NOT NULL
) STRICT;

CREATE INDEX events_by_environment ON events (environment, id);

CREATE TABLE activity (
    environment TEXT PRIMARY KEY REFERENCES environments (path) ON DELETE CASCADE,
    at          REAL NOT NULL,
    monotonic   REAL NOT NULL,
    actor       TEXT NOT NULL
) STRICT;

CREATE TABLE boot (
    only    INTEGER PRIMARY KEY CHECK (only = 1),
    boot_id TEXT NOT NULL
) STRICT;
