r"""The log record: one line of NAME.jsonl as text, as a `Line`, and back to the bytes a process wrote. No I/O.

    {"ts":"2026-11-22T08:00:00.123456Z","stream":"stdout","message":"…"}

Keys come in this order, without spaces; readers that search raw bytes rely on it. Flags follow where they apply:
`"partial":true`    the line goes on in the next record of its stream (it was split);
`"binary":true`     not UTF-8: each such byte is `\xNN` in the message, and each backslash of the line is doubled;
`"newline":false`   the last line of a run, which the process did not end.
Lifecycle records have the stream "runcept" and, after the message, `event` and facts such as `run`, `pid`, `exit_code`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

__all__ = [
    "CONTINUED_MARK",
    "LIFECYCLE",
    "LIFECYCLE_MARK",
    "PART_MAX",
    "RUN_EVENTS",
    "STARTED_MARK",
    "STREAMS",
    "TS_LENGTH",
    "TS_PREFIX",
    "Line",
    "content",
    "content_size",
    "continued",
    "escape",
    "instant_micros",
    "instant_text",
    "lifecycle",
    "messages",
    "parse",
    "raw_ts",
    "unescape",
]

STREAMS = ("stdout", "stderr")
"""Indexed by the number of a stream in the spool."""
LIFECYCLE = "runcept"
LIFECYCLE_MARK = b'"stream":"runcept"'
"""In the raw bytes of every lifecycle record, and of no other: a quote within a message is escaped."""
PART_MAX = 1 << 20
"""Bytes of a line that one record holds at most."""
TS_PREFIX = b'{"ts":"'
TS_LENGTH = 27
STARTED_MARK = b'"event":"started"'
"""In the raw bytes of the record that begins a run, and of no other."""
CONTINUED_MARK = b'"event":"continued"'
"""In the raw bytes of the record that begins a file in the middle of a run, and of no other."""
RUN_EVENTS = ("started", "continued")
"""The events after which lines are of the record's `run`."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROS_LAST = 253_402_300_799_999_999  # the last instant that datetime can write, 9999-12-31T23:59:59.999999Z
_ESCAPED = re.compile(rb"\\(?:\\|x([0-9a-f]{2}))")
_TS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_KNOWN_STREAMS = frozenset((*STREAMS, LIFECYCLE))


