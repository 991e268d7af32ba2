"""Servers that are known by the name of their image: how they run on this machine without a container."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Server", "server_of"]


class Server(NamedTuple):
    """How one runs; its data stays below .runcept."""

    program: str
    port: int
    command: str
    """With {port} and {data}."""
    stop_signal: str = ""


_POSTGRES = Server(
    "postgres",
    5432,
    "test -e {data}/PG_VERSION || initdb -D {data} -U postgres -A trust; exec postgres -D {data} -p {port} -k ''",
    "SIGINT",  # SIGTERM would wait until every client has gone
)
_REDIS = Server("redis-server", 6379, "redis-server --port {port} --save ''")
_SERVERS = {
    "postgres": _POSTGRES,
    "postgresql": _POSTGRES,
    "postgis": _POSTGRES,
    "pgvector": _POSTGRES,
    "redis": _REDIS,
    "valkey": Server("valkey-server", 6379, "valkey-server --port {port} --save ''"),
    "mysql": Server(
        "mysqld",
        3306,
        'test -e {data}/mysql || mysqld --initialize-insecure --datadir="$PWD/{data}"; '
        'exec mysqld --datadir="$PWD/{data}" --port={port} --socket="$PWD/{data}/mysql.sock"',
    ),
    "mongo": Server("mongod", 27017, "mkdir -p {data} && exec mongod --dbpath {data} --port {port}"),
    "memcached": Server("memcached", 11211, "memcached -p {port}"),
    "rabbitmq": Server("rabbitmq-server", 5672, "RABBITMQ_NODE_PORT={port} rabbitmq-server"),
    "nats": Server("nats-server", 4222, "nats-server -p {port}"),
}


def server_of(image: str) -> Server | None:
    """`ghcr.io/x/redis:7-alpine` is redis."""
    return _SERVERS.get(image.rpartition("/")[2].partition(":")[0].partition("@")[0])
