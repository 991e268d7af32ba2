"""docker-compose.yml: services that run from the sources as processes of this machine, the others by docker compose.

A service is of the sources when it has a command and is built, or has the sources mounted. Its container's keys become
those of a process. What is only an image needs its container, and `docker compose up` runs that in the foreground with
all that the file says of it: networks, volumes, secrets.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from runcept.config.command import exec_simple
from runcept.config.importing.checks import duration, signal
from runcept.config.importing.compose_keys import (
    FILE_REASONS,
    REASONS,
    DurationOf,
    condition_of,
    health_of,
    ports_of,
    restart_of,
    size_of,
    watch_of,
)
from runcept.config.importing.dockerfile import command_of, place_of
from runcept.config.importing.draft import Draft, Need, Proposal, names_for
from runcept.config.importing.interpolation import filled, for_shell, names_in, own_reference, quoted, resolved
from runcept.config.importing.servers import Server, server_of
from runcept.config.importing.values import Fields, Table, Unmapped
from runcept.config.importing.writing import toml_line
from runcept.config.toml_source import scalar

__all__ = ["COMPOSE_FILES", "from_compose"]

COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_SHELLS = re.compile(r"(/usr)?(/bin/)?(ba|da|a)?sh")
_CONTAINER_STOP = 20.0  # seconds that docker needs on top of what it gives a container
_FOR_SHELLS = ("command", "entrypoint", "environment", "test")
"""Keys whose references are not put in when the file is read."""
_ABSOLUTE = re.compile(r"(?<![\w.:/@-])/(?!dev/|bin/|usr/|tmp/|proc/|health|api)[\w.-]+(?:/[\w.-]+)+", re.ASCII)
_ALTERNATIVE_MAX = 110  # characters
_HOST_NAME = re.compile(r"(HOST|HOSTNAME|SERVER|ADDR|ADDRESS)$", re.IGNORECASE)


def from_compose(
    table: Table, file: str, directory: str, known: Mapping[str, str], here: Callable[[str], bool] | None = None
) -> Draft:
    """What a compose file says.

    `file` is its name in `directory`, `known` what `.env` beside it holds. With `here`, which tells whether a program
    is on this machine, servers that are known run without their container, and one that cannot is no active process.
    """
    top = Fields(table)
    return _File(top, file, directory, known, here).draft()


class _File:
    """One compose file while it is read."""

    def __init__(
        self, top: Fields, file: str, directory: str, known: Mapping[str, str], here: Callable[[str], bool] | None
    ) -> None:
        self.top, self.file, self.directory, self.known, self.here = top, file, directory, known, here
        services = top.take("services")
        self.services = {name: each for name, each in (services or {}).items() if isinstance(each, Table)}
        for name, each in (services or {}).items() if isinstance(services, Table) else ():
            if name not in self.services and not name.startswith("x-"):
                top.unmapped.append(Unmapped(f"services.{name}", scalar(each) or "", "expected a table", 0))
        self.services = {name: filled(self._extended(each), known, _FOR_SHELLS) for name, each in self.services.items()}
        self.names = names_for(self.services, "service")
        self.sources = {name for name, each in self.services.items() if _is_of_sources(each)}
        self.ports = {name: ports_of(each.get("ports"), known)[0] for name, each in self.services.items()}
        self.checked = {name for name, each in self.services.items() if _has_check(each)}
        self.tasks = {
            name
            for each in self.services.values()
            if isinstance(needs := each.get("depends_on"), Table)
            for name, need in needs.items()
            if isinstance(need, Table) and need.get("condition") == "service_completed_successfully"
        }

    def draft(self) -> Draft:
        """All of it."""
        processes = tuple(self._process(name, each) for name, each in self.services.items())
        project: dict[str, Any] = {}
        if name := self.top.text("name"):
            project["name"] = resolved(name, self.known) or name
        if self.sources:
            self.top.rest(FILE_REASONS)
        else:
            for key in ("networks", "volumes", "secrets", "configs", "models"):
                self.top.take(key)  # docker compose goes on reading them
            self.top.rest(FILE_REASONS)
        return Draft(processes, project, tuple(self.top.unmapped))

    def _extended(self, table: Table, depth: int = 0) -> Table:
        """A service with what it extends in the same file; its own keys win, variables are put together."""
        extends = table.get("extends")
        base_name = extends.get("service") if isinstance(extends, Table) and "file" not in extends else extends
        base = self.services.get(base_name) if isinstance(base_name, str) else None
        if base is None or depth > len(self.services):
            return table
        base = self._extended(base, depth + 1)
        both = Table({**base, **table}, {**base.lines, **table.lines})
        del both["extends"]
        if isinstance(base.get("environment"), Table) and isinstance(table.get("environment"), Table):
            both["environment"] = Table({**base["environment"], **table["environment"]})
        return both

    def _process(self, name: str, table: Table) -> Proposal:
        fields = Fields(table)
        source = f"{self.file}, service {name}"
        server = server_of(str(table.get("image", "")))
        if self.here is not None and server is not None:
            return self._local_server(name, source, server)
        if name in self.sources:
            return self._of_sources(name, source, fields)
        return self._container(name, source, fields, server)

    def _local_server(self, name: str, source: str, server: Server) -> Proposal:
        here = self.here is not None and self.here(server.program)
        port = next((each.host for each in self.ports[name]), server.port)
        keys = {"ports": [port], "health_check": f"tcp://localhost:{port}"}
        return Proposal(
            self.names[name],
            server.command.format(port=port, data=f".runcept/data/{self.names[name]}"),
            source,
            active=here,
            note="" if here else f"{server.program} is not on PATH.",
            keys=keys | ({"stop_signal": server.stop_signal} if server.stop_signal else {}),
        )

    def _of_sources(self, name: str, source: str, fields: Fields) -> Proposal:
        keys: dict[str, Any] = {}
        self._place(fields, keys)
        exports, notes = self._variables(fields, keys)
        command = _command(fields)
        notes += _elsewhere([command, *keys.get("env", {}).values()])
        if exports:
            command = "\n".join([*exports, exec_simple(command)])
        needs = self._common(name, fields, keys)
        ports, refused = ports_of(fields.take("ports"), self.known)
        listens = list(dict.fromkeys(each.inside for each in ports))
        if listens:
            keys["ports"] = listens
        for each in ports:
            if each.inside != each.host:
                why = f"it listens on {each.inside} here: nothing maps ports"
                fields.refuse("ports", why, f"{each.host}:{each.inside}")
        for value, why in refused:
            fields.refuse("ports", why, value)
        if url := health_of(fields, self._resolved, None):
            keys["health_check"] = url
        if text := fields.text("stop_signal"):
            keys["stop_signal"] = signal(text) or text
        if (grace := DurationOf(fields, "stop_grace_period").seconds) is not None:
            keys["stop_timeout"] = grace
        watch_of(fields, keys)
        fields.rest(REASONS)
        return Proposal(
            self.names[name],
            command,
            source,
            note=" ".join([*self._renamed(name), *notes]),
            needs=needs,
            keys=keys,
            unmapped=tuple(fields.unmapped),
            lines=_lines(fields),
        )

    def _container(self, name: str, source: str, fields: Fields, server: Server | None) -> Proposal:
        keys: dict[str, Any] = {}
        needs = self._common(name, fields, keys)
        own_file = [] if self.file in COMPOSE_FILES else ["-f", self.file]
        docker = shlex.join(["docker", "compose", *own_file])
        quoted = shlex.quote(name)
        ports = self.ports[name]
        if hosts := list(dict.fromkeys(each.host for each in ports)):
            keys["ports"] = hosts
        if url := health_of(fields, self._resolved, f"{docker} exec -T {quoted}"):
            keys["health_check"] = url
        built = "build" in fields
        if name in self.tasks:
            command = f"{docker} run --rm --no-deps -T {quoted}"
        else:
            command = f"{docker} up --no-deps --no-log-prefix {'--build ' if built else ''}{quoted}"
            grace = DurationOf(fields, "stop_grace_period").value
            keys["stop_signal"] = "SIGINT"  # as Ctrl-C: it then stops the container
            keys["stop_timeout"] = duration((10.0 if grace is None else grace) + _CONTAINER_STOP)
        note = "Its command is in the Dockerfile." if built else "It needs its container."
        notes = [note, *self._renamed(name)]
        if not ports and server is not None and name not in self.tasks:
            notes.append(
                f"It publishes no port: for programs outside of containers, add ports: "
                f'["127.0.0.1:{server.port}:{server.port}"] to the service in compose.override.yaml.'
            )
        return Proposal(
            self.names[name],
            command,
            source,
            active=self.here is None,
            note=" ".join(notes),
            needs=needs,
            keys=keys,
            suggestions=self._without_compose(name, fields, server),
            unmapped=tuple(fields.unmapped),
            lines=_lines(fields),
        )

    def _without_compose(self, name: str, fields: Fields, server: Server | None) -> tuple[str, ...]:
        """How else the image could run."""
        if self.here is not None or name in self.tasks:
            return ()
        if server is not None:
            port = next((each.host for each in self.ports[name]), server.port)
            command = server.command.format(port=port, data=f".runcept/data/{self.names[name]}")
            return (f"command = {toml_line(command)}  # without its container",)
        if "build" in fields:
            return self._as_its_dockerfile(fields)
        image = resolved(fields.text("image") or "", self.known)
        if not image:
            return ()
        options = [part for each in self.ports[name] for part in ("-p", f"{each.host}:{each.inside}")]
        for variable, value in fields.variables("environment").items():
            content = None if value is None else resolved(value, self.known)
            options += ["-e", variable if content is None else f"{variable}={content}"]
        if isinstance(fields.peek("volumes"), list):
            options += [part for each in fields.take("volumes") if isinstance(each, str) for part in ("-v", each)]
        words = _words(fields.take("command"))
        run = f"{shlex.join(['docker', 'run', '--rm', *options, image])} {words}".strip()
        return (f"command = {toml_line(run)}  # without compose",) if len(run) <= _ALTERNATIVE_MAX else ()

    def _as_its_dockerfile(self, fields: Fields) -> tuple[str, ...]:
        """The lines that would run it from the sources."""
        build = fields.peek("build")
        command = command_of(*place_of(self.directory, build))
        if not command:
            return ()
        context = os.path.normpath(str((build.get("context") if isinstance(build, Table) else build) or "."))
        place = () if context == "." else (f"working_dir = {toml_line(context)}",)
        return (f"command = {toml_line(command)}  # without its container, as its Dockerfile says", *place)

    def _renamed(self, name: str) -> list[str]:
        return [] if self.names[name] == name else [f"It was called {name}."]

    def _common(self, name: str, fields: Fields, keys: dict[str, Any]) -> tuple[Need, ...]:
        """What holds for containers as for processes."""
        if name in self.tasks:
            keys["kind"] = "task"
        if fields.texts("profiles"):
            keys["autostart"] = False
        restart_of(fields, keys, is_task=name in self.tasks)
        if logging := fields.fields("logging"):
            options = logging.fields("options")
            if options is not None and name in self.sources:
                size_of(options, keys)
            logging.rest({"driver": "its lines are in .runcept/logs"})
        return (*self._needs(fields), *self._links(fields))

    def _needs(self, fields: Fields) -> list[Need]:
        line = fields.line("depends_on")
        value = fields.take("depends_on")
        needs = []
        if isinstance(value, Table):
            for name, how in value.items():
                condition = condition_of(how, fields, name)
                needs.append(self._need(name, condition, line))
        elif isinstance(value, list):
            needs = [self._need(scalar(name) or "", "started", line) for name in value]
        return needs

    def _links(self, fields: Fields) -> list[Need]:
        line = fields.line("links")
        return [self._need(link.partition(":")[0], "started", line, "links") for link in fields.texts("links")]

    def _need(self, name: str, condition: str, line: int, key: str = "depends_on") -> Need:
        """Where nothing tells health, started and ready are one."""
        if condition == "started" and name not in self.checked and name not in self.tasks:
            condition = "ready"
        return Need(self.names.get(name, name), condition, key, line)

    def _place(self, fields: Fields, keys: dict[str, Any]) -> None:
        """Where a service of the sources runs: in its build context, or in what is mounted at its working_dir."""
        context = ""
        if isinstance(fields.peek("build"), Table):
            build = fields.fields("build")
            assert build is not None  # noqa: S101  for the type checker: it was just seen
            context = build.text("context") or ""
            build.rest(dict.fromkeys(("args", "dockerfile", "target"), "no image is built"))
        else:
            context = fields.text("build") or ""
        context = self._resolved(context) or ""
        inside = fields.text("working_dir")
        mounted = _mounted(fields.peek("volumes"))
        if inside is not None:
            found = next((at for at in mounted if inside == at or inside.startswith(at.rstrip("/") + "/")), None)
            if found is None:
                fields.refuse("working_dir", "a place in the container", inside)
            else:
                context = os.path.join(mounted[found], inside[len(found) :].strip("/"))
        if "://" in context or context.startswith(("git@", "github.com/")):
            fields.refuse("build", "the sources are elsewhere", context)
            context = ""
        context = os.path.normpath(context) if context else "."
        if context != "." and not (self.here and not os.path.isdir(os.path.join(self.directory, context))):
            keys["working_dir"] = context

    def _variables(self, fields: Fields, keys: dict[str, Any]) -> tuple[list[str], list[str]]:
        """Put env and env_files into the keys; the exports for the command, and what a person should know."""
        files = []
        listed = fields.take("env_file")
        for each in listed if isinstance(listed, list) else [listed]:
            path = each.get("path") if isinstance(each, Table) else each
            if isinstance(path, str) and (name := self._resolved(path)):
                files.append(os.path.normpath(name))
        if files:
            keys["env_files"] = files
        env: dict[str, str] = {}
        exports: list[str] = []
        hosts: dict[str, str] = {}
        for name, value in fields.variables("environment").items():
            if value is None or (own_reference(name, value) and (name in self.known or not resolved(value, {}))):
                continue  # the shell or .env says it, here as there
            text = resolved(value, self.known)
            local, changed = self._on_this_machine(name, value if text is None else text)
            hosts |= changed
            if text is not None:
                env[name] = local
            elif re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
                exports.append(f"export {name}={for_shell(local)}")
            else:
                fields.refuse("environment", f"{', '.join(sorted(names_in(value)))} is said nowhere", f"{name}={value}")
        if env:
            keys["env"] = env
        became = ", ".join(f"{there} became {here}" for there, here in hosts.items())
        return exports, [f"In its variables {became}."] if became else []

    def _on_this_machine(self, variable: str, text: str) -> tuple[str, dict[str, str]]:
        """A value with the names of other services as hosts made localhost, and which those were."""
        changed: dict[str, str] = {}
        if not self.services:
            return text, changed
        names = "|".join(map(re.escape, sorted(self.services, key=len, reverse=True)))
        found = re.compile(rf"(?P<before>^|://|@|,)(?P<host>{names})(?::(?P<port>\d{{1,5}}))?(?=[/,?]|$)", re.ASCII)

        def put(match: re.Match[str]) -> str:
            host, port = match["host"], match["port"]
            bare = not match["before"] and port is None
            if bare and not (match.end() == len(text) and _HOST_NAME.search(variable)):
                return match[0]
            there = f"{host}:{port}" if port else host
            outside = next((str(each.host) for each in self.ports[host] if str(each.inside) == port), port)
            if host in self.sources:
                outside = port
            changed[there] = f"localhost:{outside}" if port else "localhost"
            return f"{match['before']}{changed[there]}"

        return found.sub(put, text), changed

    def _resolved(self, text: str) -> str | None:
        return resolved(text, self.known)


def _elsewhere(texts: list[str]) -> list[str]:
    """A sentence about the paths in these texts that are of the container."""
    found = list(dict.fromkeys(path for text in texts if "://" not in text for path in _ABSOLUTE.findall(text)))[:4]
    if not found:
        return []
    return [f"{', '.join(found)} {'is a path' if len(found) == 1 else 'are paths'} in the container."]


def _lines(fields: Fields) -> dict[str, int]:
    theirs = {
        "env": "environment", "env_files": "env_file", "health_check": "healthcheck", "ports": "ports",
        "stop_signal": "stop_signal", "stop_timeout": "stop_grace_period", "max_restarts": "restart",
        "working_dir": "build", "log": "logging",
    }  # fmt: skip
    return {ours: fields.line(key) for ours, key in theirs.items()}


def _is_of_sources(table: Table) -> bool:
    commanded = bool(table.get("command") or (table.get("entrypoint") and "build" in table))
    return commanded and ("build" in table or "." in _mounted(table.get("volumes")).values())


def _has_check(table: Table) -> bool:
    check = table.get("healthcheck")
    return isinstance(check, Table) and "test" in check and check.get("disable") is not True


def _mounted(volumes: object) -> dict[str, str]:
    """Directories of the project by where they are in the container."""
    found = {}
    for each in volumes if isinstance(volumes, list) else ():
        source, _, target = str(each).partition(":")
        if isinstance(each, Table):
            source, target = str(each.get("source", "")), str(each.get("target", ""))
        target = target.partition(":")[0]
        if source.startswith(".") and target.startswith("/"):
            found[target] = os.path.normpath(source)
    return found


def _command(fields: Fields) -> str:
    """What the container would run, as one line for a shell."""
    return " ".join(filter(None, (_words(fields.take(key)) for key in ("entrypoint", "command"))))


def _words(value: object) -> str:
    if not isinstance(value, list):
        return (scalar(value) or "").replace("$$", "$").strip()
    texts = [text for text in map(scalar, value) if text is not None]
    if len(texts) == 3 and _SHELLS.fullmatch(texts[0]) and re.fullmatch(r"-[eux]*c", texts[1]):
        return texts[2].replace("$$", "$").strip()
    return " ".join(map(_word, texts))


def _word(text: str) -> str:
    plain = resolved(text, {}) if not names_in(text) else None
    return quoted(plain) if plain is not None else for_shell(text)
