"""Each kind of probe, against real servers and commands: the answer, its sentence, and its bound."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.support import free_ports, hanging_directory, wait_until

from runcept.core.model import HealthCheck, Probe
from runcept.process import linux, members
from runcept.process.identity import start_time
from runcept.process.probes import ProbeResult, probe

SHELL = ("/bin/sh", "-c")


def ask(url: str, timeout: float = 5.0, env: dict[str, str] | None = None, cwd: str = "/", **more: Any) -> ProbeResult:
    """One probe by URL, from outside of any loop."""
    scheme, _, rest = url.partition("://")
    kind = {"http": Probe.HTTP, "https": Probe.HTTP, "tcp": Probe.TCP, "cmd": Probe.CMD}[scheme]
    check = HealthCheck(url, kind, url if kind is Probe.HTTP else rest, timeout=timeout, **more)
    return asyncio.run(probe(check, cwd=cwd, env=env or {"PATH": os.environ["PATH"]}, shell=SHELL))


async def served(
    answer: Callable[[bytes], bytes | None],
    scene: Callable[[int], Awaitable[ProbeResult]],
    host: str = "127.0.0.1",
) -> ProbeResult:
    """What a scene gets from a server that answers each request by `answer`; None: never."""
    writers = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        reply = answer(await reader.readuntil(b"\r\n\r\n"))
        if reply is not None:
            writer.write(reply)
            writer.close()

    server = await asyncio.start_server(talk, host, 0)
    async with server:
        result = await scene(server.sockets[0].getsockname()[1])
        for writer in writers:
            writer.close()
    return result


def http(
    answer: Callable[[bytes], bytes | None], path: str = "/health", host: str = "127.0.0.1", **more: Any
) -> ProbeResult:
    """One probe of a server made for it."""

    async def scene(port: int) -> ProbeResult:
        name = f"[{host}]" if ":" in host else host
        url = f"http://{name}:{port}{path}"
        return await probe(HealthCheck(url, Probe.HTTP, url, **more), cwd="/", env={}, shell=SHELL)

    return asyncio.run(served(answer, scene, host))


@pytest.mark.parametrize(
    ("status", "accepted", "ok"),
    [(200, (), True), (204, (), True), (302, (), True), (404, (), False), (503, (), False), (503, (503,), True)],
)
def test_http_status_decides(status: int, accepted: tuple[int, ...], ok: bool) -> None:
    """2xx and 3xx are healthy, unless the check says which."""
    result = http(lambda _: b"HTTP/1.1 %d Whatever\r\n\r\nbody" % status, status=accepted)
    assert (result.ok, result.detail) == (ok, f"GET /health answered {status}")


def test_http_request_is_as_a_browser_would_send_it() -> None:
    """The whole path with its query, the host with its port, no reuse of the connection."""
    asked: list[bytes] = []

    def answer(request: bytes) -> bytes:
        asked.append(request)
        return b"HTTP/1.0 200 OK\r\n\r\n"

    assert http(answer, path="/a/b?c=d&e").ok
    lines = asked[0].decode().split("\r\n")
    assert lines[0] == "GET /a/b?c=d&e HTTP/1.1"
    assert any(line.startswith("Host: 127.0.0.1:") for line in lines)
    assert "Connection: close" in lines


def test_http_over_ipv6() -> None:
    """An address in brackets."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 on this machine")
    assert http(lambda _: b"HTTP/1.1 200 OK\r\n\r\n", host="::1").ok


def test_http_failures_are_said_in_words() -> None:
    """Nobody there, nothing said, nonsense said, no answer in time, a name that nobody has."""
    [port] = free_ports(1)
    assert ask(f"http://localhost:{port}/").detail == f"http://localhost:{port}/ refused the connection"
    assert "closed the connection without an answer" in http(lambda _: b"").detail
    assert "does not speak HTTP" in http(lambda _: b"220 mail.example.org ESMTP\r\n").detail
    assert "does not speak HTTP" in http(lambda _: b"x" * 100_000).detail
    late = http(lambda _: None, timeout=0.2)
    assert "no answer within 200ms" in late.detail
    assert 0.2 <= late.seconds < 2
    assert "cannot be resolved" in ask("http://no-such-host.invalid/", timeout=20).detail


