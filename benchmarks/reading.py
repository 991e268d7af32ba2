"""A log of a gigabyte: its end, an instant, what an expression matches; and how soon a follower shows a line."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.big_log import BEGUN, SIZE, big_log
from benchmarks.entry import ALONE, in_turns_with, warm_host
from benchmarks.measure import Figure, print_table, repeat
from benchmarks.stage import RUNCEPT, Stage, stage
from runcept.core.model import LogLimits
from runcept.logs.compressor import Compressor
from runcept.logs.encoder import Encoder
from runcept.logs.reader import follow, read
from runcept.logs.rotation import Rotation
from runcept.logs.testing import SpoolFeeder
from runcept.logs.writer import LogWriter

__all__ = ["TITLE", "figures"]

TITLE = f"A log of {SIZE / 1e9:g} GB"
ROUNDS = 30
PROJECT = '[project]\nname = "big"\n[[process]]\nname = "web"\ncommand = "sleep 1000000"\n'
LAST = ["logs", "web", "-n", "100"]
LIMIT = 1.5
"""Times `runcept --version`, which only starts."""
SECONDS_LIMIT = SIZE / 300e6
PATTERNS = {
    "words that are nowhere": "no such words",
    "words whatever their case": "(?i)No Such Words",
    "words that most lines have, with others": "GET .*zzz",
    "digits: nothing to look for first": r"\d{9}x",
}
PROCESSES = 20
LINES = 1000


def figures() -> Iterator[Figure]:
    """By the command, as a user meets it; then without its start."""
    with stage(PROJECT) as here:
        log = Path(here.project, ".runcept", "logs", "web.jsonl")
        end = big_log(log)
        here.runcept("daemon", "start")
        warm_host(here)
        yield from commands(here)
        yield from searches(str(log), end)
        yield from merging(Path(here.home, "many"))
    yield from following()


def commands(here: Stage) -> Iterator[Figure]:
    """The last hundred lines, with the warm host and without one."""
    alone = [sys.executable, "-c", ALONE]
    for how, start in {"": [str(RUNCEPT)], ", without a host": alone}.items():
        for what, command in {"logs -n 100": LAST, "--json logs -n 100": ["--json", *LAST]}.items():
            taken, bare = in_turns_with(here, [*start, *command], [*start, "--version"], ROUNDS)
            limit = LIMIT * bare if command is LAST else None
            yield Figure(f"{what}{how}", taken, "s", bare, "--version, as it is started", limit)


def searches(log: str, end: int) -> Iterator[Figure]:
    """What has no start to hide behind."""
    grep = repeat(lambda: subprocess.run(["grep", "-c", "no such words", log], stdout=subprocess.PIPE, check=False), 3)
    middle = (BEGUN + end) / 2e6
    instant = repeat(partial(read, {"web": log}, since=middle, until=middle + 0.1, lines=None, tell_runs=False), 10)
    yield Figure("a tenth of a second in the middle", instant, "s", grep, "grep(1)")
    for what, pattern in PATTERNS.items():
        taken = repeat(partial(read, {"web": log}, grep=pattern), 3)
        yield Figure(f"--grep '{pattern}': {what}", taken, "s", grep, "grep(1) for words", SECONDS_LIMIT)


def merging(directory: Path) -> Iterator[Figure]:
    """Logs whose lines alternate."""
    directory.mkdir()
    logs = {f"p{number}": str(directory / f"p{number}.jsonl") for number in range(PROCESSES)}
    for number, path in enumerate(logs.values()):
        encoder = Encoder()
        records = (encoder.feed(0, BEGUN + each * PROCESSES + number, b"a line\n") for each in range(LINES))
        Path(path).write_bytes(b"".join(records))
    found = read(logs, lines=None).lines
    assert [line.ts for line in found] == sorted(line.ts or "" for line in found)
    one = repeat(partial(read, dict([*logs.items()][:1]), lines=LINES), 5) * PROCESSES
    taken = repeat(partial(read, logs, lines=PROCESSES * LINES), 5)
    yield Figure(f"{PROCESSES} logs of {LINES} lines, by time", taken, "s", one, "the same one by one")


def following() -> Iterator[Figure]:
    """From the write until the line is given, while the log is rotated ten times a second."""
    with stage(PROJECT) as here:
        log, run = str(here.project / ".runcept" / "logs" / "web.jsonl"), os.path.join(here.home, "run")
        compressor, ending, delays = Compressor(), threading.Event(), []
        rotation = Rotation(log, LogLimits(max_size=2000), compressor)
        with SpoolFeeder(run) as feeder:
            writer = LogWriter(log, run, run=1, rotation=rotation)

            def write() -> None:
                while not ending.is_set():
                    feeder.feed(0, time.time_ns() // 1000, b"%f\n" % time.monotonic())
                    writer.pump()
                    time.sleep(0.005)

            thread = threading.Thread(target=write)
            thread.start()
            for line in follow({"web": log}, lines=0):
                if line.event is None:
                    delays.append(time.monotonic() - float(line.message))
                if len(delays) == LINES:
                    break
            ending.set()
            thread.join()
            writer.close()
        compressor.end()
        here.runcept("daemon", "start")
    yield Figure("a followed line, from its write until it is given, median", median(delays), "s", limit=0.1)
    yield Figure("  the 99th of a hundred", sorted(delays)[LINES * 99 // 100], "s", limit=0.1)


if __name__ == "__main__":
    raise SystemExit(not print_table(TITLE, figures()))
