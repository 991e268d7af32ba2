"""A server started, spoken to and ended as a client does it: a bare environment, pipes, a limit of time.

It is in a session of its own, so that whatever becomes of it ends with it, and nothing else does.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from typing import IO, NamedTuple

from runcept.cli.mcp_clients.handshake import Broken, Handshake, Works

__all__ = ["Launch", "probe"]

_BLOCK = 64 << 10
_STDERR_KEPT = 8 << 10
_TICK_SECONDS = 0.1
_POLL_SECONDS = 0.01
_GRACE_SECONDS = 3.0
"""How long it may take to end once its stdin is closed, and again once it was told to."""
_SHOWN = 160
_LOOK = "Start it by hand to see more; its stdin is what a client says."
_ON_PATH = "Put it there; or `runcept mcp install CLIENT --user`, which writes where it is."
_INSTALL = "`runcept mcp install CLIENT --user` writes where it is now."


class Launch(NamedTuple):
    """What is started, in which directory, with which variables and no others."""

    arguments: list[str]
    cwd: str
    environ: Mapping[str, str]


def probe(launch: Launch, limit_seconds: float) -> Works | Broken:
    """Whether a client could use what this starts."""
    try:
        program = _program(launch)
    except ValueError as error:
        return _refused(launch.arguments[0], error)
    if isinstance(program, Broken):
        return program
    try:
        with _started(launch, program) as server:
            talk, complaints = _talk(server, limit_seconds)
            ended = talk.verdict is None and _has_ended(server, 0)
    except (OSError, ValueError) as error:
        return _refused(program, error)
    if talk.verdict is not None:
        return talk.verdict
    end = f"it ended {_how(server.returncode)} before it answered {talk.waits_for}"
    how = end if ended else f"no answer to {talk.waits_for} within {limit_seconds:g}s"
    last = [line for line in complaints.decode(errors="replace").splitlines() if line.strip()][-1:]
    return Broken("".join([how, *(f": {_shortened(line.strip())}" for line in last)]), _LOOK)


def _program(launch: Launch) -> str | Broken:
    """The path of the program, found as execvpe(3) finds it."""
    if not os.path.isdir(launch.cwd):
        return Broken(f"there is no directory {launch.cwd} to start it in", "Make it, or correct `cwd`.")
    name, path = launch.arguments[0], launch.environ.get("PATH", "")
    place = os.path.join(launch.cwd, name) if "/" in name else shutil.which(name, path=path)
    if place is None:
        return Broken(f"there is no {name} on the PATH that it is given", _ON_PATH)
    if not os.path.exists(place):
        return Broken(f"there is no {name}", _INSTALL)
    if os.path.isdir(place) or not os.access(place, os.X_OK):
        return Broken(f"{name} is no program that may be run", _INSTALL)
    return place


def _refused(program: str, error: OSError | ValueError) -> Broken:
    """ValueError: of a name, an argument or a variable that execve(2) does not take."""
    why = (error.strerror if isinstance(error, OSError) else None) or str(error)
    if isinstance(error, FileNotFoundError):  # the file is there, so it is the interpreter that is not
        why = "its first line names an interpreter that is not there"
    return Broken(f"{program} cannot be started: {why[:1].lower()}{why[1:]}", _INSTALL)


@contextlib.contextmanager
def _started(launch: Launch, program: str) -> Iterator[subprocess.Popen[bytes]]:
    """The server; nothing of its process group is left when the `with` is over."""
    with subprocess.Popen(
        launch.arguments,
        executable=program,
        cwd=launch.cwd,
        env=dict(launch.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
    ) as server:
        try:
            yield server
        finally:
            _end(server)


def _end(server: subprocess.Popen[bytes]) -> None:
    """Close its stdin, which is how a client ends it; what does not end by that, or leaves others, is killed."""
    _pipe(server.stdin).close()
    for number in (signal.SIGTERM, signal.SIGKILL):
        if _has_ended(server, _GRACE_SECONDS):
            break
        _signal_all(server, number)
    _signal_all(server, signal.SIGKILL)
    server.wait()


def _signal_all(server: subprocess.Popen[bytes], number: int) -> None:
    """To its process group, whose number is its own as long as it is not reaped."""
    with contextlib.suppress(PermissionError):  # what macOS says of a group that holds but a zombie
        os.killpg(server.pid, number)


def _has_ended(server: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether it ends within the time. It is left unreaped."""
    import psutil

    process, deadline = psutil.Process(server.pid), time.monotonic() + seconds
    while process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _talk(server: subprocess.Popen[bytes], limit_seconds: float) -> tuple[Handshake, bytes]:
    """Until there is a verdict, the time is up, or it has ended; and the end of what it wrote to stderr."""
    deadline = time.monotonic() + limit_seconds
    talk, complaints = Handshake(), b""
    with selectors.DefaultSelector() as selector:
        for pipe in (server.stdout, server.stderr):
            selector.register(_pipe(pipe), selectors.EVENT_READ)
        _send(server, talk.begin())
        while talk.verdict is None and time.monotonic() < deadline:
            ready = selector.select(_TICK_SECONDS)
            if not ready and _has_ended(server, 0):
                break
            for key, _ in ready:
                block = os.read(key.fd, _BLOCK)
                if not block:
                    selector.unregister(key.fileobj)
                elif key.fileobj is server.stderr:
                    complaints = (complaints + block)[-_STDERR_KEPT:]
                else:
                    _send(server, talk.feed(block))
    return talk, complaints


def _send(server: subprocess.Popen[bytes], message: bytes) -> None:
    with contextlib.suppress(BrokenPipeError):  # it has ended, which is seen by its stdout
        _pipe(server.stdin).write(message)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # noqa: S101  it was started with three pipes
    return pipe


def _how(code: int) -> str:
    return f"with exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
