"""Whatever a foreign file says, what `init --from` makes of it is valid, or an error says why there is nothing."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from runcept.config.importing.project_file import Imported, import_file, lost
from runcept.config.project import load_project
from runcept.config.settings import Settings
from runcept.errors import RunceptError

STRANGE = st.sampled_from([
    "", " ", "0", "-1", "1", "99999", "true", "no", "null", "auto", "é", "a\nb", "\t", "\x7f", "\0", "\u202e", '"""',
    "'''", "\\", "a 'b' \"c\" $D", "${A", "${A:-b}", "$$", "$(x)", "${A:?no}", "{{.X}}", "{{ daemons.a.port }}", "10s",
    "1h1ns", "9" * 30, "web", "db", "a/b", "http://h:1/", "(", "SIGINT", "22:22", "0:1", "70000", "8000-8010:8000-8010",
    "5/udp", ".env", "/", "~", "#", "# x", "=", "A=B", "=B", "A=${A}", "on-failure:3", "unless-stopped",
    "CMD", "CMD-SHELL",
    "NONE", "-", "..", "sh -c 'x'",
])  # fmt: skip
TEXTS = STRANGE | st.text(st.characters(codec="utf-8"), max_size=8)
SCALARS = TEXTS | st.none() | st.booleans() | st.integers(-5, 70000)
NAMES = st.sampled_from(["web", "db", "a.b", "a b", "-", "é", "x" * 70, "web ", "Server 1", "Server-1"])
COMPOSE = (
    "build", "command", "entrypoint", "image", "environment", "env_file", "ports", "depends_on", "links",
    "healthcheck", "restart", "stop_signal", "stop_grace_period", "working_dir", "volumes", "profiles", "logging",
    "extends", "deploy", "networks", "x-y", "context", "test", "interval", "retries", "disable", "condition",
    "target", "published", "path", "options", "max-size",
)  # fmt: skip
PROCESS_COMPOSE = (
    "entrypoint", "working_dir", "environment", "env_file", "depends_on", "availability", "readiness_probe",
    "liveness_probe", "ready_log_line", "shutdown", "watch", "log_configuration", "vars", "disabled", "schedule",
    "replicas", "description", "condition", "restart", "backoff_seconds", "max_restarts", "exec", "http_get",
    "port", "host", "path", "scheme", "status_code", "period_seconds", "failure_threshold", "signal",
    "timeout_seconds", "paths", "include", "rotation", "max_size_mb", "command",
)  # fmt: skip
PITCHFORK = (
    "run", "dir", "env", "auto", "cron", "retry", "ready_delay", "ready_output", "ready_http", "ready_port",
    "ready_cmd", "health_http", "port", "expected_port", "depends", "watch", "hooks", "oneshot", "mise",
    "stop_signal", "url", "timeout", "status", "expect", "bump", "on_ready", "on_fail", "signal", "interval",
    "retries",
)  # fmt: skip


