"""What tests of every kind share: waiting with a bound, free ports, programs that a machine may lack."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from glob import glob
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

__all__ = ["free_ports", "hanging_directory", "has_ended", "program", "running", "stays", "wait_until"]

T = TypeVar("T")


def stays(condition: Callable[[], object], seconds: float) -> None:
    """For so long it is true, whenever one looks: what must not happen would have happened by then."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert condition()
        time.sleep(0.05)


def wait_until(condition: Callable[[], T], seconds: float = 30, what: str = "the condition") -> T:
    """The first true value of `condition`, asked every 20 ms; the test fails once `seconds` are over."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come true within {seconds:g} s")
        time.sleep(0.02)
    return value


def has_ended(process: psutil.Process) -> bool:
    """Whether it is no more; a zombie is not."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # between the two
        return True


def free_ports(count: int) -> list[int]:
    """Different TCP ports of 127.0.0.1 that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def program(name: str) -> str:
    """The path of a program that the machine may lack: the test is skipped where it is missing, but in CI it fails."""
    debian_postgres = sorted(glob("/usr/lib/postgresql/*/bin"), reverse=True)  # not on PATH there
    found = shutil.which(name, path=os.pathsep.join([*os.environ["PATH"].split(os.pathsep), *debian_postgres]))
    if found is None:
        reason = f"{name} is not installed here"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{reason}, and CI installs it")
        pytest.skip(reason)
    return found


@contextlib.contextmanager
def hanging_directory(path: Path, seconds: float = 20) -> Iterator[None]:
    """Whoever looks into `path` within the `with` waits, at most so long: a file system whose server says nothing.

    The test is skipped where that cannot be made: it takes root and /dev/fuse, fuse(4).
    """
    path.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        server = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        pytest.skip(f"no file system can be made to hang here: {error}")
    # Not by closing what serves it: a fork that waits in there may have that open as well.
    given_up = threading.Timer(seconds, libc.umount2, [os.fsencode(path), 1])  # MNT_FORCE: all that wait get an error
    try:
        options = f"fd={server},rootmode=40000,user_id={os.geteuid()},group_id={os.getegid()},allow_other"
        if libc.mount(b"hanging", os.fsencode(path), b"fuse", 0, options.encode()):
            pytest.skip(f"no file system can be made to hang here: {os.strerror(ctypes.get_errno())}")
        given_up.start()
        yield
    finally:
        given_up.cancel()
        for flag in (1, 2):  # MNT_FORCE, MNT_DETACH
            libc.umount2(os.fsencode(path), flag)
        os.close(server)


@contextlib.contextmanager
def running(command: Sequence[str | os.PathLike[str]], **attributes: Any) -> Iterator[subprocess.Popen[str]]:
    """A program of the test's own (text streams), killed when the `with` is over, however it went."""
    with subprocess.Popen(command, text=True, **attributes) as process:
        try:
            yield process
        finally:
            process.kill()
