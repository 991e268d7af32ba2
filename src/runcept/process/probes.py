"""Asks once whether a process is healthy: an HTTP GET, a TCP connection, a command. `log://` is the log's matter.

Decides nothing: how often to ask and what an answer means is the scheduler's. Each probe ends within its timeout.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from runcept.core.model import HealthCheck, Probe
from runcept.core.secrets import mask, secret_values
from runcept.process.commands import last_line, run_command
from runcept.process.signals import name_of
from runcept.process.tcp import CLOSED_SECONDS
from runcept.units import format_duration

__all__ = ["ProbeResult", "own_ports", "probe"]

_STATUS_LINE_MAX = 8192
_TEXT_MAX = 200
_SUSPENDED_SECONDS = 0.5
"""A probe that takes so much longer than it may was not waiting: we were suspended, and the answer with us."""
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_used_ports: dict[int, float] = {}
"""The ports of our ends, with the instant (monotonic) of the connection."""
_PORTS_KEPT_SECONDS = 3 * CLOSED_SECONDS
"""A connection of ours is told of by the kernel for a minute after its end, which may come late."""
_LOCAL = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One answer. `detail` is a short sentence for a person, also of a success; `seconds` is what the probe took."""

    ok: bool
    detail: str
    seconds: float


async def probe(
    check: HealthCheck, *, cwd: str, env: Mapping[str, str], shell: Sequence[str], umask: int = 0o022, tag: int = 0
) -> ProbeResult:
    """Ask once; all but `check` is for cmd:// alone: `tag` marks what it leaves behind as the run's (linux.set_tag).

    Whatever goes wrong is an answer, not an error. Where its time ran out while we were suspended it is asked again.
    """
    ask = partial(_ask, check, cwd=cwd, env=env, shell=shell, umask=umask, tag=tag)
    result = await ask()
    if result.ok or result.seconds <= check.timeout + _SUSPENDED_SECONDS:
        return result
    return await ask()


async def _ask(
    check: HealthCheck, *, cwd: str, env: Mapping[str, str], shell: Sequence[str], umask: int, tag: int
) -> ProbeResult:
    begun = time.monotonic()
    try:
        async with asyncio.timeout(check.timeout):
            match check.probe:
                case Probe.HTTP:
                    ok, detail = await _http(check)
                case Probe.TCP:
                    ok, detail = await _tcp(check)
                case Probe.CMD:
                    ok, detail = await _command(check, cwd=cwd, env=env, shell=shell, umask=umask, tag=tag)
                case Probe.LOG:
                    raise AssertionError("a log:// check is answered by the log")
    except TimeoutError:
        ok, detail = False, f"no answer within {format_duration(check.timeout)} from {_short(check.url)}"
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, UnicodeError) as error:
        ok, detail = False, f"{_short(check.url)} {_reason(error)}"
    except ValueError:
        if check.probe is Probe.CMD:
            raise
        # $PORT, of a run that was started before the project file gave it one
        ok, detail = False, f"{_short(check.url)} names a port that this run was not given"
    return ProbeResult(ok, detail, time.monotonic() - begun)


async def _tcp(check: HealthCheck) -> tuple[bool, str]:
    host, _, port = check.target.rpartition(":")
    _, writer = await _connect(host.strip("[]"), int(port))
    await _hang_up(writer)
    return True, f"{check.url} accepted the connection"


async def _http(check: HealthCheck) -> tuple[bool, str]:
    url = urlsplit(check.target)
    trust = _trust(url.hostname or "") if url.scheme == "https" else None
    reader, writer = await _connect(url.hostname or "", url.port or (443 if trust else 80), trust)
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    try:
        request = f"GET {path} HTTP/1.1\r\nHost: {url.netloc.rpartition('@')[2]}\r\nUser-Agent: runcept\r\n"
        writer.write(f"{request}Accept: */*\r\nConnection: close\r\n\r\n".encode("ascii", errors="backslashreplace"))
        line = await reader.readuntil(b"\n")
    finally:
        await _hang_up(writer)
    version, _, rest = line.decode("latin-1").strip().partition(" ")
    number = rest[:3]
    if not version.startswith("HTTP/") or not number.isdigit():
        return False, f"{_short(check.url)} does not speak HTTP"
    status = int(number)
    ok = status in check.status if check.status else 200 <= status < 400
    return ok, f"GET {path} answered {status}"


def _trust(host: str) -> ssl.SSLContext:
    """Certificates are verified, except of this very machine, where development servers make their own."""
    context = ssl.create_default_context()
    if host in _LOCAL:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def _connect(host: str, port: int, trust: ssl.SSLContext | None = None) -> _Streams:
    """Try every address of the name in turn, for localhost both families whatever the name service says."""
    if host == "localhost":
        addresses = ["127.0.0.1", "::1"]
    else:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
    failures: list[OSError] = []
    for address in dict.fromkeys(addresses):
        try:
            streams = await asyncio.open_connection(
                address, port, ssl=trust, server_hostname=host if trust else None, limit=_STATUS_LINE_MAX
            )
        except OSError as error:
            failures.append(error)
        else:
            _used_ports[streams[1].get_extra_info("sockname")[1]] = time.monotonic()
            return streams
    raise failures[0]


def own_ports() -> Collection[int]:
    """The local ports from which probes have connected in the last minutes."""
    now = time.monotonic()
    for port in [port for port, at in _used_ports.items() if now - at > _PORTS_KEPT_SECONDS]:
        del _used_ports[port]
    return _used_ports.keys()


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    """Close without waiting for the other end: the answer is known."""
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _command(
    check: HealthCheck, *, cwd: str, env: Mapping[str, str], shell: Sequence[str], umask: int, tag: int
) -> tuple[bool, str]:
    said = bytearray()
    code = await run_command([*shell, check.target], cwd=cwd, env=env, umask=umask, tag=tag, said=said)
    how = f"exited with {code}" if code >= 0 else f"was killed by {name_of(-code)}"
    last = last_line(said)
    hidden = secret_values(env)
    return code == 0, f"`{_short(check.target)}` {how}" + (f": {_short(last, hidden)}" if last else "")


def _short(text: str, hidden: Sequence[str] = ()) -> str:
    """Masked before it is cut: half a secret would not be known as one."""
    text = mask(text[: 8 * _TEXT_MAX], hidden)
    return text if len(text) <= _TEXT_MAX else text[: _TEXT_MAX - 1] + "…"


def _reason(error: Exception) -> str:
    match error:
        case ConnectionRefusedError():
            return "refused the connection"
        case socket.gaierror() | UnicodeError():  # of a name that cannot be one, RFC 3490
            return "has a host name that cannot be resolved"
        case ssl.SSLError():
            return f"does not do TLS as it should: {error.reason or error}"
        case asyncio.IncompleteReadError() | ConnectionResetError() | BrokenPipeError():
            return "closed the connection without an answer"
        case asyncio.LimitOverrunError():
            return "does not speak HTTP"
    return f"cannot be asked: {(getattr(error, 'strerror', None) or str(error)).lower()}"
