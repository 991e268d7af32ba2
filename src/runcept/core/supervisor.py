"""All the lives of one environment: requests become intents, intents become permissions in the order of the graph.

The supervisor alone allows a start, when every dependency is as its dependent needs it, and a stop, when nothing that
needs the process runs any more. It is called with events and the time, answers with effects, and performs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from runcept.core import events as ev
from runcept.core.effects import Effect
from runcept.core.life import SUPERVISOR, Life
from runcept.core.lifecycle import step
from runcept.core.model import Condition, Dependency, Health, Kind, Project, State
from runcept.core.plan import Plan
from runcept.core.reactions import Context

__all__ = ["Supervisor"]

_DOWN = frozenset({State.STOPPED, State.EXITED, State.FAILED, State.PENDING, State.BACKOFF})


class Supervisor:
    """The lives of one project.

    `lives` goes on from stored ones; `jitter` gives random numbers in [0, 1).
    """

    def __init__(self, project: Project, lives: Iterable[Life], jitter: Callable[[], float]) -> None:
        self.project = project
        self.plan = Plan(project)
        stored = {life.name: life for life in lives}
        self.lives: dict[str, Life] = {p.name: stored.get(p.name) or Life(name=p.name) for p in project.processes}
        self._processes = {process.name: process for process in project.processes}
        self._jitter = jitter
        self._changed: set[str] = set()
        self._queued: set[str] = set()
        """What waits for a port that another one has until it has ended."""

    # ---------------------------------------------------------------------------------------- requests

    def start(self, names: Iterable[str], now: float, *, rerun: bool = False, actor: str = SUPERVISOR) -> list[Effect]:
        """Somebody wants these to run; what they need comes along. `rerun`: tasks that have ended as well."""
        named = set(names)
        wanted = self.plan.with_dependencies(named)
        return self._all([ev.StartRequested(name, rerun and name in named, actor) for name in wanted], now)

    def stop(
        self,
        names: Iterable[str],
        reason: str,
        now: float,
        *,
        kill: bool = False,
        actor: str = SUPERVISOR,
        idle: bool = False,
    ) -> list[Effect]:
        """Somebody wants these down; what needs them goes down first. `kill`: without their grace.

        `idle`: because nobody used them.
        """
        stopped = self.plan.with_dependents(names)
        return self._all([ev.StopRequested(name, reason, kill, actor, idle) for name in stopped], now)

    def with_running_dependents(self, names: Iterable[str]) -> list[str]:
        """The names, and of what depends on them what is wanted now."""
        chosen = set(names)
        wanted = {name for name in self.plan.with_dependents(chosen) if self.lives[name].wanted}
        return self.plan.sort(chosen | wanted)

    def restart(
        self,
        names: Iterable[str],
        now: float,
        reasons: Mapping[str, str] = MappingProxyType({}),
        *,
        actor: str = SUPERVISOR,
    ) -> list[Effect]:
        """Somebody wants these down and up again, with their dependencies up; those in order of each other."""
        chosen = self.plan.sort(names)
        needed = [name for name in self.plan.with_dependencies(chosen) if name not in chosen]
        requests: list[ev.Event] = [ev.StartRequested(name, actor=actor) for name in needed]
        again = (ev.RestartRequested(name, actor, reasons.get(name, "")) for name in chosen)
        return self._all([*requests, *again], now)

    # ---------------------------------------------------------------------------------- facts and time

    def handle(self, event: ev.Event, now: float) -> list[Effect]:
        """One fact."""
        return self._all([event], now)

    def tick(self, now: float) -> list[Effect]:
        """Every deadline that has come."""
        due = [life.name for life in self.lives.values() if life.deadline is not None and life.deadline <= now]
        return self._all([ev.DeadlineReached(name) for name in due], now)

    def next_deadline(self) -> float | None:
        """The earliest instant (monotonic) at which `tick` has something to do."""
        return min((life.deadline for life in self.lives.values() if life.deadline is not None), default=None)

    # ------------------------------------------------------------------------------------- reconciling

    def resume(self, now: float) -> list[Effect]:
        """Look at everything once, after the lives were restored."""
        return self._reconcile(set(self.lives), now)

    def unmet(self, name: str) -> list[str]:
        """The dependencies that are not as it needs them, in the order of its list."""
        return [each.name for each in self._processes[name].depends_on if self._unmet(each)[1]]

    def holding_up(self, name: str) -> list[str]:
        """What depends on it, goes down as well, and has to end before it may."""
        return [each for each in self.plan.sort(self.plan.dependents(name)) if self._goes_down_first(self.lives[each])]

    def take_changed(self) -> list[Life]:
        """The lives that were stepped since this was last called, in no order."""
        changed = [self.lives[name] for name in self._changed]
        self._changed.clear()
        return changed

    def _all(self, events: Iterable[ev.Event], now: float) -> list[Effect]:
        effects: list[Effect] = []
        near: set[str] = set()
        for event in events:
            effects += self._step(event, now)
            near |= self.plan.neighbours(event.name)
        return effects + self._reconcile(near | self._queued, now)

    def _reconcile(self, near: set[str], now: float) -> list[Effect]:
        """Grant what intent and graph allow, until nothing more is: only neighbours of a change can be affected."""
        effects: list[Effect] = []
        while near:
            granted = [event for name in self.plan.sort(near) if (event := self._permission(self.lives[name]))]
            near = set()
            for event in granted:
                effects += self._step(event, now)
                near |= self.plan.neighbours(event.name)
        return effects

    def _step(self, event: ev.Event, now: float) -> list[Effect]:
        self._changed.add(event.name)
        context = Context(process=self._processes[event.name], now=now, jitter=self._jitter())
        life = self.lives[event.name]
        effects = step(life, event, context)
        if life.state is not State.PENDING:
            self._queued.discard(life.name)
        return effects

    def _permission(self, life: Life) -> ev.Event | None:
        if life.wanted and not life.restarting:
            return self._start_permission(life) if life.state in {State.STOPPED, State.PENDING} else None
        if life.state in {State.STARTING, State.RUNNING, State.PENDING, State.BACKOFF} and not self._is_needed(life):
            return ev.StopAllowed(life.name)
        return None

    def _start_permission(self, life: Life) -> ev.Event | None:
        waiting = blamed = ""
        for dependency in self._processes[life.name].depends_on:
            never, reason = self._unmet(dependency)
            if never:
                return ev.DependencyFailed(life.name, reason, dependency.name)
            if reason and not waiting:
                waiting, blamed = reason, dependency.name
        if not waiting and (found := self._given_up(life)):
            port, blamed = found
            waiting = f"waits for port {port}, which {blamed} gives up when it has ended"
            self._queued.add(life.name)
        if not waiting:
            return ev.StartAllowed(life.name)
        if (life.state, life.reason) == (State.PENDING, waiting):
            return None
        return ev.Blocked(life.name, waiting, blamed)

    def _given_up(self, life: Life) -> tuple[int, str] | None:
        """A port that it is to have, and the one that has it and is on its way down: so two can exchange theirs."""
        ports = self._processes[life.name].ports
        for other in self.lives.values() if ports else ():
            is_leaving = not other.wanted or other.restarting or other.state is State.STOPPING
            if is_leaving and other.is_up and other is not life:
                for port in ports:
                    if port in other.ports:
                        return port, other.name
        return None

    def _unmet(self, dependency: Dependency) -> tuple[bool, str]:
        """(it never will be, why the condition does not hold); the sentence is empty where it holds."""
        other = self.lives[dependency.name]
        process = self._processes[dependency.name]
        task = process.kind is Kind.TASK
        if other.state is State.FAILED:
            return True, f"dependency {other.name} failed: {other.reason}"
        if other.restarting:
            return False, f"waits for {other.name}, which is being restarted"
        match dependency.condition:
            case Condition.STARTED:
                met = (other.state is State.STARTING and other.pid is not None) or other.state in _STARTED
            case Condition.COMPLETED:
                met = other.state is State.EXITED
            case Condition.READY if task:
                met = other.state is State.EXITED
            case Condition.READY:
                met = other.state is State.RUNNING and other.health is not Health.UNHEALTHY
        if met:
            return False, ""
        if other.state is State.EXITED or (other.state is State.STOPPED and not other.wanted):
            return True, f"dependency {other.name} is {other.state}: {other.reason}"
        because = f": {other.reason}" if other.reason else ""
        return False, f"waits for {other.name}, which is {other.state}{because}"

    def _is_needed(self, life: Life) -> bool:
        """Something that goes down as well, and depends on it, has not ended yet."""
        return any(self._goes_down_first(self.lives[name]) for name in self.plan.dependents(life.name))

    @staticmethod
    def _goes_down_first(dependent: Life) -> bool:
        down = dependent.wanted and not dependent.restarting and dependent.state is not State.STOPPING
        return dependent.state not in _DOWN and not down


_STARTED = frozenset({State.RUNNING, State.EXITED})
