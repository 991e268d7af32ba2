"""$PORT in the URL of a health check: where it counts, and what it stands for."""

from __future__ import annotations

from typing import Any

import pytest

from runcept.config.health import parse_check_url
from runcept.core.check_port import resolved, variable_index
from runcept.core.model import HealthCheck, Probe


def check(url: str) -> HealthCheck:
    read = parse_check_url(url)
    return HealthCheck(read.url, read.probe, read.target)


@pytest.mark.parametrize(
    ("url", "shown", "target"),
    [
        ("http://localhost:$PORT/health", "http://localhost:4001/health", "http://localhost:4001/health"),
        ("http://localhost:$PORT", "http://localhost:4001", "http://localhost:4001"),
        ("https://[::1]:${PORT1}?deep=$PORT", "https://[::1]:4002?deep=$PORT", "https://[::1]:4002?deep=$PORT"),
        ("tcp://localhost:$PORT0", "tcp://localhost:4001", "localhost:4001"),
        ("tcp://[::1]:$PORT1", "tcp://[::1]:4002", "[::1]:4002"),
        ("http://localhost/a:$PORT/b", "http://localhost/a:$PORT/b", "http://localhost/a:$PORT/b"),
        ("http://localhost:80/:$PORT", "http://localhost:80/:$PORT", "http://localhost:80/:$PORT"),
        ("cmd://curl localhost:$PORT", "cmd://curl localhost:$PORT", "curl localhost:$PORT"),
        ("log://port:$PORT", "log://port:$PORT", "port:$PORT"),
    ],
)
def test_it_stands_for_a_port_in_the_place_of_a_port_alone(url: str, shown: str, target: str) -> None:
    """A dollar in a path or a query is a dollar; a command has the variable from its shell."""
    found = resolved(check(url), (4001, 4002))
    assert (found.url, found.target) == (shown, target)


def test_a_run_without_that_port_leaves_it_as_it_is() -> None:
    """The project file may have got its ports after the run was started."""
    for url, ports in (("tcp://h:$PORT", ()), ("tcp://h:$PORT1", (4001,))):
        assert resolved(check(url), ports) == check(url)


@pytest.mark.parametrize(
    ("text", "index"),
    [("$PORT", 0), ("$PORT0", 0), ("$PORT12", 12), ("${PORT}", 0), ("${PORT3}", 3)]
    + [(text, None) for text in ("PORT", "$PORTS", "$port", "$PORT01", "${PORT", "$PORT}", "$PORT-1", "80", "")],
)
def test_what_is_such_a_variable(text: str, index: Any) -> None:
    """As a shell writes it, with braces or without."""
    assert variable_index(text) == index


def test_the_index_is_known_when_the_file_is_read() -> None:
    """So that a process without that port is refused."""
    assert parse_check_url("http://h:$PORT2/").port_index == 2
    assert parse_check_url("tcp://h:$PORT").port_index == 0
    assert parse_check_url("tcp://h:80").port_index is None
    assert parse_check_url("cmd://echo $PORT").port_index is None
    assert check("tcp://h:$PORT").probe is Probe.TCP
