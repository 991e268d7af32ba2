from __future__ import annotations

import gzip
import os
import shutil
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.records import said, started
from tests.support import wait_until

from runcept.logs import files as files_module
from runcept.logs import search as search_module
from runcept.logs.encoder import Encoder
from runcept.logs.reader import Line, follow


class Follower:
    """Reads what `follow` gives in a thread, as a terminal would."""

    def __init__(self, paths: dict[str, str], **choice: Any) -> None:
        self.lines: list[Line] = []
        self.times: list[float] = []
        self._stop = threading.Event()
        self._rounds = 0
        self._lines = follow(paths, stop=self._idle, **choice)
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Begin, and wait until there is nothing more to show."""
        self._thread.start()
        self.settle()

    def settle(self) -> None:
        """Wait until everything that is there was shown."""
        rounds = self._rounds
        wait_until(lambda: self._rounds > rounds + 1, what="a look at the log")

    def end(self) -> None:
        """Stop following."""
        self._stop.set()
        self._thread.join(timeout=10)
        assert not self._thread.is_alive()

    def messages(self) -> list[str]:
        """What was shown so far."""
        return [line.message for line in self.lines]

    def _idle(self) -> bool:
        self._rounds += 1
        return self._stop.is_set()

    def _run(self) -> None:
        for line in self._lines:
            self.lines.append(line)
            self.times.append(time.monotonic())


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the log of `web` is, when it is."""
    return tmp_path / "logs" / "web.jsonl"


@pytest.fixture
def followed(log: Path) -> Iterator[Callable[..., Follower]]:
    """Begin to follow the log of `web`, and others that are named; all end with the test."""
    begun: list[Follower] = []

    def begin(*others: str, **choice: Any) -> Follower:
        paths = {path.stem: str(path) for path in [log, *(log.with_stem(name) for name in others)]}
        begun.append(Follower(paths, **choice))
        begun[-1].start()
        return begun[-1]

    yield begin
    for each in begun:
        each.end()


def append(log: Path, data: bytes) -> None:
    """Write at the end of a log, making it if needed."""
    log.parent.mkdir(exist_ok=True)
    with log.open("ab") as file:
        file.write(data)


def test_what_is_there_comes_first_then_what_is_written(log: Path, followed: Callable[..., Follower]) -> None:
    """The backlog is as long as asked for; nothing between it and what comes is missed or doubled."""
    append(log, started(3) + said(range(1, 9)))
    follower = followed(lines=2)
    assert follower.messages() == ["line 7", "line 8"]
    append(log, said([9]))
    append(log, started(4, 10) + said([11]))
    follower.settle()
    assert follower.messages()[2:] == ["line 9", "run 4 started", "line 11"]
    assert [line.run for line in follower.lines] == [3, 3, 3, 4, 4]


def test_a_line_is_shown_soon_after_it_was_written(log: Path, followed: Callable[..., Follower]) -> None:
    """Within 0.1 s, as the best of several tries shows; the others may have met a busy machine."""
    append(log, b"")
    follower = followed()
    delays = []
    for number in range(8):
        append(log, said([number]))
        written = time.monotonic()
        wait_until(lambda count=number: len(follower.times) > count, what="the line")
        delays.append(follower.times[number] - written)
    assert min(delays) < 0.1


def test_half_a_record_is_never_shown(log: Path, followed: Callable[..., Follower]) -> None:
    """A record appears once all of it is there."""
    record = said([1], "é" * 100)
    follower = followed()
    append(log, record[:70])
    follower.settle()
    assert follower.lines == []
    append(log, record[70:])
    follower.settle()
    assert len(follower.lines) == 1


def test_a_log_may_appear_vanish_and_come_again(log: Path, followed: Callable[..., Follower]) -> None:
    """Following begins before the first start, and survives `rm -r` of the logs."""
    follower = followed()
    append(log, said([1]))
    follower.settle()
    shutil.rmtree(log.parent)
    follower.settle()
    append(log, said([2]))
    follower.settle()
    assert follower.messages() == ["line 1", "line 2"]


