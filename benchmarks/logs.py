"""How fast output becomes log records and is read again, as ratios to `cat` and a bare interpreter in the same run."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.measure import Figure, bare_interpreter, print_table, repeat, seconds
from runcept.core.model import LogLimits
from runcept.logs.compressor import Compressor
from runcept.logs.encoder import Encoder
from runcept.logs.reader import read
from runcept.logs.rotation import Rotation, remove
from runcept.logs.testing import SpoolFeeder
from runcept.logs.writer import LogWriter

__all__ = ["TITLE", "figures"]

TITLE = "Output into logs, and logs read again"
AT = 1_795_334_400_000_000  # 2026-11-22T08:00:00Z
PIPE = 65_536  # bytes that one read of a full pipe gives
SIZE = 128 << 20
ROUNDS = 5
LINES = {
    "100-byte lines": b"127.0.0.1 - GET /api/items?page=17&sort=name HTTP/1.1 200 5316 12.7ms worker-3 7f3a9c 0042\n",
    "1-KB lines": b"lorem ipsum dolor sit amet, consectetur " * 25 + b"adipiscing elit, sed do\n",
    "100-byte lines of JSON": b'{"level":"info","path":"/api/items","status":200,"ms":12.7,"worker":"3","id":"7f3a"}\n',
}
LAST_HUNDRED = "import sys; from runcept.logs.reader import read; assert len(read({'web': sys.argv[1]}).lines) == 100"


def figures() -> Iterator[Figure]:
    """Writing, then reading."""
    with tempfile.TemporaryDirectory(prefix="runcept-bench-") as directory:
        for name, line in LINES.items():
            yield from measure_writing(Path(directory), name, line)
        yield from measure_rotation(Path(directory))
        yield from measure_reading(Path(directory))


def measure_writing(directory: Path, name: str, line: bytes) -> Iterator[Figure]:
    """`cat` to a file, the encoder alone, and spool to log with index, commit and deletion of segments, in turn."""
    data = line * (SIZE // len(line))
    source = directory / "source"
    source.write_bytes(data)
    cat, encode, whole = [], [], []
    for _ in range(ROUNDS):
        cat.append(seconds(lambda: copy(source, directory / "copy")))
        encode.append(seconds(lambda: encode_alone(data)))
        feed(directory / "run", data)
        with closing(LogWriter(log_of(directory), str(directory / "run"))) as writer:
            whole.append(seconds(partial(move, writer)))
        shutil.rmtree(directory / "run")
        Path(log_of(directory)).unlink()
    for what, times in {"encoder alone": encode, "spool to log": whole}.items():
        rate, reference = (len(data) / median(each) / 1e6 for each in (times, cat))
        yield Figure(f"{name}, {what}", rate, "MB/s", reference, "cat")


def measure_rotation(directory: Path) -> Iterator[Figure]:
    """The same with rotation at 50 MB and compression, beside the same without; then compression in full swing.

    The best rounds, not the median: the difference is small, and a busy machine would hide it.
    """
    line = LINES["100-byte lines"]
    data = line * (2 * SIZE // len(line))
    log, run = log_of(directory), str(directory / "run")
    times: dict[str, list[float]] = {"off": [], "on": [], "at once": []}
    for _ in range(ROUNDS):
        for how, each in times.items():
            feed(directory / "run", data)
            compressor = Compressor(0) if how == "at once" else Compressor()
            rotation = None if how == "off" else Rotation(log, LogLimits(), compressor)
            with closing(LogWriter(log, run, run=1, rotation=rotation)) as writer:
                each.append(seconds(partial(move, writer)))
            compressor.end()
            shutil.rmtree(run)
            remove(log)
    off = len(data) / min(times["off"]) / 1e6
    for what, how in {"rotation and compression": "on", "the same, compressed in the same moment": "at once"}.items():
        rate = len(data) / min(times[how]) / 1e6
        yield Figure(f"100-byte lines, spool to log, {what}", rate, "MB/s", off, "without")


def measure_reading(directory: Path) -> Iterator[Figure]:
    """The last hundred lines, and searches, of a big log whose run began at its first line."""
    line = LINES["100-byte lines"]
    data = line * (SIZE // len(line))
    feed(directory / "big", data)
    with closing(LogWriter(log_of(directory), str(directory / "big"))) as writer:
        writer.note("started", "run 1 started", run=1, at=AT / 1e6)
        move(writer)
    log = {"web": log_of(directory)}
    size = f"{Path(log_of(directory)).stat().st_size / 1e6:.0f} MB"
    bare = bare_interpreter()
    last = repeat(lambda: python(LAST_HUNDRED, log_of(directory)), ROUNDS * 2)
    yield Figure(f"{size}: last 100 lines, with interpreter", last, "s", bare, "a bare interpreter")
    command = ["grep", "-c", "no such words", log_of(directory)]
    grep = repeat(lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=False), 3)
    for what, query in {
        "last 100 lines": {"lines": 100},
        "since, by bisection": {"since": AT / 1e6 + 1e6, "lines": 100},
        "grep for what is not there": {"grep": "no such words"},
        "grep that has to decode each line": {"grep": r"\d{9}"},
    }.items():
        took = repeat(partial(read, log, **query), 3)  # type: ignore[arg-type]
        yield Figure(f"{size}: {what}", took, "s", grep, "grep(1) for what is not there")


def log_of(directory: Path) -> str:
    """The log of the one process of a project in `directory`."""
    return str(directory / ".runcept" / "logs" / "web.jsonl")


def copy(source: Path, target: Path) -> None:
    """`cat SOURCE > TARGET`."""
    with target.open("wb") as file:
        subprocess.run(["cat", source], stdout=file, check=True)
    target.unlink()


def encode_alone(data: bytes) -> None:
    """Records in memory, of reads as large as the writer makes them."""
    encoder = Encoder()
    for start in range(0, len(data), 4 * PIPE):
        encoder.feed(0, AT + start, data[start : start + 4 * PIPE])


def feed(run: Path, data: bytes) -> None:
    """A spool as the keeper leaves it: one index entry for each full pipe."""
    with SpoolFeeder(str(run)) as feeder:
        for start in range(0, len(data), PIPE):
            feeder.feed(0, AT + start, data[start : start + PIPE])


def move(writer: LogWriter) -> None:
    """All of the spool into the log."""
    while writer.pump():
        pass


def python(code: str, *arguments: str) -> None:
    """Start an interpreter for one statement."""
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)


if __name__ == "__main__":
    raise SystemExit(not print_table(TITLE, figures()))
