"""A keeper to test with: started in a home of its own, spoken to over its socket, ended with all that it holds."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support import wait_until

import runcept

__all__ = ["Bench", "bench", "spool"]

PROGRAM = str(Path(runcept.__file__).parent / "keeper")


class Bench:
    """One home, the keeper of it, and a connection that has said hello."""

    def __init__(self, home: str, options: Sequence[str]) -> None:
        self.home, self.options = home, list(options)
        self.path = os.path.join(home, "k.sock")
        self.keepers: list[subprocess.Popen[str]] = []
        self.socket: socket.socket | None = None
        self.events: list[dict[str, Any]] = []
        self.pids: set[int] = set()
        self._buffer = b""
        self._last_id = 0

    @property
    def keeper(self) -> subprocess.Popen[str]:
        """The keeper that was started last."""
        return self.keepers[-1]

    def start(self) -> subprocess.Popen[str]:
        """Start a keeper, without waiting."""
        command = [sys.executable, "-I", "-S", "-X", "utf8", PROGRAM, self.home, self.path, *self.options]
        nothing, told = subprocess.DEVNULL, subprocess.PIPE
        self.keepers.append(
            subprocess.Popen(
                command, stdin=nothing, stdout=nothing, stderr=told, text=True, cwd="/", start_new_session=True
            )
        )
        return self.keeper

    def connect(self, restart: Sequence[str] | None = None) -> dict[str, Any]:
        """Say hello, as a new daemon does."""
        self.hang_up()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        wait_until(self._try_connect, what="the keeper's socket")
        return self.ask("hello", restart=restart)

    def _try_connect(self) -> bool:
        assert self.socket is not None
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            self.socket.connect(self.path)
            return True
        return False

    def hang_up(self) -> None:
        """Close the connection without a word."""
        if self.socket is not None:
            self.socket.close()
        self.socket, self._buffer = None, b""

    def request(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Ask, and give the whole answer; events that arrive meanwhile are kept."""
        self._last_id += 1
        self.tell(operation, id=self._last_id, **parameters)
        while True:
            message = self._message()
            if message.get("id") == self._last_id:
                return message
            self.events.append(message)

    def ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Ask, and give the result."""
        answer = self.request(operation, **parameters)
        assert "result" in answer, answer
        return dict(answer["result"])

    def tell(self, operation: str, **parameters: Any) -> None:
        """Send and expect nothing."""
        assert self.socket is not None
        self.socket.sendall(json.dumps({"op": operation, **parameters}).encode() + b"\n")

    def _message(self) -> dict[str, Any]:
        assert self.socket is not None
        while b"\n" not in self._buffer:
            chunk = self.socket.recv(65536)
            assert chunk, "the keeper hung up"
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return dict(json.loads(line))

    def event(self, matches: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first event that matches, waiting for it."""
        while True:
            for event in self.events:
                if matches(event):
                    return event
            self.events.append(self._message())

    def exited(self, key: str) -> dict[str, Any]:
        """The event that a run has ended."""
        return self.event(lambda event: event.get("event") == "exited" and event["key"] == key)

    def directory(self, key: str) -> str:
        """Where a run is kept."""
        return os.path.join(self.home, "runs", key)

    def spawn_request(
        self, key: str, argv: Sequence[str], env: Mapping[str, str] | None = None, cwd: str = "/", meta: Any = None
    ) -> dict[str, Any]:
        """Ask for a process, and give the whole answer: an error also of one that was forked, and is released then."""
        answer = self.request("spawn", **self.parameters(key, argv, env, cwd, meta))
        if "result" in answer:
            how = self.event(lambda event: event["event"] in {"begun", "exited"} and event["key"] == key)
            if how["event"] == "exited":
                self.ask("release", key=key)
                step, number = how["failed"].split()
                return {"error": {"strerror": step, "errno": int(number)}}
        return answer

    def parameters(
        self, key: str, argv: Sequence[str], env: Mapping[str, str] | None = None, cwd: str = "/", meta: Any = None
    ) -> dict[str, Any]:
        """Those of a spawn."""
        environment = {"PATH": os.environ["PATH"]} if env is None else dict(env)
        directory = self.directory(key)
        return {"key": key, "directory": directory, "argv": list(argv), "env": environment, "cwd": cwd, "meta": meta}

    def spawn(self, key: str, argv: Sequence[str], **more: Any) -> dict[str, Any]:
        """Start a process, and give the result."""
        answer = self.spawn_request(key, argv, **more)
        assert "result" in answer, answer
        self.pids.add(answer["result"]["pid"])
        return dict(answer["result"])

    def python(self, key: str, code: str, **more: Any) -> dict[str, Any]:
        """Start a Python program."""
        return self.spawn(key, [sys.executable, "-I", "-S", "-c", code], **more)

    def finish(self, key: str, code: str, **more: Any) -> list[tuple[int, bytes]]:
        """Run a Python program to its end and give what it wrote."""
        self.python(key, code, **more)
        self.exited(key)
        self.ask("release", key=key)
        return spool(self.directory(key))

    def output(self, key: str) -> bytes:
        """What a run has written to stdout so far, as spooled."""
        return b"".join(chunk for stream, chunk in spool(self.directory(key)) if stream == 0)

    def is_full(self, key: str) -> bool:
        """Whether a run's stdout is all but full, so that its writer blocks."""
        pipe = os.open(os.path.join(self.directory(key), "stdout"), os.O_RDONLY | os.O_NONBLOCK)
        try:
            waiting = int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
            return waiting > 0.8 * fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)
        finally:
            os.close(pipe)

    def stop(self) -> None:
        """End everything that was started here."""
        self.hang_up()
        for pid in self.pids:
            for end in (os.kill, os.killpg):
                with contextlib.suppress(ProcessLookupError):
                    end(pid, signal.SIGKILL)
        for keeper in self.keepers:
            keeper.kill()
            keeper.wait()
            assert keeper.stderr is not None
            keeper.stderr.close()


def spool(directory: str) -> list[tuple[int, bytes]]:
    """The (stream, bytes) of a run, in order, empty batches left out, as the index says."""
    found: list[tuple[int, bytes]] = []
    for raw in sorted(Path(directory).glob("*.raw")):
        data, start = raw.read_bytes(), int(raw.stem, 16)
        entries = list(struct.iter_unpack("<QQ", raw.with_suffix(".index").read_bytes()))
        ends = [offset for offset, _ in entries[1:]] + [start + len(data)]
        for (offset, moment), end in zip(entries, ends, strict=bool(entries)):
            assert abs((moment >> 1) / 1e6 - time.time()) < 3600
            if chunk := data[offset - start : end - start]:
                found.append((moment & 1, chunk))
    return found


@contextlib.contextmanager
def bench(*options: str) -> Iterator[Bench]:
    """A started keeper that has been said hello to."""
    with tempfile.TemporaryDirectory(prefix="runcept-", ignore_cleanup_errors=True) as home:
        made = Bench(home, options)
        try:
            made.start()
            made.connect()
            yield made
        finally:
            made.stop()
