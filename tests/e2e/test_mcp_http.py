"""`runcept mcp http`: who may use it, that it serves both eras of the protocol, and how it begins and ends."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import stat
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx2
import psutil
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from tests.e2e.conftest import BIN, Project
from tests.e2e.mcp_stage import ERAS, LIST, Heard, until, watching

from runcept.mcp.resources import status_uri

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]

STEADY = '[project]\nname = "steady"\n[[process]]\nname = "web"\ncommand = ["sleep", "1000"]\n'
PING = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}'


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def steady(project: Project) -> Project:
    project.write(STEADY)
    return project


class Served:
    """A running `runcept mcp http`: its process, address and token."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout
        self.url = process.stdout.readline().strip()
        self.header = process.stdout.readline().strip().removeprefix("Authorization: ")

    def post(self, headers: Mapping[str, str]) -> int:
        """The status of a message with these headers beside the ones that are always needed."""
        place = urlsplit(self.url)
        connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=30)
        needed = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        with contextlib.closing(connection):
            connection.request("POST", place.path, PING, needed | headers)
            return connection.getresponse().status


@contextlib.contextmanager
def serving(project: Project, *arguments: str) -> Iterator[Served]:
    command = [BIN / "runcept", "mcp", "http", "--port", "0", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=project.path, env=project.environ, text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield Served(process)
        finally:
            process.kill()


class HttpAssistant(Client):
    """The official client over HTTP, and what it was told without having asked."""

    heard: Heard


@asynccontextmanager
async def assistant(served: Served, era: str) -> AsyncIterator[HttpAssistant]:
    mode = "legacy" if era == ERAS[0] else era
    heard = Heard()
    async with httpx2.AsyncClient(headers={"Authorization": served.header}, timeout=60) as web:
        transport = streamable_http_client(served.url, http_client=web)
        client = HttpAssistant(transport, mode=mode, message_handler=heard.hear, cache=None)  # type: ignore[arg-type]
        client.heard = heard
        async with client:
            yield client


def test_only_who_has_the_token_is_served(steady: Project) -> None:
    """Without it, or with another, 401; it says which kind of authorization it wants."""
    with serving(steady) as served:
        assert served.header.startswith("Bearer ")
        for wrong in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": served.header[:-1]}):
            assert served.post(wrong) == 401
        assert served.post({"Authorization": served.header}) not in {401, 403, 421}


def test_pages_in_a_browser_cannot_reach_it(steady: Project) -> None:
    """A request under a foreign name (DNS rebinding) is misdirected, one from a foreign page is forbidden."""
    with serving(steady) as served:
        allowed = {"Authorization": served.header}
        assert served.post(allowed | {"Host": "evil.example.com"}) == 421
        assert served.post(allowed | {"Origin": "https://evil.example.com"}) == 403
        assert served.post(allowed | {"Host": "localhost:1"}) not in {401, 403, 421}


@pytest.mark.parametrize("era", ERAS)
async def test_clients_of_both_eras_work_over_http(steady: Project, era: str) -> None:
    """Calls without a project are about the one where it was started; resources, prompts and progress are there."""
    words = []

    async def progress(_: float, __: float | None, said: str | None) -> None:
        words.append(said)

    with serving(steady) as served:
        async with assistant(served, era) as client:
            started = await client.call_tool("start_process", {"name": "web"}, progress_callback=progress)
            assert started.structured_content is not None
            assert started.structured_content["ok"]
            assert any("web" in (each or "") for each in words)
            assert status_uri(str(steady.path)) in {str(r.uri) for r in (await client.list_resources()).resources}
            assert (await client.get_prompt("debug_process", {"process": "web"})).messages


@pytest.mark.parametrize("era", ERAS)
async def test_two_sessions_hear_of_what_each_of_them_watches(steady: Project, era: str) -> None:
    """One server serves both, and keeps apart what they subscribed to."""
    other = Project(steady.path.parent / "other", steady.home, steady.environ)
    other.path.mkdir()
    other.write(STEADY.replace("steady", "other"))
    mine, yours = status_uri(str(steady.path)), status_uri(str(other.path))
    with serving(steady) as served:
        steady.run("activate")
        other.run("activate")
        pids = [each.processes()["web"]["pid"] for each in (steady, other)]
        async with (
            assistant(served, era) as first,
            assistant(served, era) as second,
            watching(first, [mine]) as mine_heard,
            watching(second, [yours]) as yours_heard,
        ):
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            await until(lambda: mine in mine_heard and yours in yours_heard, "an update for each")
            assert {*mine_heard} - {LIST} == {mine}
            assert {*yours_heard} - {LIST} == {yours}


def test_the_token_is_for_its_owner_and_outlives_a_restart(steady: Project) -> None:
    """The file is of mode 0600, and a client that was set up once need not be set up again."""
    with serving(steady) as served:
        token = served.header
    file = steady.home / "mcp.token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token == f"Bearer {file.read_text(encoding='ascii').strip()}"
    with serving(steady) as again:
        assert again.header == token


async def test_ctrl_c_ends_it_as_a_command_ends(steady: Project) -> None:
    """Exit 130, and not a word on stderr, also while a client listens; what runs goes on."""
    with serving(steady) as served:
        async with assistant(served, ERAS[0]) as client:
            await client.call_tool("start_process", {"name": "web"})
            served.process.send_signal(signal.SIGINT)
            await until(lambda: served.process.poll() is not None, "the end of the server")
        assert served.process.returncode == 130
        assert served.process.stderr
        assert served.process.stderr.read() == ""
    assert steady.processes()["web"]["state"] == "running"


def test_a_port_that_is_taken_is_named(steady: Project) -> None:
    """Exit 1, one sentence and a hint."""
    with serving(steady) as served:
        port = str(urlsplit(served.url).port)
        done = steady.run("mcp", "http", "--port", port, ok=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"port {port} cannot be used: address already in use" in done.stderr
    assert "Traceback" not in done.stderr
    assert "--port" in done.stderr


def test_it_listens_on_the_loopback_interface_alone(steady: Project) -> None:
    """Nobody on the network can reach it."""
    with serving(steady) as served:
        listening = [each.laddr.ip for each in psutil.Process(served.process.pid).net_connections("inet")]
        assert listening == ["127.0.0.1"]