def tables(keys: tuple[str, ...], **always: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Tables with these keys at every depth, and values that now and then are right; `always` are those of each."""
    values = st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(keys) | NAMES, inner, max_size=4),
        max_leaves=8,
    )
    some = st.dictionaries(st.sampled_from(keys), values, max_size=8)
    return st.tuples(st.fixed_dictionaries(always), some).map(lambda both: {**both[1], **both[0]})


def named(keys: tuple[str, ...], **always: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Several of them by their names, and what should have been one."""
    return st.dictionaries(NAMES, tables(keys, **always) | tables(keys, **always) | SCALARS, min_size=1, max_size=4)


COMMANDS = st.sampled_from(["true", "a && b", ["a", "b c"], "exec x $PORT"]) | TEXTS


def toml(value: Any) -> str:
    """A value of JSON as TOML has it, without what TOML has not."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{text(key)} = {toml(each)}" for key, each in value.items() if each is not None) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(each) for each in value if each is not None) + "]"
    return text(value) if isinstance(value, str) else json.dumps(value)


def text(value: str) -> str:
    """A basic string."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def taken_over(name: str, content: str, env: str = "") -> Imported | None:
    """What becomes of the file, after the validator has seen it; None for an error of ours."""
    with TemporaryDirectory() as place:
        directory = Path(place).resolve()
        (directory / name).write_text(content, encoding="utf-8", newline="")
        if env:
            (directory / ".env").write_text(env, encoding="utf-8", newline="")
        try:
            imported = import_file(str(directory / name), str(directory))
        except RunceptError:
            return None
        (directory / ".runcept.toml").write_text(imported.text, encoding="utf-8", newline="")
        project = load_project(str(directory), Settings())
        assert [process.name for process in project.processes] == [
            process.name for process in imported.draft.processes if process.active
        ]
        return imported


@example({"db": {"image": "x", "volumes": True}}, {}, "")
@given(
    named(COMPOSE, build=st.just("."), command=COMMANDS) | named(COMPOSE, image=TEXTS),
    st.dictionaries(st.sampled_from(["name", "networks", "include", "zzz"]), SCALARS),
    TEXTS,
)
@settings(max_examples=250, deadline=None)
def test_any_compose_file(services: dict[str, Any], top: dict[str, Any], env: str) -> None:
    """JSON is YAML."""
    taken_over("compose.yaml", json.dumps({**top, "services": services}), f"A={env}\n")


@given(
    named(PROCESS_COMPOSE, command=COMMANDS),
    tables(("environment", "shell", "vars", "log_configuration", "disable_env_expansion")),
    TEXTS,
)
@settings(max_examples=250, deadline=None)
def test_any_process_compose_file(processes: dict[str, Any], top: dict[str, Any], env: str) -> None:
    """With all that it may say about the whole."""
    taken_over("process-compose.yaml", json.dumps({**top, "processes": processes}), f"A={env}\n")


@given(named(PITCHFORK, run=COMMANDS), tables(("namespace", "env", "settings", "groups")))
@settings(max_examples=250, deadline=None)
def test_any_pitchfork_file(daemons: dict[str, Any], top: dict[str, Any]) -> None:
    """Keys that are texts where tables are expected, and the other way round, are told and not taken."""
    lines = [f"{key} = {toml(value)}" for key, value in {**top, "daemons": daemons}.items() if value is not None]
    taken_over("pitchfork.toml", "\n".join(lines))


@given(st.lists(st.tuples(NAMES, TEXTS).map(": ".join) | TEXTS).map("\n".join), TEXTS)
@settings(max_examples=200, deadline=None)
def test_any_procfile(content: str, env: str) -> None:
    """And any .env beside it, which may be none."""
    taken_over("Procfile", content, env)


MERGES = "services:\n" + "".join(
    f" a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}' if n > 1 else '{}'] * 9)}], k{n}: 1}}\n" for n in range(1, 40)
)
LAUGHS = "b0: &b0 [x, x]\n" + "".join(f"b{n}: &b{n} [*b{n - 1}, *b{n - 1}]\n" for n in range(1, 60))
LAUGHS += "services: {a: {build: ., command: x, zzz: *b59, environment: *b59, ports: *b59}}\n"


@given(st.sampled_from(["a.yaml", "compose.yml", "pitchfork.toml", "x", "Procfile"]), st.text(max_size=60) | STRANGE)
@example("a.yaml", "a: &a [*a]")
@example("a.yaml", "services: &a {x: {<<: *a}}")
@example("a.yaml", "[" * 3000)
@example(
    "a.yaml", "services:\n" + "".join(f" a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 40))
)
@example(
    "a.yaml",
    "a: &a [x,x,x,x]\n" + "".join(f"b{n}: &b{n} [*b{n - 1},*b{n - 1}]\n" for n in range(1, 60)).replace("*b0", "*a"),
)
@example("compose.yml", 'services: {a: {build: ., command: "\\ud800"}}')
@example("pitchfork.toml", "daemons = " + "{a=" * 500)
@settings(max_examples=200, deadline=None)
def test_any_text(name: str, content: str) -> None:
    """Nothing takes for ever, and nothing is an error of Python."""
    taken_over(name, content)


@given(st.sampled_from(["compose.yaml", "process-compose.yaml", "pitchfork.toml"]), TEXTS | st.lists(TEXTS, min_size=1))
@settings(max_examples=100, deadline=None)
def test_a_key_that_nobody_knows_is_told(name: str, value: Any) -> None:
    """It stands as a comment in the table that it was in, with its line; nothing is dropped in silence."""
    key = {"compose.yaml": "services", "process-compose.yaml": "processes", "pitchfork.toml": "daemons"}[name]
    run = "run" if name == "pitchfork.toml" else "command"
    own = {run: "true", "zzz": value or "x"} | ({"build": "."} if name == "compose.yaml" else {})
    content = f"{key} = {toml({'a': own})}" if name == "pitchfork.toml" else json.dumps({key: {"a": own}})
    imported = taken_over(name, content)
    assert imported is not None
    assert [(process, each.key, each.line) for process, each in lost(imported.draft)] == [("a", "zzz", 1)]
    assert "#   zzz: " in imported.text
