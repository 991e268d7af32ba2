"""process-compose.yaml: processes with probes, dependencies and restart policies."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from typing import Any

from runcept.config.command import exec_simple
from runcept.config.importing.checks import check, duration, signal
from runcept.config.importing.draft import Draft, Need, Proposal, names_for
from runcept.config.importing.interpolation import filled, for_shell, own_reference, resolved
from runcept.config.importing.values import Fields, Table, Unmapped, brief
from runcept.config.toml_source import scalar

__all__ = ["PROCESS_COMPOSE_FILES", "from_process_compose"]

PROCESS_COMPOSE_FILES = ("process-compose.yaml", "process-compose.yml")
_CONDITIONS = {
    "process_healthy": "ready",
    "process_log_ready": "ready",
    "process_started": "started",
    "process_completed": "completed",
    "process_completed_successfully": "completed",
}
_RESTART = {"always": "always", "on_failure": "on-failure", "no": "no", "exit_on_failure": "no"}
_SHUTDOWN = 10  # seconds, where nothing is said
_ITS_LOG = "its log is .runcept/logs, and `runcept logs` shows it"
_REASONS = {
    "namespace": "there are no groups: `runcept start 'api*'` takes a pattern",
    "replicas": "one copy of each process",
    "log_location": _ITS_LOG,
    "log_configuration": _ITS_LOG,
    "is_daemon": "it has to stay in the foreground: leave out what sends it away",
    "is_tty": "its output is no terminal",
    "is_elevated": "it runs as you: put sudo before the command",
    "is_interactive": "it has no terminal: run it by hand",
    "is_foreground": "it has no terminal: run it by hand",
    "disable_ansi_colors": "colours are kept; `runcept logs` leaves them out where they are no use",
    "launch_timeout_seconds": "the health check's start_period is that",
    "schedule": "nothing is run by the clock: use cron with `runcept start`",
    "vars": "put into the texts that use them",
    "mcp": "`runcept mcp` gives all processes to assistants",
}
_TOP_REASONS = {
    "version": "",  # it says nothing
    "is_strict": "a key that does not exist is always an error",
    "is_tui_disabled": "there is no such interface",
    "log_location": _ITS_LOG,
    "log_level": "a setting of the daemon: log_level in config.toml",
    "log_length": _ITS_LOG,
    "log_format": _ITS_LOG,
    "log_configuration": _ITS_LOG,
    "env_cmds": "nothing is run for it: export NAME=$(…) in the command",
    "extends": "read that file for itself",
    "processes": "expected a table",
    "vars": "put into the texts that use them",
    "ordered_shutdown": "what depends on others is stopped before them anyway",
    "mcp_server": "`runcept mcp` gives all processes to assistants",
    "theme": "there is no such interface",
}
_FOR_SHELLS = ("command", "environment", "vars")
"""Keys whose references are not put in when the file is read."""
_TEMPLATE = re.compile(r"\{\{-?\s*\.(\w+)\s*-?\}\}")


def from_process_compose(table: Table, file: str, known: Mapping[str, str]) -> Draft:
    """What the file says; `known` is what `.env` beside it holds."""
    expands = table.get("disable_env_expansion") is not True
    return _File(Fields(filled(table, known, _FOR_SHELLS) if expands else table), file, known).draft()


class _File:
    """One file while it is read."""

    def __init__(self, top: Fields, file: str, known: Mapping[str, str]) -> None:
        self.top, self.file, self.known = top, file, known
        processes = top.peek("processes")
        self.processes = (
            {n: e for n, e in processes.items() if isinstance(e, Table)} if isinstance(processes, Table) else {}
        )
        if isinstance(processes, Table):
            top.take("processes")
            for name in processes:
                if name not in self.processes and not name.startswith("x-"):
                    line = processes.lines.get(name, 0)
                    top.unmapped.append(Unmapped(f"processes.{name}", brief(processes[name]), "expected a table", line))
        self.names = names_for(self.processes, "process")
        self.expands = not top.flag("disable_env_expansion")
        self.vars = _texts_of(top.take("vars"))
        self.tasks = {
            name
            for each in self.processes.values()
            if isinstance(needs := each.get("depends_on"), Table)
            for name, need in needs.items()
            if str(_condition(need)).startswith("process_completed")
        }

    def draft(self) -> Draft:
        """All of it."""
        project: dict[str, Any] = {}
        if name := self.top.text("name"):
            project["name"] = name
        env, exports = self._variables(self.top)
        if env:
            project["env"] = env
        project["shell"] = _shell(self.top)
        _log(self.top, project)
        processes = tuple(self._process(name, each, exports) for name, each in self.processes.items())
        self.top.rest(_TOP_REASONS)
        return Draft(processes, project, tuple(self.top.unmapped))

    def _process(self, name: str, table: Table, exports: list[str]) -> Proposal:
        fields = Fields(table)
        texts = self.vars | _texts_of(fields.take("vars")) | {"PC_REPLICA_NUM": "0"}
        keys: dict[str, Any] = {}
        notes = [] if self.names[name] == name else [f"It was called {name}."]
        if description := self._plain(fields, "description", texts):
            keys["description"] = description
        if place := self._plain(fields, "working_dir", texts):
            keys["working_dir"] = place
        env, own_exports = self._variables(fields)
        if env:
            keys["env"] = env
        if files := fields.texts("env_file"):
            keys["env_files"] = [os.path.normpath(each) for each in files]
        command = self._command(fields, texts, exports + own_exports)
        needs = self._needs(fields)
        self._availability(name, fields, keys)
        self._health(fields, keys, texts)
        _shutdown(fields, keys)
        _log(fields, keys)
        _watch(fields, keys)
        if fields.flag("disabled") or fields.flag_of("is_foreground") or "schedule" in fields:
            keys["autostart"] = False
        if codes := fields.texts("success_exit_codes"):
            keys["success_exit_codes"] = [int(code) for code in codes if code.isdecimal() and len(code) < 4]
        for key, harmless in (("replicas", "1"), ("is_daemon", False), ("is_tty", False), ("is_elevated", False)):
            if fields.peek(key) == harmless:
                fields.take(key)
        fields.rest(_REASONS)
        source = f"{self.file}, process {name}"
        theirs = {
            "env": "environment", "env_files": "env_file", "health_check": "readiness_probe", "watch": "watch",
            "working_dir": "working_dir", "description": "description", "max_restarts": "availability",
            "success_exit_codes": "success_exit_codes",
        }  # fmt: skip
        lines = {ours: fields.line(key) for ours, key in theirs.items()}
        unmapped = tuple(fields.unmapped)
        return Proposal(self.names[name], command, source, True, " ".join(notes), needs, keys, (), unmapped, lines)

    def _command(self, fields: Fields, texts: Mapping[str, str], exports: list[str]) -> str | list[str]:
        entrypoint = fields.texts("entrypoint")
        text = self._rendered(fields, "command", scalar(fields.peek("command")) or "", texts)
        if entrypoint:
            if text:
                fields.refuse("command", "entrypoint is what is run")
            return "\n".join([*exports, f"exec {shlex.join(entrypoint)}"]) if exports else entrypoint
        fields.take("command")
        command = (text.replace("$$", "$") if self.expands else text).strip()
        return "\n".join([*exports, exec_simple(command)]) if exports and command else command

    def _rendered(self, fields: Fields, key: str, text: str, texts: Mapping[str, str]) -> str:
        """With the variables of Go templates put in; what is more than a name is told, and stays."""
        text = _TEMPLATE.sub(lambda found: texts.get(found[1], found[0]), text)
        if "{{" in text and "}}" in text:
            value, name = brief(text), f"{key} (template)"
            fields.note(name, value, "templates are not filled in: write what it should be", key)
        return text

    def _plain(self, fields: Fields, key: str, texts: Mapping[str, str]) -> str:
        """A text that no shell will see: references are resolved now."""
        line_text = scalar(fields.peek(key)) or ""
        text = self._rendered(fields, key, line_text, texts)
        done = resolved(text, self.known) if self.expands else text
        if done is None:
            fields.refuse(key, "it holds a variable that is said nowhere")
            return ""
        fields.take(key)
        return done

    def _variables(self, fields: Fields) -> tuple[dict[str, str], list[str]]:
        """Variables with their values, and exports for those that a shell has to put together."""
        env, exports = {}, []
        for name, value in fields.variables("environment").items():
            if value is None or (self.expands and own_reference(name, value)):
                continue
            text = resolved(value, self.known) if self.expands else value
            if text is not None:
                env[name] = text
            elif re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
                exports.append(f"export {name}={for_shell(value)}")
            else:
                fields.refuse("environment", "it holds a variable that is said nowhere", f"{name}={value}")
        return env, exports

    def _needs(self, fields: Fields) -> tuple[Need, ...]:
        line = fields.line("depends_on")
        value = fields.take("depends_on")
        needs = []
        for name, how in value.items() if isinstance(value, Table) else ():
            condition = _condition(how)
            if condition not in _CONDITIONS:
                fields.note(f"depends_on.{name}.condition", condition, "not a condition", "depends_on")
            if condition == "process_completed":
                why = "only if it ends with success: else give it success_exit_codes"
                fields.note(f"depends_on.{name}.condition", condition, why, "depends_on")
            kind = _CONDITIONS.get(condition, "started")
            target = self.processes.get(name, Table())
            if kind == "started" and not any(key in target for key in ("readiness_probe", "ready_log_line")):
                kind = "ready" if name not in self.tasks else kind
            needs.append(Need(self.names.get(name, name), kind, "depends_on", line))
        return tuple(needs)

    def _availability(self, name: str, fields: Fields, keys: dict[str, Any]) -> None:
        if name in self.tasks:
            keys["kind"] = "task"
        table = fields.fields("availability")
        if table is None:
            return
        word = (table.text("restart") or "no").replace("-", "_").replace("false", "no")
        if word == "exit_on_failure":
            table.refuse("restart", "the others go on; `runcept wait` tells of the failure", word)
        elif word not in _RESTART:
            table.refuse("restart", "not a policy", word)
        if (policy := _RESTART.get(word, "no")) != "no":
            keys["restart"] = "on-failure" if name in self.tasks else policy
        if (pause := table.number("backoff_seconds")) is not None and pause >= 0:
            keys["restart_delay"] = keys["restart_max_delay"] = duration(float(min(pause, 86400)))
        if most := table.number("max_restarts"):
            keys["max_restarts"] = most
        for key in ("exit_on_end", "exit_on_skipped"):
            if table.peek(key) is False:
                table.take(key)
        table.rest(
            dict.fromkeys(("exit_on_end", "exit_on_skipped"), "the others go on; `runcept deactivate` stops them")
        )

    def _health(self, fields: Fields, keys: dict[str, Any], texts: Mapping[str, str]) -> None:
        probe = fields.fields("readiness_probe")
        if probe is None and "ready_log_line" not in fields:
            probe = fields.fields("liveness_probe")
        if probe is not None:
            if found := self._probe(probe, texts):
                keys["health_check"] = found
            for key in ("liveness_probe", "ready_log_line"):
                if key in fields:
                    fields.refuse(key, "one check tells both when it is ready and whether it is well")
        elif line := fields.text("ready_log_line"):
            keys["health_check"] = f"log://{line}"

    def _probe(self, probe: Fields, texts: Mapping[str, str]) -> object:
        url, timing = "", _timing(probe)
        if run := probe.fields("exec"):
            command = self._rendered(run, "command", scalar(run.peek("command")) or "", texts)
            run.take("command")
            command = command.replace("$$", "$").strip() if self.expands else command.strip()
            place = self._plain(run, "working_dir", texts)
            url = f"cmd://{f'cd {shlex.quote(place)} && ' if place else ''}{command}" if command else ""
            run.rest({})
        if ask := probe.fields("http_get"):
            url = self._http(ask, texts)
            if (status := ask.number("status_code")) is not None:
                timing["status"] = [status]
            ask.rest({"headers": "use cmd://curl -H … for that"})
        probe.rest({"success_threshold": "one success is enough"})
        return check(url, timing) if url else None

    def _http(self, ask: Fields, texts: Mapping[str, str]) -> str:
        scheme = self._plain(ask, "scheme", texts).lower() or "http"
        host = self._plain(ask, "host", texts) or "localhost"
        port = self._plain(ask, "port", texts) or str(ask.number("num_port") or "")
        path = self._plain(ask, "path", texts) or "/"
        return f"{scheme}://{host}{f':{port}' if port else ''}/{path.lstrip('/')}"


def _condition(how: object) -> str:
    """Of one entry of `depends_on`; some write the word alone."""
    word = how.get("condition") if isinstance(how, dict) else how
    return scalar(word) or "process_started"


def _texts_of(table: object) -> dict[str, str]:
    return (
        {key: text for key, each in table.items() if (text := scalar(each)) is not None}
        if isinstance(table, Table)
        else {}
    )


def _shell(top: Fields) -> list[str]:
    """bash, where nothing is said: that is what commands were written for."""
    table = top.fields("shell")
    if table is None:
        return ["bash", "-c"]
    words = [
        table.text("shell_command") or "bash",
        *shlex.split((table.text("shell_argument") or "-c").replace("'", "")),
    ]
    table.rest(dict.fromkeys(("elevated_shell_command", "elevated_shell_argument"), "every process runs as you"))
    return words


def _log(fields: Fields, keys: dict[str, Any]) -> None:
    """Rotation; formats of lines are nothing here."""
    table = fields.fields("log_configuration")
    if table is None:
        return
    rotation = table.fields("rotation")
    log: dict[str, Any] = {}
    if rotation is not None:
        if size := rotation.number("max_size_mb"):
            log["max_size"] = f"{size}MB"
        if (keep := rotation.number("max_backups")) is not None:
            log["keep"] = keep
        if "compress" in rotation:
            log["compress"] = rotation.flag("compress")
        rotation.rest(
            dict.fromkeys(("max_age_days", "directory", "filename"), "rotated files are kept by their number")
        )
    if log:
        keys["log"] = log
    reason = "records have one form: time, stream, message"
    table.rest(dict.fromkeys(
        ("fields_order", "disable_json", "timestamp_format", "no_color", "no_metadata", "add_timestamp",
         "flush_each_line"), reason,
    ))  # fmt: skip


def _timing(probe: Fields) -> dict[str, Any]:
    """Probing begins at once and fast here, so what they give a process until it counts as failed is its start."""
    timing: dict[str, Any] = {}
    period, timeout = probe.number("period_seconds"), probe.number("timeout_seconds")
    failures, delay = probe.number("failure_threshold"), probe.number("initial_delay_seconds")
    if period and period > 0:
        timing["interval"] = duration(float(min(period, 86400)))
    if timeout and timeout > 0:
        timing["timeout"] = duration(float(min(timeout, 86400)))
    if failures and failures > 0:
        timing["retries"] = min(failures, 10_000)
    if any(each is not None for each in (period, failures, delay)):
        given = max(delay or 0, 0) + max(period or 10, 1) * max(failures or 3, 1)
        timing["start_period"] = duration(float(min(given, 86400)))
    if probe.peek("success_threshold") == "1":
        probe.take("success_threshold")
    return timing


def _shutdown(fields: Fields, keys: dict[str, Any]) -> None:
    table = fields.fields("shutdown")
    if table is None:
        return
    if text := table.text("signal"):
        name = signal(text)
        if name is None:
            table.refuse("signal", "not a signal", text)
        elif name != "SIGTERM":
            keys["stop_signal"] = name
    if (seconds := table.number("timeout_seconds")) is not None and seconds >= 0 and seconds != _SHUTDOWN:
        keys["stop_timeout"] = duration(float(min(seconds, 86400)))
    if table.peek("parent_only") is False:
        table.take("parent_only")
    table.rest({
        "command": "it is stopped by a signal: let it stay in the foreground, and name the signal",
        "parent_only": "what is left of it is killed once it has ended",
    })  # fmt: skip


def _watch(fields: Fields, keys: dict[str, Any]) -> None:
    table = fields.fields("watch")
    if table is None:
        return
    globs: list[str] = []
    for each in table.take("paths") or []:
        if isinstance(each, Table) and (place := scalar(each.get("path"))):
            root = os.path.normpath(os.path.join(keys.get("working_dir", ""), place))
            globs += [_glob(root, text) for text in map(scalar, each.get("include") or ["**"]) if text]
            globs += [f"!{_glob(root, text)}" for text in map(scalar, each.get("exclude") or []) if text]
    if globs:
        keys["watch"] = list(dict.fromkeys(globs))
    table.rest({
        "debounce": "changes within a moment are one",
        "cascade": "what depends on it goes on: `runcept restart --dependents` takes it along",
        "max_entries": "there is no such limit",
        "disable_default_excludes": "what git ignores is left out",
        "buffer_size": "there is no such limit",
    })  # fmt: skip


def _glob(root: str, pattern: str) -> str:
    """A pattern without a slash is of a file's name, wherever it is."""
    inner = pattern if "/" in pattern or pattern == "**" else f"**/{pattern}"
    inner = f"{inner}/*" if inner == "**" else inner
    return inner if root == "." else f"{root}/{inner}"
