"""From a project file to `core.model.Project`: every default applied, every path absolute, or every problem told."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from runcept.config.command import argv, readable
from runcept.config.dependencies import check_dependencies, dependencies_of
from runcept.config.environment import read_env_file, resolve
from runcept.config.health import CheckUrl
from runcept.config.problems import Enough, Place, Wrong
from runcept.config.schema import FILE, LOG, PROCESS, PROJECT, SHARED
from runcept.config.settings import Settings
from runcept.config.toml_source import TomlSource, read_toml
from runcept.core.model import HealthCheck, Hooks, Kind, LogLimits, Probe, Process, Project, Restart, RestartPolicy
from runcept.errors import ConfigUnreadable, ProjectNotFound
from runcept.paths import PROJECT_FILE

__all__ = ["load_project", "parse_project"]

_Values = Mapping[str, Any]
_BY_KEY = ("log", "hooks")
"""Tables of which each level may hold some keys."""


def load_project(path: str, settings: Settings) -> Project:
    """Read a project: `path` is its file or the directory that holds it.

    Errors: ProjectNotFound; ConfigUnreadable; ConfigInvalid with all problems of the file, each with its place.
    """
    file = _file(path)
    try:
        source = read_toml(file)
    except FileNotFoundError:
        raise ProjectNotFound(os.path.dirname(file), upwards=False) from None
    return _load(source, settings)


def parse_project(text: str, file: str, settings: Settings) -> Project:
    """As `load_project`, for a text that would be written to `file`."""
    return _load(TomlSource(_file(file), text), settings)


def _file(path: str) -> str:
    """The project file in its canonical directory, which is what identifies a project."""
    if not _is_text(path):
        shown = path.encode(errors="backslashreplace").decode().replace("\0", "\\0")
        raise ConfigUnreadable(shown, "its path is not UTF-8", "Rename the directory.")
    path = os.path.abspath(path)
    if os.path.basename(path) != PROJECT_FILE and os.path.isdir(path):
        path = os.path.join(path, PROJECT_FILE)
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def _is_text(path: str) -> bool:
    """Whether it can be written into JSON, the database and logs: os.fsdecode makes surrogates of other bytes."""
    return "\0" not in path and not any("\ud800" <= character <= "\udfff" for character in path)


def _load(source: TomlSource, settings: Settings) -> Project:
    return source.read(lambda values, place: _Reading(source.path, values, settings, place).project())


class _Reading:
    """One file while it is turned into a project."""

    def __init__(self, file: str, values: _Values, settings: Settings, place: Place) -> None:
        self.directory = os.path.dirname(file)
        self.settings = settings
        self.place = place
        self.values = FILE.read(values, place)
        self.own = self.values.get("project", {})
        self.raw_names = _names(values.get("process"))
        self.builtin = {**PROCESS.defaults(), "log": LOG.defaults()}
        self.env_files: list[str] = []
        self.outer = _only_shared(_merged(settings.defaults, self.own))
        self.base = {**PROJECT.defaults(), **settings.defaults, **self.own}
        self.working_dir = resolve(self.directory, self.base["working_dir"])
        self.file_env = self._env_files(self.own, place / "project")

    def project(self) -> Project:
        """The whole; Enough when problems were recorded."""
        tables = self.values.get("process", [])
        self._check_names(tables)
        place = self.place / "process"
        complete = [self._completed(table) for table in tables]
        check_dependencies(tables, self.raw_names, place)
        file_envs = [self._env_files(table, place / index) for index, table in enumerate(tables)]
        checks = [_health_check(table, place / index) for index, table in enumerate(complete)]
        for index, table in enumerate(complete):
            _check_wake(table, place / index)
        if self.place.problems.found:
            raise Enough
        processes = map(self._process, complete, file_envs, checks)
        return Project(
            path=self.directory,
            name=self.own["name"],
            description=self.base["description"],
            inactivity_timeout=self.own.get("inactivity_timeout", self.settings.inactivity_timeout),
            auto_reload=self.base["auto_reload"],
            auto_activate=self.base["auto_activate"],
            notify=self.settings.notify,
            env_files=tuple(dict.fromkeys(self.env_files)),
            shell=self.base["shell"],
            working_dir=self.working_dir,
            env={**self.settings.env, **self.file_env, **self.own.get("env", {})},
            processes=tuple(processes),
        )

    def _check_names(self, tables: Sequence[_Values]) -> None:
        first: dict[str, int] = {}
        for index, table in enumerate(tables):
            name = table.get("name", "")
            if first.setdefault(name, index) != index and name:
                where, other = (self.place / "process" / number / "name" for number in (index, first[name]))
                where.problem(f"two processes are named {name}", related=other.path)

    def _completed(self, table: _Values) -> dict[str, Any]:
        """A process's own keys over the project's, over the settings', over the built-in ones."""
        outer = dict(self.outer)
        if table.get("kind") == Kind.TASK:
            outer.pop("restart", None)
        return _merged(self.builtin, outer, table)

    def _env_files(self, table: _Values, place: Place) -> dict[str, str]:
        variables: dict[str, str] = {}
        for index, path in enumerate(table.get("env_files", ())):
            file = resolve(self.directory, path)
            self.env_files.append(file)
            try:
                variables |= read_env_file(file)
            except Wrong as wrong:
                (place / "env_files" / index).problem(wrong.message, wrong.hint)
        return variables

    def _process(self, table: _Values, file_env: Mapping[str, str], check: HealthCheck | None) -> Process:
        env = {**self.settings.env, **self.file_env, **file_env, **self.own.get("env", {}), **table.get("env", {})}
        auto_port = table["ports"] == "auto"
        return Process(
            name=table["name"],
            command=readable(table["command"]),
            argv=argv(table["command"], self.base["shell"]),
            working_dir=resolve(self.working_dir, table["working_dir"]),
            description=table["description"],
            env=env,
            depends_on=dependencies_of(table),
            restart=_restart_policy(table),
            success_exit_codes=table["success_exit_codes"],
            health_check=check,
            stop_signal=table["stop_signal"],
            stop_timeout=table["stop_timeout"],
            ports=() if auto_port else table["ports"],
            auto_port=auto_port,
            autostart=table["autostart"],
            kind=table["kind"],
            inactivity_timeout=table.get("inactivity_timeout"),
            activity=table["activity"],
            log=LogLimits(**table["log"]),
            hooks=Hooks(**table["hooks"]),
            watch=table["watch"],
            wake=table.get("wake"),
        )


