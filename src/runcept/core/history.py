"""The history: which kinds of events there are, and which of them somebody asks for. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import msgspec

__all__ = ["KINDS", "Choice"]

KINDS: Mapping[str, str] = {
    "activated": "somebody activated the project",
    "deactivated": "somebody deactivated it; what is stopped for that comes next",
    "reloaded": "an edited project file was applied",
    "reload_failed": "an edited project file has a mistake, and changed nothing",
    "pending": "a process is wanted, and waits for a dependency",
    "starting": "a run begins: the command is being executed",
    "ready": "it is ready",
    "healthy": "its health check succeeds again",
    "unhealthy": "its health check fails",
    "stopping": "it was sent its stop signal, or SIGKILL",
    "exited": "its main process ended, by itself or because it was told to",
    "restarting": "it will be started again: `cause` says why, `delay_seconds` when",
    "failed": "it will not be started again, or could not be started",
    "stopped": "nothing of it lives, and nobody wants it to",
    "inactivity_warning": "nobody has used it for nine tenths of that time",
    "woken": "somebody has connected to the port of a process that sleeps",
    "inactivity_stop": "nobody used it for so long that it is being stopped",
    "adopted": "it lived already when a daemon or a keeper was started, and is looked after again",
    "daemon_started": "a daemon was started",
    "keeper_started": "a keeper was started in the place of one that was lost",
    "watch_suspended": "a process changes files that it is restarted for, so they are watched no more",
    "hook": "a hook of a process ran: how it went, and the last that it wrote",
    "notify": "failures could not be shown on the desktop",
    "home_restored": "the home was removed, and made anew",
}
"""Kind → what has happened, for people."""


class Choice(msgspec.Struct, frozen=True):
    """Which events: all conditions hold. Instants are seconds since the epoch; None and empty: whichever."""

    processes: Sequence[str] = ()
    """Names or globs."""
    kinds: Sequence[str] = ()
    since: float | None = None
    until: float | None = None

    def takes(self, at: float, process: str | None, kind: str) -> bool:
        """Whether an event is one of them."""
        if self.kinds and kind not in self.kinds:
            return False
        shown = round(at, 6)  # who asks for an instant has seen it in microseconds
        if self.since is not None and shown < self.since:
            return False
        if self.until is not None and shown > self.until:
            return False
        return not self.processes or (
            process is not None and any(fnmatchcase(process, pattern) for pattern in self.processes)
        )
