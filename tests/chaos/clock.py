"""A system clock that can be set, for daemon and keeper alone: libfaketime, preloaded into them.

What they manage does not inherit it, and the monotonic clock is left alone, as it is where a real clock is set.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from glob import glob
from pathlib import Path

import pytest
from tests.chaos.stage import Stage
from tests.support import wait_until

from runcept.api import messages as m
from runcept.client.connection import Connection
from runcept.paths import ensure_home
from runcept.units import parse_instant

__all__ = ["HOUR", "Clock", "library", "with_a_clock"]

HOUR = 3600.0


def library() -> str:
    """The path of libfaketime: the test is skipped where it is missing, but in CI it fails."""
    found = glob("/usr/lib/*/faketime/libfaketimeMT.so.1")  # Debian's package libfaketime
    if not found:
        reason = "libfaketime is not installed here"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{reason}, and CI installs it")
        pytest.skip(reason)
    return found[0]


class Clock:
    """`jump` sets the clock of the stage's daemon and keeper."""

    def __init__(self, stage: Stage, directory: Path) -> None:
        self._stage = stage
        self._file = directory / "offset"
        self.offset = 0.0
        self._write()

    def environ(self) -> dict[str, str]:
        """What daemon and keeper run with."""
        return os.environ | {
            "LD_PRELOAD": library(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def jump(self, seconds: float) -> None:
        """Set it forward, or back; the daemon is seen to have noticed."""
        self.offset += seconds
        self._write()
        assert abs(self.shown() - self.now()) < 60

    def now(self) -> float:
        """Seconds since the epoch, as daemon and keeper have it."""
        return time.time() + self.offset

    def shown(self) -> float:
        """What the daemon takes for now: the instant of the last activity, which this is."""
        view = self._stage.ask("status", m.Status(environment=str(self._stage.project)))
        return parse_instant(view.last_activity_at)

    def _write(self) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(f"{self.offset:+.0f}\n")
        new.replace(self._file)


@contextlib.contextmanager
def with_a_clock(stage: Stage, directory: Path) -> Iterator[Clock]:
    """Start the stage's daemon with a clock that can be set; a daemon that the keeper starts has it as well."""
    clock = Clock(stage, directory)
    ensure_home(stage.home)
    command = [sys.executable, "-m", "runcept.daemon", stage.home]
    daemon = subprocess.Popen(command, env=clock.environ(), cwd="/", start_new_session=True)
    try:
        wait_until(lambda: answers(stage), 30, "the answer of the daemon")
        yield clock
    finally:
        try:
            assert stage.end(), "daemon or keeper has not ended"
        finally:
            stage.kill([daemon.pid])
            daemon.wait()
            for kind in ("faketime_shm", "sem.faketime_sem"):
                Path(f"/dev/shm/{kind}_{daemon.pid}").unlink(missing_ok=True)


def answers(stage: Stage) -> bool:
    """Whether a daemon listens; none is started."""
    connection = Connection.if_running(stage.home)
    if connection is not None:
        connection.close()
    return connection is not None
