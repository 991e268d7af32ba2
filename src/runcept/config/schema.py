"""Every key of a project file and of the global settings: the one description of them.

The validator reads files with it, `json_schema` and the reference page (`config.reference`) are made from it.
"""

from __future__ import annotations

from typing import Any

from runcept.config import shapes as s
from runcept.config.health import check_url
from runcept.config.problems import Place, Wrong
from runcept.config.process_shapes import command, environment, ports, signal_name, watched
from runcept.config.shapes import Shape
from runcept.config.tables import Key, Table, table_or, table_schema
from runcept.core.model import Activity, Condition, Kind, Restart, Wake

__all__ = [
    "DEPENDENCY",
    "FILE",
    "HEALTH_CHECK",
    "HOOKS",
    "LOG",
    "PROCESS",
    "PROJECT",
    "SETTINGS",
    "SHARED",
    "json_schema",
]

_seconds = s.positive_duration
_count = s.integer(0, 1_000_000)

LOG = Table(
    "log",
    (
        Key("max_size", s.size, "Size at which a log is rotated.", "50MB", mistaken_for=("size", "maxsize")),
        Key("keep", s.integer(0, 10_000), "Rotated files that are kept.", 5, mistaken_for=("max_files", "backups")),
        Key("compress", s.boolean, "Compress rotated files.", default=True),
        Key(
            "max_total",
            s.size,
            "Size of all logs of a project together from which on the oldest rotated files are removed, whosever they "
            "are. A key for `[project]` or the settings.",
            "2GB",
            mistaken_for=("total", "max_total_size"),
        ),
    ),
)

HEALTH_CHECK = Table(
    "health_check",
    (
        Key(
            "url",
            check_url,
            "`http(s)://…`, `tcp://host:port` (IPv6 in brackets), `cmd://COMMAND` (by the shell, healthy at exit 0) "
            "or `log://REGEX` (healthy once an output line matches). `$PORT`, `$PORT1`… for a port is that of `ports`.",
            required=True,
        ),
        Key("interval", _seconds, "As `health_check_interval`.", default_note="`health_check_interval`"),
        Key("timeout", _seconds, "As `health_check_timeout`.", default_note="`health_check_timeout`"),
        Key("retries", s.integer(1, 10_000), "As `health_check_retries`.", default_note="`health_check_retries`"),
        Key("start_period", s.duration, "As `health_check_start_period`.", default_note="`health_check_start_period`"),
        Key(
            "status",
            s.list_of(s.integer(100, 599), at_least=1, unique=True),
            "HTTP status codes that mean healthy.",
            default_note="200 to 399",
        ),
    ),
)

DEPENDENCY = Table(
    "depends_on",
    (
        Key("name", s.name, "The process that is needed.", required=True),
        Key(
            "condition",
            s.choice(of=Condition),
            "What it must have reached: `ready` (healthy, or running where there is no check; a task: ended with "
            "success), `started`, or `completed` (ended with success).",
            "ready",
        ),
    ),
)

HOOKS = Table(
    "hooks",
    (
        Key("ready", s.path, "When it has become ready."),
        Key("failed", s.path, "When it has failed and will not be started again by itself.", mistaken_for=("failure",)),
        Key("unhealthy", s.path, "When its health check has begun to say unhealthy."),
        Key("exited", s.path, "When its main process has ended, for whatever reason.", mistaken_for=("exit",)),
    ),
)

