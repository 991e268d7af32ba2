"""What is said of a process after each row of the lifecycle's table, and of every cause: sentences, word for word."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from runcept.core import events as ev
from runcept.core.check_standing import CheckStanding
from runcept.core.explain import causes, what_next
from runcept.core.life import Life
from runcept.core.lifecycle import TRANSITIONS, step
from runcept.core.model import (
    Dependency,
    Health,
    HealthCheck,
    Kind,
    Probe,
    Process,
    Project,
    Restart,
    RestartPolicy,
    State,
)
from runcept.core.reactions import Context
from runcept.core.supervisor import Supervisor
from runcept.core.why import summary

NOW, TODAY = 1000.0, 1_800_000_000.0  # 2027-01-15T08:00:00Z
CHECK = HealthCheck(url="tcp://localhost:5432", probe=Probe.TCP, target="localhost:5432")
AGAIN = RestartPolicy(when=Restart.ON_FAILURE, on_unhealthy=True)
REFUSED = "tcp://localhost:5432 refused the connection"
HINT = "Install it."

BEFORE: dict[State, dict[str, Any]] = {
    State.STOPPED: {},
    State.PENDING: {"wanted": True, "reason": "waits for db, which is starting", "blamed": "db"},
    State.STARTING: {"wanted": True, "run": 1, "pid": 7, "reason": "waits for its health check tcp://localhost:5432"},
    State.RUNNING: {"wanted": True, "run": 1, "pid": 7, "reason": "", "ready": True},
    State.STOPPING: {
        "run": 1,
        "pid": 7,
        "reason": "stopped by request (cli): SIGTERM was sent, SIGKILL follows after 10s",
        "stop_reason": "stopped by request (cli)",
        "stopping_for": "request",
        "deadline": NOW + 4,
    },
    State.BACKOFF: {
        "wanted": True,
        "run": 1,
        "reason": "exit code 1: no table; restart 1 of 10 after 500ms",
        "exit_code": 1,
        "failures": [NOW],
        "deadline": NOW + 0.3,
    },
    State.EXITED: {"wanted": True, "run": 1, "reason": "exit code 0", "exit_code": 0},
    State.FAILED: {"wanted": True, "run": 1, "reason": "exit code 1: no table", "exit_code": 1},
}
"""What a process is like in each state, where a row says no more."""


class Row(NamedTuple):
    """In `before`, after `event`: these sentences. `life` and `process` are what is special about it."""

    before: State
    event: ev.Event
    summary: str
    following: str
    life: Mapping[str, Any] = MappingProxyType({})
    process: Mapping[str, Any] = MappingProxyType({})


def exited(code: int | None = 1, signal: str | None = None, **facts: Any) -> ev.Exited:
    return ev.Exited("web", 1, code, signal, TODAY, **facts)


STARTS_IT = "`runcept start web` starts it, with what it needs"
BY_HAND = f"Nothing starts it by itself; {STARTS_IT}."
MENDED = f"Nothing starts it by itself. When the cause is mended, {STARTS_IT}."
SOON = "It is being started."
WITH_CHECK = "It is ready when its health check succeeds for the first time."
WITH_DB = "It starts by itself when db is ready."
NOTHING = "Nothing needs to be done."
GOES = "It is about to be stopped."
ENDS = "It ends; `runcept start web` starts it again."
COMES_BACK = "It is started again when it has ended."
WAITS = "is pending because db is not ready: has just been started"
TERM = "SIGTERM was sent, SIGKILL follows after 10s; it is killed in 10s"
OFTEN = f"{REFUSED}, 7 times since 07:59:12; next check in 4s"

NEVER = RestartPolicy()
START, AGAIN_BY_HAND = ev.StartRequested("web"), ev.RestartRequested("web")
STOP = ev.StopRequested("web", "stopped by request (cli)")
KILL = ev.StopRequested("web", "stopped by request (cli)", kill=True)
DUE, ALLOWED, STOP_NOW = ev.DeadlineReached("web"), ev.StartAllowed("web"), ev.StopAllowed("web")
BLOCKED = ev.Blocked("web", "waits for db, which is starting", "db")
BLAMED = ev.DependencyFailed("web", "dependency db failed: exit code 4", "db")
SPAWNED = ev.Spawned("web", 1, 7, TODAY)
UNHEALTHY = ev.HealthChanged("web", 1, Health.UNHEALTHY, f"{REFUSED} (3 times in a row)")
HEALTHY = ev.HealthChanged("web", 1, Health.HEALTHY, "tcp://localhost:5432 accepted the connection")
LOST = ev.Lost("web", 1, "the machine was restarted")
TAKEN = ev.SpawnFailed("web", 1, "port 8000 is held by pid 4711 (node server.js)", TODAY, True, "Stop that process.")

ROWS = [
    Row(State.STOPPED, START, "is stopped: waits to be started", SOON),
    Row(State.STOPPED, AGAIN_BY_HAND, "is stopped: waits to be started", SOON),
    Row(State.STOPPED, STOP, "is stopped: never started", BY_HAND),
    Row(State.STOPPED, ALLOWED, "is not ready: its command is being executed", WITH_CHECK, {"wanted": True}),
    Row(State.STOPPED, BLOCKED, WAITS, WITH_DB, {"wanted": True}),
    Row(
        State.STOPPED,
        BLAMED,
        "has failed because db has failed: exit code 4: disk full",
        f"Nothing starts it by itself. When db is mended, {STARTS_IT}.",
        {"wanted": True},
    ),
    Row(
        State.STOPPED,
        exited(None, "SIGKILL"),
        "is stopped: cannot be ended: pid 7",
        BY_HAND,
        {"run": 1, "reason": "cannot be ended: pid 7"},
    ),
    Row(State.PENDING, START, WAITS, WITH_DB),
    Row(State.PENDING, AGAIN_BY_HAND, WAITS, WITH_DB),
    Row(State.PENDING, STOP, WAITS, GOES),
    Row(
        State.PENDING,
        STOP_NOW,
        "is stopped: stopped by request (cli)",
        BY_HAND,
        {"wanted": False, "stop_reason": "stopped by request (cli)"},
    ),
    Row(State.PENDING, ALLOWED, "is not ready: its command is being executed", WITH_CHECK),
    Row(State.PENDING, BLOCKED, WAITS, WITH_DB),
    Row(
        State.PENDING,
        BLAMED,
        "has failed because db has failed: exit code 4: disk full",
        f"Nothing starts it by itself. When db is mended, {STARTS_IT}.",
    ),
    Row(State.PENDING, exited(None, "SIGKILL"), WAITS, WITH_DB, {"run": 1}),
    Row(State.STARTING, START, "is not ready: waits for its health check tcp://localhost:5432", WITH_CHECK),
    Row(
        State.STARTING,
        AGAIN_BY_HAND,
        "is not ready: waits for its health check tcp://localhost:5432",
        "It is about to be stopped, and is started again.",
    ),
    Row(State.STARTING, STOP, "is not ready: waits for its health check tcp://localhost:5432", GOES),
    Row(
        State.STARTING,
        STOP_NOW,
        "is stopping: stopped by request (mcp): SIGTERM was sent, SIGKILL follows after 10s; it is killed in 10s",
        ENDS,
        {"wanted": False, "stop_reason": "stopped by request (mcp)"},
    ),
    Row(State.STARTING, SPAWNED, f"is not ready because {OFTEN}", WITH_CHECK, {"pid": None}),
    Row(
        State.STARTING,
        SPAWNED,
        "is not ready: the task has not ended yet",
        "It is a task: it is ready when it has ended with success.",
        {"pid": None},
        {"kind": Kind.TASK},
    ),
    Row(
        State.STARTING,
        SPAWNED,
        "is not ready: has just been started",
        "It is ready when it has lived for a moment.",
        {"pid": None},
        {"health_check": None},
    ),
    Row(State.STARTING, TAKEN, "has failed: port 8000 is held by pid 4711 (node server.js)", MENDED, {"pid": None}),
    Row(
        State.STARTING,
        ev.SpawnFailed("web", 1, "command not found: node", TODAY, hint=HINT),
        "is in backoff: command not found: node; restart 1 of 10 after 500ms; next attempt in 500ms",
        "It is started again by itself in 500ms; `runcept start web` starts it at once.",
        {"pid": None},
    ),
    Row(
        State.STARTING,
        ev.SpawnFailed("web", 1, "command not found: node", TODAY, hint=HINT),
        "has failed: command not found: node",
        MENDED,
        {"pid": None},
        {"restart": NEVER},
    ),
    Row(
        State.STARTING, DUE, "is running; nothing is wrong with it", NOTHING, {"deadline": NOW}, {"health_check": None}
    ),
    Row(
        State.STARTING, HEALTHY, "is running and healthy; nothing is wrong with it", NOTHING, {"health": Health.UNKNOWN}
    ),
    Row(
        State.STARTING,
        ev.HealthChanged("web", 1, Health.UNKNOWN, f"not ready yet: {REFUSED}"),
        f"is not ready because {OFTEN}",
        WITH_CHECK,
        {"health": Health.UNKNOWN},
    ),
    Row(
        State.STARTING,
        UNHEALTHY,
        f"is stopping: unhealthy: {REFUSED} (3 times in a row): {TERM}",
        "It is started again for its health when it has ended, unless it was too often of late.",
        {"health": Health.UNKNOWN},
    ),
    Row(
        State.STARTING,
        UNHEALTHY,
        f"is unhealthy because {OFTEN}",
        WITH_CHECK,
        {"health": Health.UNKNOWN},
        {"restart": NEVER},
    ),
    Row(
        State.STARTING,
        exited(last_line="no table"),
        "has failed: exit code 1: no table",
        MENDED,
        process={"restart": NEVER},
    ),
    Row(State.STARTING, exited(0), "has exited: exit code 0", BY_HAND, process={"kind": Kind.TASK}),
    Row(State.STARTING, LOST, "is stopped: is being restarted", SOON),
    Row(State.RUNNING, START, "is running; nothing is wrong with it", NOTHING),
    Row(
        State.RUNNING,
        AGAIN_BY_HAND,
        "is running; nothing is wrong with it",
        "It is about to be stopped, and is started again.",
    ),
    Row(State.RUNNING, STOP, "is running; nothing is wrong with it", GOES),
    Row(
        State.RUNNING,
        STOP_NOW,
        f"is stopping: stopped after 30m without activity: {TERM}",
        ENDS,
        {"wanted": False, "stop_reason": "stopped after 30m without activity"},
    ),
    Row(
        State.RUNNING,
        STOP_NOW,
        f"is stopping: restart requested: {TERM}",
        COMES_BACK,
        {"restarting": True, "stop_reason": "restart requested"},
    ),
    Row(
        State.RUNNING,
        STOP_NOW,
        "is stopping: stopped by request (cli): SIGKILL was sent",
        ENDS,
        {"wanted": False, "kill": True, "stop_reason": "stopped by request (cli)"},
    ),
    Row(
        State.RUNNING,
        HEALTHY,
        "is running and healthy; nothing is wrong with it",
        NOTHING,
        {"health": Health.UNHEALTHY, "reason": "unhealthy: x"},
    ),
    Row(
        State.RUNNING,
        UNHEALTHY,
        f"is unhealthy because {OFTEN}",
        "It is left as it is until a check succeeds again; `runcept restart web` restarts it.",
        {"health": Health.HEALTHY},
        {"restart": NEVER},
    ),
    Row(
        State.RUNNING,
        UNHEALTHY,
        f"is stopping: unhealthy: {REFUSED} (3 times in a row): {TERM}",
        "It is started again for its health when it has ended, unless it was too often of late.",
        {"health": Health.HEALTHY},
    ),
    Row(
        State.RUNNING,
        exited(last_line="no table"),
        "has failed: exit code 1: no table",
        MENDED,
        process={"restart": NEVER},
    ),
    Row(
        State.RUNNING,
        exited(last_line="no table"),
        "is in backoff: exit code 1: no table; restart 4 of 10 after 4s; next attempt in 4s",
        "It is started again by itself in 4s; `runcept start web` starts it at once.",
        {"failures": [NOW - 9, NOW - 3, NOW - 1]},
    ),
    Row(
        State.RUNNING,
        exited(last_line="no table"),
        "has failed: exit code 1: no table (gave up: restarted 10 times within 5m)",
        MENDED,
        {"failures": [NOW - 1.0] * 10},
    ),
    Row(
        State.RUNNING,
        exited(0),
        "has exited: exit code 0",
        f"It ended by itself, so nothing starts it again; {STARTS_IT}. If it is to end, make it "
        'kind = "task"; if it is to run on, restart = "always".',
    ),
    Row(
        State.RUNNING,
        exited(0),
        "is in backoff: exit code 0; restart 1 of 10 after 500ms; next attempt in 500ms",
        "It is started again by itself in 500ms; `runcept start web` starts it at once.",
        process={"restart": RestartPolicy(when=Restart.ALWAYS)},
    ),
    Row(State.RUNNING, exited(None, "SIGSEGV"), "has failed: killed by SIGSEGV", MENDED, process={"restart": NEVER}),
    Row(
        State.RUNNING,
        exited(None, "SIGKILL", out_of_memory=True),
        "has failed: killed by SIGKILL: the machine, or its control group, was out of memory",
        MENDED,
        process={"restart": NEVER},
    ),
    Row(
        State.RUNNING,
        exited(None),
        "has failed: ended while nobody was there to see its exit status",
        MENDED,
        process={"restart": NEVER},
    ),
    Row(
        State.RUNNING,
        exited(leftovers=True),
        "is stopping: exit code 1; what it left behind is being stopped; it is killed in 10s",
        "What becomes of it is decided when all of it has ended.",
    ),
    Row(State.RUNNING, LOST, "is stopped: is being restarted", SOON),
    Row(State.RUNNING, LOST, "is stopped: the machine was restarted", BY_HAND, {"wanted": False}),
    Row(
        State.STOPPING,
        START,
        "is stopping: stopped by request (cli): SIGTERM was sent, SIGKILL follows after 10s; it is killed in 4s",
        COMES_BACK,
    ),
    Row(
        State.STOPPING,
        AGAIN_BY_HAND,
        "is stopping: stopped by request (cli): SIGTERM was sent, SIGKILL follows after 10s; it is killed in 4s",
        COMES_BACK,
    ),
    Row(
        State.STOPPING,
        STOP,
        "is stopping: stopped by request (cli): SIGTERM was sent, SIGKILL follows after 10s; it is killed in 4s",
        ENDS,
    ),
    Row(State.STOPPING, KILL, "is stopping: SIGKILL was sent", ENDS),
    Row(State.STOPPING, DUE, "is stopping: did not end within 10s: SIGKILL was sent", ENDS),
    Row(
        State.STOPPING,
        SPAWNED,
        "is stopping: stopped by request (cli): SIGTERM was sent, SIGKILL follows after 10s; it is killed in 10s",
        ENDS,
        {"pid": None},
    ),
    Row(State.STOPPING, TAKEN, "is stopped: stopped by request (cli)", BY_HAND, {"pid": None}),
    Row(
        State.STOPPING,
        UNHEALTHY,
        "is stopping: stopped by request (cli): SIGTERM was sent, SIGKILL follows after 10s; it is killed in 4s",
        ENDS,
    ),
    Row(State.STOPPING, exited(None, "SIGTERM"), "is stopped: stopped by request (cli)", BY_HAND),
    Row(
        State.STOPPING,
        exited(None, "SIGTERM"),
        "is stopped: is being restarted",
        SOON,
        {"wanted": True, "stopping_for": "restart"},
    ),
    Row(
        State.STOPPING,
        exited(None, "SIGTERM"),
        f"is in backoff: unhealthy: {REFUSED} (3 times in a row); restart 1 of 10 after 500ms; next attempt in 500ms",
        "It is started again by itself in 500ms; `runcept start web` starts it at once.",
        {"wanted": True, "stopping_for": "unhealthy", "exit_reason": f"unhealthy: {REFUSED} (3 times in a row)"},
    ),
    Row(
        State.STOPPING,
        exited(None, "SIGTERM", leftovers=True),
        "is stopping: stopped by request (cli): SIGTERM was sent, SIGKILL follows after 10s; it is killed in 4s",
        ENDS,
    ),
    Row(State.STOPPING, ev.Gone("web", 1), "is stopped: stopped by request (cli)", BY_HAND, {"pid": None}),
    Row(State.STOPPING, ev.Gone("web", 1, "pid 9 (cat)"), "has failed: cannot be ended: pid 9 (cat)", MENDED),
    Row(State.STOPPING, LOST, "is stopped: stopped by request (cli)", BY_HAND),
    Row(State.BACKOFF, START, "is stopped: waits to be started", SOON),
    Row(State.BACKOFF, AGAIN_BY_HAND, "is stopped: waits to be started", SOON),
    Row(
        State.BACKOFF,
        STOP,
        "is in backoff: exit code 1: no table; restart 1 of 10 after 500ms; next attempt in 300ms",
        GOES,
    ),
    Row(
        State.BACKOFF,
        STOP_NOW,
        "is stopped: stopped by request (cli)",
        BY_HAND,
        {"wanted": False, "stop_reason": "stopped by request (cli)"},
    ),
    Row(State.BACKOFF, DUE, "is stopped: is being restarted", SOON),
    Row(State.EXITED, START, "is stopped: waits to be started", SOON),
    Row(State.EXITED, START, "has exited: exit code 0", BY_HAND, process={"kind": Kind.TASK}),
    Row(State.EXITED, AGAIN_BY_HAND, "is stopped: waits to be started", SOON),
    Row(State.EXITED, STOP, "is stopped: stopped by request (cli)", BY_HAND),
    Row(State.FAILED, START, "is stopped: waits to be started", SOON),
    Row(State.FAILED, AGAIN_BY_HAND, "is stopped: waits to be started", SOON),
    Row(State.FAILED, STOP, "is stopped: stopped by request (cli); before that: exit code 1: no table", BY_HAND),
    Row(
        State.FAILED,
        exited(None, "SIGKILL"),
        "has failed: cannot be ended: pid 7 (dd); it has ended since: killed by SIGKILL",
        MENDED,
        {"pid": 7, "reason": "cannot be ended: pid 7 (dd)"},
    ),
]


def told(row: Row) -> tuple[str, str]:
    """Step a life, put it into its project, and have it explained."""
    options = {"health_check": CHECK, "restart": AGAIN} | dict(row.process)
    web = Process(name="web", command="w", argv=("w",), working_dir="/", depends_on=(Dependency("db"),), **options)
    db = Process(name="db", command="d", argv=("d",), working_dir="/")
    life = Life(name="web", state=row.before, **(BEFORE[row.before] | dict(row.life)))
    step(life, row.event, Context(process=web, now=NOW, jitter=0.0))
    db_life = Life(name="db", state=State.FAILED, run=1, reason="exit code 4: disk full", wanted=True)
    if life.state is State.PENDING:
        db_life = Life(name="db", state=State.STARTING, run=1, pid=5, reason="has just been started", wanted=True)
    supervisor = Supervisor(Project("/p", "p", processes=(db, web)), [life, db_life], lambda: 0.0)
    chain = causes(supervisor, "web", lambda name: standing(supervisor.lives[name]), NOW, TODAY)
    return summary(chain, lambda instant: instant[11:19]), what_next(supervisor, "web", NOW)


def standing(life: Life) -> CheckStanding | None:
    """Of a process that is unhealthy, or not ready: a check that has failed seven times in 48 s."""
    if life.health not in {Health.UNHEALTHY, Health.UNKNOWN}:
        return None
    return CheckStanding(CHECK, None, 7, NOW - 48, REFUSED, NOW + 4)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.before}-{type(row.event).__name__}")
def test_every_row_of_the_table_is_explained(row: Row) -> None:
    """What it is, why, and what comes next, after each event in each state."""
    assert told(row) == (f"web {row.summary}.", row.following)


def test_no_row_of_the_table_is_missing() -> None:
    """A transition that is added has to be explained here."""
    table = {(state, event) for state, events in TRANSITIONS.items() for event in events}
    assert table == {(row.before, type(row.event)) for row in ROWS}
