"""Clients of `runcept mcp` that end, well or badly: the relay goes with them, and nothing else does."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from tests.chaos.stage import is_alive
from tests.e2e.conftest import Project
from tests.e2e.mcp_stage import PATIENCE, RawClient, daemon_calls, ended, hosts
from tests.e2e.test_recovery import daemon_pid, keeper_pid
from tests.support import wait_until

STEADY = '[project]\nname = "steady"\n[[process]]\nname = "web"\ncommand = ["sleep", "1000"]\n'


@pytest.fixture
def steady(project: Project) -> Iterator[Project]:
    """A project with a process that runs as long as it may."""
    project.write(STEADY)
    with ended(project):
        yield project


def test_the_relay_ends_when_its_client_says_no_more(steady: Project) -> None:
    """A client that closes its end has gone: exit 0, and a wait of its ends in the daemon as well."""
    with RawClient(steady) as client:
        client.call("start_process", name="web")
        wait_until(lambda: daemon_calls(steady) == 1, PATIENCE, "the host's own connection alone")
        client.begin("tools/call", {"name": "wait_for_process", "arguments": {"name": "web", "until": "exited"}})
        wait_until(lambda: daemon_calls(steady) > 1, PATIENCE, "the wait in the daemon")
        assert client.process.stdin
        client.process.stdin.close()
        assert client.process.wait(30) == 0
        wait_until(lambda: daemon_calls(steady) == 1, PATIENCE, "the end of the wait in the daemon")


def test_a_client_that_dies_with_its_process_group_takes_nothing_along(steady: Project) -> None:
    """What it started lives on, with those that look after it, and the next client finds it all."""
    with RawClient(steady) as client:
        (web,) = client.call("start_process", name="web")["processes"]
        living = [daemon_pid(steady), keeper_pid(steady), *hosts(steady), web["pid"]]
        assert client.process.pid not in {os.getpgid(pid) for pid in living}
        os.killpg(client.process.pid, signal.SIGKILL)
        client.process.wait(30)
    with RawClient(steady) as another:
        (found,) = another.call("list_processes")["processes"]
        assert (found["pid"], found["started_at"]) == (web["pid"], web["started_at"])
        assert [daemon_pid(steady), keeper_pid(steady), *hosts(steady), found["pid"]] == living
    assert all(map(is_alive, living))


@pytest.mark.parametrize(
    ("line", "code"), [("this is no JSON", -32700), ("[]", -32600), ('{"jsonrpc": "2.0", "id": 7}', -32600)]
)
def test_what_is_no_message_is_answered(steady: Project, line: str, code: int) -> None:
    """A client that sent nonsense is told so, instead of waiting for ever; and it can go on."""
    with RawClient(steady) as client:
        assert client.process.stdin
        assert client.process.stdout
        client.process.stdin.write(line + "\n")
        client.process.stdin.flush()
        assert f'"code": {code}' in client.process.stdout.readline()
        assert client.call("list_processes")["processes"]
