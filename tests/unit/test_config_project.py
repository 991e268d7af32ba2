"""What a project file becomes: every key, every default, and which level wins."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from runcept.config.project import load_project
from runcept.config.settings import Settings, load_settings
from runcept.core.model import (
    Condition,
    Dependency,
    HealthCheck,
    Kind,
    LogLimits,
    Probe,
    Process,
    Project,
    Restart,
    RestartPolicy,
)

CLASSIC = """\
[project]
name = "my-web-app"
description = "A full-stack web application"
inactivity_timeout = "30m"

[[process]]
name = "web-server"
command = "python -m http.server 8000"
working_dir = "./backend"
depends_on = ["database", "redis"]
auto_restart = true
health_check = "http://localhost:8000/health"
health_check_interval = "30s"
env = { PORT = "8000", DEBUG = "true" }

[[process]]
name = "database"
command = "postgres -D ./data"
auto_restart = true
health_check = "tcp://localhost:5432"
health_check_interval = 30

[[process]]
name = "redis"
command = "redis-server"
health_check = "tcp://localhost:6379"

[[process]]
name = "worker"
command = "celery -A app worker"
depends_on = ["redis", "database"]
auto_restart = true

[process.env]
REDIS_URL = "redis://localhost:6379"
"""


def project(directory: Path, text: str, settings: Settings | None = None) -> Project:
    """The project that a text is."""
    (directory / ".runcept.toml").write_text(text, encoding="utf-8")
    return load_project(str(directory), settings or Settings())


def only_process(directory: Path, line: str, *, shared: str = "", settings: str = "") -> Process:
    """The process of a file with one, with a line in its table, in the project's, and in the settings."""
    (directory / "config.toml").write_text(settings, encoding="utf-8")
    text = f'[project]\nname = "shop"\n{shared}\n[[process]]\nname = "web"\ncommand = "serve"\n{line}\n'
    return project(directory, text, load_settings(str(directory), {"HOME": "/nonexistent"})).processes[0]


def test_the_classic_example_is_accepted_unchanged(tmp_path: Path) -> None:
    """The file that the world knows means what it says."""
    found = project(tmp_path, CLASSIC)
    assert (found.name, found.inactivity_timeout) == ("my-web-app", 1800)
    assert [each.name for each in found.processes] == ["web-server", "database", "redis", "worker"]
    web, database, redis, worker = found.processes
    assert web.depends_on == (Dependency("database"), Dependency("redis"))
    assert web.env == {"PORT": "8000", "DEBUG": "true"}
    assert web.working_dir == os.path.join(found.path, "backend")
    assert web.argv == ("/bin/sh", "-c", "exec python -m http.server 8000")
    assert web.restart == RestartPolicy(Restart.ON_FAILURE, on_unhealthy=True)
    assert web.health_check == HealthCheck(
        "http://localhost:8000/health", Probe.HTTP, "http://localhost:8000/health", interval=30
    )
    assert database.health_check == HealthCheck("tcp://localhost:5432", Probe.TCP, "localhost:5432", interval=30)
    assert redis.restart == RestartPolicy()
    assert worker.env == {"REDIS_URL": "redis://localhost:6379"}


def test_defaults_are_those_of_the_model(tmp_path: Path) -> None:
    """What is not written is as `core.model` says: the schema's defaults are no second truth."""
    found = project(tmp_path, '[project]\nname = "shop"\n[[process]]\nname = "web"\ncommand = ["serve"]\n')
    path = os.path.realpath(tmp_path)
    assert found == Project(path, "shop", working_dir=path, processes=(Process("web", "serve", ("serve",), path),))


def test_a_project_may_have_no_process_yet(tmp_path: Path) -> None:
    """It is a beginning, not an error."""
    assert project(tmp_path, '[project]\nname = "shop"\n').processes == ()


