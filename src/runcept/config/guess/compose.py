"""Processes from a compose file: known servers without their container, commands as they are, the rest as comments."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from typing import NamedTuple

import msgspec

from runcept.config.guess.proposal import Proposal, name_from, readable_text
from runcept.config.guess.yaml_subset import NotUnderstood, Value, parse

__all__ = ["ComposeFile", "read_compose"]

_FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


class _Server(NamedTuple):
    """How a server that is known by its image runs on this machine; its data stays below .runcept."""

    program: str
    port: int
    command: str
    stop_signal: str = ""


_POSTGRES = _Server(
    "postgres",
    5432,
    "test -e {data}/PG_VERSION || initdb -D {data} -U postgres -A trust; exec postgres -D {data} -p {port} -k ''",
    "SIGINT",  # SIGTERM would wait until every client has gone
)
_REDIS = _Server("redis-server", 6379, "redis-server --port {port} --save ''")
_SERVERS = {
    "postgres": _POSTGRES,
    "postgresql": _POSTGRES,
    "postgis": _POSTGRES,
    "pgvector": _POSTGRES,
    "redis": _REDIS,
    "valkey": _Server("valkey-server", 6379, "valkey-server --port {port} --save ''"),
    "mysql": _Server(
        "mysqld",
        3306,
        'test -e {data}/mysql || mysqld --initialize-insecure --datadir="$PWD/{data}"; '
        'exec mysqld --datadir="$PWD/{data}" --port={port} --socket="$PWD/{data}/mysql.sock"',
    ),
    "mongo": _Server("mongod", 27017, "mkdir -p {data} && exec mongod --dbpath {data} --port {port}"),
    "memcached": _Server("memcached", 11211, "memcached -p {port}"),
    "rabbitmq": _Server("rabbitmq-server", 5672, "RABBITMQ_NODE_PORT={port} rabbitmq-server"),
    "nats": _Server("nats-server", 4222, "nats-server -p {port}"),
}


class ComposeFile(msgspec.Struct, frozen=True):
    """What a compose file says."""

    file: str = ""
    """Empty: there is none."""
    proposals: tuple[Proposal, ...] = ()
    needs: dict[str, tuple[str, ...]] = {}
    """`depends_on` by service, for processes of the same name that another file describes."""
    understood: bool = True


def read_compose(directory: str) -> ComposeFile:
    """The compose file of a directory."""
    file = next((name for name in _FILES if os.path.exists(os.path.join(directory, name))), "")
    try:
        services = parse(readable_text(os.path.join(directory, file))).get("services", {}) if file else {}
    except NotUnderstood:
        return ComposeFile(file, understood=False)
    tables = (
        {name: table for name, table in services.items() if isinstance(table, dict)}
        if isinstance(services, dict)
        else {}
    )
    proposals = tuple(_proposal(directory, file, name, table) for name, table in tables.items())
    return ComposeFile(file, proposals, {name_from(name, "service"): _needs(table) for name, table in tables.items()})


def _proposal(directory: str, file: str, service: str, table: dict[str, Value]) -> Proposal:
    name = name_from(service, "service")
    source = f"{file}, service {service}"
    server = _SERVERS.get(_image(table))
    if server is not None:
        return _run_server(server, name, source, table)
    command = _command(table)
    if command and "build" in table:
        ports = [port for _, port in _ports(table)]
        return Proposal(
            name,
            command,
            source,
            working_dir=_context(directory, table),
            depends_on=_needs(table),
            suggestions=(f"ports = {ports}",) if ports else (),
        )
    return Proposal(
        name,
        f"docker compose up --no-log-prefix {shlex.quote(service)}",
        source,
        active=False,
        note="Its command is in the Dockerfile." if "build" in table else "It needs its container.",
    )


def _run_server(server: _Server, name: str, source: str, table: dict[str, Value]) -> Proposal:
    port = next((host for host, _ in _ports(table)), server.port)
    here = shutil.which(server.program) is not None
    return Proposal(
        name,
        server.command.format(port=port, data=f".runcept/data/{name}"),
        source,
        active=here,
        note="" if here else f"{server.program} is not on PATH.",
        ports=(port,),
        health_check=f"tcp://localhost:{port}",
        stop_signal=server.stop_signal,
    )


def _image(table: dict[str, Value]) -> str:
    """`ghcr.io/x/redis:7-alpine` is redis."""
    image = table.get("image")
    return image.rpartition("/")[2].partition(":")[0].partition("@")[0] if isinstance(image, str) else ""


def _command(table: dict[str, Value]) -> str:
    command = table.get("command", "")
    if isinstance(command, list):
        command = shlex.join(part for part in command if isinstance(part, str))
    return command.replace("$$", "$").strip() if isinstance(command, str) else ""


def _context(directory: str, table: dict[str, Value]) -> str:
    build = table["build"]
    context = build.get("context", "") if isinstance(build, dict) else build
    if not isinstance(context, str) or "\0" in context or os.path.normpath(context) == ".":
        return ""
    return context if os.path.isdir(os.path.join(directory, context)) else ""


def _ports(table: dict[str, Value]) -> list[tuple[int, int]]:
    """The ports on this machine and in the container."""
    ports = table.get("ports", [])
    written = [port for port in ports if isinstance(port, str)] if isinstance(ports, list) else []
    found = [re.fullmatch(r"(?:[\d.]+:)??(?:(\d{1,5}):)?(\d{1,5})(?:/tcp)?", port) for port in written]
    pairs = [(int(match[1] or match[2]), int(match[2])) for match in found if match]
    return [pair for pair in dict.fromkeys(pairs) if all(1 <= port <= 65535 for port in pair)]


def _needs(table: dict[str, Value]) -> tuple[str, ...]:
    needed = table.get("depends_on", [])
    names = needed if isinstance(needed, list | dict) else []
    return tuple(name_from(name, "service") for name in names if isinstance(name, str))
