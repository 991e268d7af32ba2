"""The parameters and results of every operation, as types that validate what comes over the socket."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from runcept.core.changes import Changes
from runcept.core.explain import Cause
from runcept.core.views import EnvironmentView, ProcessView

__all__ = [
    "Activate",
    "AllWaited",
    "Change",
    "ClearLogs",
    "ClearedLogs",
    "DaemonStatus",
    "Deactivate",
    "EnvironmentList",
    "Environments",
    "Event",
    "EventList",
    "Events",
    "Exec",
    "Explain",
    "Explanation",
    "Forget",
    "KillAll",
    "LogLine",
    "LogLines",
    "Logs",
    "NoParams",
    "NoResult",
    "Outcome",
    "ProcessList",
    "Processes",
    "Reload",
    "Reloaded",
    "Restart",
    "Start",
    "Status",
    "Stop",
    "StopDaemon",
    "Surroundings",
    "Use",
    "Wait",
    "WaitAll",
    "Waited",
    "Watch",
]


Names = Annotated[list[Annotated[str, msgspec.Meta(max_length=256)]], msgspec.Meta(max_length=10_000)]
"""Names of processes, or globs."""


class Params(msgspec.Struct, frozen=True, kw_only=True):
    """What every request carries."""

    actor: Literal["cli", "mcp", "web", "tui", "supervisor"] = "cli"
    """Who asks, for the history; supervisor is the daemon itself."""


class NoParams(Params, frozen=True, kw_only=True):
    """An operation without parameters of its own."""


class OfEnvironment(Params, frozen=True, kw_only=True):
    """A request about one environment."""

    environment: Annotated[str, msgspec.Meta(pattern=r"^[^\x00]+$", max_length=4096)]
    """The canonical path of a project's directory, or the unique name of a known environment."""


class Waiting(OfEnvironment, frozen=True, kw_only=True):
    """A request that starts or stops, and may wait for the outcome."""

    wait: bool = True
    timeout: float = 60.0
    """Seconds; at most this long until the answer."""
    progress: bool = False
    """Send a `change` notification for every change until the answer."""
    environ: Annotated[dict[str, str], msgspec.Meta(max_length=20_000)] | None = None
    """The environment of the asking shell: captured by `activate`, and by the others where none is known yet."""
    umask: Annotated[int, msgspec.Meta(ge=0, le=0o777)] | None = None
    """Its umask, captured with it."""


class Activate(Waiting, frozen=True, kw_only=True):
    """Read the project file again, start its processes and what they need."""

    names: Names = []
    """Empty: all that have autostart."""


class Reload(Waiting, frozen=True, kw_only=True):
    """Take over the project file as it is now; only new, removed and changed processes are touched."""

    dry_run: bool = False
    """Say what would happen, and do nothing."""


class Start(Waiting, frozen=True, kw_only=True):
    """Start processes, their dependencies first."""

    names: Names


class Stop(Waiting, frozen=True, kw_only=True):
    """Stop processes, what depends on them first."""

    names: Names


class Restart(Waiting, frozen=True, kw_only=True):
    """Stop and start; a stopped process is started."""

    names: Names
    dependents: bool = False
    """Take along, in order, what depends on them."""


class Deactivate(Waiting, frozen=True, kw_only=True):
    """Stop every process of the environment, in reverse order of dependency."""

    kill: bool = False
    """Do not wait for their grace: SIGKILL at once."""


class Status(OfEnvironment, frozen=True, kw_only=True):
    """One environment and its processes."""

    tree: bool = False
    """Say of each what lives of it."""
    runs: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    """Say of each its last runs, so many."""


class Use(OfEnvironment, frozen=True, kw_only=True):
    """Somebody has looked at an environment without asking the daemon: at its logs."""


class OfProcess(OfEnvironment, frozen=True, kw_only=True):
    """A request about one process."""

    name: Annotated[str, msgspec.Meta(max_length=256)]
    """Its name, or a glob that means no other."""


Until = Literal["ready", "stopped", "exited"]