def test_tcp_tries_both_families_of_localhost() -> None:
    """A server that listens at ::1 alone, as some do, is found."""
    families = [(socket.AF_INET, "127.0.0.1")] + ([(socket.AF_INET6, "::1")] if socket.has_ipv6 else [])
    for family, address in families:
        with socket.create_server((address, 0), family=family) as server:
            port = server.getsockname()[1]
            assert ask(f"tcp://localhost:{port}").ok
            assert ask(f"tcp://{'[::1]' if family is socket.AF_INET6 else address}:{port}").ok
        assert ask(f"tcp://localhost:{port}").detail == f"tcp://localhost:{port} refused the connection"


def test_command_is_healthy_when_it_ends_with_zero(tmp_path: Path) -> None:
    """It runs in the process's directory and environment; its last line is in the sentence."""
    assert ask("cmd://true").ok
    result = ask('cmd://pwd; echo "$WORD"; exit 3', cwd=str(tmp_path), env={"WORD": "said äö"})
    assert (result.ok, result.detail.rpartition("` ")[2]) == (False, "exited with 3: said äö")
    assert ask("cmd://kill -9 $$").detail == "`kill -9 $$` was killed by SIGKILL"
    assert ask("cmd://kill -37 $$").detail == "`kill -37 $$` was killed by SIGRTMIN+3"  # SIGRTMIN is 34 here
    missing = ask("cmd://true", cwd="/no/such/place")
    assert (missing.ok, "/no/such/place" in missing.detail) == (False, True)


def test_a_directory_that_hangs_holds_up_its_check_alone(tmp_path: Path) -> None:
    """The loop goes on meanwhile, and the time of the check is up when it is."""
    ticks: list[float] = []

    async def scene() -> ProbeResult:
        async def tick() -> None:
            while True:
                ticks.append(time.monotonic())
                await asyncio.sleep(0.05)

        ticking = asyncio.create_task(tick())
        check = HealthCheck("cmd://true", Probe.CMD, "true", timeout=2)
        result = await probe(check, cwd=str(tmp_path / "hanging"), env=dict(os.environ), shell=SHELL)
        ticking.cancel()
        return result

    with hanging_directory(tmp_path / "hanging"):
        result = asyncio.run(scene())
    assert "no answer within 2s" in result.detail
    assert max(later - earlier for earlier, later in pairwise(ticks)) < 1.5


def test_command_is_ended_with_all_it_started_at_its_timeout(tmp_path: Path) -> None:
    """The timeout holds also for a child that ignores SIGTERM and for one that keeps the output open."""
    pids = tmp_path / "pids"
    result = ask(f"cmd://trap '' TERM; sleep 60 & echo $! $$ > {pids}; wait; sleep 60", timeout=0.5)
    assert not result.ok
    assert "no answer within 500ms" in result.detail
    for pid in map(int, pids.read_text().split()):
        wait_until(lambda pid=pid: start_time(pid) is None, what="the end of the command")


def test_command_that_leaves_something_behind_delays_nothing() -> None:
    """Its own end counts, not that of a child which inherited its output."""
    begun = time.monotonic()
    assert ask("cmd://echo fine; sleep 30 & true").ok
    assert time.monotonic() - begun < 5


def test_what_a_command_leaves_behind_is_known_by_its_tag(tmp_path: Path) -> None:
    """When it has ended its pid may be anybody's: nothing is killed by it any more, and what is left is the run's."""
    check = HealthCheck("", Probe.CMD, f"sleep 60 & echo $! > {tmp_path}/left", timeout=20)
    tag = members.tag({"A": "test of probes"}, str(tmp_path))
    assert asyncio.run(probe(check, cwd="/", env=dict(os.environ), shell=SHELL, tag=tag)).ok
    left = int((tmp_path / "left").read_text())
    try:
        with os.fdopen(os.pidfd_open(left), "rb", closefd=True) as end:
            assert not select.select([end], [], [], 0.2)[0], "it was killed"
        found = linux.entry(left)
        assert found is not None
        assert not found.is_zombie
        assert linux.tag_of(left) == tag
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(left, signal.SIGKILL)


def test_command_that_says_a_lot_does_not_block() -> None:
    """A megabyte does not fit into a pipe; it is read and forgotten but for the last line."""
    result = ask("cmd://head -c 1000000 /dev/zero | tr '\\0' 'x'; echo; echo last; false")
    assert result.detail.endswith("exited with 1: last")


@pytest.mark.parametrize("url", ["tcp://localhost:$PORT", "http://localhost:$PORT/"])
def test_a_port_that_the_run_was_not_given_is_an_answer(url: str) -> None:
    """Of a run that was started before its project file had `ports`."""
    answer = ask(url)
    assert (answer.ok, answer.detail) == (False, f"{url} names a port that this run was not given")