SHARED = (
    Key(
        "restart",
        s.choice(of=Restart),
        "Whether to start it again when it ends by itself. Wins over `auto_restart` beside it.",
        "no",
        mistaken_for=("restart_policy", "autorestart_policy"),
    ),
    Key(
        "auto_restart",
        s.boolean,
        'true is `restart = "on-failure"`, false is `restart = "no"`.',
        default=False,
        mistaken_for=("autorestart",),
    ),
    Key("restart_delay", s.duration, "Pause before the first restart; it doubles with each one.", "500ms"),
    Key("restart_max_delay", s.duration, "The longest such pause.", "30s"),
    Key(
        "max_restarts",
        _count,
        "More restarts than this within `restart_window` and the process has failed.",
        10,
        mistaken_for=("restart_limit", "restart_retries"),
    ),
    Key("restart_window", _seconds, "The time within which restarts are counted.", "5m"),
    Key(
        "restart_on_unhealthy",
        s.boolean,
        "Restart it when its health check says unhealthy.",
        default_note='true when `restart` is not "no"',
    ),
    Key(
        "success_exit_codes",
        s.list_of(s.integer(0, 255), at_least=1, unique=True),
        "Exit codes that are no failure.",
        [0],
        mistaken_for=("exit_codes",),
    ),
    Key("health_check_interval", _seconds, "Time between checks, once one succeeded; before, they run faster.", "30s"),
    Key("health_check_timeout", _seconds, "A check that takes longer has failed.", "5s"),
    Key("health_check_retries", s.integer(1, 10_000), "Failures in a row that make a process unhealthy.", 3),
    Key("health_check_start_period", s.duration, "Failures this soon after the start do not count.", "60s"),
    Key(
        "stop_signal",
        signal_name,
        "Signal that asks it to end.",
        "SIGTERM",
        mistaken_for=("kill_signal", "stopsignal", "signal"),
    ),
    Key(
        "stop_timeout",
        s.duration,
        "Time it has to end; then all that it left behind is killed with SIGKILL.",
        "10s",
        mistaken_for=("stop_grace_period", "kill_timeout", "stopwaitsecs", "grace_period"),
    ),
    Key(
        "log",
        table_or(LOG),
        "Rotation of its log: `{max_size, keep, compress, max_total}`.",
        mistaken_for=("logs", "logging"),
    ),
    Key(
        "activity",
        s.list_of(s.choice(of=Activity), unique=True, label="list of words"),
        "What counts as use: `requests` (any command or assistant's request that names the environment), `connections` "
        "(a TCP connection from outside the environment to a port that it listens on), `output` (new lines), `cpu` "
        "(more than 1 % of a core).",
        ["requests", "connections"],
    ),
    Key(
        "hooks",
        table_or(HOOKS),
        "Shell commands to run when something happens: `{ready, failed, unhealthy, exited}`.",
        mistaken_for=("hook", "on"),
    ),
)

_SHELL = Key(
    "shell",
    s.list_of(s.path, at_least=1, label="list of strings"),
    "The program that runs commands given as a string, with its options.",
    ["/bin/sh", "-c"],
)


def _inactivity(meaning: str, default: str | None = None, note: str = "") -> Key:
    return Key(
        "inactivity_timeout",
        s.off_or(_seconds),
        meaning,
        default,
        note,
        mistaken_for=("idle_timeout", "timeout"),
    )


def _env(meaning: str) -> Key:
    return Key("env", environment, meaning, mistaken_for=("environment", "environ", "envs", "vars"))


def _env_files(whose: str) -> Key:
    return Key(
        "env_files",
        s.list_of(s.path, label="list of paths"),
        f"Dotenv files for {whose}, relative to the project file (`~/` is the home directory), later ones winning. "
        "One that is missing is an error.",
        [],
        mistaken_for=("env_file", "dotenv", "environment_file", "environment_files"),
    )


def _working_dir(meaning: str) -> Key:
    return Key(
        "working_dir",
        s.path,
        f"{meaning} `~/` is the home directory. It need not exist before the process is started.",
        ".",
        mistaken_for=("cwd", "dir", "directory", "workdir", "chdir", "working_directory", "path"),
    )


_DESCRIPTION = Key("description", s.text, "What it is for.", "")

