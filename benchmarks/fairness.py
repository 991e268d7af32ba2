"""What a noisy process costs the others: answers, and lines of its neighbours, while one and two write all they can.

And what a thousand that write a little cost daemon and keeper.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import quantiles

import psutil

from benchmarks.entry import warm_host
from benchmarks.measure import Figure, print_table, seconds
from benchmarks.stage import RUNCEPT, Stage, stage
from runcept.api.messages import Status

__all__ = ["TITLE", "figures"]

TITLE = "Noisy neighbours"
STORMS = ("storm-1", "storm-2")
LINE = "127.0.0.1 - GET /api/items?page=17&sort=name HTTP/1.1 200 5316 12.7ms worker-3 7f3a9c 0042 and so on"
PAUSE = 0.02  # seconds from one question, or one line, to the next
ROUNDS = 400
COMMANDS = 60
CLOCK = f"""
import time
while True:
    print(time.monotonic(), flush=True)
    time.sleep({PAUSE})
"""
PROJECT = f"""
[project]
name = "noisy"
[[process]]
name = "clock"
command = {json.dumps([sys.executable, "-c", CLOCK])}
""" + "".join(f'[[process]]\nname = "{name}"\ncommand = ["yes", "{LINE}"]\nautostart = false\n' for name in STORMS)

MANY = 1000
LINES_A_SECOND = 10
SECONDS = 20.0
QUIET = '[project]\nname = "many"\n' + "".join(
    f'[[process]]\nname = "p{number}"\ncommand = ["sleep", "1000000"]\n' for number in range(MANY)
)


def figures() -> Iterator[Figure]:
    """The same without a storm is the yardstick."""
    with stage(PROJECT) as here:
        here.runcept("activate")
        warm_host(here)
        calm = latencies(here)
        for count, name in enumerate(STORMS, 1):
            here.runcept("start", name)
            storms = f"{count} storm{'s' if count > 1 else ''}"
            for (what, limit), taken in latencies(here).items():
                yield Figure(f"{storms}: {what}", taken, "s", calm[what, limit], "without", limit)
    yield from many_writers()


def latencies(here: Stage) -> dict[tuple[str, float | None], float]:
    """The 99th percentile of each, with its limit."""
    return {
        ("status at the socket, p99", 0.05): percentile(list(answers(here))),
        ("runcept status, p95", None): quantiles(list(commands(here)), n=20)[-1],
        ("a line of another in its log, p99", 0.1): percentile(list(lines(here))),
    }


def percentile(taken: list[float]) -> float:
    """The 99th."""
    return quantiles(taken, n=100)[-1]


def answers(here: Stage) -> Iterator[float]:
    """Seconds from a question to its answer."""
    with here.connection() as connection:
        for _ in range(ROUNDS):
            yield seconds(lambda: connection.call("status", Status(environment=str(here.project))))
            time.sleep(PAUSE)


def commands(here: Stage) -> Iterator[float]:
    """Seconds of a whole command, by the warm host."""
    environ = os.environ | {"RUNCEPT_HOME": here.home}
    for _ in range(COMMANDS):
        yield seconds(
            lambda: subprocess.run(
                [RUNCEPT, "status"], cwd=here.project, env=environ, stdout=subprocess.DEVNULL, check=True
            )
        )


def lines(here: Stage) -> Iterator[float]:
    """Seconds from the `print` of a line until it stands in the log."""
    with Path(here.project, ".runcept", "logs", "clock.jsonl").open("rb") as log:
        log.seek(0, os.SEEK_END)
        count = 0
        while count < ROUNDS:
            data = log.readline()
            now = time.monotonic()
            if not data.endswith(b"\n"):
                log.seek(-len(data), os.SEEK_CUR)
                time.sleep(0.001)
                continue
            yield now - float(data.rpartition(b":")[2].strip(b'"}\n'))
            count += 1


def many_writers() -> Iterator[Figure]:
    """CPU of daemon and keeper together. The lines are written into the pipes of processes that do nothing."""
    with stage(QUIET) as here:
        here.runcept("activate")
        shown = here.document("status")["processes"]
        pids = [each["pid"] for each in shown]
        daemon = psutil.Process(here.document("daemon", "status")["pid"])
        keeper = psutil.Process(psutil.Process(pids[0]).ppid())
        before = used(daemon), used(keeper)
        time.sleep(SECONDS / 2)
        calm = [(used(each) - old) / SECONDS * 200 for each, old in zip((daemon, keeper), before, strict=True)]
        with writing(pids):
            time.sleep(2)
            before = used(daemon), used(keeper)
            time.sleep(SECONDS)
            busy = [(used(each) - old) / SECONDS * 100 for each, old in zip((daemon, keeper), before, strict=True)]
    what = f"{MANY} x {LINES_A_SECOND} lines/s, of one core"
    yield Figure(f"{what}: daemon and keeper", sum(busy), "%", limit=6.0)
    yield Figure(f"{what}: daemon", busy[0], "%", calm[0] or None, "silent")
    yield Figure(f"{what}: keeper", busy[1], "%", calm[1] or None, "silent")


@contextmanager
def writing(pids: list[int]) -> Iterator[None]:
    """So many lines a second into the stdout of each, evenly spread."""
    ending = threading.Event()
    line = f"{LINE}\n".encode()

    def write(pipes: list[int]) -> None:
        at = time.monotonic()
        while not ending.is_set():
            for number, pipe in enumerate(pipes):
                os.write(pipe, line)
                at += 1 / (LINES_A_SECOND * len(pipes))
                if number % 50 == 0:
                    time.sleep(max(0.0, at - time.monotonic()))

    with ExitStack() as stack:
        pipes = [os.open(f"/proc/{pid}/fd/1", os.O_WRONLY) for pid in pids]
        for pipe in pipes:
            stack.callback(os.close, pipe)
        thread = threading.Thread(target=write, args=(pipes,))
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()


def used(process: psutil.Process) -> float:
    """CPU seconds since its start."""
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    raise SystemExit(not print_table(TITLE, figures()))
