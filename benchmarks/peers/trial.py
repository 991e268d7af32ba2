"""One trial: a tool runs a program that writes, and it is watched until the last line is in the log."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from benchmarks.peers.lines import audit, number
from benchmarks.peers.results import Crowd, Outcome, Workload
from benchmarks.peers.tools import CROWD, Running, Tool, Tools
from benchmarks.peers.usage import Meter

__all__ = ["crowd", "trial"]

PRODUCER = [sys.executable, "-I", "-S", str(Path(__file__).with_name("producer.py"))]
NAME = "web"
START_SECONDS = 60.0
REST_SECONDS = 0.5  # what a tool does at its start is not what it costs to keep lines
LOOK_SECONDS = 0.1
POLL_SECONDS = 0.002
TAIL = 8192  # bytes at the end of a log that the last line is looked for in
QUIET_SECONDS = 3.0
"""A log that has not grown for so long after its program ended is as complete as it will be."""
LIMIT_SECONDS = 30.0


class Done(msgspec.Struct, frozen=True):
    """What the program says when it has written: when it began (monotonic), how many lines, its CPU seconds."""

    began: float
    lines: int
    cpu: float


def trial(tool: Tool, tools: Tools, workload: Workload, source: Path, seconds: float) -> Outcome:
    """The program writes for so many seconds at most; what is not in the log after LIMIT_SECONDS comes too late."""
    with tempfile.TemporaryDirectory(prefix="runcept-peers-", ignore_cleanup_errors=True) as directory:
        place = Path(directory).resolve()
        argv = [*PRODUCER, workload.how, str(place), NAME, str(source), str(workload.size), str(seconds)]
        with tool.start(tools, place, {NAME: argv}) as running:
            wait_until((place / f"{NAME}.ready").exists, START_SECONDS, f"{tool.name} starts a program")
            time.sleep(REST_SECONDS)
            meter = Meter(running.pids, {int((place / f"{NAME}.ready").read_text())})
            (place / "go").touch()
            done, last, finished = watch(place, running, meter)
            log = running.logs(NAME)
            books = audit(log, workload.size, done.lines if finished else None, tool.head, tool.tail)
    return Outcome(
        lines=done.lines,
        seconds=last - done.began,
        whole=books.whole,
        torn=books.torn,
        lost=books.lost,
        doubled=books.doubled,
        cpu=meter.cpu,
        memory=meter.peak,
        in_time=finished,
    )


def watch(place: Path, running: Running, meter: Meter) -> tuple[Done, float, bool]:
    """What the program says it has done, when its last line was there, and whether nothing is to come any more."""
    log, facts = running.logs(NAME), place / f"{NAME}.done"
    began = time.monotonic()
    while not facts.exists():
        meter.look()
        if time.monotonic() > began + LIMIT_SECONDS:
            raise TimeoutError("the program does not come to its end")
        time.sleep(LOOK_SECONDS)
    done = msgspec.json.decode(facts.read_bytes(), type=Done)
    end = number(done.lines - 1)
    looked_at = grown_at = time.monotonic()
    known = -1
    while end not in ending(log):
        now = time.monotonic()
        if (size := log.stat().st_size) != known:
            known, grown_at = size, now
        if now > began + LIMIT_SECONDS:
            meter.look(done.cpu)
            return done, now, False
        if now > grown_at + QUIET_SECONDS:
            break
        if now > looked_at + LOOK_SECONDS:
            looked_at = now
            meter.look(done.cpu)
        time.sleep(POLL_SECONDS)
    else:
        grown_at = time.monotonic()
    meter.look(done.cpu)
    return done, grown_at, True


def ending(log: Path) -> bytes:
    """The last bytes of a file."""
    with log.open("rb", buffering=0) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
        return file.read(TAIL)


def crowd(tool: Tool, tools: Tools, seconds: float, rounds: int, count: int = CROWD) -> Crowd:
    """So many programs that write ten lines a second each, and what that costs once all of them run."""
    with tempfile.TemporaryDirectory(prefix="runcept-peers-", ignore_cleanup_errors=True) as directory:
        place = Path(directory).resolve()
        names = [f"p{index}" for index in range(count)]
        commands: dict[str, Sequence[str]] = {name: [*PRODUCER, "slow", str(place), name] for name in names}
        with tool.start(tools, place, commands) as running:
            wait_until(
                lambda: sum(each.endswith(".ready") for each in os.listdir(place)) == count,
                4 * START_SECONDS,
                f"{tool.name} starts {count} programs",
            )
            logs = {running.logs(name) for name in names}
            time.sleep(10 * REST_SECONDS)
            others = {int(path.read_text(encoding="utf-8")) for path in place.glob("*.ready")}
            cpu, lines, spent, memory = [], 0, 0.0, 0.0
            for _ in range(rounds):
                before, began = newlines(logs), time.monotonic()
                meter = Meter(running.pids, others)
                started = time.monotonic()
                time.sleep(seconds)
                meter.look()
                cpu.append(100 * meter.cpu / (time.monotonic() - started))
                lines += newlines(logs) - before
                spent += time.monotonic() - began
                memory = max(memory, meter.peak)
    return Crowd(tool.name, cpu, lines / (spent * 10 * count), memory)


def newlines(logs: set[Path]) -> int:
    """Lines in all of them."""
    return sum(path.read_bytes().count(b"\n") for path in logs)


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """TimeoutError where it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.02)
