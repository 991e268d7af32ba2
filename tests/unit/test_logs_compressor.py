from __future__ import annotations

import gzip
import logging
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from tests.records import said
from tests.support import wait_until

from runcept.logs import compressor as compressor_module
from runcept.logs.compressor import Compressor
from runcept.logs.reader import read
from runcept.logs.rotation import remove


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with two rotations, all plain."""
    log = tmp_path / "web.jsonl"
    for number, name in ((3, "web.jsonl"), (2, "web.jsonl.1"), (1, "web.jsonl.2")):
        (tmp_path / name).write_bytes(said(range(number * 1000, number * 1000 + 1000)))
    return log


@pytest.fixture
def compress() -> Iterator[Callable[..., None]]:
    """Ask for a log's rotations to be compressed; the threads end with the test."""
    made: list[Compressor] = []

    def ask(log: Path, settle_seconds: float = 0) -> None:
        made.append(Compressor(settle_seconds))
        made[-1].request(str(log))

    yield ask
    for each in made:
        each.end()


def names(log: Path) -> list[str]:
    return sorted(path.name for path in log.parent.iterdir())


def numbers(log: Path) -> list[int]:
    return [int(line.message.split()[1]) for line in read({"web": str(log)}, lines=None).lines]


def test_rotations_are_compressed_and_the_log_is_not(log: Path, compress: Callable[..., None]) -> None:
    """They are gzip, as private as the log, a fraction of the size, and read as before."""
    plain = Path(f"{log}.1").read_bytes()
    compress(log)
    wait_until(lambda: names(log) == ["web.jsonl", "web.jsonl.1.gz", "web.jsonl.2.gz"], what="two compressed files")
    packed = Path(f"{log}.1.gz")
    assert gzip.decompress(packed.read_bytes()) == plain
    assert stat.S_IMODE(packed.stat().st_mode) == 0o600
    assert packed.stat().st_size * 5 < len(plain)
    assert numbers(log) == list(range(1000, 4000))


def test_a_rotation_is_left_alone_until_it_is_old(log: Path) -> None:
    """What is rotated every moment is removed every moment, and not worth it; what is older is compressed meanwhile."""
    compressor = Compressor(settle_seconds=1000)
    os.utime(f"{log}.2", (0, 0))
    assert compressor._compress_all(str(log)) is False
    assert names(log) == ["web.jsonl", "web.jsonl.1", "web.jsonl.2.gz"]
    os.utime(f"{log}.1", (0, 0))
    assert compressor._compress_all(str(log)) is True
    assert names(log) == ["web.jsonl", "web.jsonl.1.gz", "web.jsonl.2.gz"]


def test_a_file_that_is_rotated_meanwhile_is_replaced_where_it_is(
    log: Path, compress: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content ends up under the number that it has by then."""
    pack, moved = Compressor._pack, []

    def and_rotate(self: Compressor, plain: BinaryIO, packed: BinaryIO) -> bool:
        if not moved:
            moved.append(True)
            os.rename(f"{log}.2", f"{log}.3")
            os.rename(f"{log}.1", f"{log}.2")
        return pack(self, plain, packed)

    monkeypatch.setattr(Compressor, "_pack", and_rotate)
    compress(log)
    wait_until(lambda: names(log) == ["web.jsonl", "web.jsonl.2.gz", "web.jsonl.3.gz"], what="both, moved")
    assert numbers(log) == list(range(1000, 4000))


def test_a_file_that_is_removed_meanwhile_does_not_come_back(
    log: Path, compress: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by retention nor by `--clear`, and nothing half done is left behind."""
    pack, results = Compressor._pack, []

    def and_remove(self: Compressor, plain: BinaryIO, packed: BinaryIO) -> bool:
        remove(str(log))
        results.append(pack(self, plain, packed))
        return True  # as if it had been removed just behind the last look

    monkeypatch.setattr(Compressor, "_pack", and_remove)
    compress(log)
    wait_until(lambda: results, what="the attempt")
    wait_until(lambda: names(log) == [], what="an empty directory")
    assert results == [False]


def test_an_error_leaves_the_plain_file(
    log: Path, compress: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk is told once, and nothing half done is left behind."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compressor_module, "_write", full)
    with caplog.at_level(logging.WARNING):
        compress(log)
        wait_until(lambda: caplog.messages, what="a warning")
    assert "its rotations stay as they are" in caplog.messages[0]
    assert names(log) == ["web.jsonl", "web.jsonl.1", "web.jsonl.2"]
    assert numbers(log) == list(range(1000, 4000))


def test_the_end_is_not_waited_for(log: Path) -> None:
    """A daemon that ends leaves what is not due to the next one."""
    compressor = Compressor(settle_seconds=1000)
    compressor.request(str(log))
    compressor.end()
    assert names(log) == ["web.jsonl", "web.jsonl.1", "web.jsonl.2"]


def test_a_removed_file_is_let_go_of_by_the_thread(log: Path) -> None:
    """What is still open at the end is closed by the end."""
    compressor = Compressor()
    descriptors = [os.open(log, os.O_RDONLY) for _ in range(2)]
    compressor.let_go(descriptors[0])
    wait_until(lambda: not is_open(descriptors[0]), what="a closed descriptor")
    compressor.end()
    compressor.let_go(descriptors[1])
    compressor.end()
    assert not is_open(descriptors[1])


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
