from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.records import decoded

from runcept.logs import encoder as encoder_module
from runcept.logs import writer as writer_module
from runcept.logs.commit import CommitFile
from runcept.logs.record import STREAMS, parse
from runcept.logs.target import Target
from runcept.logs.testing import SpoolFeeder
from runcept.logs.writer import LogWriter

OUTPUT = st.lists(
    st.sampled_from([b"\n", b"word ", b"line\n", b"\xff", "é\n".encode(), b"\\", b"x" * 50, b"\n\n"]), max_size=5
).map(b"".join)
STEPS = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 1), OUTPUT),
    st.tuples(st.just("pump"), st.integers(1, 60), st.none()),
    st.tuples(st.just("crash in append"), st.integers(0, 200), st.none()),
    st.tuples(st.just("crash before commit"), st.integers(0, 1), st.none()),
    st.tuples(st.just("full disk"), st.integers(0, 200), st.none()),
    st.tuples(st.just("restart"), st.just(0), st.none()),
)


class Killed(BaseException):
    """Nothing of the writer's runs after this, as after SIGKILL."""


def break_down(patch: pytest.MonkeyPatch, kind: str, after: int) -> None:
    """Have the next pump fail: after some bytes of the append, or after some commits."""
    append, store = Target.append, CommitFile.store
    left = [after]

    def short_append(self: Target, data: bytes) -> None:
        append(self, data[:after])
        if after < len(data):
            raise Killed if kind == "crash in append" else OSError(28, "No space left on device")

    def late_store(self: CommitFile, commit: object) -> None:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        store(self, commit)  # type: ignore[arg-type]

    if kind == "crash before commit":
        patch.setattr(CommitFile, "store", late_store)
    else:
        patch.setattr(Target, "append", short_append)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_nothing_is_lost_doubled_or_torn_by_crashes(steps: list[tuple[str, int, bytes | None]]) -> None:
    """Whatever is killed or fails at whatever instant, the log holds in the end exactly what was written."""
    directory = tempfile.mkdtemp()
    log = Path(directory, ".runcept", "logs", "web.jsonl")
    written = [b"", b""]
    with pytest.MonkeyPatch.context() as limits, SpoolFeeder(f"{directory}/run", segment_bytes=64) as feeder:
        limits.setattr(encoder_module, "PART_MAX", 40)
        limits.setattr(writer_module, "_LAG_MAX", 150)
        writer = LogWriter(str(log), feeder.directory)
        for number, (kind, value, output) in enumerate(steps):
            if output is not None:
                feeder.feed(value, number * 1000, output)
                written[value] += output
            elif kind == "pump":
                writer.pump(value)
            else:
                with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Killed, OSError):
                    break_down(patch, kind, value) if kind != "restart" else None
                    writer.pump(60)
                if kind != "full disk":
                    writer.close()
                    writer = LogWriter(str(log), feeder.directory)
        writer.finish()
        writer.close()
    records = log.read_bytes().splitlines() if log.exists() else []
    shutil.rmtree(directory)
    stamps = [parse(raw, "").ts or "" for raw in records]
    assert [decoded(records).get(stream, b"") for stream in STREAMS] == written
    assert stamps == sorted(stamps)
