"""pitchfork.toml as a project file, key by key."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.import_stage import Taken

from runcept.core.model import Kind, Restart


def taken(directory: Path, keys: str, top: str = "", more: str = "", name: str = "pitchfork.toml") -> Taken:
    """One daemon with these keys."""
    return Taken(directory, name, f'{top}\n[daemons.web]\nrun = "serve"\n{keys}\n{more}\n')


@pytest.mark.parametrize(
    ("written", "url", "timing"),
    [
        ('ready_http = "http://localhost:1/x"', "http://localhost:1/x", {}),
        ('ready_http = { url = "http://localhost:1/", status = [200, 401], timeout = "30s" }', "http://localhost:1/",
         {"status": (200, 401), "start_period": 30}),
        ("ready_port = 81", "tcp://localhost:81", {}),
        ('ready_port = { port = 82, timeout = "5s" }', "tcp://localhost:82", {"start_period": 5}),
        ('ready_cmd = "pg_isready"', "cmd://pg_isready", {}),
        ('ready_cmd = { run = ["a", "b c"] }', "cmd://a 'b c'", {}),
        ('ready_output = "up .*"', "log://up .*", {}),
        ('health_port = { port = 83, interval = "10s", timeout = "2s", retries = 4 }', "tcp://localhost:83",
         {"interval": 10, "timeout": 2, "retries": 4}),
    ],
)  # fmt: skip
def test_checks(tmp_path: Path, written: str, url: str, timing: dict[str, object]) -> None:
    """In their short and long forms; the time to become ready is the start period."""
    check = taken(tmp_path, written)["web"].health_check
    assert check is not None
    assert check.url == url
    assert {key: getattr(check, key) for key in timing} == timing


def test_one_check_is_kept(tmp_path: Path) -> None:
    """What tells readiness before what tells health; a delay tells nothing."""
    found = taken(tmp_path, 'ready_port = 81\nready_output = "x"\nhealth_http = "http://localhost/"\nready_delay = 3')
    assert set(found.lost) == {"web.ready_output", "web.health_http", "web.ready_delay"}


@pytest.mark.parametrize(
    ("written", "ports", "lost"),
    [
        ("port = 81", (81,), None),
        ("port = [81, 82]", (81, 82), None),
        ("port = { expect = [81], bump = 5 }", (81,), "web.port.bump"),
        ("expected_port = [81]\nauto_bump_port = true\nport_bump_attempts = 3", (81,), "web.auto_bump_port"),
        ("port = 99999", (), "web.ports"),
    ],
)
def test_ports(tmp_path: Path, written: str, ports: tuple[int, ...], lost: str | None) -> None:
    """In all the forms that there were."""
    found = taken(tmp_path, written)
    assert found["web"].ports == ports
    assert set(found.lost) == ({lost} if lost else set())


def test_retries(tmp_path: Path) -> None:
    """A number is a bound, true is none that they know of."""
    policy = taken(tmp_path, "retry = 3")["web"].restart
    assert (policy.when, policy.max_restarts) == (Restart.ON_FAILURE, 3)
    assert taken(tmp_path, "retry = true")["web"].restart.when is Restart.ON_FAILURE
    assert taken(tmp_path, "retry = 0")["web"].restart.when is Restart.NO


def test_what_starts_on_entering_the_directory(tmp_path: Path) -> None:
    """The project then activates itself, with what is asked for and what that needs; the others are started by name."""
    more = '[daemons.db]\nrun = "d"\n[daemons.docs]\nrun = "x"\n'
    found = taken(tmp_path, 'auto = ["start", "stop"]\ndepends = ["db"]', more=more)
    assert found.project.auto_activate
    assert {name: found[name].autostart for name in found.names} == {"web": True, "db": True, "docs": False}
    assert set(found.lost) == {"web.auto"}
    assert all(process.autostart for process in taken(tmp_path, "", more=more).project.processes)


def test_tasks_and_what_is_run_by_the_clock(tmp_path: Path) -> None:
    """Both end; nothing here starts the second."""
    assert taken(tmp_path, "oneshot = true")["web"].kind is Kind.TASK
    found = taken(tmp_path, 'cron = { schedule = "0 0 2 * * *" }')
    assert found["web"].kind is Kind.TASK
    assert not found["web"].autostart
    assert "web.cron" in found.lost


def test_templates_and_environment(tmp_path: Path) -> None:
    """The port of a daemon is known; what else is asked for is not."""
    keys = 'env = { A = "http://x:{{ daemons.db.port }}", B = "{{ settings.x }}" }'
    found = taken(tmp_path, keys, top='env = { ALL = "1" }', more='[daemons.db]\nrun = "d"\nport = 5432\n')
    assert found["web"].env == {"A": "http://x:5432", "ALL": "1"}
    assert set(found.lost) == {"web.env.B"}


@pytest.mark.parametrize(
    ("run", "command"),
    [
        ('"node server.js"', "mise x -- node server.js"),
        ('"exec node server.js"', "mise x -- node server.js"),
        ('"a && b $C"', "mise x -- sh -c 'a && b $C'"),
        ('["node", "a b"]', "mise x -- node 'a b'"),
    ],
)
def test_mise_is_put_before_the_command(tmp_path: Path, run: str, command: str) -> None:
    """As pitchfork does, for a daemon or for all."""
    text = f"[settings.general]\nmise = true\n[daemons.web]\nrun = {run}\n[daemons.off]\nrun = 'x'\nmise = false\n"
    found = Taken(tmp_path, "pitchfork.toml", text)
    assert found["web"].command == command
    assert found["off"].command == "x"


def test_hooks_and_stopping(tmp_path: Path) -> None:
    """Variables of pitchfork in a hook are told."""
    keys = (
        'stop_signal = { signal = "INT", timeout = "1m" }\n'
        '[daemons.web.hooks]\non_ready = "say $PITCHFORK_DAEMON_ID"\non_fail = "f"\non_exit = "e"\non_retry = "r"'
    )
    found = taken(tmp_path, keys)
    hooks = found["web"].hooks
    assert (hooks.ready, hooks.failed, hooks.exited) == ("say $PITCHFORK_DAEMON_ID", "f", "e")
    assert (found["web"].stop_signal, found["web"].stop_timeout) == ("SIGINT", 60)
    assert set(found.lost) == {"web.hooks.on_ready", "web.hooks.on_retry"}


def test_names_places_and_dependencies(tmp_path: Path) -> None:
    """A namespace is the name of the project; a dependency in another one is told."""
    keys = 'dir = "api"\ndepends = ["shop/db", "global/dns", "db"]\nwatch = ["src/**"]'
    found = taken(
        tmp_path, keys, top='namespace = "shop"', more='[daemons.db]\nrun = "d"\n', name=".config/pitchfork.toml"
    )
    assert found.project.name == "shop"
    assert found.needs("web") == {"db": "ready"}
    assert found["web"].working_dir == str(tmp_path.resolve() / "api")
    assert found["web"].watch == ("src/**",)
    assert set(found.lost) == {"web.depends"}


def test_what_has_no_place_is_a_comment_with_its_line(tmp_path: Path) -> None:
    """Of the daemon and of the file."""
    keys = 'memory_limit = "1GB"\nuser = "root"\nboot_start = true\npty = true\nzzz = 1'
    found = taken(tmp_path, keys, more='[groups.all]\ndaemons = ["web"]')
    assert set(found.lost) == {f"web.{key}" for key in ("memory_limit", "user", "boot_start", "pty", "zzz")} | {
        "groups"
    }
    lines = {each.key: each.line for each in found.imported.draft.processes[0].unmapped}
    assert lines == {"memory_limit": 4, "user": 5, "boot_start": 6, "pty": 7, "zzz": 8}
