"""process-compose.yaml as a project file, key by key."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.import_stage import Taken

from runcept.core.model import Kind, Restart


def taken(directory: Path, keys: str, top: str = "", **files: str) -> Taken:
    """One process with these keys, and others to depend on."""
    lines = "".join(f"    {line}\n" for line in keys.split("\n"))
    text = f"{top}processes:\n  other:\n    command: other\n    ready_log_line: up\n  web:\n    command: serve\n{lines}"
    return Taken(directory, "process-compose.yaml", text, **files)


@pytest.mark.parametrize(
    ("condition", "ours"),
    [
        ("process_healthy", "ready"),
        ("process_log_ready", "ready"),
        ("process_started", "started"),
        ("process_completed_successfully", "completed"),
        ("process_completed", "completed"),
    ],
)
def test_conditions(tmp_path: Path, condition: str, ours: str) -> None:
    """A process whose end is waited for is a task; that it may fail is told."""
    found = taken(tmp_path, f"depends_on:\n  other: {{condition: {condition}}}")
    assert found.needs("web") == {"other": ours}
    assert (found["other"].kind is Kind.TASK) == (ours == "completed")
    assert ("web.depends_on.other.condition" in found.lost) == (condition == "process_completed")


def test_a_probe_that_asks_a_page(tmp_path: Path) -> None:
    """The time until they would give up is the time that it has to start."""
    found = taken(
        tmp_path,
        "readiness_probe:\n  http_get: {host: 127.0.0.1, path: up, port: 81, status_code: 204, headers: {A: b}}\n"
        "  initial_delay_seconds: 5\n  period_seconds: 4\n  timeout_seconds: 3\n"
        "  failure_threshold: 6\n  success_threshold: 2",
    )
    check = found["web"].health_check
    assert check is not None
    assert (check.url, check.status) == ("http://127.0.0.1:81/up", (204,))
    assert (check.interval, check.timeout, check.retries, check.start_period) == (4, 3, 6, 29)
    assert set(found.lost) == {"web.readiness_probe.http_get.headers", "web.readiness_probe.success_threshold"}


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("readiness_probe: {exec: {command: 'a $$B', working_dir: /x y}}", "cmd://cd '/x y' && a $B"),
        ("liveness_probe: {http_get: {port: 1, scheme: HTTPS}}", "https://localhost:1/"),
        ("ready_log_line: 'ready .*'", "log://ready .*"),
        ("ready_log_line: '('", None),
    ],
)
def test_probes(tmp_path: Path, written: str, url: str | None) -> None:
    """Of each kind; a regular expression that is none is a comment."""
    check = taken(tmp_path, written)["web"].health_check
    assert (check.url if check else None) == url


def test_only_one_check_is_kept(tmp_path: Path) -> None:
    """The one that tells readiness."""
    found = taken(tmp_path, "readiness_probe: {exec: {command: a}}\nliveness_probe: {exec: {command: b}}")
    assert found["web"].health_check is not None
    assert found["web"].health_check.url == "cmd://a"
    assert "web.liveness_probe" in found.lost


def test_availability_and_shutdown(tmp_path: Path) -> None:
    """Signals by number; a pause that does not grow."""
    found = taken(
        tmp_path,
        "availability: {restart: on_failure, backoff_seconds: 3, max_restarts: 4, exit_on_end: true}\n"
        "shutdown: {signal: 2, timeout_seconds: 20, command: stop it}",
    )
    policy = found["web"].restart
    assert (policy.when, policy.delay, policy.max_delay, policy.max_restarts) == (Restart.ON_FAILURE, 3, 3, 4)
    assert (found["web"].stop_signal, found["web"].stop_timeout) == ("SIGINT", 20)
    assert set(found.lost) == {"web.availability.exit_on_end", "web.shutdown.command"}


def test_variables_and_templates(tmp_path: Path) -> None:
    """A shell will see the command, nothing else: the rest is put in now; a secret of .env stays there."""
    found = taken(
        tmp_path,
        "environment: ['A=${LEVEL}', 'B=x-${API_TOKEN}', 'C=$$D']\nvars: {NAME: web}\n"
        "description: the {{.NAME}} of {{ .PLACE }}\nworking_dir: ./${LEVEL}\nis_tty: false",
        top="vars: {PLACE: shop, NAME: none}\nenvironment: ['GLOBAL=1']\n",
        __env="LEVEL=debug\nAPI_TOKEN=hunter2\n",
    )
    web = found["web"]
    assert (web.env["A"], web.env["C"], web.env["GLOBAL"]) == ("debug", "$D", "1")
    assert web.command == 'export B="x-${API_TOKEN}"\nexec serve'
    assert web.description == "the web of shop"
    assert web.working_dir.endswith("/debug")
    assert "hunter2" not in found.text
    assert found.lost == {}


def test_nothing_is_put_in_where_that_is_switched_off(tmp_path: Path) -> None:
    """`$$` is two of them then."""
    found = taken(tmp_path, "environment: ['A=${B}$$']", top="disable_env_expansion: true\n")
    assert found["web"].env["A"] == "${B}$$"


def test_commands_run_by_the_shell_that_is_said(tmp_path: Path) -> None:
    """bash, if none is."""
    assert taken(tmp_path, "disabled: true").project.shell == ("bash", "-c")
    top = "shell: {shell_command: zsh, shell_argument: -c}\n"
    assert taken(tmp_path, "disabled: true", top).project.shell == ("zsh", "-c")


def test_watched_files(tmp_path: Path) -> None:
    """A pattern without a slash is of a file's name at any depth; paths are below the working directory."""
    paths = "[{path: ./src, exclude: ['*_test.go', 'gen/**']}, {path: ., include: ['*.toml']}]"
    found = taken(tmp_path, f"working_dir: api\nwatch: {{paths: {paths}, debounce: 1s}}")
    assert found["web"].watch == ("api/src/**/*", "!api/src/**/*_test.go", "!api/src/gen/**", "api/**/*.toml")
    assert "web.watch.debounce" in found.lost


def test_what_is_not_started_by_itself(tmp_path: Path) -> None:
    """Disabled, in the foreground of a terminal, or by the clock."""
    for key in ("disabled: true", "is_foreground: true", "schedule: {interval: 1m}"):
        assert not taken(tmp_path, key)["web"].autostart


def test_what_has_no_place_is_a_comment(tmp_path: Path) -> None:
    """Of processes as of the whole; what says nothing is none."""
    keys = (
        "namespace: a",
        "replicas: 2",
        "log_location: l",
        "is_daemon: true",
        "is_elevated: true",
        "is_tty: true",
        "zzz: 1",
    )
    found = taken(tmp_path, "\n".join([*keys, "x-a: 1"]), top="version: '0.5'\nlog_level: debug\nlog_location: g\n")
    assert set(found.lost) == {*(f"web.{key.partition(':')[0]}" for key in keys), "log_level", "log_location"}