EVERY_KEY: list[tuple[str, str, Any]] = [
    ('description = "x"', "description", "x"),
    ('working_dir = "/srv"', "working_dir", "/srv"),
    ("restart = 'always'", "restart", RestartPolicy(Restart.ALWAYS, on_unhealthy=True)),
    ("auto_restart = true", "restart", RestartPolicy(Restart.ON_FAILURE, on_unhealthy=True)),
    ("auto_restart = true\nrestart = 'no'", "restart", RestartPolicy()),
    ("auto_restart = false\nrestart = 'always'", "restart", RestartPolicy(Restart.ALWAYS, on_unhealthy=True)),
    (
        "restart_delay = 1\nrestart_max_delay = '1m'\nmax_restarts = 0\nrestart_window = '1h'",
        "restart",
        RestartPolicy(delay=1, max_delay=60, max_restarts=0, window=3600),
    ),
    ("restart_on_unhealthy = true", "restart", RestartPolicy(on_unhealthy=True)),
    ("restart = 'always'\nrestart_on_unhealthy = false", "restart", RestartPolicy(Restart.ALWAYS)),
    ("success_exit_codes = [0, 143]", "success_exit_codes", (0, 143)),
    ("stop_signal = 'SIGINT'", "stop_signal", "SIGINT"),
    ("stop_signal = 'quit'", "stop_signal", "SIGQUIT"),
    ("stop_timeout = 0.5", "stop_timeout", 0.5),
    ("ports = [8000, 8001]", "ports", (8000, 8001)),
    ("ports = 'auto'", "auto_port", True),
    ("autostart = false", "autostart", False),
    ("kind = 'task'", "kind", Kind.TASK),
    ("inactivity_timeout = '1h30m'", "inactivity_timeout", 5400),
    ("inactivity_timeout = 'off'", "inactivity_timeout", None),
    ("log = { max_size = '1MiB', keep = 0, compress = false }", "log", LogLimits(1024**2, 0, compress=False)),
    ("log.keep = 1", "log", LogLimits(keep=1)),
    ("health_check = 'https://h'", "health_check", HealthCheck("https://h", Probe.HTTP, "https://h")),
    ("health_check = 'tcp://[::1]:80'", "health_check", HealthCheck("tcp://[::1]:80", Probe.TCP, "[::1]:80")),
    ("health_check = 'cmd://a b; c'", "health_check", HealthCheck("cmd://a b; c", Probe.CMD, "a b; c")),
    ("health_check = 'log://ready: \\d+'", "health_check", HealthCheck("log://ready: \\d+", Probe.LOG, "ready: \\d+")),
    (
        """[process.health_check]
        url = 'http://h:1/x'
        interval = 1
        timeout = '2s'
        retries = 4
        start_period = 0
        status = [204]""",
        "health_check",
        HealthCheck("http://h:1/x", Probe.HTTP, "http://h:1/x", 1, 2, 4, 0, (204,)),
    ),
    (
        """health_check = 'tcp://h:1'
        health_check_interval = 1
        health_check_timeout = 2
        health_check_retries = 4
        health_check_start_period = 5""",
        "health_check",
        HealthCheck("tcp://h:1", Probe.TCP, "h:1", 1, 2, 4, 5),
    ),
]


@pytest.mark.parametrize(("line", "field", "value"), EVERY_KEY, ids=[each[0][:40] for each in EVERY_KEY])
def test_every_key_of_a_process_has_its_meaning(tmp_path: Path, line: str, field: str, value: object) -> None:
    """What is written is what the model holds, in seconds and bytes."""
    assert getattr(only_process(tmp_path, line), field) == value


def test_dependencies_have_conditions(tmp_path: Path) -> None:
    """A name means ready; a table says what else will do."""
    text = """
    [project]
    name = "shop"
    [[process]]
    name = "web"
    command = "x"
    depends_on = ["a", { name = "b" }, { name = "c", condition = "completed" }]
    """ + "".join(f'[[process]]\nname = "{name}"\ncommand = "x"\n' for name in "abc")
    assert project(tmp_path, text).process("web").depends_on == (
        Dependency("a"),
        Dependency("b"),
        Dependency("c", Condition.COMPLETED),
    )


