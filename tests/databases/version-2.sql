PRAGMA user_version = 2;
CREATE TABLE environments (
    path         TEXT PRIMARY KEY,   -- canonical absolute path of the directory that holds .runcept.toml
    name         TEXT NOT NULL,
    description  TEXT NOT NULL,
    project      BLOB NOT NULL,      -- JSON of core.model.Project, as activated
    environ      BLOB,               -- JSON: the environment captured at the last activation from a command line
    activated_at REAL
, umask INTEGER) STRICT;
INSERT INTO environments VALUES ('/home/dev/project', 'shop', 'every state there is', CAST('{"path":"/home/dev/project","name":"shop","description":"every state there is","inactivity_timeout":28800.0,"shell":["/bin/sh","-c"],"processes":[{"name":"stopped","command":"sleep 1000","argv":["sleep","1000"],"working_dir":"/home/dev/project","description":"","env":{"MODE":"development"},"depends_on":[],"restart":{"when":"no","delay":0.5,"max_delay":30.0,"max_restarts":10,"window":300.0,"on_unhealthy":false},"success_exit_codes":[0],"health_check":null,"stop_signal":"SIGTERM","stop_timeout":10.0,"ports":[],"auto_port":false,"autostart":true,"kind":"service","inactivity_timeout":null,"log":{"max_size":50000000,"keep":5,"compress":true}},{"name":"starting","command":"exec sleep 1000","argv":["/bin/sh","-c","exec sleep 1000"],"working_dir":"/home/dev/project","description":"","env":{"MODE":"development"},"depends_on":[],"restart":{"when":"no","delay":0.5,"max_delay":30.0,"max_restarts":10,"window":300.0,"on_unhealthy":false},"success_exit_codes":[0],"health_check":{"url":"http://127.0.0.1:1/","probe":"http","target":"http://127.0.0.1:1/","interval":3600.0,"timeout":5.0,"retries":3,"start_period":60.0,"status":[200,204]},"stop_signal":"SIGTERM","stop_timeout":10.0,"ports":[],"auto_port":false,"autostart":true,"kind":"service","inactivity_timeout":null,"log":{"max_size":50000000,"keep":5,"compress":true}},{"name":"pending","command":"sleep 1000","argv":["sleep","1000"],"working_dir":"/home/dev/project","description":"","env":{"MODE":"development"},"depends_on":[{"name":"running","condition":"ready"},{"name":"exited","condition":"completed"},{"name":"starting","condition":"ready"}],"restart":{"when":"no","delay":0.5,"max_delay":30.0,"max_restarts":10,"window":300.0,"on_unhealthy":false},"success_exit_codes":[0],"health_check":null,"stop_signal":"SIGTERM","stop_timeout":10.0,"ports":[],"auto_port":false,"autostart":true,"kind":"service","inactivity_timeout":null,"log":{"max_size":50000000,"keep":5,"compress":true}},{"name":"running","command":"exec sleep 1000","argv":["/bin/sh","-c","exec sleep 1000"],"working_dir":"/home/dev/project","description":"with all that can be said of it","env":{"MODE":"development","GREETING":"hello"},"depends_on":[],"restart":{"when":"always","delay":0.5,"max_delay":30.0,"max_restarts":10,"window":300.0,"on_unhealthy":true},"success_exit_codes":[0],"health_check":{"url":"cmd://true","probe":"cmd","target":"true","interval":30.0,"timeout":5.0,"retries":3,"start_period":60.0,"status":[]},"stop_signal":"SIGTERM","stop_timeout":10.0,"ports":[],"auto_port":true,"autostart":true,"kind":"service","inactivity_timeout":null,"log":{"max_size":1000000,"keep":2,"compress":false}},{"name":"stopping","command":"trap : TERM; while :; do sleep 0.1; done","argv":["/bin/sh","-c","trap : TERM; while :; do sleep 0.1; done"],"working_dir":"/home/dev/project","description":"","env":{"MODE":"development"},"depends_on":[],"restart":{"when":"no","delay":0.5,"max_delay":30.0,"max_restarts":10,"window":300.0,"on_unhealthy":false},"success_exit_codes":[0],"health_check":null,"stop_signal":"SIGINT","stop_timeout":3600.0,"ports":[],"auto_port":false,"autostart":true,"kind":"service","inactivity_timeout":null,"log":{"max_size":50000000,"keep":5,"compress":true}},{"name":"backoff","command":"exit 3","argv":["/bin/sh","-c","exit 3"],"working_dir":"/home/dev/project","description":"","env":{"MODE":"development"},"depends_on":[],"restart":{"when":"on-failure","delay":3600.0,"max_delay":7200.0,"max_restarts":10,"window":300.0,"on_unhealthy":true},"success_exit_codes":[0],"health_check":null,"stop_signal":"SIGTERM","stop_timeout":10.0,"ports":[],"auto_port":false,"autostart":true,"kind":"service","inactivity_timeout":null,"log":{"max_size":50000000,"keep":5,"compress":true}},{"name":"exited","command":"true","argv":["/bin/sh","-c","true"],"working_dir":"/home/dev/project","description":"","env":{"MODE":"development"},"depends_on":[],"restart":{"when":"no","delay":0.5,"max_delay":30.0,"max_restarts":10,"window":300.0,"on_unhealthy":false},"success_exit_codes":[0],"health_check":null,"stop_signal":"SIGTERM","stop_timeout":10.0,"ports":[],"auto_port":false,"autostart":true,"kind":"task","inactivity_timeout":null,"log":{"max_size":50000000,"keep":5,"compress":true}},{"name":"failed","command":"kill -SEGV $$","argv":["/bin/sh","-c","kill -SEGV $$"],"working_dir":"/home/dev/project","description":"","env":{"MODE":"development"},"depends_on":[],"restart":{"when":"no","delay":0.5,"max_delay":30.0,"max_restarts":10,"window":300.0,"on_unhealthy":false},"success_exit_codes":[0],"health_check":null,"stop_signal":"SIGTERM","stop_timeout":10.0,"ports":[],"auto_port":false,"autostart":true,"kind":"service","inactivity_timeout":3600.0,"log":{"max_size":50000000,"keep":5,"compress":true}}]}' AS BLOB), CAST('{"PATH":"/usr/bin:/bin"}' AS BLOB), 1795686560.9245374, 18);
CREATE TABLE processes (
    environment TEXT NOT NULL REFERENCES environments (path) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    life        BLOB NOT NULL,       -- JSON of core.lifecycle.Life
    PRIMARY KEY (environment, name)
) STRICT;
INSERT INTO processes VALUES ('/home/dev/project', 'stopped', CAST('{"name":"stopped","state":"stopped","reason":"stopped by request (cli)","wanted":false,"restarting":false,"health":"none","run":1,"pid":null,"ports":[],"restarts":0,"failures":[],"kill":false,"deadline":null,"stopping_for":"","ready":true,"exit_code":null,"exit_signal":"SIGTERM","exit_reason":"stopped by request (cli)","stop_reason":"stopped by request (cli)","started_at":1795686560.9288535,"started":5829.141492921,"ended_at":1795686561.1416876}' AS BLOB));
INSERT INTO processes VALUES ('/home/dev/project', 'starting', CAST('{"name":"starting","state":"starting","reason":"not ready yet: http://127.0.0.1:1/ refused the connection","wanted":true,"restarting":false,"health":"unknown","run":1,"pid":25231,"ports":[],"restarts":0,"failures":[],"kill":false,"deadline":null,"stopping_for":"","ready":false,"exit_code":null,"exit_signal":null,"exit_reason":"","stop_reason":"","started_at":1795686560.958911,"started":5829.152177537,"ended_at":null}' AS BLOB));
INSERT INTO processes VALUES ('/home/dev/project', 'pending', CAST('{"name":"pending","state":"pending","reason":"waits for starting, which is starting: not ready yet: http://127.0.0.1:1/ refused the connection","wanted":true,"restarting":false,"health":"none","run":0,"pid":null,"ports":[],"restarts":0,"failures":[],"kill":false,"deadline":null,"stopping_for":"","ready":false,"exit_code":null,"exit_signal":null,"exit_reason":"","stop_reason":"","started_at":null,"started":0.0,"ended_at":null}' AS BLOB));
INSERT INTO processes VALUES ('/home/dev/project', 'running', CAST('{"name":"running","state":"running","reason":"","wanted":true,"restarting":false,"health":"healthy","run":1,"pid":25234,"ports":[42009],"restarts":0,"failures":[],"kill":false,"deadline":null,"stopping_for":"","ready":true,"exit_code":null,"exit_signal":null,"exit_reason":"","stop_reason":"","started_at":1795686560.9689727,"started":5829.168154817,"ended_at":null}' AS BLOB));
INSERT INTO processes VALUES ('/home/dev/project', 'stopping', CAST('{"name":"stopping","state":"stopping","reason":"stopped by request (cli): SIGINT was sent, SIGKILL follows after 1h","wanted":false,"restarting":false,"health":"none","run":1,"pid":25241,"ports":[],"restarts":0,"failures":[],"kill":false,"deadline":9429.328562063001,"stopping_for":"request","ready":true,"exit_code":null,"exit_signal":null,"exit_reason":"stopped by request (cli)","stop_reason":"stopped by request (cli)","started_at":1795686561.000244,"started":5829.194335535,"ended_at":null}' AS BLOB));
INSERT INTO processes VALUES ('/home/dev/project', 'backoff', CAST('{"name":"backoff","state":"backoff","reason":"exit code 3; restart 1 of 10 after 1h4m","wanted":true,"restarting":false,"health":"none","run":1,"pid":null,"ports":[],"restarts":0,"failures":[5829.210854583],"kill":false,"deadline":9677.318478919136,"stopping_for":"","ready":false,"exit_code":3,"exit_signal":null,"exit_reason":"exit code 3","stop_reason":"","started_at":1795686561.0154955,"started":5829.20690986,"ended_at":1795686561.0227408}' AS BLOB));
INSERT INTO processes VALUES ('/home/dev/project', 'exited', CAST('{"name":"exited","state":"exited","reason":"exit code 0","wanted":true,"restarting":false,"health":"none","run":1,"pid":null,"ports":[],"restarts":0,"failures":[],"kill":false,"deadline":null,"stopping_for":"","ready":false,"exit_code":0,"exit_signal":null,"exit_reason":"exit code 0","stop_reason":"","started_at":1795686560.9795742,"started":5829.182071183,"ended_at":1795686560.9898245}' AS BLOB));
INSERT INTO processes VALUES ('/home/dev/project', 'failed', CAST('{"name":"failed","state":"failed","reason":"killed by SIGSEGV","wanted":true,"restarting":false,"health":"none","run":1,"pid":null,"ports":[],"restarts":0,"failures":[],"kill":false,"deadline":null,"stopping_for":"","ready":false,"exit_code":null,"exit_signal":"SIGSEGV","exit_reason":"killed by SIGSEGV","stop_reason":"","started_at":1795686561.0251834,"started":5829.217957918,"ended_at":1795686561.035532}' AS BLOB));
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
INSERT INTO runs VALUES ('stopped-1-2b55e096', '/home/dev/project', 'stopped', 1, 25228, 582911, '00000000-0000-4000-8000-000000000000', 1795686560.9288535, 1795686561.1416876, NULL, 'SIGTERM', 1);
INSERT INTO runs VALUES ('starting-1-70fe4da0', '/home/dev/project', 'starting', 1, 25231, 582914, '00000000-0000-4000-8000-000000000000', 1795686560.958911, NULL, NULL, NULL, 0);
INSERT INTO runs VALUES ('running-1-79726cb0', '/home/dev/project', 'running', 1, 25234, 582915, '00000000-0000-4000-8000-000000000000', 1795686560.9689727, NULL, NULL, NULL, 0);
INSERT INTO runs VALUES ('exited-1-5bb386e4', '/home/dev/project', 'exited', 1, 25236, 582916, '00000000-0000-4000-8000-000000000000', 1795686560.9795742, 1795686560.9898245, 0, NULL, 1);
INSERT INTO runs VALUES ('stopping-1-b044e0e1', '/home/dev/project', 'stopping', 1, 25241, 582918, '00000000-0000-4000-8000-000000000000', 1795686561.000244, NULL, NULL, NULL, 0);
INSERT INTO runs VALUES ('backoff-1-ec784611', '/home/dev/project', 'backoff', 1, 25243, 582919, '00000000-0000-4000-8000-000000000000', 1795686561.0154955, 1795686561.0227408, 3, NULL, 1);
INSERT INTO runs VALUES ('failed-1-9c3fd5a0', '/home/dev/project', 'failed', 1, 25244, 582920, '00000000-0000-4000-8000-000000000000', 1795686561.0251834, 1795686561.035532, NULL, 'SIGSEGV', 1);
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
INSERT INTO events VALUES (1, 1795686560.9192805, NULL, NULL, 'daemon_started', 'version 0.1.0, pid 25216', 'supervisor', CAST('{}' AS BLOB));
INSERT INTO events VALUES (2, 1795686560.92461, '/home/dev/project', NULL, 'activated', 'activated shop', 'cli', CAST('{}' AS BLOB));
INSERT INTO events VALUES (3, 1795686560.9251995, '/home/dev/project', 'stopped', 'starting', 'run 1', 'cli', CAST('{"run":1}' AS BLOB));
INSERT INTO events VALUES (4, 1795686560.9252043, '/home/dev/project', 'starting', 'starting', 'run 1', 'cli', CAST('{"run":1}' AS BLOB));
INSERT INTO events VALUES (5, 1795686560.9252057, '/home/dev/project', 'running', 'starting', 'run 1', 'cli', CAST('{"run":1}' AS BLOB));
INSERT INTO events VALUES (6, 1795686560.9252064, '/home/dev/project', 'exited', 'starting', 'run 1', 'cli', CAST('{"run":1}' AS BLOB));
INSERT INTO events VALUES (7, 1795686560.9252079, '/home/dev/project', 'stopping', 'starting', 'run 1', 'cli', CAST('{"run":1}' AS BLOB));
INSERT INTO events VALUES (8, 1795686560.9252086, '/home/dev/project', 'backoff', 'starting', 'run 1', 'cli', CAST('{"run":1}' AS BLOB));
INSERT INTO events VALUES (9, 1795686560.9252095, '/home/dev/project', 'failed', 'starting', 'run 1', 'cli', CAST('{"run":1}' AS BLOB));
INSERT INTO events VALUES (10, 1795686561.0033603, '/home/dev/project', 'running', 'ready', 'run 1, pid 25234', 'supervisor', CAST('{"run":1,"pid":25234}' AS BLOB));
INSERT INTO events VALUES (11, 1795686561.007852, '/home/dev/project', 'exited', 'exited', 'exit code 0', 'supervisor', CAST('{"run":1,"exit_code":0,"exit_signal":null}' AS BLOB));
INSERT INTO events VALUES (12, 1795686561.0315874, '/home/dev/project', 'backoff', 'exited', 'exit code 3', 'supervisor', CAST('{"run":1,"exit_code":3,"exit_signal":null}' AS BLOB));
INSERT INTO events VALUES (13, 1795686561.03159, '/home/dev/project', 'backoff', 'restarting', 'exit code 3; restart 1 of 10 after 1h4m', 'supervisor', CAST('{"delay_seconds":3848.108}' AS BLOB));
INSERT INTO events VALUES (14, 1795686561.046964, '/home/dev/project', 'failed', 'exited', 'killed by SIGSEGV', 'supervisor', CAST('{"run":1,"exit_code":null,"exit_signal":"SIGSEGV"}' AS BLOB));
INSERT INTO events VALUES (15, 1795686561.0469668, '/home/dev/project', 'failed', 'failed', 'killed by SIGSEGV', 'supervisor', CAST('{"exit_code":null,"exit_signal":"SIGSEGV"}' AS BLOB));
INSERT INTO events VALUES (16, 1795686561.0630279, '/home/dev/project', 'stopped', 'ready', 'run 1, pid 25228', 'supervisor', CAST('{"run":1,"pid":25228}' AS BLOB));
INSERT INTO events VALUES (17, 1795686561.1158779, '/home/dev/project', 'stopping', 'ready', 'run 1, pid 25241', 'supervisor', CAST('{"run":1,"pid":25241}' AS BLOB));
INSERT INTO events VALUES (18, 1795686561.1463487, '/home/dev/project', 'stopped', 'exited', 'killed by SIGTERM', 'supervisor', CAST('{"run":1,"exit_code":null,"exit_signal":"SIGTERM"}' AS BLOB));
INSERT INTO events VALUES (19, 1795686561.1463516, '/home/dev/project', 'stopped', 'stopped', 'stopped by request (cli)', 'supervisor', CAST('{}' AS BLOB));
CREATE TABLE activity (
    environment TEXT PRIMARY KEY REFERENCES environments (path) ON DELETE CASCADE,
    at          REAL NOT NULL,
    monotonic   REAL NOT NULL,
    actor       TEXT NOT NULL
) STRICT;
INSERT INTO activity VALUES ('/home/dev/project', 1795686561.1537595, 5829.333116987, 'cli');
CREATE TABLE boot (
    only    INTEGER PRIMARY KEY CHECK (only = 1),
    boot_id TEXT NOT NULL
) STRICT;
INSERT INTO boot VALUES (1, '00000000-0000-4000-8000-000000000000');
CREATE INDEX runs_by_process ON runs (environment, process, run);
CREATE INDEX events_by_environment ON events (environment, id);