def _names(tables: object) -> list[str]:
    """All names in the file, also those that are no good: what depends on one is not wrong on top of it."""
    found = (table.get("name") for table in tables if isinstance(table, dict)) if isinstance(tables, list) else ()
    return list(dict.fromkeys(name for name in found if isinstance(name, str)))


def _only_shared(values: _Values) -> dict[str, Any]:
    shared = {key.name for key in SHARED}
    return {key: value for key, value in values.items() if key in shared}


def _merged(*levels: _Values) -> dict[str, Any]:
    """Later levels over earlier ones; `auto_restart` counts on the level where it stands, tables key by key."""
    merged: dict[str, Any] = {}
    for level in levels:
        tables = {key: {**merged.get(key, {}), **level.get(key, {})} for key in _BY_KEY}
        merged |= level
        if "restart" not in level and "auto_restart" in level:
            merged["restart"] = Restart.ON_FAILURE if level["auto_restart"] else Restart.NO
        merged |= tables
    return merged


def _restart_policy(table: _Values) -> RestartPolicy:
    when: Restart = table["restart"]
    return RestartPolicy(
        when=when,
        delay=table["restart_delay"],
        max_delay=table["restart_max_delay"],
        max_restarts=table["max_restarts"],
        window=table["restart_window"],
        on_unhealthy=table.get("restart_on_unhealthy", when is not Restart.NO),
    )


def _check_wake(table: _Values, place: Place) -> None:
    """What is woken by a connection to its port has one, and answers."""
    if "wake" not in table:
        return
    if table["kind"] is Kind.TASK:
        (place / "wake").problem("a task is not woken by a connection", "Remove `wake`, or `kind`.")
    elif not table["ports"] or table["ports"] == "auto":
        (place / "wake").problem("it has no fixed port to be woken by", "Write `ports = [8000]`, with its port.")


def _health_check(table: _Values, place: Place) -> HealthCheck | None:
    given = table.get("health_check", {})
    if "url" not in given:
        return None
    check: CheckUrl = given["url"]
    if "status" in given and check.probe is not Probe.HTTP:
        (place / "health_check" / "status").problem(f"{check.probe}:// has no status", "It is for http(s):// alone.")
    _check_port(check, table["ports"], place / "health_check")
    timing = {
        key: given.get(key, table[f"health_check_{key}"]) for key in ("interval", "timeout", "retries", "start_period")
    }
    return HealthCheck(check.url, check.probe, check.target, **timing, status=given.get("status", ()))


def _check_port(check: CheckUrl, ports: Sequence[int] | str, place: Place) -> None:
    """A check of $PORT has such a port to ask."""
    count = 1 if ports == "auto" else len(ports)
    if check.port_index is None or check.port_index < count:
        return
    if not count:
        hint = 'Add ports = [8000], or ports = "auto" for a free one.'
        place.problem("the health check asks $PORT, and the process has no ports", hint)
        return
    has = "one port, $PORT" if count == 1 else f"{count} ports, $PORT0 to $PORT{count - 1}"
    place.problem(f"the health check asks $PORT{check.port_index}, and the process has {has}", "Count from 0.")
