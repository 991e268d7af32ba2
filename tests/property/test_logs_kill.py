from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.support import wait_until

from runcept.logs.testing import SpoolFeeder
from runcept.logs.writer import LogWriter

KILLS = 25
WRITER = """
import sys
from runcept.logs.writer import LogWriter
writer = LogWriter(sys.argv[1], sys.argv[2])
while True:
    writer.pump(2000)
"""


def feed(feeder: SpoolFeeder, counts: list[int], enough: threading.Event) -> None:
    """Number lines on both streams, cut into reads anywhere, as long as the writers are being killed."""
    chance = random.Random(7)
    unfinished = [b"", b""]
    while not enough.is_set():
        stream = chance.randrange(2)
        counts[stream] += 1
        unfinished[stream] += b"%d %s\n" % (counts[stream], b"." * chance.randrange(200))
        cut = chance.randrange(len(unfinished[stream]) + 1)
        feeder.feed(stream, time.time_ns() // 1000, unfinished[stream][:cut])
        unfinished[stream] = unfinished[stream][cut:]
    for stream, rest in enumerate(unfinished):
        feeder.feed(stream, time.time_ns() // 1000, rest)


def test_kill_9_of_the_writer_loses_and_doubles_no_line(tmp_path: Path) -> None:
    """Writers are killed at random instants while output goes on: the log has lines 1..N, once each, in order."""
    log, run = tmp_path / ".runcept" / "logs" / "web.jsonl", tmp_path / "run"
    chance = random.Random(11)
    counts, enough = [0, 0], threading.Event()
    with SpoolFeeder(str(run), segment_bytes=50_000) as feeder:
        feeding = threading.Thread(target=feed, args=(feeder, counts, enough))
        feeding.start()
        try:
            for _ in range(KILLS):
                before = log.stat().st_size if log.exists() else 0
                with subprocess.Popen([sys.executable, "-c", WRITER, log, run]) as writer:
                    try:
                        wait_until(lambda size=before: log.exists() and log.stat().st_size > size, what="a record")
                        time.sleep(chance.random() / 50)  # the random instant
                    finally:
                        os.kill(writer.pid, signal.SIGKILL)
        finally:
            enough.set()
            feeding.join()
    last = LogWriter(str(log), str(run))
    last.finish()
    last.close()
    records = [json.loads(line) for line in log.read_bytes().splitlines()]
    for number, stream in enumerate(("stdout", "stderr")):
        found = [int(record["message"].split()[0]) for record in records if record["stream"] == stream]
        assert found == list(range(1, counts[number] + 1))
    assert sum(counts) > 1000