def test_a_list_is_executed_as_it_is_and_shown_as_one_would_type_it(tmp_path: Path) -> None:
    """No shell, no splitting."""
    found = only_process(tmp_path, "").name
    assert found == "web"
    text = '[project]\nname = "s"\n[[process]]\nname = "w"\ncommand = ["a b", "$X", ""]\n'
    process = project(tmp_path, text).processes[0]
    assert process.argv == ("a b", "$X", "")
    assert process.command == "'a b' '$X' ''"


def test_the_projects_shell_runs_strings(tmp_path: Path) -> None:
    """A shell that is not of the Bourne family gets the command unchanged."""
    text = '[project]\nname = "s"\nshell = ["/usr/bin/fish", "-c"]\n[[process]]\nname = "w"\ncommand = "serve"\n'
    assert project(tmp_path, text).processes[0].argv == ("/usr/bin/fish", "-c", "serve")


def test_directories_build_on_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's is relative to the project's, that to the file; `~` is the home; none has to exist."""
    monkeypatch.setenv("HOME", "/home/me")
    text = '[project]\nname = "s"\nworking_dir = "{}"\n[[process]]\nname = "w"\ncommand = "x"\nworking_dir = "{}"\n'
    base = os.path.realpath(tmp_path)

    def found(outer: str, inner: str) -> str:
        return project(tmp_path, text.format(outer, inner)).processes[0].working_dir

    assert found("backend", "api") == f"{base}/backend/api"
    assert found("backend", "../web") == f"{base}/web"
    assert found("/srv", "api") == "/srv/api"
    assert found("~/src", ".") == "/home/me/src"
    assert found(".", "~") == "/home/me"
    assert found(".", "~other") == f"{base}/~other"


PRECEDENCE = [
    # three values of one key, each different from the others and from the default, and where it is found
    ("stop_timeout", ("1", "2", "3"), lambda process: process.stop_timeout, (1, 2, 3)),
    ("stop_signal", ("'INT'", "'QUIT'", "'HUP'"), lambda process: process.stop_signal, ("SIGINT", "SIGQUIT", "SIGHUP")),
    ("restart_delay", ("1", "2", "3"), lambda process: process.restart.delay, (1, 2, 3)),
    ("restart_max_delay", ("1", "2", "3"), lambda process: process.restart.max_delay, (1, 2, 3)),
    ("max_restarts", ("1", "2", "3"), lambda process: process.restart.max_restarts, (1, 2, 3)),
    ("restart_window", ("1", "2", "3"), lambda process: process.restart.window, (1, 2, 3)),
    ("success_exit_codes", ("[1]", "[2]", "[3]"), lambda process: process.success_exit_codes, ((1,), (2,), (3,))),
    ("health_check_interval", ("1", "2", "3"), lambda process: process.health_check.interval, (1, 2, 3)),
    ("health_check_timeout", ("1", "2", "4"), lambda process: process.health_check.timeout, (1, 2, 4)),
    ("health_check_retries", ("1", "2", "4"), lambda process: process.health_check.retries, (1, 2, 4)),
    ("health_check_start_period", ("1", "2", "3"), lambda process: process.health_check.start_period, (1, 2, 3)),
    ("log.keep", ("1", "2", "3"), lambda process: process.log.keep, (1, 2, 3)),
]


@pytest.mark.parametrize(("key", "written", "get", "values"), PRECEDENCE, ids=[each[0] for each in PRECEDENCE])
def test_the_nearest_level_wins(tmp_path: Path, key: str, written: Any, get: Any, values: Any) -> None:
    """Settings, then `[project]`, then `[[process]]`; each counts where the nearer ones are silent."""
    outer, middle, inner = (f"{key} = {value}" for value in written)
    check = "\nhealth_check = 'tcp://h:1'"
    assert get(only_process(tmp_path, check, settings=outer)) == values[0]
    assert get(only_process(tmp_path, check, settings=outer, shared=middle)) == values[1]
    assert get(only_process(tmp_path, inner + check, settings=outer, shared=middle)) == values[2]
    assert get(only_process(tmp_path, inner + check, settings=outer)) == values[2]


def test_a_health_checks_own_table_is_nearest(tmp_path: Path) -> None:
    """Its keys win over the process's health_check_… keys, one by one."""
    line = "health_check_interval = 7\nhealth_check_retries = 8\nhealth_check = { url = 'tcp://h:1', interval = 9 }"
    check = only_process(tmp_path, line, shared="health_check_retries = 1").health_check
    assert check is not None
    assert (check.interval, check.retries) == (9, 8)


