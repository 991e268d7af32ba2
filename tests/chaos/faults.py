"""What a campaign does to us beside kill -9: disks that fill, processes held still, clients that talk nonsense."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from runcept.paths import socket_path

__all__ = ["Later", "LogDisk", "hold_still", "let_go", "talk_nonsense"]

_SIZE = "2g"


class Later:
    """What is to be undone in a while; `join` waits until all of it was."""

    def __init__(self) -> None:
        self._timers: list[threading.Timer] = []

    def __call__(self, seconds: float, undo: Callable[[], object]) -> None:
        timer = threading.Timer(seconds, undo)
        timer.start()
        self._timers.append(timer)

    def join(self) -> None:
        """All is as it was."""
        for timer in self._timers:
            timer.join()
        self._timers.clear()


class LogDisk:
    """A file system of its own at the directory of the logs, where one can be mounted: it can be full, and not be."""

    def __init__(self, where: Path) -> None:
        self._where = where
        self.is_there = False

    def mount(self) -> None:
        """Where that cannot be (we are not root), the disk of the project is used, and never full."""
        self._where.mkdir(parents=True)
        self.is_there = os.geteuid() == 0 and self._mount("-t", "tmpfs", "-o", f"size={_SIZE},mode=700", "tmpfs")

    def keep(self) -> None:
        """Copy what is in it to where it stays."""
        if self.is_there:
            shutil.copytree(self._where, self._where.with_name("kept"))

    def unmount(self) -> None:
        """What was in it is gone."""
        if self.is_there:
            subprocess.run(["umount", "--lazy", self._where], check=True)
            self.is_there = False

    def fill(self) -> bool:
        """Leave room for nothing but what is there; whether that was possible."""
        status = os.statvfs(self._where)
        used = (status.f_blocks - status.f_bfree) * status.f_frsize
        return self.is_there and used > 0 and self._mount("-o", f"remount,size={used}")

    def empty(self) -> None:
        """There is room again."""
        self._mount("-o", f"remount,size={_SIZE}")

    def _mount(self, *arguments: str) -> bool:
        return not subprocess.run(["mount", *arguments, self._where], capture_output=True, check=False).returncode


def hold_still(pids: list[int]) -> None:
    """SIGSTOP; `let_go` with the same pids ends it."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)


def let_go(pids: list[int]) -> None:
    """SIGCONT."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def talk_nonsense(home: str, chance: random.Random) -> None:
    """Be a client that sends half a request, no request at all, or asks and leaves before the answer."""
    whole = b'{"jsonrpc": "2.0", "id": 1, "method": "ps"}\n'
    said = chance.choice(
        [
            whole[: chance.randrange(1, len(whole))],
            chance.randbytes(chance.randrange(1, 5000)),
            whole * chance.randrange(1, 50),
            b"[" * 100_000 + b"\n",
            b'{"jsonrpc": "2.0", "id": 1, "method": "status", "params": {"environment": "/\\u0000"}}\n',
        ]
    )
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        client.connect(socket_path(home))
        client.sendall(said)
        if chance.random() < 0.5:
            client.recv(1)
