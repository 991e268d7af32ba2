"""pitchfork.toml: daemons with ready and health checks, ports, hooks and watched files."""

from __future__ import annotations

import re
import shlex
from typing import Any

from runcept.config.importing.checks import check, duration, go_seconds, signal
from runcept.config.importing.draft import Draft, Need, Proposal, names_for
from runcept.config.importing.values import Fields, Table, Unmapped, brief
from runcept.config.toml_source import scalar

__all__ = ["PITCHFORK_FILES", "from_pitchfork"]

PITCHFORK_FILES = ("pitchfork.toml", ".config/pitchfork.toml")
_BY_CLOCK = "nothing is run by the clock: use cron with `runcept start`"
_LOGS = "logs are kept by size: the key log"
_LIMIT = "Runcept limits nothing"
_REASONS = {
    "boot_start": "nothing is started when the machine starts",
    "cron": _BY_CLOCK,
    "user": "every process runs as you",
    "memory_limit": _LIMIT,
    "cpu_limit": _LIMIT,
    "pty": "its output is no terminal",
    "watch_mode": "the system tells of changes",
    "time_retention": _LOGS,
    "line_retention": _LOGS,
    "archive_hook": _LOGS,
    "logs": _LOGS,
    "proxy": "there is no proxy: it is at its own port",
    "container": "nothing is run in containers",
    "mise": "",  # it is in the command, or false
}
_TOP_REASONS = {
    "settings": "the supervisor's own: see `runcept config`",
    "slugs": "there is no proxy",
    "groups": "there are no groups: `runcept start 'api*'` takes a pattern",
    "namespaces": "a project is the directory that its file is in",
    "daemons": "expected a table",
}
_CHECKS = tuple(f"{when}_{how}" for when in ("ready", "health") for how in ("http", "port", "cmd", "output"))
_BUMP = 'a port that is taken is an error; ports = "auto" takes any free one'
_TEMPLATE = re.compile(r"\{\{\s*daemons\.([\w.-]+)\.port\s*\}\}")
_OWN_VARIABLE = re.compile(r"\bPITCHFORK_[A-Z_]+")


def from_pitchfork(table: Table, file: str) -> Draft:
    """What the file says."""
    return _File(Fields(table), file).draft()


