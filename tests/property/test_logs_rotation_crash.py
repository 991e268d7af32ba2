from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runcept.core.model import LogLimits
from runcept.logs import encoder as encoder_module
from runcept.logs.reader import read
from runcept.logs.record import STREAMS, content
from runcept.logs.rotation import Rotation
from runcept.logs.testing import SpoolFeeder
from runcept.logs.writer import LogWriter

CALLS = ("open", "write", "pwrite", "rename", "unlink", "ftruncate")
GROWING = ("write", "pwrite", "rename", "unlink")
OUTPUT = st.lists(
    st.sampled_from([b"\n", b"word ", b"line\n", b"\xff", b"x" * 50, b"y" * 150 + b"\n"]), max_size=5
).map(b"".join)
STEPS = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 1), OUTPUT),
    st.tuples(st.just("pump"), st.integers(1, 200), st.none()),
    st.tuples(st.just("killed before"), st.integers(0, 20), st.none()),
    st.tuples(st.just("killed within"), st.integers(0, 20), st.none()),
    st.tuples(st.just("full disk"), st.integers(0, 20), st.none()),
)


class Nobody:
    """Nothing is compressed, and nothing is removed."""

    def request(self, path: str) -> None:
        pass

    def let_go(self, descriptor: int) -> None:
        os.close(descriptor)

    def keep_within(self, directory: str, most: int, needed: frozenset[str]) -> None:
        pass


class Killed(BaseException):
    """Nothing of the writer's runs after this, as after SIGKILL."""


def break_down(patch: pytest.MonkeyPatch, kind: str, after: int) -> None:
    """Have the system call number `after` fail, or the writer die before it or in the middle of it."""
    left = [after]

    def broken(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def made(*arguments: Any, **keywords: Any) -> Any:
            if kind == "full disk" and name not in GROWING:
                return call(*arguments, **keywords)
            left[0] -= 1
            if left[0] >= 0 or (kind == "full disk" and left[0] < -1):
                return call(*arguments, **keywords)
            if kind == "full disk":
                raise OSError(28, "No space left on device")
            if left[0] == -1 and kind == "killed within":
                if name == "write":
                    call(arguments[0], arguments[1][: len(arguments[1]) // 2])
                else:
                    call(*arguments, **keywords)
            raise Killed

        return made

    for name in CALLS:
        patch.setattr(os, name, broken(name, getattr(os, name)))


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=30), st.integers(300, 900))
def test_no_instant_at_which_a_rotation_is_killed_loses_or_doubles_a_line(
    steps: list[tuple[str, int, bytes | None]], max_size: int
) -> None:
    """Whatever system call is the last one, the files together hold in the end exactly what was written."""
    directory = tempfile.mkdtemp()
    log = Path(directory, ".runcept", "logs", "web.jsonl")
    limits = LogLimits(max_size=max_size, keep=10_000)
    written = [b"", b""]
    with pytest.MonkeyPatch.context() as parts, SpoolFeeder(f"{directory}/run", segment_bytes=100) as feeder:
        parts.setattr(encoder_module, "PART_MAX", 60)

        def made() -> LogWriter:
            rotation = Rotation(str(log), limits, Nobody())
            return LogWriter(str(log), feeder.directory, run=7, rotation=rotation)

        writer = made()
        for number, (kind, value, output) in enumerate(steps):
            if output is not None:
                feeder.feed(value, number * 1000, output)
                written[value] += output
            elif kind == "pump":
                writer.pump(value)
            else:
                with contextlib.suppress(Killed, OSError), pytest.MonkeyPatch.context() as patch:
                    break_down(patch, kind, value)
                    writer.pump(1000)
                if kind != "full disk":
                    writer.close()
                    writer = made()
        writer.finish()
        writer.close()
    lines = read({"web": str(log)}, lines=None).lines
    files = [path for path in log.parent.iterdir() if not path.name.endswith(".new")] if lines else []
    torn = [path for path in files for raw in path.read_bytes().splitlines() if not raw.endswith(b"}")]
    firsts = [path.read_bytes().splitlines()[0] for path in files if path.stat().st_size]
    shutil.rmtree(directory)
    found = {stream: b"".join(content(line) for line in lines if line.stream == stream) for stream in STREAMS}
    assert [found[stream] for stream in STREAMS] == written
    assert not torn
    assert all(b'"event":"continued","run":7' in first for first in firsts)
    assert {line.run for line in lines} <= {7}
    stamps = [line.ts or "" for line in lines]
    assert stamps == sorted(stamps)