def test_a_replaced_file_is_read_to_its_end_first(log: Path, followed: Callable[..., Follower]) -> None:
    """Rotation costs no line, even several rotations between two looks, one of them compressed."""
    append(log, said([1]))
    follower = followed()
    for number in range(2, 30, 3):
        append(log, said([number]))
        if number % 2:
            log.rename(f"{log}.2")
            Path(f"{log}.2.gz").write_bytes(gzip.compress(Path(f"{log}.2").read_bytes()))
            os.unlink(f"{log}.2")
        else:
            log.rename(f"{log}.2")
        append(log, said([number + 1]))
        log.rename(f"{log}.1")
        append(log, said([number + 2]))
        follower.settle()
    assert follower.messages() == [f"line {n}" for n in range(1, 32)]


def test_a_copy_in_the_place_of_a_log_is_gone_on_with(log: Path, followed: Callable[..., Follower]) -> None:
    """As editors leave it behind: it begins as the file did that was read, and what is new is at its end."""
    append(log, said(range(1, 9)))
    follower = followed()
    shutil.copy(log, f"{log}.copy")
    os.rename(f"{log}.copy", log)
    append(log, said([9]))
    follower.settle()
    assert follower.messages() == [f"line {n}" for n in range(1, 10)]


def test_whoever_is_far_behind_holds_no_more_than_two_files(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compressed ones are unpacked once, when their turn comes, and the directory is not read for each."""
    append(log, said([0]))
    lines = follow({"web": str(log)}, stop=lambda: True)
    got = [next(lines)]
    files = 60
    for number in range(1, files):
        packed = Path(f"{log}.{files - number}.gz")
        packed.write_bytes(gzip.compress(log.read_bytes() if number == 1 else said([number - 1])))
    log.unlink()
    append(log, said([files - 1]))
    opened = len(os.listdir("/proc/self/fd"))
    calls = {"_unpacked": 0, "rotated": 0}

    def counted(name: str) -> Callable[..., Any]:
        real = getattr(files_module, name)

        def count(*arguments: Any) -> Any:
            calls[name] += 1
            return real(*arguments)

        return count

    for name in calls:
        monkeypatch.setattr(files_module, name, counted(name))
    for line in lines:
        got.append(line)
        assert len(os.listdir("/proc/self/fd")) <= opened + 4
    assert [line.message for line in got] == [f"line {n}" for n in range(files)]
    assert calls["_unpacked"] < files
    assert calls["rotated"] < 3 * files


def test_a_truncated_log_is_read_from_its_new_beginning(log: Path, followed: Callable[..., Follower]) -> None:
    """`> web.jsonl` by hand: what is written then is shown, also when there is soon more than before."""
    append(log, said(range(1, 5)))
    follower = followed(lines=0)
    log.write_bytes(b"")
    append(log, said([10]))
    follower.settle()
    log.write_bytes(said(range(20, 40)))
    follower.settle()
    assert follower.messages() == ["line 10", *(f"line {n}" for n in range(20, 40))]


def test_records_that_a_writer_took_back_are_shown_once(log: Path, followed: Callable[..., Follower]) -> None:
    """After a crash the last records are cut off and written again, maybe in pieces; or others come in their place."""
    append(log, said(range(1, 50)))
    follower = followed(lines=1)
    append(log, said(range(50, 60)))
    follower.settle()
    os.truncate(log, len(said(range(1, 49))))
    follower.settle()
    append(log, said([49]))
    follower.settle()
    append(log, said(range(50, 63)))
    follower.settle()
    assert follower.messages() == [f"line {n}" for n in range(49, 63)]
    os.truncate(log, len(said(range(1, 61))))
    follower.settle()
    append(log, said([61]) + said([62], "other"))
    follower.settle()
    os.truncate(log, 0)
    follower.settle()
    append(log, said([70]))
    follower.settle()
    assert follower.messages()[-2:] == ["other 62", "line 70"]
    assert len(follower.messages()) == 16


def test_one_run_is_followed_however_far_back_it_began(
    log: Path, followed: Callable[..., Follower], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is asked for, so that its start is looked for however long that takes."""
    monkeypatch.setattr(search_module, "_LOOK_BACK", 1000)
    append(log, started(7) + said(range(1, 5000)))
    follower = followed(run=7, lines=2)
    append(log, said([5000]))
    follower.settle()
    assert follower.messages() == ["line 4998", "line 4999", "line 5000"]


def test_a_whole_log_is_read_forwards(log: Path) -> None:
    """However large it is, little of it is held at once."""
    append(log, started(1) + said(range(30_000), "x" * 300))
    lines = follow({"web": str(log)}, lines=None, stop=lambda: True)
    tracemalloc.start()
    try:
        assert sum(1 for _ in lines) == 30_001
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_several_logs_are_followed_at_once(log: Path, followed: Callable[..., Follower]) -> None:
    """Their lines come in the order of time where they are read together, and filters hold for all."""
    append(log, said([1, 3], "web"))
    append(log.with_stem("worker"), said([2, 4], "worker"))
    follower = followed("worker", grep="[1-9]$")
    assert follower.messages() == ["web 1", "worker 2", "web 3", "worker 4"]
    append(log, said([5, 10], "web"))
    append(log.with_stem("worker"), said([6], "worker"))
    follower.settle()
    assert sorted(follower.messages()[4:]) == ["web 5", "worker 6"]


def test_a_slow_reader_catches_up_without_loss(log: Path) -> None:
    """What was written and rotated while nobody looked comes in full, in order."""
    append(log, said([0]))
    lines = follow({"web": str(log)}, stop=lambda: True)
    assert next(lines).message == "line 0"
    append(log, said(range(1, 3000)))
    log.rename(f"{log}.1")
    append(log, said(range(3000, 6000)))
    assert [line.message for line in lines] == [f"line {n}" for n in range(1, 6000)]


def test_logs_that_are_caught_up_with_are_merged_by_time(log: Path) -> None:
    """However much of each was written while nobody looked, and however unevenly."""
    texts = {"web": range(0, 6000, 2), "worker": range(1, 6000, 20), "idle": range(0)}
    paths = {name: str(log.with_stem(name)) for name in texts}
    append(log, said([0], "before"))
    follower = follow(paths, lines=1, stop=lambda: True)
    assert next(follower).message == "before 0"
    for name, numbers in texts.items():
        append(log.with_stem(name), said(numbers, name))
    got = [line.ts or "" for line in follower]
    assert len(got) == sum(map(len, texts.values()))
    assert got == sorted(got)


def test_whoever_follows_is_asked_after_each_look(log: Path) -> None:
    """Also while lines come of which none is wanted: what was shown can be flushed then, and a reader may have left."""
    append(log, said([0]))
    asked = []
    lines = follow({"web": str(log)}, grep="^line 0$|^never$", stop=lambda: asked.append(True) is None)
    assert next(lines).message == "line 0"
    append(log, said(range(1, 3000)))
    assert list(lines) == []
    assert len(asked) > 3


def test_whoever_is_behind_reads_up_to_until_though_the_time_is_up(log: Path) -> None:
    """A slow terminal: the clock alone does not end it while lines in time are unread."""
    start = round((time.time() - 100) * 1e6)
    encoder = Encoder()
    append(log, encoder.feed(0, start, b"line 0\n"))
    lines = follow({"web": str(log)}, until=start / 1e6 + 50)
    got = [next(lines)]
    for second in range(1, 100):
        append(log, encoder.feed(0, start + second * 1_000_000, b"line %d\n" % second * 200))
    got += lines
    assert len(got) == 1 + 50 * 200
    assert got[-1].message == "line 50"
