"""Why a process is as it is, and what would change it: read off the lives and the graph. Pure."""

from __future__ import annotations

import msgspec

from runcept.core.life import Life
from runcept.core.model import Condition, Health, Kind, Process, State
from runcept.core.supervisor import Supervisor
from runcept.units import format_duration

__all__ = ["Cause", "causes", "what_next"]


class Cause(msgspec.Struct, frozen=True):
    """One link of the chain: this process is so, because of that."""

    process: str
    state: State
    reason: str | None
    """Null while it runs and nothing is wrong with it."""
    hint: str = ""


def causes(supervisor: Supervisor, name: str) -> list[Cause]:
    """The process first, then the dependency that holds it up, and so on to the one where it began."""
    found = []
    life: Life | None = supervisor.lives[name]
    while life is not None:
        found.append(Cause(life.name, life.state, life.reason or None, life.hint))
        life = supervisor.lives.get(life.blamed)  # the graph has no cycle, so this ends
    return found


def what_next(supervisor: Supervisor, name: str, now: float) -> str:
    """One sentence: what becomes of it by itself, or what somebody has to do."""
    life = supervisor.lives[name]
    process = supervisor.project.process(name)
    if life.state is State.STOPPING:
        return _while_stopping(life)
    if life.is_up:
        return _while_up(life, process)
    if life.state is State.PENDING:
        return f"It starts by itself when {_awaited(supervisor, process, life.blamed)}."
    if life.state is State.BACKOFF:
        left = format_duration(round(max(0.0, (life.deadline or now) - now), 1))
        return f"It is started again by itself in {left}; `runcept start {name}` starts it at once."
    return "It is being started." if life.wanted and life.state is State.STOPPED else _while_down(supervisor, life)


def _while_up(life: Life, process: Process) -> str:
    if life.state is State.STARTING:
        if process.kind is Kind.TASK:
            return "It is a task: it is ready when it has ended with success."
        return (
            "It is ready when it has lived for a moment."
            if process.health_check is None
            else "It is ready when its health check succeeds for the first time."
        )
    if life.health is not Health.UNHEALTHY:
        return "Nothing needs to be done."
    if process.restart.on_unhealthy:
        return "It is restarted for its health."
    return f"It is left as it is until a check succeeds again; `runcept restart {life.name}` restarts it."


def _while_stopping(life: Life) -> str:
    if life.restarting or life.stopping_for == "restart":
        return "It is started again when it has ended."
    if life.wanted:
        return "What becomes of it is decided when all of it has ended."
    return f"It ends; `runcept start {life.name}` starts it again."


def _while_down(supervisor: Supervisor, life: Life) -> str:
    start = f"`runcept start {life.name}` starts it"
    root = causes(supervisor, life.name)[-1]
    if life.state is State.FAILED and root.process != life.name and root.reason is not None:
        return f"Nothing starts it by itself. Mend {root.process} first; then {start}, with what it needs."
    if life.state is State.FAILED:
        return f"Nothing starts it by itself. When the cause is mended, {start}."
    doorstep = supervisor.project.process(life.name).doorstep
    if life.asleep and doorstep:
        return f"A connection to {doorstep} starts it; so does `runcept start {life.name}`."
    return f"Nothing starts it by itself; {start}."


def _awaited(supervisor: Supervisor, process: Process, dependency: str) -> str:
    wanted = {each.name: each.condition for each in process.depends_on}.get(dependency, Condition.READY)
    is_task = supervisor.project.process(dependency).kind is Kind.TASK if dependency else False
    words = "has ended with success" if is_task and wanted is not Condition.STARTED else f"is {wanted}"
    return f"{dependency or 'what it needs'} {words}"
