"""docs/states.md: the states of a process, and where each event leads, found by walking the table from its beginning.

The table names a reaction for each pair of state and event; where that leads depends on the process and on what
happened before. So every history is walked, over processes of every kind, with the supervisor's rules for what it
allows and with facts that can be true; what is seen on the way is the diagram.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from itertools import product

import msgspec

from runcept.core import events as ev
from runcept.core.life import Life
from runcept.core.lifecycle import TRANSITIONS, step
from runcept.core.model import Health, HealthCheck, Kind, Probe, Process, Restart, RestartPolicy, State
from runcept.core.reactions import Context

__all__ = ["Step", "states_page", "walk"]

MEANINGS = {
    State.STOPPED: "Does not run. Nobody wants it to, or it is wanted and will be started in a moment.",
    State.PENDING: "Wanted, and waits for a dependency; the reason names it.",
    State.STARTING: "Has been started and is not ready: its health check has not succeeded, or the task has not ended.",
    State.RUNNING: "Ready. Its health may be `unhealthy` all the same; then there is a reason.",
    State.STOPPING: "Was told to end, or has ended and left processes behind. SIGKILL follows after `stop_timeout`.",
    State.BACKOFF: "Failed, and will be started again; the reason says why and when.",
    State.EXITED: "Ended by itself with success: a task that is done, or a service that had no more to do.",
    State.FAILED: "Ended with failure and will not be started again, could not be started, or needs what has failed.",
}
OCCASIONS: dict[type[ev.Event], str] = {
    ev.StartRequested: "somebody wants it to run",
    ev.StopRequested: "somebody wants it down",
    ev.RestartRequested: "somebody wants it down and up again",
    ev.StartAllowed: "the supervisor: what it depends on is there",
    ev.StopAllowed: "the supervisor: nothing that needs it runs any more",
    ev.Blocked: "the supervisor: a dependency is not there yet",
    ev.DependencyFailed: "the supervisor: a dependency will not come",
    ev.DeadlineReached: "the deadline of the state has come",
    ev.Spawned: "its command was executed",
    ev.SpawnFailed: "it could not be started",
    ev.HealthChanged: "its health check says something new",
    ev.Exited: "its main process ended",
    ev.Gone: "nothing that it left behind lives any more",
    ev.Lost: "the run is over and nobody saw it end",
}
Step = tuple[State, type[ev.Event], State]

_CHECK = HealthCheck(url="http://localhost/", probe=Probe.HTTP, target="http://localhost/")
_NOW = 1000.0


def states_page() -> str:
    """The page as text."""
    steps = walk()
    return "".join([_HEAD, *_states(), _DIAGRAM, *_diagram(steps), _TABLE, *_table(steps)])


def walk() -> set[Step]:
    """Every step that some process can take."""
    return {step for process in _processes() for step in _walk(process)}


def _processes() -> Iterator[Process]:
    for kind, check, when in product(Kind, (None, _CHECK), Restart):
        policy = RestartPolicy(when=when, max_restarts=1, on_unhealthy=when is not Restart.NO)
        yield Process("p", "p", ("p",), "/", kind=kind, health_check=check, restart=policy)


def _walk(process: Process) -> Iterator[Step]:
    context = Context(process=process, now=_NOW, jitter=0.0)
    waiting, seen = deque([Life(name="p")]), set()
    while waiting:
        before = waiting.popleft()
        for event in _possible(before, process):
            life = msgspec.json.decode(msgspec.json.encode(before), type=Life)
            step(life, event, context)
            yield before.state, type(event), life.state
            if (known := _essence(life)) not in seen:
                seen.add(known)
                waiting.append(life)


def _essence(life: Life) -> bytes:
    """What decides where it can go; not the words, nor how often it has been there."""
    texts = {
        name: bool(getattr(life, name))
        for name in ("reason", "exit_reason", "stop_reason", "deadline", "run", "before")
    }
    return msgspec.json.encode({**msgspec.structs.asdict(life), **texts, "restarts": 0})


def _possible(life: Life, process: Process) -> Iterator[ev.Event]:
    """The events that may come now: requests at any time, what the supervisor would allow, and true facts."""
    yield from (ev.StartRequested("p"), ev.StartRequested("p", rerun=True), ev.RestartRequested("p"))
    yield from (ev.StopRequested("p", "asked"), ev.StopRequested("p", "asked", kill=True))
    if life.deadline is not None:
        yield ev.DeadlineReached("p")
    if life.wanted and not life.restarting:
        if life.state in {State.STOPPED, State.PENDING}:
            yield from (ev.StartAllowed("p"), ev.Blocked("p", "waits", "q"), ev.DependencyFailed("p", "failed", "q"))
    elif life.state in {State.STARTING, State.RUNNING, State.PENDING, State.BACKOFF}:
        yield ev.StopAllowed("p")
    if life.is_up:
        yield from _facts(life, process)
    elif life.pid is not None:  # it could not be killed
        yield ev.Exited("p", life.run, None, "SIGKILL", _NOW)


def _facts(life: Life, process: Process) -> Iterator[ev.Event]:
    run = life.run
    if life.pid is None and life.ended_at is None:
        yield ev.Spawned("p", run, 1, _NOW)
        yield from (ev.SpawnFailed("p", run, "why", _NOW, is_final=final) for final in (False, True))
        yield ev.Lost("p", run, "killed")
    elif life.pid is None:
        yield from (ev.Gone("p", run, survivors) for survivors in ("", "pid 1"))
    else:
        yield from (ev.Exited("p", run, code, None, _NOW, left) for code in (0, 1) for left in (False, True))
        yield ev.Lost("p", run, "rebooted")
        if life.state is State.STOPPING:
            yield ev.Gone("p", run, "pid 1")
        if process.health_check is not None:
            yield from (ev.HealthChanged("p", run, health, "says") for health in Health if health is not Health.NONE)


def _states() -> Iterator[str]:
    yield "| state | meaning |\n|---|---|\n"
    yield from (f"| `{state}` | {MEANINGS[state]} |\n" for state in State)


def _diagram(steps: set[Step]) -> Iterator[str]:
    yield "```mermaid\nstateDiagram-v2\n    [*] --> stopped\n"
    events = defaultdict(list)
    for state, reactions in TRANSITIONS.items():
        for event in reactions:
            for to in State:
                if state is not to and (state, event, to) in steps:
                    events[state, to].append(event.__name__)
    yield from (f"    {state} --> {to}: {'<br>'.join(names)}\n" for (state, to), names in events.items())
    yield "```\n"


def _table(steps: set[Step]) -> Iterator[str]:
    yield "| in state | on event | what happens | leads to |\n|---|---|---|---|\n"
    for state, reactions in TRANSITIONS.items():
        for event, reaction in reactions.items():
            targets = [f"`{to}`" for to in State if (state, event, to) in steps]
            words = (reaction.__doc__ or "").strip().partition("\n")[0]
            cells = (f"`{state}`", f"`{event.__name__}`", words, " ".join(targets))
            yield f"| {' | '.join(cells)} |\n"
    yield "\n## Events\n\n| event | means |\n|---|---|\n"
    yield from (f"| `{event.__name__}` | {words} |\n" for event, words in OCCASIONS.items())


_HEAD = """\
# States of a process

<!-- Made by `make docs` from src/runcept/core/lifecycle.py: change the table there. -->

What a process is now is its **state**; beside it stand its **health** and the **reason**, one sentence that says why it
is not simply running. `status` shows all three.

"""

_DIAGRAM = """
Health is `none` where there is no check, `unknown` until it has said something, `healthy` or `unhealthy`. A process
without a check is ready when it has lived for a tenth of a second. One whose check never succeeds is not killed for
it: it stays `starting`, becomes `unhealthy` after its start period, and is started again only where its restart policy
says so.

## The way through them

Requests change what is *wanted*; the supervisor turns that into *permissions*, in the order of the dependencies; facts
change the *state*. Only `StartAllowed` starts a process: whatever else wants it to run leads to `stopped` (and wanted)
first. How it fits together is told in [design.md](design.md).

"""

_TABLE = """
## The table

Every pair of state and event that can be; any other is an error. A fact about a run that is over changes nothing. Where
an event leads to several states, the process, its restart policy and what happened before decide. The events are
explained [below](#events).

"""