class Line(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One line of a log as a person or a script sees it; flags are in its JSON only where they differ."""

    ts: str | None
    """RFC 3339, UTC, microseconds, so that text order is time order; null in a plain-text log of old."""
    process: str
    stream: str
    run: int | None
    """Number of the run that wrote it, null where its start is too far back to be found."""
    message: str
    partial: bool = False
    binary: bool = False
    newline: bool = True
    event: str | None = None
    """Of a lifecycle record: started, exited, …"""
    level: str | None = None
    """Of a record of the older format."""


class _Record(msgspec.Struct, frozen=True, gc=False):
    """What may be in one line of JSON, of today's format or the older one."""

    message: str
    ts: str | None = None
    stream: str = STREAMS[0]
    partial: bool = False
    binary: bool = False
    newline: bool = True
    event: str | None = None
    run: int | None = None
    timestamp: str | None = None
    """The older format; its `process_name` tells nothing that the name of the file does not."""
    level: object = None
    """Of the older format too."""


_records = msgspec.json.Decoder(_Record)
_encoder = msgspec.json.Encoder()


def instant_text(micros: int) -> str:
    """RFC 3339 text of microseconds since the epoch, always `TS_LENGTH` long; the year ends at 9999."""
    second, micro = divmod(min(max(micros, 0), _MICROS_LAST), 1_000_000)
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{micro:06d}Z"


def instant_micros(text: str) -> int:
    """Microseconds since the epoch of what `instant_text` wrote; ValueError for other text."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


def escape(raw: bytes) -> str:
    r"""Text of bytes that are not UTF-8: `\xNN` for each that cannot be decoded, `\\` for each backslash."""
    return raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def unescape(text: str) -> bytes:
    """The bytes that `escape` was given."""
    return _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()) if found[1] else b"\\", text.encode())


def _printable(value: object) -> object:
    """File names may hold lone surrogates, which JSON in UTF-8 cannot."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def lifecycle(micros: int, event: str, message: str, facts: Mapping[str, object]) -> bytes:
    """The record of something that happened to a process; `facts` have JSON types, those that are None are left out."""
    head = {"ts": instant_text(micros), "stream": LIFECYCLE, "message": _printable(message), "event": event}
    known = {key: _printable(value) for key, value in facts.items() if value is not None}
    return _encoder.encode({**head, **known}) + b"\n"


def continued(micros: int, run: int, offset: int) -> bytes:
    """The first record of a file that goes on with a run, of which `offset` bytes are in the files before.

    It tells the run of the lines behind it; and as no two files of a log have the same, a file is known by it.
    """
    return lifecycle(micros, "continued", f"run {run} goes on at byte {offset}", {"run": run, "offset": offset})


def parse(raw: bytes, process: str, run: int | None = None) -> Line:
    """A `Line` from one line of a file, whatever it is: what is no record is shown as it stands, as text.

    `run` is that of the lines before; a record that names its own run keeps it. The instant and the stream are such as
    the writer makes, whoever made the record: others count on them, and show them.
    """
    try:
        found = _records.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _plain(raw, process, run)
    return Line(
        ts=_modern(found.timestamp if found.ts is None else found.ts),
        process=process,
        stream=found.stream if found.stream in _KNOWN_STREAMS else STREAMS[0],
        run=found.run if found.run is not None else run,
        message=found.message,
        partial=found.partial,
        binary=found.binary,
        newline=found.newline,
        event=found.event,
        level=found.level if found.ts is None and isinstance(found.level, str) else None,
    )


def messages(block: bytes) -> list[str] | None:
    """What the lines of a block say, ten times as fast as `parse` does; None where one of them is no record."""
    found = _all_records(block)
    return None if found is None else [record.message for record in found]


def content_size(block: bytes) -> int:
    """The length of the `content` of the lines of a block."""
    found: Sequence[_Record | Line] | None = _all_records(block)
    if found is None:
        found = [parse(raw, "") for raw in block.split(b"\n") if raw]
    return sum(len(content(each)) for each in found)


def _all_records(block: bytes) -> list[_Record] | None:
    try:
        found = _records.decode_lines(block)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    lines = block.count(b"\n") + (not block.endswith(b"\n"))
    return found if len(found) == lines else None  # it passes by blank lines


def _plain(raw: bytes, process: str, run: int | None) -> Line:
    try:
        return Line(None, process, STREAMS[0], run, raw.decode())
    except UnicodeDecodeError:
        return Line(None, process, STREAMS[0], run, escape(raw), binary=True)


def _modern(instant: str | None) -> str | None:
    """RFC 3339 of any offset and precision, as older records have it, as `ts` is written; None for other text."""
    if instant is None or _is_ours(instant):
        return instant
    try:
        moment = datetime.fromisoformat(instant)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return aware.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError):
        return None


def _is_ours(ts: str) -> bool:
    """Whether it is written as `instant_text` does, and there is such an instant."""
    if _TS.fullmatch(ts) is None:
        return False
    try:
        datetime.fromisoformat(ts)
    except ValueError:
        return False
    return True


def raw_ts(raw: bytes) -> str | None:
    """The `ts` of one line of a file without decoding the rest where the line is of today's format."""
    if raw.startswith(TS_PREFIX):
        ts = raw[len(TS_PREFIX) : len(TS_PREFIX) + TS_LENGTH].decode("ascii", "replace")
        if _is_ours(ts):
            return ts
    return parse(raw, "").ts if raw.startswith(b"{") else None


def content(line: Line | _Record) -> bytes:
    """The bytes that the process wrote for this record, with the newline if it wrote one."""
    raw = unescape(line.message) if line.binary else line.message.encode()
    return raw if line.partial or not line.newline else raw + b"\n"