@pytest.mark.parametrize(
    ("settings", "shared", "own", "expected"),
    [
        ("restart = 'always'", "", "", Restart.ALWAYS),
        ("restart = 'always'", "auto_restart = true", "", Restart.ON_FAILURE),
        ("", "restart = 'always'", "auto_restart = false", Restart.NO),
        ("", "auto_restart = true", "restart = 'always'", Restart.ALWAYS),
        ("auto_restart = true", "", "restart = 'no'", Restart.NO),
        ("", "restart = 'always'", "kind = 'task'", Restart.NO),
        ("", "restart = 'always'", "kind = 'task'\nrestart = 'on-failure'", Restart.ON_FAILURE),
        ("", "", "kind = 'task'\nauto_restart = true", Restart.ON_FAILURE),
    ],
)
def test_restart_and_auto_restart_are_one_setting(
    tmp_path: Path, settings: str, shared: str, own: str, expected: Restart
) -> None:
    """The nearest level that has either decides; a task takes neither from outside."""
    assert only_process(tmp_path, own, shared=shared, settings=settings).restart.when is expected


def test_restart_on_unhealthy_follows_the_policy_unless_it_is_said(tmp_path: Path) -> None:
    """Said anywhere, it holds; else it is whether there is a policy."""
    assert only_process(tmp_path, "", shared="restart = 'always'").restart.on_unhealthy
    assert not only_process(tmp_path, "restart = 'always'", shared="restart_on_unhealthy = false").restart.on_unhealthy
    assert only_process(tmp_path, "", settings="restart_on_unhealthy = true").restart.on_unhealthy


def test_keys_of_log_are_merged_one_by_one(tmp_path: Path) -> None:
    """Each level may say a part."""
    limits = only_process(
        tmp_path, "log.keep = 3", shared="log = { keep = 2, compress = false }", settings="log.max_size = 1000"
    ).log
    assert limits == LogLimits(1000, 3, compress=False)


def test_what_describes_the_project_does_not_describe_its_processes(tmp_path: Path) -> None:
    """Description, timeout and environment files of `[project]` are its own."""
    process = only_process(tmp_path, "", shared="description = 'x'\ninactivity_timeout = '1m'\nworking_dir = 'sub'")
    assert process.description == ""
    assert process.inactivity_timeout is None
    assert process.working_dir == f"{os.path.realpath(tmp_path)}/sub"


def test_the_projects_timeout_wins_over_the_settings(tmp_path: Path) -> None:
    """Its "off" too: it is a value."""
    head = '[project]\nname = "shop"\n'
    settings = Settings(inactivity_timeout=60)
    assert project(tmp_path, head, settings).inactivity_timeout == 60
    assert project(tmp_path, head + "inactivity_timeout = '5m'\n", settings).inactivity_timeout == 300
    assert project(tmp_path, head + "inactivity_timeout = 'off'\n", settings).inactivity_timeout is None


def test_the_settings_shell_is_the_default(tmp_path: Path) -> None:
    """The project's wins."""
    (tmp_path / "config.toml").write_text('shell = ["/bin/bash", "-c"]\n', encoding="utf-8")
    settings = load_settings(str(tmp_path), {"HOME": "/nonexistent"})
    head = '[project]\nname = "shop"\n'
    assert project(tmp_path, head, settings).shell == ("/bin/bash", "-c")
    assert project(tmp_path, head + 'shell = ["/bin/sh", "-ec"]\n', settings).shell == ("/bin/sh", "-ec")