class _File:
    """One file while it is read."""

    def __init__(self, top: Fields, file: str) -> None:
        self.top, self.file = top, file
        daemons = top.peek("daemons")
        self.daemons = {n: e for n, e in daemons.items() if isinstance(e, Table)} if isinstance(daemons, Table) else {}
        if isinstance(daemons, Table):
            top.take("daemons")
            for name in daemons:
                if name not in self.daemons:
                    line = daemons.lines.get(name, 0)
                    top.unmapped.append(Unmapped(f"daemons.{name}", brief(daemons[name]), "expected a table", line))
        self.names = names_for(self.daemons, "daemon")
        self.namespace = top.text("namespace") or ""
        self.started = {name for name, each in self.daemons.items() if "start" in _list(each.get("auto"))}
        self.entered = bool(self.started)
        self._add_needed()
        settings = top.peek("settings")
        general = settings.get("general") if isinstance(settings, Table) else None
        self.mise = isinstance(general, Table) and general.get("mise") is True
        self.ports = {name: _ports(each)[0] for name, each in self.daemons.items()}

    def _add_needed(self) -> None:
        """What is started because a daemon that is started needs it is no less started."""
        waiting = list(self.started)
        while waiting:
            for text in _list(self.daemons[waiting.pop()].get("depends")):
                name = str(text).rpartition("/")[2]
                if name in self.daemons and name not in self.started:
                    self.started.add(name)
                    waiting.append(name)

    def draft(self) -> Draft:
        """All of it."""
        project: dict[str, Any] = {}
        if self.namespace:
            project["name"] = self.namespace
        if env := self._variables(self.top, "env"):
            project["env"] = env
        if self.entered:
            project["auto_activate"] = True
        processes = tuple(self._process(name, each) for name, each in self.daemons.items())
        self.top.rest(_TOP_REASONS)
        return Draft(processes, project, tuple(self.top.unmapped))

    def _process(self, name: str, table: Table) -> Proposal:
        fields = Fields(table)
        keys: dict[str, Any] = {}
        notes = [] if self.names[name] == name else [f"It was called {name}."]
        if (place := fields.text("dir")) is not None:
            if "$" in place:
                fields.refuse("dir", "variables are not put into paths", place)
            else:
                keys["working_dir"] = place
        if fields.flag("oneshot") or "cron" in fields:
            keys["kind"] = "task"
        if env := self._variables(fields, "env"):
            keys["env"] = env
        auto = fields.texts("auto")
        if "cron" in fields or (self.entered and name not in self.started):
            keys["autostart"] = False
        if "stop" in auto:
            fields.refuse("auto", "leaving the directory stops nothing: inactivity_timeout does", "stop")
        self._retry(fields, keys)
        self._port(name, fields, keys)
        self._health(fields, keys)
        if watch := fields.texts("watch"):
            keys["watch"] = list(dict.fromkeys(watch))
        _hooks(fields, keys)
        _stop(fields, keys)
        for key in ("boot_start", "pty"):
            if fields.peek(key) is False:
                fields.take(key)
        command = self._command(fields)
        needs = self._needs(fields)
        fields.rest(_REASONS)
        source = f"{self.file}, daemon {name}"
        lines = {ours: fields.line(key) for ours, key in {"working_dir": "dir", "ports": "port"}.items()}
        lines |= {key: fields.line(key) for key in ("env", "watch", "hooks")}
        lines["health_check"] = next((fields.line(key) for key in _CHECKS if key in table), 0)
        unmapped = tuple(fields.unmapped)
        return Proposal(self.names[name], command, source, True, " ".join(notes), needs, keys, (), unmapped, lines)

    def _command(self, fields: Fields) -> str | list[str]:
        """`mise x --` before it where pitchfork would put that there."""
        value = fields.peek("run")
        mise = fields.flag("mise") if "mise" in fields else self.mise
        if isinstance(value, list):
            words = fields.texts("run")
            return ["mise", "x", "--", *words] if mise and words else words
        text = self._filled(fields, "run", fields.text("run") or "").strip()
        if not mise or not text:
            return text
        plain = re.fullmatch(r"[\w./=:@,+ -]+", text) and "=" not in text.split()[0]
        return f"mise x -- {text.removeprefix('exec ') if plain else shlex.join(['sh', '-c', text])}"

    def _needs(self, fields: Fields) -> tuple[Need, ...]:
        line = fields.line("depends")
        needs = []
        for text in fields.texts("depends"):
            namespace, _, name = text.rpartition("/")
            if namespace and namespace != self.namespace and name not in self.names:
                fields.note("depends", text, "of another project: activate that one for itself", "depends")
            else:
                needs.append(Need(self.names.get(name, name), "ready", "depends", line))
        return tuple(needs)

    def _variables(self, fields: Fields, key: str) -> dict[str, str]:
        found = {}
        for name, value in fields.variables(key).items():
            text = _TEMPLATE.sub(self._port_of, value or "")
            if "{{" in text:
                fields.note(f"{key}.{name}", text, "templates are not filled in: write what it should be", key)
            else:
                found[name] = text
        return found

    def _filled(self, fields: Fields, key: str, text: str) -> str:
        text = _TEMPLATE.sub(self._port_of, text)
        if "{{" in text and "}}" in text:
            fields.note(f"{key} (template)", text, "templates are not filled in: write what it should be", key)
        return text

    def _port_of(self, found: re.Match[str]) -> str:
        ports = self.ports.get(found[1], [])
        return str(ports[0]) if ports and ports[0] else found[0]

    def _retry(self, fields: Fields, keys: dict[str, Any]) -> None:
        value = fields.peek("retry")
        if isinstance(value, bool):
            fields.take("retry")
            keys |= {"restart": "on-failure"} if value else {}
        elif (count := fields.number("retry")) is not None and count > 0:
            keys |= {"restart": "on-failure", "max_restarts": min(count, 1_000_000)}

    def _port(self, name: str, fields: Fields, keys: dict[str, Any]) -> None:
        ports, bump = self.ports[name], _ports(self.daemons[name])[1]
        if 0 in ports:
            keys["ports"] = "auto"
        elif ports:
            keys["ports"] = list(dict.fromkeys(ports))
        if bump and 0 not in ports:
            key = "auto_bump_port" if "auto_bump_port" in fields else "port"
            fields.note(f"{key}.bump" if key == "port" else key, bump, _BUMP, key)
        for key in ("port", "expected_port", "auto_bump_port", "port_bump_attempts"):
            fields.take(key)

    def _health(self, fields: Fields, keys: dict[str, Any]) -> None:
        """One check: what tells readiness before what tells health, and the page before the port."""
        for key in _CHECKS:
            if key not in fields:
                continue
            if "health_check" in keys:
                fields.refuse(key, "one check tells both when it is ready and whether it is well")
            elif found := self._check(fields, key):
                keys["health_check"] = found
        if "ready_delay" in fields:
            has = "the health check tells" if "health_check" in keys else "give it a health_check, which tells"
            fields.refuse("ready_delay", f"{has} when it is ready")

    def _check(self, fields: Fields, key: str) -> object:
        main = {"http": "url", "port": "port", "cmd": "run", "output": "pattern"}[key.partition("_")[2]]
        timing: dict[str, Any] = {}
        if isinstance(fields.peek(key), Table):
            table = fields.fields(key)
            assert table is not None  # noqa: S101  for the type checker: it was just seen
            words = table.texts(main)
            timing = _timing(table, is_ready=key.startswith("ready"))
            table.rest({})
        else:
            words = fields.texts(key)
        if not words:
            return None
        text = self._filled(fields, key, words[0] if len(words) == 1 else shlex.join(words))
        if main != "url" and "status" in timing:
            del timing["status"]
        url = {"url": text, "port": f"tcp://localhost:{text}", "run": f"cmd://{text}", "pattern": f"log://{text}"}
        return check(url[main], timing)


