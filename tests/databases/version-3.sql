PRAGMA user_version = 3;
CREATE TABLE environments (
    path         TEXT PRIMARY KEY,   -- canonical absolute path of the directory that holds .runcept.toml
    name         TEXT NOT NULL,
    description  TEXT NOT NULL,
    project      BLOB NOT NULL,      -- JSON of core.model.Project, as activated
    environ      BLOB,               -- JSON: the environment captured at the last activation from a command line
    activated_at REAL
, umask INTEGER) STRICT;
INSERT INTO environments VALUES ('/home/dev/project', 'shop', 'every state there is', CAST('{"path":"/home/dev/project","name":"shop","description":"every state there is","inactivity_timeout":28800.0,"auto_reload":false,"auto_activate":false,"notify":false,"env_files":[],"shell":["/bin/sh","-c"],"processes":[{"name":"stopped","command":"sleep 1000","argv":["sleep","1000"],"working_dir":"/home/dev/project","description":"","env":{"MODE":"development"},"depends_on":[],"restart":{"when":"no","delay":0.5,"max_delay":30.0,"max_restarts":10,"window":300.0,"on_unhealthy":false},"success_exit_codes":[0],"health_check":null,"stop_signal":"SIGTERM","stop_timeout":10.0,"ports":[],"auto_port":false,"autostart":true,"kind":"service","inactivity_timeout":null,"activity":["requests","connections"],"log":{"max_size":50000000,"keep":5,"compress":true,"max_total":2000000000},"hooks":{"ready":"","failed":"","unhealthy":"","exited":""},"watch":[],"wake":null},{"name":"starting","command":"exec sleep 1000","argv":["/bin/sh","-c","exec sleep 1000"],"working_dir":"/home/dev/project","description":"","env":{"MODE":"development"},"depends_on":[],"restart":{"when":"no","delay":0.5,"max_delay":30.0,"max_restarts":10,"window":300.0,"on_unhealthy":false},"success_exit_codes":[0],"health_check":{"url":"http://127.0.0.1:1/","probe":"http","target":"http://127.0.0.1:1/","interval":3600.0,"timeout":5.0,"retries":3,"start_period":60.0,"status":[200,204]},"stop_signal":"SIGTERM","stop_timeout":10.0,"ports":[],"auto_port":false,"autostart":true,"kind":"service","inactivity_timeout":null,"activity":["requests","connections"],"log":{"max_size":50000000,"keep":5,"compress":true,"max_total":2000000000},"hooks":{"ready":"","failed":"","unhealthy":"","exited":""},"watch":[],"wake":null},{"name":"pending","command":"sleep 1000","argv":["sleep","1000"],"working_dir":"/home/dev/project","description":"","env":{"MODE":"development"},"depends_on":[{"name":"running","condition":"ready"},{"name":"exited","condition":"completed"},{"name":"starting","condition":"ready"}],"restart":{"when":"no","delay":0.5,"max_delay":30.0,"max_restarts":10,"window":300.0,"on_unhealthy":false},"success_exit_codes":[0],"health_check":null,"stop_signal":"SIGTERM","stop_timeout":10.0,"ports":[],"auto_port":false,"autostart":true,"kind":"service","inactivity_timeout":null,"activity":["requests","connections"],"log":{"max_size":50000000,"keep":5,"compress":true,"max_total":2000000000},"hooks":{"ready":"","failed":"","unhealthy":"","exited":""},"watch":[],"wake":null},{"name":"running","command":"exec sleep 1000","argv":["/bin/sh","-c","exec sleep 1000"],"working_dir":"/home/dev/project","description":"with all that can be said of it","env":{"MODE":"development","GREETING":"hello"},"depends_on":[],"restart":{"when":"always","delay":0.5,"max_delay":30.0,"max_restarts":10,"window":300.0,"on_unhealthy":true},"success_exit_codes":[0],"health_check":{"url":"cmd://true","probe":"cmd","target":"true","interval":30.0,"timeout":5.0,"retries":3,"start_period":60.0,"status":[]},"stop_signal":"SIGTERM","stop_timeout":10.0,"ports":[],"auto_port":true,"autostart":true,"kind":"service","inactivity_timeout":null,"activity":["requests","connections"],"log":{"max_size":1000000,"keep":2,"compress":false,"max_total":2000000000},"hooks":{"ready":"","failed":"","unhealthy":"","exited":""},"watch":[],"wake":null},{"name":"stopping","command":"trap : TERM; while :; do sleep 0.1; done","argv":["/bin/sh","-c","trap : TERM; while :; do sleep 0.1; done"],"working_dir":"/home/dev/project","description":"","env":{"MODE":"development"},"depends_on":[],"restart":{"when":"no","delay":0.5,"max_delay":30.0,"max_restarts":10,"window":300.0,"on_unhealthy":false},"success_exit_codes":[0],"health_check":null,"stop_signal":"SIGINT","stop_timeout":3600.0,"ports":[],"auto_port":false,"autostart":true,"kind":"service","inactivity_timeout":null,"activity":["requests","connections"],"log":{"max_size":50000000,"keep":5,"compress":true,"max_total":2000000000},"hooks":{"ready":"","failed":"","unhealthy":"","exited":""},"watch":[],"wake":null},{"name":"backoff","command":"exit 3","argv":["/bin/sh","-c","exit 3"],"working_dir":"/home/dev/project","description":"","env":{"MODE":"development"},"depends_on":[],"restart":{"when":"on-failure","delay":3600.0,"max_delay":7200.0,"max_restarts":10,"window":300.0,"on_unhealthy":true},"success_exit_codes":[0],"health_check":null,"stop_signal":"SIGTERM","stop_timeout":10.0,"ports":[],"auto_port":false,"autostart":true,"kind":"service","inactivity_timeout":null,"activity":["requests","connections"],"log":{"max_size":50000000,"keep":5,"compress":true,"max_total":2000000000},"hooks":{"ready":"","failed":"","unhealthy":"","exited":""},"watch":[],"wake":null},{"name":"exited","command":"true","argv":["/bin/sh","-c","true"],"working_dir":"/home/dev/project","description":"","env":{"MODE":"development"},"depends_on":[],"restart":{"when":"no","delay":0.5,"max_delay":30.0,"max_restarts":10,"window":300.0,"on_unhealthy":false},"success_exit_codes":[0],"health_check":null,"stop_signal":"SIGTERM","stop_timeout":10.0,"ports":[],"auto_port":false,"autostart":true,"kind":"task","inactivity_timeout":null,"activity":["requests","connections"],"log":{"max_size":50000000,"keep":5,"compress":true,"max_total":2000000000},"hooks":{"ready":"","failed":"","unhealthy":"","exited":""},"watch":[],"wake":null},{"name":"failed","command":"kill -SEGV $$","argv":["/bin/sh","-c","kill -SEGV $$"],"working_dir":"/home/dev/project","description":"","env":{"MODE":"development"},"depends_on":[],"restart":{"when":"no","delay":0.5,"max_delay":30.0,"max_restarts":10,"window":300.0,"on_unhealthy":false},"success_exit_codes":[0],"health_check":null,"stop_signal":"SIGTERM","stop_timeout":10.0,"ports":[],"auto_port":false,"autostart":true,"kind":"service","inactivity_timeout":3600.0,"activity":["requests","connections"],"log":{"max_size":50000000,"keep":5,"compress":true,"max_total":2000000000},"hooks":{"ready":"","failed":"","unhealthy":"","exited":""},"watch":[],"wake":null}]}' AS BLOB), CAST('{"PATH":"/usr/bin:/bin"}' AS BLOB), 1795709353.4969683, 18);
CREATE TABLE processes (
    environment TEXT NOT NULL REFERENCES environments (path) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    life        BLOB NOT NULL,       -- JSON of core.lifecycle.Life
    PRIMARY KEY (environment, name)
) STRICT;
INSERT INTO processes VALUES ('/home/dev/project', 'stopped', CAST('{"name":"stopped","state":"stopped","reason":"stopped by request (cli)","hint":"","blamed":"","wanted":false,"restarting":false,"health":"none","run":1,"pid":null,"ports":[],"restarts":0,"failures":[],"kill":false,"asked":false,"deadline":null,"stopping_for":"","ready":true,"exit_code":null,"exit_signal":"SIGTERM","exit_reason":"stopped by request (cli)","stop_reason":"stopped by request (cli)","actor":"cli","started_at":1795709353.4985545,"started":28621.702869449,"ended_at":1795709353.6671193}' AS BLOB));
INSERT INTO processes VALUES ('/home/dev/project', 'starting', CAST('{"name":"starting","state":"starting","reason":"not ready yet: http://127.0.0.1:1/ refused the connection","hint":"","blamed":"","wanted":true,"restarting":false,"health":"unknown","run":1,"pid":28312,"ports":[],"restarts":0,"failures":[],"kill":false,"asked":false,"deadline":null,"stopping_for":"","ready":false,"exit_code":null,"exit_signal":null,"exit_reason":"","stop_reason":"","actor":"cli","started_at":1795709353.5008802,"started":28621.702612265,"ended_at":null}' AS BLOB));
INSERT INTO processes VALUES ('/home/dev/project', 'pending', CAST('{"name":"pending","state":"pending","reason":"waits for starting, which is starting: not ready yet: http://127.0.0.1:1/ refused the connection","hint":"","blamed":"starting","wanted":true,"restarting":false,"health":"none","run":0,"pid":null,"ports":[],"restarts":0,"failures":[],"kill":false,"asked":false,"deadline":null,"stopping_for":"","ready":false,"exit_code":null,"exit_signal":null,"exit_reason":"","stop_reason":"","actor":"cli","started_at":null,"started":0.0,"ended_at":null}' AS BLOB));
INSERT INTO processes VALUES ('/home/dev/project', 'running', CAST('{"name":"running","state":"running","reason":"","hint":"","blamed":"","wanted":true,"restarting":false,"health":"healthy","run":1,"pid":28313,"ports":[45387],"restarts":0,"failures":[],"kill":false,"asked":false,"deadline":null,"stopping_for":"","ready":true,"exit_code":null,"exit_signal":null,"exit_reason":"","stop_reason":"","actor":"cli","started_at":1795709353.502741,"started":28621.702782419,"ended_at":null}' AS BLOB));
INSERT INTO processes VALUES ('/home/dev/project', 'stopping', CAST('{"name":"stopping","state":"stopped","reason":"stopped by request (cli)","hint":"","blamed":"","wanted":false,"restarting":false,"health":"none","run":1,"pid":null,"ports":[],"restarts":0,"failures":[],"kill":false,"asked":false,"deadline":null,"stopping_for":"","ready":true,"exit_code":null,"exit_signal":"SIGINT","exit_reason":"stopped by request (cli)","stop_reason":"stopped by request (cli)","actor":"cli","started_at":1795709353.505947,"started":28621.707551883,"ended_at":1795709353.7211668}' AS BLOB));
INSERT INTO processes VALUES ('/home/dev/project', 'backoff', CAST('{"name":"backoff","state":"backoff","reason":"exit code 3; restart 1 of 10 after 1h14m","hint":"","blamed":"","wanted":true,"restarting":false,"health":"none","run":1,"pid":null,"ports":[],"restarts":0,"failures":[28621.763399058],"kill":false,"asked":false,"deadline":33074.752426340325,"stopping_for":"","ready":false,"exit_code":3,"exit_signal":null,"exit_reason":"exit code 3","stop_reason":"","actor":"supervisor","started_at":1795709353.5073886,"started":28621.729630953,"ended_at":1795709353.5308156}' AS BLOB));
INSERT INTO processes VALUES ('/home/dev/project', 'exited', CAST('{"name":"exited","state":"exited","reason":"exit code 0","hint":"","blamed":"","wanted":true,"restarting":false,"health":"none","run":1,"pid":null,"ports":[],"restarts":0,"failures":[],"kill":false,"asked":false,"deadline":null,"stopping_for":"","ready":false,"exit_code":0,"exit_signal":null,"exit_reason":"exit code 0","stop_reason":"","actor":"supervisor","started_at":1795709353.504279,"started":28621.707407968,"ended_at":1795709353.5256402}' AS BLOB));
INSERT INTO processes VALUES ('/home/dev/project', 'failed', CAST('{"name":"failed","state":"failed","reason":"killed by SIGSEGV","hint":"","blamed":"","wanted":true,"restarting":false,"health":"none","run":1,"pid":null,"ports":[],"restarts":0,"failures":[],"kill":false,"asked":false,"deadline":null,"stopping_for":"","ready":false,"exit_code":null,"exit_signal":"SIGSEGV","exit_reason":"killed by SIGSEGV","stop_reason":"","actor":"supervisor","started_at":1795709353.5088675,"started":28621.707500336,"ended_at":1795709353.5259836}' AS BLOB));
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
, reason TEXT) STRICT;
INSERT INTO runs VALUES ('stopped-1-654d83ab', '/home/dev/project', 'stopped', 1, 28311, 2862167, '00000000-0000-4000-8000-000000000000', 1795709353.4985545, 1795709353.6671193, NULL, 'SIGTERM', 1, 'stopped by request (cli)');
INSERT INTO runs VALUES ('starting-1-c1c5650b', '/home/dev/project', 'starting', 1, 28312, 2862168, '00000000-0000-4000-8000-000000000000', 1795709353.5008802, NULL, NULL, NULL, 0, NULL);
INSERT INTO runs VALUES ('running-1-0ba621c7', '/home/dev/project', 'running', 1, 28313, 2862168, '00000000-0000-4000-8000-000000000000', 1795709353.502741, NULL, NULL, NULL, 0, NULL);
INSERT INTO runs VALUES ('exited-1-eb89eff7', '/home/dev/project', 'exited', 1, 28314, 2862168, '00000000-0000-4000-8000-000000000000', 1795709353.504279, 1795709353.5256402, 0, NULL, 1, 'exit code 0');
INSERT INTO runs VALUES ('stopping-1-82f4babe', '/home/dev/project', 'stopping', 1, 28315, 2862168, '00000000-0000-4000-8000-000000000000', 1795709353.505947, 1795709353.7211668, NULL, 'SIGINT', 0, 'stopped by request (cli)');
INSERT INTO runs VALUES ('backoff-1-88fb9399', '/home/dev/project', 'backoff', 1, 28316, 2862168, '00000000-0000-4000-8000-000000000000', 1795709353.5073886, 1795709353.5308156, 3, NULL, 1, 'exit code 3');
INSERT INTO runs VALUES ('failed-1-40b6152e', '/home/dev/project', 'failed', 1, 28317, 2862168, '00000000-0000-4000-8000-000000000000', 1795709353.5088675, 1795709353.5259836, NULL, 'SIGSEGV', 1, 'killed by SIGSEGV');
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
INSERT INTO events VALUES (1, 1795709353.4908216, NULL, NULL, 'daemon_started', 'version 0.1.0, pid 28306', 'supervisor', CAST('{}' AS BLOB));
INSERT INTO events VALUES (2, 1795709353.497035, '/home/dev/project', NULL, 'activated', 'activated shop', 'cli', CAST('{}' AS BLOB));
INSERT INTO events VALUES (3, 1795709353.497353, '/home/dev/project', 'stopped', 'starting', 'run 1', 'cli', CAST('{"run":1}' AS BLOB));
INSERT INTO events VALUES (4, 1795709353.4973552, '/home/dev/project', 'starting', 'starting', 'run 1', 'cli', CAST('{"run":1}' AS BLOB));
INSERT INTO events VALUES (5, 1795709353.497356, '/home/dev/project', 'running', 'starting', 'run 1', 'cli', CAST('{"run":1}' AS BLOB));
INSERT INTO events VALUES (6, 1795709353.4973567, '/home/dev/project', 'exited', 'starting', 'run 1', 'cli', CAST('{"run":1}' AS BLOB));
INSERT INTO events VALUES (7, 1795709353.4973571, '/home/dev/project', 'stopping', 'starting', 'run 1', 'cli', CAST('{"run":1}' AS BLOB));
INSERT INTO events VALUES (8, 1795709353.4973576, '/home/dev/project', 'backoff', 'starting', 'run 1', 'cli', CAST('{"run":1}' AS BLOB));
INSERT INTO events VALUES (9, 1795709353.4973583, '/home/dev/project', 'failed', 'starting', 'run 1', 'cli', CAST('{"run":1}' AS BLOB));
INSERT INTO events VALUES (10, 1795709353.49736, '/home/dev/project', 'pending', 'pending', 'waits for running, which is stopped: waits to be started', 'cli', CAST('{}' AS BLOB));
INSERT INTO events VALUES (11, 1795709353.5284019, '/home/dev/project', 'running', 'ready', 'run 1, pid 28313', 'cli', CAST('{"run":1,"pid":28313}' AS BLOB));
INSERT INTO events VALUES (12, 1795709353.5480614, '/home/dev/project', 'exited', 'exited', 'exit code 0', 'supervisor', CAST('{"run":1,"pid":28314,"exit_code":0,"exit_signal":null}' AS BLOB));
INSERT INTO events VALUES (13, 1795709353.5493069, '/home/dev/project', 'failed', 'exited', 'killed by SIGSEGV', 'supervisor', CAST('{"run":1,"pid":28317,"exit_code":null,"exit_signal":"SIGSEGV"}' AS BLOB));
INSERT INTO events VALUES (14, 1795709353.5493088, '/home/dev/project', 'failed', 'failed', 'killed by SIGSEGV', 'supervisor', CAST('{"run":1,"exit_code":null,"exit_signal":"SIGSEGV"}' AS BLOB));
INSERT INTO events VALUES (15, 1795709353.5841544, '/home/dev/project', 'backoff', 'exited', 'exit code 3', 'supervisor', CAST('{"run":1,"pid":28316,"exit_code":3,"exit_signal":null}' AS BLOB));
INSERT INTO events VALUES (16, 1795709353.5841587, '/home/dev/project', 'backoff', 'restarting', 'exit code 3; restart 1 of 10 after 1h14m', 'supervisor', CAST('{"run":1,"cause":"crash","delay_seconds":4452.989}' AS BLOB));
INSERT INTO events VALUES (17, 1795709353.6258059, '/home/dev/project', 'stopped', 'ready', 'run 1, pid 28311', 'cli', CAST('{"run":1,"pid":28311}' AS BLOB));
INSERT INTO events VALUES (18, 1795709353.628925, '/home/dev/project', 'stopping', 'ready', 'run 1, pid 28315', 'cli', CAST('{"run":1,"pid":28315}' AS BLOB));
INSERT INTO events VALUES (19, 1795709353.6478636, '/home/dev/project', 'stopped', 'stopping', 'stopped by request (cli): SIGTERM was sent, SIGKILL follows after 10s', 'cli', CAST('{"run":1,"pid":28311,"signal":"SIGTERM"}' AS BLOB));
INSERT INTO events VALUES (20, 1795709353.6861727, '/home/dev/project', 'stopped', 'exited', 'killed by SIGTERM', 'cli', CAST('{"run":1,"pid":28311,"exit_code":null,"exit_signal":"SIGTERM"}' AS BLOB));
INSERT INTO events VALUES (21, 1795709353.6861763, '/home/dev/project', 'stopped', 'stopped', 'stopped by request (cli)', 'cli', CAST('{"run":1}' AS BLOB));
INSERT INTO events VALUES (22, 1795709353.7034657, '/home/dev/project', 'stopping', 'stopping', 'stopped by request (cli): SIGINT was sent, SIGKILL follows after 1h', 'cli', CAST('{"run":1,"pid":28315,"signal":"SIGINT"}' AS BLOB));
INSERT INTO events VALUES (23, 1795709353.7409415, '/home/dev/project', 'stopping', 'exited', 'killed by SIGINT', 'cli', CAST('{"run":1,"pid":28315,"exit_code":null,"exit_signal":"SIGINT"}' AS BLOB));
INSERT INTO events VALUES (24, 1795709353.740945, '/home/dev/project', 'stopping', 'stopped', 'stopped by request (cli)', 'cli', CAST('{"run":1}' AS BLOB));
CREATE TABLE activity (
    environment TEXT PRIMARY KEY REFERENCES environments (path) ON DELETE CASCADE,
    at          REAL NOT NULL,
    monotonic   REAL NOT NULL,
    actor       TEXT NOT NULL
) STRICT;
INSERT INTO activity VALUES ('/home/dev/project', 1795709353.7221868, 28621.90154445, 'cli');
CREATE TABLE boot (
    only    INTEGER PRIMARY KEY CHECK (only = 1),
    boot_id TEXT NOT NULL
) STRICT;
INSERT INTO boot VALUES (1, '00000000-0000-4000-8000-000000000000');
CREATE INDEX runs_by_process ON runs (environment, process, run);
CREATE INDEX events_by_environment ON events (environment, id);
