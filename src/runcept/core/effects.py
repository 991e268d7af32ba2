"""What the core asks to be done, in the imperative. The performer does it and answers with facts."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["Effect", "Kill", "Limit", "Record", "Release", "Signal", "Spawn", "Watch"]


class Spawn(msgspec.Struct, frozen=True):
    """Start run number `run`; answered by Spawned or SpawnFailed."""

    name: str
    run: int


class Signal(msgspec.Struct, frozen=True):
    """Send the signal ("SIGTERM") to all that belongs to the run."""

    name: str
    run: int
    signal: str


class Kill(msgspec.Struct, frozen=True):
    """SIGKILL to all that belongs to the run, again and again until nothing of it is left."""

    name: str
    run: int


class Watch(msgspec.Struct, frozen=True):
    """The main process has ended: answer with Gone when what it left behind has, too."""

    name: str
    run: int


class Release(msgspec.Struct, frozen=True):
    """The run is over: keep its last output and its exit, and forget it."""

    name: str
    run: int
    reason: str = ""
    """Why it is over, a sentence for the history."""


class Limit(msgspec.Struct, frozen=True):
    """The log of the run has other limits from now on."""

    name: str
    run: int


class Record(msgspec.Struct, frozen=True):
    """A line of the history."""

    name: str
    kind: str
    """One of `core.history.KINDS`."""
    message: str
    actor: str
    """Who asked for what led to it; the supervisor, where nobody did."""
    data: dict[str, Any] = {}


Effect = Spawn | Signal | Kill | Watch | Release | Limit | Record
