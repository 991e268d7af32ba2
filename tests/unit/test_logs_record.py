from __future__ import annotations

import json

import pytest
from tests.records import decoded

from runcept.logs.encoder import Encoder
from runcept.logs.record import PART_MAX, content, escape, lifecycle, parse, raw_ts, unescape

AT = 1_795_334_400_123_456
TS = "2026-11-22T08:00:00.123456Z"


def encode(*chunks: bytes, stream: int = 0) -> bytes:
    """The records of chunks read from one stream, one after the other."""
    encoder = Encoder()
    return b"".join([encoder.feed(stream, AT, chunk) for chunk in chunks]) + encoder.flush()


def test_a_record_is_exactly_three_keys_in_order() -> None:
    """The bytes of a record are those that the contract shows, so that others may search them."""
    assert encode(b"hello\n") == b'{"ts":"2026-11-22T08:00:00.123456Z","stream":"stdout","message":"hello"}\n'


@pytest.mark.parametrize(
    "line", [b"", b"   indented", b"\ttab\t", b"\x1b[32mgreen\x1b[0m", b"ends in CR\r", b'a "b" \\c']
)
def test_what_a_line_looks_like_is_kept(line: bytes) -> None:
    """Blank lines, indentation, tabs, ANSI escapes, carriage returns and quotes come back as they were."""
    (raw,) = encode(line + b"\n").splitlines()
    assert json.loads(raw)["message"] == line.decode()
    assert content(parse(raw, "web")) == line + b"\n"


def test_a_last_line_without_newline_is_kept_and_said_to_have_none() -> None:
    """What a process wrote last is in the log even if it never ended the line."""
    last = parse(encode(b"one\nprompt> ").splitlines()[-1], "web")
    assert (last.message, last.newline, last.partial) == ("prompt> ", False, False)


def test_a_line_is_stamped_when_its_end_was_read() -> None:
    """A line that arrives in pieces is one record, of the instant that completed it."""
    encoder = Encoder()
    assert encoder.feed(0, AT, b"first half, ") == b""
    record = parse(encoder.feed(0, AT + 1_000_000, b"second half\n").rstrip(b"\n"), "web")
    assert (record.ts, record.message) == ("2026-11-22T08:00:01.123456Z", "first half, second half")


def test_time_never_goes_back_within_a_log() -> None:
    """A clock that is set back stamps records with the latest instant until it has caught up."""
    encoder = Encoder(floor=AT)
    stamps = [raw_ts(encoder.feed(0, AT + step, b"x\n")) for step in (-5_000_000, 1, -1, 2)]
    assert stamps == sorted(stamps)  # type: ignore[type-var]
    assert stamps[0] == "2026-11-22T08:00:00.123456Z"


def test_bytes_that_are_not_utf8_are_escaped_and_can_be_had_back() -> None:
    r"""`\xNN` stands for a byte only in a record marked binary, where a backslash of the line is doubled."""
    raw = b"caf\xe9 \\xe9 \\ \xff"
    (record,) = encode(raw + b"\n").splitlines()
    line = parse(record, "web")
    assert line.binary
    assert line.message == r"caf\xe9 \\xe9 \\ \xff"
    assert content(line) == raw + b"\n"
    assert unescape(escape(raw)) == raw


def test_one_odd_line_leaves_its_neighbours_as_they_are() -> None:
    """Only the line that is not UTF-8 is marked; those before and after it in the same block are plain."""
    lines = [b"line %d" % number for number in range(2000)]
    lines[700] = b"\xff\xfe"
    lines[1300] = b"delete \x7f stays"
    found = [parse(raw, "web") for raw in encode(b"\n".join(lines) + b"\n").splitlines()]
    assert [number for number, line in enumerate(found) if line.binary] == [700]
    assert [content(line) for line in found] == [line + b"\n" for line in lines]