class Wait(OfProcess, frozen=True, kw_only=True):
    """Wait for what becomes of a process. Nothing is started or stopped by it."""

    until: Until = "ready"
    """exited: that the run which lives now is over, or the last one if none does."""
    timeout: float = 60.0
    """Seconds; at most this long until the answer."""


class WaitAll(OfEnvironment, frozen=True, kw_only=True):
    """The same of several: until it has happened to each, or cannot happen to one any more."""

    names: Names
    until: Until = "ready"
    timeout: float = 60.0
    """Seconds; at most this long until the answer."""


class Explain(OfProcess, frozen=True, kw_only=True):
    """Why a process is as it is."""


class Exec(OfEnvironment, frozen=True, kw_only=True):
    """What a command is run with that is not the daemon's to run: it runs where it was typed."""

    name: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    """A process, or a glob that means no other; null: the project itself."""
    environ: Annotated[dict[str, str], msgspec.Meta(max_length=20_000)] | None = None
    """The environment of the asking shell, for a project that was activated from none yet."""
    umask: Annotated[int, msgspec.Meta(ge=0, le=0o777)] | None = None
    """Its umask, likewise."""
    terminal: Annotated[dict[str, str | None], msgspec.Meta(max_length=100)] = {}
    """What is true of the terminal that it runs on, in place of the one that the project was activated from.

    null: not set.
    """


class Watch(Params, frozen=True, kw_only=True):
    """Send a `change` notification for each change of any environment."""

    timeout: float = 3600.0
    """Seconds until the answer; then ask again."""


class Logs(OfEnvironment, frozen=True, kw_only=True):
    """Lines that processes have written. Every face reads them from the files itself, with the daemon or without."""

    names: Names = []
    """Empty: all that there are logs of."""
    lines: int = 100
    since: str | None = None
    until: str | None = None
    grep: str | None = None
    stream: str | None = None
    run: int | str | None = None
    cursor: str | None = None


class Events(Params, frozen=True, kw_only=True):
    """The history: the last events, or, with a cursor, those that come next."""

    environment: Annotated[str, msgspec.Meta(pattern=r"^[^\x00]+$", max_length=4096)] | None = None
    """As elsewhere; it may be one that was forgotten. Null: of all, and of the daemon itself."""
    daemon: bool = True
    """With an environment: what is about the daemon itself as well."""
    processes: Names = []
    """Empty: all, and what is about no single process."""
    kinds: Annotated[list[Annotated[str, msgspec.Meta(max_length=64)]], msgspec.Meta(max_length=100)] = []
    """Empty: all."""
    lines: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 100
    """At most so many events; without `after` the newest of those that are asked for."""
    since: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    """"10m" (ago), "12:30", "yesterday", RFC 3339; times without an offset are the daemon's local ones."""
    until: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    before: int | None = None
    """An event's id: only older ones."""
    after: int | None = None
    """The cursor of an earlier answer: the events that came after it, oldest first."""
    follow: bool = False
    """With `after`: wait until there is one, for `timeout` at most. Asking so again and again misses none and gets none
    twice, whatever happens to the daemon, and nothing piles up for who is slow. Does not count as use."""
    timeout: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 60.0
    """Seconds."""