_PROCESS_KEYS = (
    Key("name", s.name, "What it is called; unique in the file.", required=True),
    Key(
        "command",
        command,
        "A string is run by `shell`, so that `&&`, `$VAR` and quotes work; a simple one replaces the shell, so that "
        "the pid is the program's. A list is the program and its arguments, as they are.",
        required=True,
        mistaken_for=("cmd", "run", "exec", "script", "start", "command_line", "args"),
    ),
    _DESCRIPTION,
    _working_dir("Where it runs, relative to the project's `working_dir`."),
    _env("Environment variables, taken to the byte: nothing in them is expanded. Numbers and booleans become text."),
    _env_files("this process"),
    Key(
        "depends_on",
        s.list_of(
            table_or(DEPENDENCY, s.name, short="name"),
            label="list of names or of tables `{name, condition}`",
            in_place_of_wrong={},
        ),
        "What must be ready before it is started.",
        [],
        mistaken_for=("depends", "dependencies", "dependson", "requires", "needs", "after", "links"),
    ),
    Key(
        "health_check",
        table_or(HEALTH_CHECK, check_url, short="url"),
        "How to tell that it is ready and well; see below.",
        mistaken_for=("healthcheck", "health", "check", "ready", "readiness_probe", "ready_when"),
    ),
    Key(
        "ports",
        ports,
        "TCP ports it will listen on: checked to be free before the start, and given to it as `PORT`, `PORT0`, "
        '`PORT1`…. "auto" picks a free one.',
        [],
        mistaken_for=("port", "expose", "listen"),
    ),
    Key(
        "autostart",
        s.boolean,
        "false: started only by name, or because another process depends on it.",
        default=True,
        mistaken_for=("auto_start", "enabled"),
    ),
    Key(
        "kind",
        s.choice(of=Kind),
        "A task is expected to end, and ready when it has ended with success. Restart policies of `[project]` and of "
        "the settings do not apply to it.",
        "service",
        mistaken_for=("type",),
    ),
    _inactivity("Stop it after this long without activity, beside the project's timeout.", note="none of its own"),
    Key(
        "watch",
        watched,
        "Files, relative to the project file, whose change restarts it: `src/**/*.py`, or a directory with all below. "
        "What git ignores is left out, and so is what a glob with `!` before it means.",
        [],
        mistaken_for=("watch_files", "watches", "reload_on"),
    ),
    Key(
        "wake",
        s.choice(of=Wake),
        '"connect": after it was stopped for inactivity its port is held for it, and a connection starts it again. '
        "See [waking](wake.md).",
    ),
    *SHARED,
)

_PROJECT_KEYS = (
    Key("name", s.name, "A label; two projects may share it.", required=True),
    _DESCRIPTION,
    _working_dir("Where processes run, relative to the project file."),
    _inactivity("Stop everything after this long without activity.", note="that of the settings"),
    _env("Environment variables for every process."),
    _env_files("every process"),
    Key(
        "auto_reload",
        s.boolean,
        "Reload when this file or one of its env files changes.",
        default=False,
        mistaken_for=("autoreload", "live_reload"),
    ),
    Key(
        "auto_activate",
        s.boolean,
        "Activate when a shell with `runcept hook` enters the directory, once `runcept trust` was given.",
        default=False,
        mistaken_for=("autoactivate",),
    ),
    _SHELL,
    *SHARED,
)

PROJECT = Table("[project]", _PROJECT_KEYS, others=(Table("[[process]]", _PROCESS_KEYS),))
PROCESS = Table("[[process]]", _PROCESS_KEYS, others=(Table("[project]", _PROJECT_KEYS),))

SETTINGS = Table(
    "the settings",
    (
        _env("Environment variables for every process of every project."),
        _inactivity("For projects that do not set one.", "off"),
        Key(
            "log_level",
            s.choice("debug", "info", "warning", "error"),
            "What the daemon writes to its own log.",
            "info",
            mistaken_for=("loglevel", "level", "verbosity"),
        ),
        Key(
            "notify",
            s.boolean,
            "Show on the desktop when a process has failed.",
            default=False,
            mistaken_for=("notifications", "desktop"),
        ),
        _SHELL,
        *SHARED,
    ),
    others=(PROJECT, PROCESS),
)


def _read_project(value: object, place: Place) -> Any:
    """What `[project]` holds."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        raise Wrong("there is one project, and it is written [project], with one bracket")
    return PROJECT.read(value, place)


def _read_processes(value: object, place: Place) -> Any:
    """What each `[[process]]` holds, with words of its own for what is no such thing."""
    if isinstance(value, dict):
        raise Wrong("a process is written [[process]], with two brackets")
    if not isinstance(value, list):
        raise Wrong(f"expected [[process]] tables, found {s.kind(value)}")
    return _PROCESSES.read(value, place)


_PROCESSES = s.list_of(table_or(PROCESS), in_place_of_wrong={})

FILE = Table(
    "the file",
    (
        Key(
            "project",
            Shape("table", table_or(PROJECT).schema, _read_project),
            "What all processes share.",
            required=True,
            written="[project]",
            mistaken_for=("environment",),
        ),
        Key(
            "process",
            Shape("tables", _PROCESSES.schema, _read_processes),
            "The programs that make up the project.",
            [],
            written="[[process]]",
            mistaken_for=("processes", "proc", "procs", "service", "services", "task", "tasks"),
        ),
    ),
    others=(PROJECT, PROCESS),
)


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a project file, for editors and for other programs."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Runcept project file (.runcept.toml)",
        **table_schema(FILE),
    }
