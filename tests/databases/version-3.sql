PRAGMA user_version = 3;
CREATE TABLE environments (
    path         TEXT PRIMARY KEY,   -- canonical absolute path of the directory that holds .runcept.toml
    name         TEXT NOT NULL,
    description  TEXT NOT NULL,
    project      BLOB NOT NULL,      -- JSON of core.model.Project, as activated
    environ      BLOB,               -- JSON: the environment captured at the last activation from a command line
    activated_at REAL
, umask INTEGER) STRICT;
INSERT INTO environments VALUES ('/home/dev/project', 'shop', 'every state there is', CAST('{"path":"/home/dev/project","name":"shop","description":"every state there is","inactivity_timeout":28800.0,"auto_reload":false,"auto_activate":false,"notify":false,"env_files":[],"shell":["/bin/sh","-c"],"processes":[{"name":"stopped","command":"sleep 1000","argv":["sleep","1000"],"working_dir":"/home/dev/project","description":"","env":{"MODE":"development"},"depends_on":[],"restart":{"when":"no","delay":0.5,"max_delay":30.0,"max_restarts":10,"window":300.0,"on_unhealthy":false},"success_exit_codes":[0],"health_check":null,"stop_signal":"SIGTERM","stop_timeout":10.0,"ports":[],"auto_port":false,"autostart":true,"kind":"service","inactivity_timeout":null,"activity":["requests","connections"],"log":{"max_size":50000000,"keep":5,"compress":true,"max_total":2000000000},"hooks":{"ready":"","failed":"","unhealthy":"","exited":""},"watch":[],"wake":null},{"name":"starting","command":"exec sleep 1000","argv":["/bin/sh","-c","exec sleep 1000"],"working_dir":"/home/dev/project","description":"","env":{"MODE":"development"},"depends_on":[],"restart":{"when":"no","delay":0.5,"max_delay":30.0,"max_restarts":10,"window":300.0,"on_unhealthy":false},"success_exit_codes":[0],"health_check":{"url":"http://127.0.0.1:1/","probe":"http","target":"http://127.0.0.1:1/","interval":3600.0,"timeout":5.0,"retries":3,"start_period":60.0,"status":[200,204]},"stop_signal":"SIGTERM","stop_timeout":10.0,"ports":[],"auto_port":false,"autostart":true,"kind":"service","inactivity_timeout":null,"activity":["requests","connections"],"log":{"max_size":50000000,"keep":5,"compress":true,"max_total":2000000000},"hooks":{"ready":"","failed":"","unhealthy":"","exited":""},"watch":[],"wake":null},{"name":"pending","command":"sleep 1000","argv":["sleep","1000"],"working_dir":"/home/dev/project","description":"","env":{"MODE":"development"},"depends_on":[{"name":"running","condition":"ready"},{"name":"exited","condition":"completed"},{"name":"starting","condition":"ready"}],"restart":{"when":"no","delay":0.5,"max_delay":30.0,"max_restarts":10,"window":300.0,"on_unhealthy":false},"success_exit_codes":[0],"health_check":null,"stop_signal":"SIGTERM","stop_timeout":10.0,"ports":[],"auto_port":false,"autostart":true,"kind":"service","inactivity_timeout":null,"activity":["requests","connections"],"log":{"max_size":50000000,"keep":5,"compress":true,"max_total":2000000000},"hooks":{"ready":"","failed":"","unhealthy":"","exited":""},"watch":[],"wake":null},{"name":"running","command":"exec sleep 1000","argv":["/bin/sh","-c","exec sleep 1000"],"working_dir":"/home/dev/project","description":"with all that can be said of it","env":{"MODE":"development","GREETING":"hello"},"depends_on":[],"restart":{"when":"always","delay":0.5,"max_delay":30.0,"max_restarts":10,"window":300.0,"on_unhealthy":true},"success_exit_codes":[0],"health_check":{"url":"cmd://true","probe":"cmd","target":"true","interval":30.0,"timeout":5.0,"retries":3,"start_period":60.0,"status":[]},"stop_signal":"SIGTERM","stop_timeout":10.0,"ports":[],"auto_port":true,"autostart":true,"kind":"service","inactivity_timeout":null,"activity":["requests","connections"],"log":{"max_size":1000000,"keep":2,"compress":false,"max_total":2000000000},"hooks":{"ready":"","failed":"","unhealthy":"","exited":""},"watch":[],"wake":null},{"name":"stopping","command":"trap : TERM; while :; do sleep 0.1; done","argv":["/bin/sh","-c","trap : TERM; while :; do sleep 0.1; done"],"working_dir":"/home/dev/project","description":"","env":{"MODE":"development"},"depends_on":[],"restart":{"when":"no","delay":0.5,"max_delay":30.0,"max_restarts":10,"window":300.0,"on_unhealthy":false},"success_exit_codes":[0],"health_check":null,"stop_signal":"SIGINT","stop_timeout":3600.0,"ports":[],"auto_port":false,"autostart":true,"kind":"service","inactivity_timeout":null,"activity":["requests","connections"],"log":{"max_size":50000000,"keep":5,"compress":true,"max_total":2000000000},"hooks":{"ready":"","failed":"","unhealthy":"","exited":""},"watch":[],"wake":null},{"name":"backoff","command":"exit 3","argv":["/bin/sh","-c","exit 3"],"working_dir":"/home/dev/project","description":"","env":{"MODE":"development"},"depends_on":[],"restart":{"when":"on-failure","delay":3600.0,"max_delay":7200.0,"max_restarts":10,"window":300.0,"on_unhealthy":true},"success_exit_codes":[0],"health_check":null,"stop_signal":"SIGTERM","stop_timeout":10.0,"ports":[],"auto_port":false,"autostart":true,"kind":"service","inactivity_timeout":null,"activity":["requests","connections"],"log":{"max_size":50000000,"keep":5,"compress":true,"max_total":2000000000},"hooks":{"ready":"","failed":"","unhealthy":"","exited":""},"watch":[],"wake":null},{"name":"exited","command":"true","argv":["/bin/sh","-c","true"],"working_dir":"/home/dev/project","description":"","env":{"MODE":"development"},"depends_on":[],"restart":{"when":"no","delay":0.5,"max_delay":30.0,"max_restarts":10,"window":300.0,"on_unhealthy":false},"success_exit_codes":[0],"health_check":null,"stop_signal":"SIGTERM","stop_timeout":10.0,"ports":[],"auto_port":false,"autostart":true,"kind":"task","inactivity_timeout":null,"activity":["requests","connections"],"log":{"max_size":50000000,"keep":5,"compress":true,"max_total":2000000000},"hooks":{"ready":"","failed":"","unhealthy":"","exited":""},"watch":[],"wake":null},{"name":"failed","command":"kill -SEGV $$","argv":["/bin/sh","-c","kill -SEGV $$"],"working_dir":"/home/dev/project","description":"","env":{"MODE":"development"},"depends_on":[],"restart":{"when":"no","delay":0.5,"max_delay":30.0,"max_restarts":10,"window":300.0,"on_unhealthy":false},"success_exit_codes":[0],"health_check":null,"stop_signal":"SIGTERM","stop_timeout":10.0,"ports":[],"auto_port":false,"autostart":true,"kind":"service","inactivity_timeout":3600.0,"activity":["requests","connections"],"log":{"max_size":50000000,"keep":5,"compress":true,"max_total":2000000000},"hooks":{"ready":"","failed":"","unhealthy":"","exited":""},"watch":[],"wake":null}]}' AS BLOB), CAST('{"PATH":"/usr/bin:/bin"}' AS BLOB), 1795709879.2202828, 18);
CREATE TABLE processes (
    environment TEXT NOT NULL REFERENCES environments (path) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    life        BLOB NOT NULL,       -- JSON of core.lifecycle.Life
    PRIMARY KEY (environment, name)
) STRICT;
INSERT INTO processes VALUES ('/home/dev/project', 'stopped', CAST('{"name":"stopped","state":"stopped","reason":"stopped by request (cli)","hint":"","blamed":"","wanted":false,"restarting":false,"health":"none","run":1,"pid":null,"ports":[],"restarts":0,"failures":[],"kill":false,"asked":false,"deadline":null,"stopping_for":"","ready":true,"exit_code":null,"exit_signal":"SIGTERM","exit_reason":"stopped by request (cli)","stop_reason":"stopped by request (cli)","started_at":1795709879.224022,"started":29147.436511051,"ended_at":1795709879.4850905}' AS BLOB));
INSERT INTO processes VALUES ('/home/dev/project', 'starting', CAST('{"name":"starting","state":"starting","reason":"not ready yet: http://127.0.0.1:1/ refused the connection","hint":"","blamed":"","wanted":true,"restarting":false,"health":"unknown","run":1,"pid":13631,"ports":[],"restarts":0,"failures":[],"kill":false,"asked":false,"deadline":null,"stopping_for":"","ready":false,"exit_code":null,"exit_signal":null,"exit_reason":"","stop_reason":"","started_at":1795709879.230369,"started":29147.436928494,"ended_at":null}' AS BLOB));
INSERT INTO processes VALUES ('/home/dev/project', 'pending', CAST('{"name":"pending","state":"pending","reason":"waits for starting, which is starting: not ready yet: http://127.0.0.1:1/ refused the connection","hint":"","blamed":"starting","wanted":true,"restarting":false,"health":"none","run":0,"pid":null,"ports":[],"restarts":0,"failures":[],"kill":false,"asked":false,"deadline":null,"stopping_for":"","ready":false,"exit_code":null,"exit_signal":null,"exit_reason":"","stop_reason":"","started_at":null,"started":0.0,"ended_at":null}' AS BLOB));
INSERT INTO processes VALUES ('/home/dev/project', 'running', CAST('{"name":"running","state":"running","reason":"","hint":"","blamed":"","wanted":true,"restarting":false,"health":"healthy","run":1,"pid":13632,"ports":[40777],"restarts":0,"failures":[],"kill":false,"asked":false,"deadline":null,"stopping_for":"","ready":true,"exit_code":null,"exit_signal":null,"exit_reason":"","stop_reason":"","started_at":1795709879.233559,"started":29147.436792861,"ended_at":null}' AS BLOB));
INSERT INTO processes VALUES ('/home/dev/project', 'stopping', CAST('{"name":"stopping","state":"stopping","reason":"stopped by request (cli): SIGINT was sent, SIGKILL follows after 1h","hint":"","blamed":"","wanted":false,"restarting":false,"health":"none","run":1,"pid":13634,"ports":[],"restarts":0,"failures":[],"kill":false,"asked":false,"deadline":32747.758675926,"stopping_for":"request","ready":true,"exit_code":null,"exit_signal":null,"exit_reason":"stopped by request (cli)","stop_reason":"stopped by request (cli)","started_at":1795709879.237996,"started":29147.47003397,"ended_at":null}' AS BLOB));
INSERT INTO processes VALUES ('/home/dev/project', 'backoff', CAST('{"name":"backoff","state":"backoff","reason":"exit code 3; restart 1 of 10 after 1h11m","hint":"","blamed":"","wanted":true,"restarting":false,"health":"none","run":1,"pid":null,"ports":[],"restarts":0,"failures":[29147.494759768],"kill":false,"asked":false,"deadline":33462.85677184869,"stopping_for":"","ready":false,"exit_code":3,"exit_signal":null,"exit_reason":"exit code 3","stop_reason":"","started_at":1795709879.2402923,"started":29147.469958798,"ended_at":1795709879.2583954}' AS BLOB));
INSERT INTO processes VALUES ('/home/dev/project', 'exited', CAST('{"name":"exited","state":"exited","reason":"exit code 0","hint":"","blamed":"","wanted":true,"restarting":false,"health":"none","run":1,"pid":null,"ports":[],"restarts":0,"failures":[],"kill":false,"asked":false,"deadline":null,"stopping_for":"","ready":false,"exit_code":0,"exit_signal":null,"exit_reason":"exit code 0","stop_reason":"","started_at":1795709879.2356675,"started":29147.469786901,"ended_at":1795709879.2581887}' AS BLOB));
INSERT INTO processes VALUES ('/home/dev/project', 'failed', CAST('{"name":"failed","state":"failed","reason":"killed by SIGSEGV","hint":"","blamed":"","wanted":true,"restarting":false,"health":"none","run":1,"pid":null,"ports":[],"restarts":0,"failures":[],"kill":false,"asked":false,"deadline":null,"stopping_for":"","ready":false,"exit_code":null,"exit_signal":"SIGSEGV","exit_reason":"killed by SIGSEGV","stop_reason":"","started_at":1795709879.2430248,"started":29147.436706112,"ended_at":1795709879.247205}' AS BLOB));
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
INSERT INTO runs VALUES ('stopped-1-fb92e3fb', '/home/dev/project', 'stopped', 1, 13630, 2914740, '00000000-0000-4000-8000-000000000000', 1795709879.224022, 1795709879.4850905, NULL, 'SIGTERM', 1);
INSERT INTO runs VALUES ('starting-1-d2c1f8ea', '/home/dev/project', 'starting', 1, 13631, 2914741, '00000000-0000-4000-8000-000000000000', 1795709879.230369, NULL, NULL, NULL, 0);
INSERT INTO runs VALUES ('running-1-0e0c7060', '/home/dev/project', 'running', 1, 13632, 2914741, '00000000-0000-4000-8000-000000000000', 1795709879.233559, NULL, NULL, NULL, 0);
INSERT INTO runs VALUES ('exited-1-37959dc1', '/home/dev/project', 'exited', 1, 13633, 2914741, '00000000-0000-4000-8000-000000000000', 1795709879.2356675, 1795709879.2581887, 0, NULL, 1);
INSERT INTO runs VALUES ('stopping-1-a96e5ec6', '/home/dev/project', 'stopping', 1, 13634, 2914741, '00000000-0000-4000-8000-000000000000', 1795709879.237996, 1795709879.625834, NULL, 'SIGINT', 0);
INSERT INTO runs VALUES ('backoff-1-9c1536d4', '/home/dev/project', 'backoff', 1, 13635, 2914742, '00000000-0000-4000-8000-000000000000', 1795709879.2402923, 1795709879.2583954, 3, NULL, 1);
INSERT INTO runs VALUES ('failed-1-5caa2354', '/home/dev/project', 'failed', 1, 13636, 2914742, '00000000-0000-4000-8000-000000000000', 1795709879.2430248, 1795709879.247205, NULL, 'SIGSEGV', 1);
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
INSERT INTO events VALUES (1, 1795709879.2101038, NULL, NULL, 'daemon_started', 'version 0.1.0, pid 13625', 'supervisor', CAST('{}' AS BLOB));
INSERT INTO events VALUES (2, 1795709879.2203636, '/home/dev/project', NULL, 'activated', 'activated shop', 'cli', CAST('{}' AS BLOB));
INSERT INTO events VALUES (3, 1795709879.2211251, '/home/dev/project', 'stopped', 'starting', 'run 1', 'cli', CAST('{"run":1}' AS BLOB));
INSERT INTO events VALUES (4, 1795709879.2211282, '/home/dev/project', 'starting', 'starting', 'run 1', 'cli', CAST('{"run":1}' AS BLOB));
INSERT INTO events VALUES (5, 1795709879.221129, '/home/dev/project', 'running', 'starting', 'run 1', 'cli', CAST('{"run":1}' AS BLOB));
INSERT INTO events VALUES (6, 1795709879.2211294, '/home/dev/project', 'exited', 'starting', 'run 1', 'cli', CAST('{"run":1}' AS BLOB));
INSERT INTO events VALUES (7, 1795709879.22113, '/home/dev/project', 'stopping', 'starting', 'run 1', 'cli', CAST('{"run":1}' AS BLOB));
INSERT INTO events VALUES (8, 1795709879.2211308, '/home/dev/project', 'backoff', 'starting', 'run 1', 'cli', CAST('{"run":1}' AS BLOB));
INSERT INTO events VALUES (9, 1795709879.2211313, '/home/dev/project', 'failed', 'starting', 'run 1', 'cli', CAST('{"run":1}' AS BLOB));
INSERT INTO events VALUES (10, 1795709879.2875412, '/home/dev/project', 'failed', 'exited', 'killed by SIGSEGV', 'supervisor', CAST('{"run":1,"exit_code":null,"exit_signal":"SIGSEGV"}' AS BLOB));
INSERT INTO events VALUES (11, 1795709879.2875469, '/home/dev/project', 'failed', 'failed', 'killed by SIGSEGV', 'supervisor', CAST('{"exit_code":null,"exit_signal":"SIGSEGV"}' AS BLOB));
INSERT INTO events VALUES (12, 1795709879.2922356, '/home/dev/project', 'running', 'ready', 'run 1, pid 13632', 'supervisor', CAST('{"run":1,"pid":13632}' AS BLOB));
INSERT INTO events VALUES (13, 1795709879.3148377, '/home/dev/project', 'exited', 'exited', 'exit code 0', 'supervisor', CAST('{"run":1,"exit_code":0,"exit_signal":null}' AS BLOB));
INSERT INTO events VALUES (14, 1795709879.3154583, '/home/dev/project', 'backoff', 'exited', 'exit code 3', 'supervisor', CAST('{"run":1,"exit_code":3,"exit_signal":null}' AS BLOB));
INSERT INTO events VALUES (15, 1795709879.3154597, '/home/dev/project', 'backoff', 'restarting', 'exit code 3; restart 1 of 10 after 1h11m', 'supervisor', CAST('{"delay_seconds":4315.362}' AS BLOB));
INSERT INTO events VALUES (16, 1795709879.3580935, '/home/dev/project', 'stopped', 'ready', 'run 1, pid 13630', 'supervisor', CAST('{"run":1,"pid":13630}' AS BLOB));
INSERT INTO events VALUES (17, 1795709879.4202244, '/home/dev/project', 'stopping', 'ready', 'run 1, pid 13634', 'supervisor', CAST('{"run":1,"pid":13634}' AS BLOB));
INSERT INTO events VALUES (18, 1795709879.5310357, '/home/dev/project', 'stopped', 'exited', 'killed by SIGTERM', 'supervisor', CAST('{"run":1,"exit_code":null,"exit_signal":"SIGTERM"}' AS BLOB));
INSERT INTO events VALUES (19, 1795709879.53104, '/home/dev/project', 'stopped', 'stopped', 'stopped by request (cli)', 'supervisor', CAST('{}' AS BLOB));
CREATE TABLE activity (
    environment TEXT PRIMARY KEY REFERENCES environments (path) ON DELETE CASCADE,
    at          REAL NOT NULL,
    monotonic   REAL NOT NULL,
    actor       TEXT NOT NULL
, uses BLOB) STRICT;
INSERT INTO activity VALUES ('/home/dev/project', 1795709879.6234019, 29147.80277235, 'cli', CAST('{"used":{"stopped":29147.61843614,"starting":29147.802744629,"running":29147.802744629,"exited":29147.802744629,"stopping":29147.758542757,"backoff":29147.802744629,"failed":29147.802744629,"pending":29147.802744629},"warned":{}}' AS BLOB));
CREATE TABLE boot (
    only    INTEGER PRIMARY KEY CHECK (only = 1),
    boot_id TEXT NOT NULL
) STRICT;
INSERT INTO boot VALUES (1, '00000000-0000-4000-8000-000000000000');
CREATE INDEX runs_by_process ON runs (environment, process, run);
CREATE INDEX events_by_environment ON events (environment, id);