class ClearLogs(OfEnvironment, frozen=True, kw_only=True):
    """Remove what is in the logs of processes, of the project file or of those that it had before."""

    names: list[Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$(?!\n)")]]


class Environments(Params, frozen=True, kw_only=True):
    """Known environments."""

    text: Annotated[str, msgspec.Meta(max_length=4096)] = ""
    """Only those whose name, path or description contains it, whatever the case."""
    active: bool = False
    """Only active ones."""
    processes: bool = False
    """Give their processes as well, without what the system would have to be asked for."""


class Forget(OfEnvironment, frozen=True, kw_only=True):
    """Drop an inactive environment from those known; its files stay."""


class KillAll(Params, frozen=True, kw_only=True):
    """Stop every process of every environment."""

    timeout: float = 60.0
    progress: bool = False
    kill: bool = False
    """Do not wait for their grace: SIGKILL at once."""


class StopDaemon(Params, frozen=True, kw_only=True):
    """End the daemon."""

    processes: bool = True
    """Stop the processes first; false leaves them running under the keeper."""
    kill: bool = False
    """Do not wait for their grace: SIGKILL at once."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What a process of a project is started with, or would be."""

    environment: str
    process: str | None
    environ: dict[str, str]
    working_dir: str
    umask: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an operation on processes."""

    environment: str
    processes: list[ProcessView]
    ok: bool
    timed_out: bool = False
    """The time was up before every process had settled."""


class Reloaded(Outcome, frozen=True, kw_only=True):
    """What came of a new project file; `processes` are all that it has."""

    changes: Changes
    dry_run: bool = False
    """Nothing was done."""


class Waited(msgspec.Struct, frozen=True, kw_only=True):
    """What was waited for, or what came of it instead."""

    environment: str
    process: ProcessView
    outcome: Literal["ready", "stopped", "exited", "matched", "timeout", "undecided"]
    """stopped and exited also where it was to become ready, and will not; matched is said of a line of its log.

    undecided: of one among several, when another one ended the wait."""


class AllWaited(msgspec.Struct, frozen=True, kw_only=True):
    """What came of each, in the order in which they were named."""

    environment: str
    waited: list[Waited]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why a process is as it is."""

    environment: str
    process: ProcessView
    causes: list[Cause]
    """The process first, then what it is blamed on, to where it began."""
    root: ProcessView
    """The process in which it began; `process` itself where nothing else is to blame."""
    next: str
    """What becomes of it by itself, or what somebody has to do; one sentence."""


class ProcessList(msgspec.Struct, frozen=True, kw_only=True):
    """The processes of one environment."""

    environment: str
    processes: list[ProcessView]


class Processes(msgspec.Struct, frozen=True, kw_only=True):
    """Processes of all environments."""

    processes: list[ProcessView]
    ok: bool = True
    timed_out: bool = False
    """The time was up before every process had settled."""


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a log, as everybody is shown it."""

    ts: str | None
    process: str
    stream: str
    run: int | None
    message: str


class LogLines(msgspec.Struct, frozen=True, kw_only=True):
    """Lines, oldest first, and where to go on."""

    lines: list[LogLine]
    cursor: str


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the history."""

    id: int
    """Grows; the order of what happened, whatever was on the clock."""
    ts: str
    """RFC 3339."""
    environment: str | None
    """Its path; null for what is about the daemon itself."""
    process: str | None
    """Null for what is about no single process."""
    kind: str
    message: str
    actor: str
    """Who asked for what led to it; `supervisor` where nobody did, `inactivity` where nobody used it."""
    data: dict[str, Any] = {}
    """What the kind has: run, pid, exit_code, exit_signal, signal, cause, delay_seconds."""


class EventList(msgspec.Struct, frozen=True, kw_only=True):
    """Events, oldest first."""

    events: list[Event]
    cursor: int
    """For `after`: all that is asked for and came up to here is in the answer, or before it."""
    more: bool = False
    """There may be others: older ones, for `before`; with `after`, newer ones, for the cursor."""


class NoResult(msgspec.Struct, frozen=True):
    """Nothing but that it is over."""


class ClearedLogs(msgspec.Struct, frozen=True, kw_only=True):
    """The processes whose logs are empty now."""

    environment: str
    cleared: list[str]


class EnvironmentList(msgspec.Struct, frozen=True, kw_only=True):
    """Known environments, without their processes unless these were asked for."""

    environments: list[EnvironmentView]


class DaemonStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon itself."""

    running: bool
    pid: int | None = None
    version: str | None = None
    uptime_seconds: float | None = None
    socket: str = ""
    environments: int = 0
    """Active ones."""
    processes: int = 0
    """Living ones."""
    memory_bytes: int | None = None
    """Resident memory of daemon and keeper."""
    warnings: list[str] = []
    """What a user should know: that state is not kept, that a database was set aside."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """The notification that something changed while a request watches."""

    request: int | str
    environment: str
    """Its path."""
    processes: list[ProcessView]
    """Those that changed, or came; empty where the environment itself came, changed, or was forgotten."""