def _timing(table: Fields, *, is_ready: bool) -> dict[str, Any]:
    timing: dict[str, Any] = {}
    for key in ("interval", "timeout"):
        text = table.text(key)
        seconds = go_seconds(text) if text else None
        if text and (seconds is None or seconds < 0.001):
            table.refuse(key, "not a duration", text)
        elif seconds is not None:
            timing["start_period" if is_ready and key == "timeout" else key] = duration(seconds)
    if (retries := table.number("retries")) is not None and retries > 0:
        timing["retries"] = min(retries, 10_000)
    if status := table.texts("status"):
        timing["status"] = list(dict.fromkeys(int(code) for code in status if code.isdecimal() and len(code) < 6))
    return timing


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _ports(table: Table) -> tuple[list[int], str]:
    """The ports that it expects, and what is said of others that will do; the older keys mean the same."""
    port = table.get("port", table.get("expected_port"))
    bump: object = table.get("auto_bump_port")
    if isinstance(port, Table):
        bump = port.get("bump", bump)
        port = port.get("expect")
    found = [each for each in (port if isinstance(port, list) else [port]) if isinstance(each, int)]
    return [each for each in found if not isinstance(each, bool)], (scalar(bump) or "") if bump else ""


def _hooks(fields: Fields, keys: dict[str, Any]) -> None:
    table = fields.fields("hooks")
    if table is None:
        return
    hooks = {}
    for theirs, ours in (("on_ready", "ready"), ("on_fail", "failed"), ("on_exit", "exited")):
        value = table.peek(theirs)
        if isinstance(value, Table):
            value = value.get("run")
        text = scalar(value) if not isinstance(value, list) else shlex.join(str(each) for each in value)
        if not text or not text.strip():
            continue
        table.take(theirs)
        hooks[ours] = text
        for variable in sorted(set(_OWN_VARIABLE.findall(text))):
            table.note(theirs, variable, "a hook has RUNCEPT_PROCESS, RUNCEPT_EXIT_CODE and the like", theirs)
    if hooks:
        keys["hooks"] = hooks
    table.rest({
        "on_retry": "there is no such event: failed and exited are",
        "on_stop": "exited is told of a stop as well",
        "on_output": "there is no such event: a log:// health check looks at lines",
    })  # fmt: skip


def _stop(fields: Fields, keys: dict[str, Any]) -> None:
    value = fields.peek("stop_signal")
    table = fields.fields("stop_signal") if isinstance(value, Table) else None
    text = table.text("signal") if table is not None else fields.text("stop_signal")
    if text and (name := signal(text)) is None:
        (table or fields).refuse("signal" if table else "stop_signal", "not a signal", text)
    elif text and name != "SIGTERM":
        keys["stop_signal"] = name
    if table is not None:
        given = table.text("timeout")
        seconds = go_seconds(given) if given else None
        if seconds is not None:
            keys["stop_timeout"] = duration(seconds)
        elif given:
            table.refuse("timeout", "not a duration", given)
        table.rest({})
