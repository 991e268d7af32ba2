"""The program that campaigns run as every process: it does what its kind does, and leaves evidence that outlives it.

`python -I -S actor.py DIRECTORY KIND`, standard library only; a server listens on $PORT. Evidence in DIRECTORY: a line
of JSON in `journal` for each process that begins, and for each that finds another copy of itself alive; and NAME.RUN,
mapped memory that holds how many lines were begun and done, and how it means to end: written before it ends, readable
after any death.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import random
import signal
import socket
import struct
import sys
import time

COUNTS = struct.Struct("<6q")
"""Lines begun and done on stdout, begun and done on stderr, intent, and 1 once SIGTERM is handled."""
NO_INTENT = -1000
"""Else an exit code, or a signal as a negative number."""


def start_time(pid: int | str = "self") -> int:
    """proc_pid_stat(5), field 22."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19])


class Evidence:
    """What this run leaves behind. `NAME.lock` is held by it and by whatever it forks."""

    def __init__(self, directory: str) -> None:
        self.name, self.run = os.environ["RUNCEPT_PROCESS"], int(os.environ["RUNCEPT_RUN"])
        self.directory = directory
        lock = os.open(os.path.join(directory, f"{self.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        self.say("began")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            counts = os.open(os.path.join(directory, f"{self.name}.{self.run}"), os.O_RDWR | os.O_CREAT | os.O_EXCL)
        except OSError:
            self.say("double")
            raise
        os.ftruncate(counts, COUNTS.size)
        self.memory = mmap.mmap(counts, COUNTS.size)
        self.put(4, NO_INTENT)

    def say(self, what: str) -> None:
        entry = {"what": what, "name": self.name, "run": self.run, "pid": os.getpid(), "start_time": start_time()}
        entry["at"] = time.time()
        journal = os.open(os.path.join(self.directory, "journal"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(journal, json.dumps(entry).encode() + b"\n")
        os.close(journal)

    def put(self, field: int, value: int) -> None:
        struct.pack_into("<q", self.memory, 8 * field, value)

    def get(self, field: int) -> int:
        value: int = struct.unpack_from("<q", self.memory, 8 * field)[0]
        return value


class Actor:
    """Numbers its lines on both streams until it is told to end, or wants to."""

    def __init__(self, evidence: Evidence, *, heeds_term: bool) -> None:
        self.evidence = evidence
        self.told = False
        signal.signal(signal.SIGTERM, self._heed if heeds_term else signal.SIG_IGN)
        evidence.put(5, 1)

    def _heed(self, _number: int, _frame: object) -> None:
        self.told = True

    def write(self, stream: int, count: int) -> None:
        """`count` lines: counted as begun before, and as done once they are in the pipe."""
        begun, done = 2 * stream, 2 * stream + 1
        first = self.evidence.get(begun) + 1
        head = f"{self.evidence.run} {stream}"
        self.evidence.put(begun, first + count - 1)
        rest = memoryview("".join(f"{head} {number}\n" for number in range(first, first + count)).encode())
        while rest:
            rest = rest[os.write(1 + stream, rest) :]
        self.evidence.put(done, first + count - 1)

    def end(self, intent: int) -> None:
        """Say how, and end."""
        self.evidence.put(4, intent)
        if intent >= 0:
            os._exit(intent)
        signal.signal(-intent, signal.SIG_DFL)
        os.kill(os.getpid(), -intent)
        signal.pause()

    def count(self, seconds: float, burst: int, pause: float) -> None:
        """Write for so long, or until told to end."""
        until = time.monotonic() + seconds
        while not self.told and time.monotonic() < until:
            self.write(random.randrange(2), random.randrange(1, burst + 1))
            time.sleep(pause)


def leave_behind(evidence: Evidence) -> None:
    """A grandchild in a session of its own, without an environment, deaf to what is polite."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            evidence.say("child")
            code = "import time; time.sleep(1000)"
            os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", code], {})
        os._exit(0)


def main(directory: str, kind: str) -> None:
    """Be of a kind until the end."""
    evidence = Evidence(directory)
    actor = Actor(evidence, heeds_term=kind != "stubborn")
    with contextlib.ExitStack() as stack:
        if kind == "server":
            stack.enter_context(socket.create_server(("127.0.0.1", int(os.environ.get("PORT", "0")))))
        if kind == "stubborn" or (kind == "flaky" and random.random() < 0.3):
            leave_behind(evidence)
        if kind == "flaky":
            actor.count(random.random() / 2, 20, 0.01)
            actor.end(0 if actor.told else random.choice([0, 1, 3, 255, -signal.SIGSEGV, -signal.SIGABRT, -40]))
        if kind == "quits":
            actor.count(0.1, 20, 0.01)
            actor.end(0 if actor.told else 3)
        while not actor.told:
            actor.count(60, 600 if kind == "storm" else 5, 0.02)
        actor.write(0, 1)  # the last words
        actor.end(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