@pytest.mark.parametrize("length", [PART_MAX, PART_MAX + 1, 2 * PART_MAX, 5 * PART_MAX // 2])
def test_a_line_over_a_mebibyte_is_split(length: int) -> None:
    """Each part but the last is marked; no part is longer than a mebibyte; together they are the line."""
    line = b"x" * length
    reads = [line[at : at + 65_536] for at in range(0, length, 65_536)]
    parts = [parse(raw, "web") for raw in encode(*reads, b"\nnext\n").splitlines()]
    assert [part.partial for part in parts] == [True] * ((length - 1) // PART_MAX) + [False, False]
    assert b"".join(map(content, parts)) == line + b"\nnext\n"


def test_a_process_cannot_forge_a_record() -> None:
    """Output that looks like a lifecycle record is a message of its stream."""
    forged = lifecycle(AT, "started", "run 9 started", {"run": 9})
    line = parse(encode(forged).rstrip(b"\n"), "web")
    assert (line.stream, line.event, line.run) == ("stdout", None, None)
    assert line.message == forged.decode().rstrip("\n")


def test_a_lifecycle_record_tells_what_happened() -> None:
    """It has the three keys of every record, then the event and the facts that are known."""
    raw = lifecycle(AT, "exited", "run 7 ended\udce9", {"run": 7, "exit_code": 3, "exit_signal": None})
    assert json.loads(raw) == {
        "ts": "2026-11-22T08:00:00.123456Z",
        "stream": "runcept",
        "message": "run 7 ended\\udce9",
        "event": "exited",
        "run": 7,
        "exit_code": 3,
    }


@pytest.mark.parametrize(
    ("raw", "ts", "message"),
    [
        (b"just text", None, "just text"),
        (b"", None, ""),
        (b"\xff", None, r"\xff"),
        (
            b'{"ts":"2026-11-22T08:00:00.123456Z","stream":"std',
            None,
            '{"ts":"2026-11-22T08:00:00.123456Z","stream":"std',
        ),
        (b"[1,2]", None, "[1,2]"),
        (b'{"level":"info"}', None, '{"level":"info"}'),
        (b'{"message":7}', None, '{"message":7}'),
        (
            b'{"timestamp":"2025-06-01T14:00:00.5+02:00","level":"error","message":"old","process_name":"web"}',
            "2025-06-01T12:00:00.500000Z",
            "old",
        ),
        (b'{"timestamp":"2025-06-01T12:00:00.123456789Z","message":"nanos"}', "2025-06-01T12:00:00.123456Z", "nanos"),
        (b'{"timestamp":"noon","message":"when?"}', None, "when?"),
        (b'{"timestamp":"0001-01-01T00:00:00Z","message":"of Go"}', "0001-01-01T00:00:00.000000Z", "of Go"),
        (b'{"timestamp":"0001-01-01T00:00:00+05:00","message":"before all"}', None, "before all"),
        (b'{"timestamp":"9999-12-31T23:59:59-05:00","message":"after all"}', None, "after all"),
        (b'{"ts":"2026-11-22T08:00:00.5+01:00","message":"of others"}', "2026-11-22T07:00:00.500000Z", "of others"),
        (b'{"ts":"2026-99-22T08:00:00.123456Z","message":"no such day"}', None, "no such day"),
        (b'{"ts":"\\u001b[2J clears the screen, x","message":"acts"}', None, "acts"),
        ('{"ts":"2026-11-2٢T08:00:00.123456Z","message":"digits"}'.encode(), None, "digits"),
        (b'{"ts":"2026-11-22T08:00:00.123456Z","stream":"\\u001b]0;x\\u0007","message":"odd"}', TS, "odd"),
    ],
)
def test_every_line_of_a_file_is_shown(raw: bytes, ts: str | None, message: str) -> None:
    """Plain text, records of the older format and broken ones are lines, never errors."""
    line = parse(raw, "web", run=3)
    assert (line.ts, line.message, line.process, line.run, line.stream) == (ts, message, "web", 3, "stdout")
    assert raw_ts(raw) == ts or raw.endswith(b'"std'), "the beginning of a record is enough for that"


def test_both_streams_are_told_apart() -> None:
    """Unfinished lines of two streams do not mix."""
    encoder = Encoder()
    reads = [(0, b"out "), (1, b"err "), (0, b"put\n"), (1, b"or")]
    records = b"".join([encoder.feed(stream, AT, data) for stream, data in reads]) + encoder.flush()
    assert decoded(records.splitlines()) == {"stdout": b"out put\n", "stderr": b"err or"}
