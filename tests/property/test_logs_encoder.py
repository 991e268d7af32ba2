from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.records import decoded

from runcept.logs import encoder as encoder_module
from runcept.logs import record
from runcept.logs.encoder import Encoder
from runcept.logs.record import STREAMS, parse

PIECES = st.one_of(
    st.binary(max_size=12),
    st.text(max_size=8).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from([b"\n", b"\n\n", b"\r\n", b"\x7f", b"\\", b"\\x41", b"\\\\", b'"', b"\x00", b"\xff", b"\x1b[31m"]),
    st.integers(1, 90).map(lambda count: b"x" * count),
    st.integers(1, 30).map(lambda count: "é€😀".encode() * count),
)
READS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2**52), st.lists(PIECES, max_size=6).map(b"".join)))


@pytest.fixture(autouse=True, scope="module")
def small_limits() -> object:
    """Limits so low that short examples pass them."""
    patch = pytest.MonkeyPatch()
    patch.setattr(encoder_module, "PART_MAX", 40)
    patch.setattr(encoder_module, "_SMALL", 8)
    yield
    patch.undo()


def encode(reads: list[tuple[int, int, bytes]]) -> bytes:
    """All records of what was read."""
    encoder = Encoder()
    return b"".join([encoder.feed(*read) for read in reads]) + encoder.flush()


@settings(max_examples=400, deadline=None)
@given(READS)
def test_a_log_holds_exactly_what_was_written(reads: list[tuple[int, int, bytes]]) -> None:
    """decode(encode(bytes)) == bytes: any bytes, in any split into reads, both streams interleaved."""
    kept = decoded(encode(reads).splitlines())
    for number, stream in enumerate(STREAMS):
        written = b"".join(data for each, _, data in reads if each == number)
        assert kept.get(stream, b"") == written


@settings(max_examples=200, deadline=None)
@given(READS)
def test_every_record_is_one_line_of_json_in_time_order(reads: list[tuple[int, int, bytes]]) -> None:
    """Each record is valid JSON on one line, its keys in order, its ts never earlier than the one before."""
    lines = encode(reads).split(b"\n")
    assert lines.pop() == b""
    found = [json.loads(line) for line in lines]
    assert all(list(each)[:3] == ["ts", "stream", "message"] for each in found)
    stamps = [each["ts"] for each in found]
    assert stamps == sorted(stamps)
    assert all(len(ts) == record.TS_LENGTH for ts in stamps)


@settings(max_examples=200, deadline=None)
@given(READS, st.data())
def test_where_reads_end_does_not_matter(reads: list[tuple[int, int, bytes]], data: st.DataObject) -> None:
    """The same bytes at the same instant give the same messages however they are cut into reads."""
    written = b"".join(piece for _, _, piece in reads)
    cut = data.draw(st.integers(0, len(written)))
    whole = encode([(0, 7, written)])
    assert encode([(0, 7, written[:cut]), (0, 7, written[cut:])]) == whole


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=41, max_size=400).filter(lambda text: "\n" not in text))
def test_a_long_line_is_not_split_within_a_character(text: str) -> None:
    """The parts of a line that is valid UTF-8 are valid UTF-8 each; all but the last are marked as parts."""
    try:
        line = text.encode()
    except UnicodeEncodeError:
        return
    parts = [parse(raw, "") for raw in encode([(0, 0, line + b"\n")]).split(b"\n")[:-1]]
    assert not any(part.binary for part in parts)
    assert "".join(part.message for part in parts) == text
    assert [part.partial for part in parts] == [True] * (len(parts) - 1) + [False]
    assert all(len(part.message.encode()) <= 40 for part in parts)
