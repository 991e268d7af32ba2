"""Assistants as real clients: the official Python client over stdio to `runcept mcp`, in both eras of the protocol."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

import mcp_types as t
import psutil
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.subscriptions import ResourcesListChanged, ResourceUpdated, SubscriptionLost
from tests.chaos.stage import is_alive, pids_of
from tests.e2e.conftest import BIN, Project
from tests.support import wait_until

__all__ = [
    "ERAS",
    "LIST",
    "PATIENCE",
    "RawClient",
    "assistant",
    "daemon_calls",
    "ended",
    "hosts",
    "kill",
    "until",
    "watching",
]

T = TypeVar("T")

ERAS = ("2025-11-25", "2026-07-28")
"""The versions of the protocol: the last with a handshake, and the first without."""
LIST = "list"
"""What `watching` calls a change of the list of resources."""
PATIENCE = 30.0


def hosts(project: Project) -> list[int]:
    """The MCP hosts of this home."""
    return pids_of(str(project.home), "runcept.mcp")


def kill(pid: int) -> None:
    """kill -9, and wait until it is no more."""
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid), what=f"the end of {pid}")


@contextlib.contextmanager
def ended(project: Project) -> Iterator[Project]:
    """The project, the MCP hosts of which are ended afterwards: they would stay for the next client."""
    try:
        yield project
    finally:
        for pid in hosts(project):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not hosts(project), what="the end of the MCP hosts")


async def until(condition: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """As `wait_until`, for tests that are coroutines."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not (value := condition()):
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"{what} did not come true within {seconds:g} s")
        await asyncio.sleep(0.02)
    return value


def daemon_calls(project: Project) -> int:
    """How many connections the daemon of the home has at this moment; the host's own, to hear of changes, is one."""
    (daemon,) = pids_of(str(project.home), "runcept.daemon")
    path = str(project.home / "daemon.sock")
    found = psutil.Process(daemon).net_connections("unix")
    return sum(each.laddr == path for each in found) - 1  # which is the one that listens


class Heard(list[str]):
    """URIs of resources that the client was told of, in this order; LIST for the list of them."""

    async def hear(self, message: object) -> None:
        match message:
            case t.ResourceUpdatedNotification():
                self.append(str(message.params.uri))
            case ResourceUpdated():
                self.append(str(message.uri))
            case t.ResourceListChangedNotification() | ResourcesListChanged():
                self.append(LIST)


class Assistant(Client):
    """The official client; `heard` is what it was told without having asked, in the era with a handshake."""

    heard: Heard


@asynccontextmanager
async def assistant(project: Project, era: str) -> AsyncIterator[Assistant]:
    """A client in the project's directory, with the bare environment that such clients give to what they start."""
    environ = {"RUNCEPT_HOME": str(project.home)}
    command = StdioServerParameters(command=str(BIN / "runcept"), args=["mcp"], cwd=project.path, env=environ)
    mode = "legacy" if era == ERAS[0] else era
    heard = Heard()
    bound = 2 * PATIENCE  # a call that is never answered fails the test
    client = Assistant(command, mode=mode, message_handler=heard.hear, cache=None, read_timeout_seconds=bound)
    client.heard = heard
    try:
        async with client:
            yield client
    except ExceptionGroup as group:  # a failed test is no more readable for having passed through the client's tasks
        raise _only(group) from None


def _only(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        (error,) = error.exceptions
    return error


@asynccontextmanager
async def watching(client: Assistant, uris: Sequence[str]) -> AsyncIterator[list[str]]:
    """What the client is told of these resources, and of their list (LIST), by the way of its era."""
    if client.protocol_version == ERAS[0]:
        for uri in uris:
            await client.subscribe_resource(uri)
        client.heard.clear()  # the list may have changed before
        yield client.heard
        return
    told = Heard()

    async def listen(subscription: AsyncIterator[object]) -> None:
        with contextlib.suppress(SubscriptionLost):
            async for event in subscription:
                await told.hear(event)

    async with client.listen(resource_subscriptions=uris, resources_list_changed=True) as subscription:
        listening = asyncio.ensure_future(listen(subscription))
        try:
            yield told
        finally:
            listening.cancel()


class RawClient:
    """A client of ours that says lines to `runcept mcp`; it leads a session, of which the relay is a part."""

    def __init__(self, project: Project) -> None:
        self.process = subprocess.Popen(
            [BIN / "runcept", "mcp"],
            cwd=project.path,
            env=project.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._asked = 0
        self._bound = threading.Timer(2 * PATIENCE, self.process.kill)  # what is never answered fails the test

    def __enter__(self) -> Self:
        about = {"protocolVersion": ERAS[0], "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
        self._bound.start()
        self.ask("initialize", about)
        self.say({"method": "notifications/initialized"})
        return self

    def __exit__(self, *_: object) -> None:
        self._bound.cancel()
        self.process.kill()
        self.process.__exit__(None, None, None)  # which closes the pipes

    def say(self, message: dict[str, Any]) -> None:
        """One message, without waiting for anything."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.process.stdin.flush()

    def begin(self, method: str, params: dict[str, Any]) -> int:
        """A request, the answer to which is not waited for; its id."""
        self._asked += 1
        self.say({"id": self._asked, "method": method, "params": params})
        return self._asked

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """A request, and its answer."""
        request = self.begin(method, params)
        assert self.process.stdout
        for line in self.process.stdout:
            message = json.loads(line)
            if message.get("id") == request:
                return dict(message)
        pytest.fail(f"{method}: the relay ended before it answered")

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured answer of a tool."""
        answer: dict[str, Any] = self.ask("tools/call", {"name": tool, "arguments": arguments})["result"]
        return dict(answer["structuredContent"])
