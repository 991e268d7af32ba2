from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.support import wait_until

from runcept.core.model import LogLimits
from runcept.logs.compressor import Compressor
from runcept.logs.reader import read
from runcept.logs.rotation import Rotation, rotated
from runcept.logs.testing import SpoolFeeder
from runcept.logs.writer import LogWriter

KILLS = 16
LIMITS = LogLimits(max_size=15_000, keep=10_000)
WRITER = """
import sys
from runcept.core.model import LogLimits
from runcept.logs.compressor import Compressor
from runcept.logs.rotation import Rotation
from runcept.logs.writer import LogWriter
compressor = Compressor(settle_seconds=0)
rotation = Rotation(sys.argv[1], LogLimits(max_size=15_000, keep=10_000), compressor)
writer = LogWriter(sys.argv[1], sys.argv[2], run=1, rotation=rotation)
while True:
    writer.pump(20_000)
"""


def feed(feeder: SpoolFeeder, counts: list[int], enough: threading.Event) -> None:
    """Number lines on both streams, cut into reads anywhere, about as fast as they are logged."""
    chance = random.Random(7)
    unfinished = [b"", b""]
    while not enough.wait(0.002):
        for _ in range(8):
            stream = chance.randrange(2)
            counts[stream] += 1
            unfinished[stream] += b"%d %s\n" % (counts[stream], b"." * chance.randrange(200))
            cut = chance.randrange(len(unfinished[stream]) + 1)
            feeder.feed(stream, time.time_ns() // 1000, unfinished[stream][:cut])
            unfinished[stream] = unfinished[stream][cut:]
    for stream, rest in enumerate(unfinished):
        feeder.feed(stream, time.time_ns() // 1000, rest)


def done(log: Path, kind: str) -> int:
    """How many files were rotated, or compressed, so far: none is ever removed."""
    names = [name for _, name in rotated(str(log))]
    return len(names) if kind == "rotation" else sum(name.endswith(".gz") for name in names)


def test_kill_9_at_any_instant_loses_and_doubles_no_line_of_a_log_that_is_rotated(tmp_path: Path) -> None:
    """Writer and compressor are killed while they rotate every few milliseconds: lines 1..N, once each, in order."""
    log, run = tmp_path / ".runcept" / "logs" / "web.jsonl", tmp_path / "run"
    chance = random.Random(11)
    counts, enough = [0, 0], threading.Event()
    with SpoolFeeder(str(run), segment_bytes=50_000) as feeder:
        feeding = threading.Thread(target=feed, args=(feeder, counts, enough))
        feeding.start()
        try:
            for kind in ("rotation", "compression") * (KILLS // 2):
                before = done(log, kind)
                with subprocess.Popen([sys.executable, "-c", WRITER, log, run]) as writer:
                    try:
                        wait_until(lambda what=kind, count=before: done(log, what) > count, 30, kind)
                        time.sleep(chance.random() / 50)  # the random instant
                    finally:
                        os.kill(writer.pid, signal.SIGKILL)
        finally:
            enough.set()
            feeding.join()
    compressor = Compressor()
    last = LogWriter(str(log), str(run), run=1, rotation=Rotation(str(log), LIMITS, compressor))
    last.finish()
    last.close()
    compressor.end()
    lines = read({"web": str(log)}, lines=None).lines
    for number, stream in enumerate(("stdout", "stderr")):
        found = [int(line.message.split()[0]) for line in lines if line.stream == stream]
        assert found == list(range(1, counts[number] + 1))
    assert done(log, "rotation") >= KILLS
    assert done(log, "compression") >= KILLS // 2
    assert sum(counts) > 1000
