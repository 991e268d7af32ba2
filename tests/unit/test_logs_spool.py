from __future__ import annotations

from pathlib import Path

from runcept.logs.spool import Spool
from runcept.logs.testing import SpoolFeeder


def everything(spool: Spool, limit: int = 1 << 16) -> list[tuple[int, int, int, bytes]]:
    """All blocks from where the spool is."""
    blocks: list[tuple[int, int, int, bytes]] = []
    while found := spool.read(limit):
        blocks.extend(found)
    return blocks


def test_blocks_come_as_they_were_read(tmp_path: Path) -> None:
    """Stream, instant, offset and bytes of each read, over the ends of segments; empty reads leave no block."""
    reads = [(0, 10, b"a" * 30), (1, 11, b"b" * 5), (1, 12, b""), (0, 13, b"c" * 40), (0, 14, b"d")]
    with SpoolFeeder(str(tmp_path), segment_bytes=32) as feeder:
        for read in reads:
            feeder.feed(*read)
    spool = Spool(str(tmp_path))
    assert everything(spool) == [
        (0, 10, 0, b"a" * 30),
        (1, 11, 30, b"b" * 5),
        (0, 13, 35, b"c" * 40),
        (0, 14, 75, b"d"),
    ]
    assert spool.position == spool.end() == 76
    spool.close()


def test_a_read_is_bounded_and_goes_on(tmp_path: Path) -> None:
    """A limit may cut a block in two; both halves have its instant."""
    with SpoolFeeder(str(tmp_path)) as feeder:
        feeder.feed(1, 10, b"abcdef")
    spool = Spool(str(tmp_path))
    assert everything(spool, 4) == [(1, 10, 0, b"abcd"), (1, 10, 4, b"ef")]
    spool.close()


def test_what_is_written_later_is_found(tmp_path: Path) -> None:
    """The directory, the first segment and those after it may appear while one reads."""
    directory = tmp_path / "run"
    spool = Spool(str(directory))
    assert spool.read(100) == []
    with SpoolFeeder(str(directory), segment_bytes=4) as feeder:
        assert spool.read(100) == []
        for number in range(6):
            feeder.feed(0, number, b"xyz")
            assert [block.micros for block in everything(spool)] == [number]
    spool.close()


def test_one_can_begin_anywhere(tmp_path: Path) -> None:
    """From any offset on there is the rest, with the instants of its reads; behind the end there is nothing."""
    with SpoolFeeder(str(tmp_path), segment_bytes=10) as feeder:
        for number in range(9):
            feeder.feed(number % 2, number, bytes([97 + number]) * 4)
    spool = Spool(str(tmp_path))
    whole = everything(spool)
    data = b"".join(block[3] for block in whole)
    for offset in range(len(data) + 2):
        spool.seek(offset)
        rest = everything(spool)
        assert b"".join(block[3] for block in rest) == data[offset:]
        assert [block[1] for block in rest] == [block[1] for block in whole if block[2] + 4 > offset]
        assert spool.position == max(offset, len(data))
    spool.close()


def test_segments_that_were_consumed_go_but_the_last_stays(tmp_path: Path) -> None:
    """Only whole segments before an offset are deleted; reading goes on, and a new reader begins behind them."""
    with SpoolFeeder(str(tmp_path), segment_bytes=10) as feeder:
        for number in range(4):
            feeder.feed(0, number, b"0123456789")
    spool = Spool(str(tmp_path))
    everything(spool)
    spool.discard(25)
    assert sorted(path.name for path in tmp_path.glob("*.raw")) == ["0000000000000014.raw", "000000000000001e.raw"]
    spool.discard(40)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000000000001e.index", "000000000000001e.raw"]
    assert spool.begin() == 30
    spool.close()


def test_bytes_survive_the_loss_of_their_index(tmp_path: Path) -> None:
    """Without an index it is not known which stream bytes are of, but they are not lost."""
    with SpoolFeeder(str(tmp_path)) as feeder:
        feeder.feed(1, 10, b"what remains")
    (tmp_path / "0000000000000000.index").unlink()
    spool = Spool(str(tmp_path))
    assert [(block[0], block[3]) for block in everything(spool)] == [(0, b"what remains")]
    spool.close()
