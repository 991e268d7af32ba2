"""The one loop: requests and facts go in, state changes, is kept, is performed, is shown.

Every change goes through `_settle`, in this order: the new state is written to the database, then the effects are
performed, then whoever waits is woken. A daemon that is killed at any instant has therefore written down what it was
about to do. The engine is called from the event loop's thread alone and never waits.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from runcept.core.effects import Effect, Record, Release, Spawn
from runcept.core.events import Event
from runcept.core.life import Life
from runcept.core.model import Activity, Project, State
from runcept.daemon.environment import USUAL_UMASK, Environment
from runcept.database.queries import Database, StoredEnvironment, StoredEvent
from runcept.errors import EnvironmentActive, EnvironmentAmbiguous, EnvironmentNotFound
from runcept.scheduler.filewatch import RestartDue, Suspended
from runcept.scheduler.health import ProbeDue
from runcept.scheduler.inactivity import Inactivity

__all__ = ["Engine", "Performer"]

_HEARING_SECONDS = 0.25
"""For what was said to a daemon while it was suspended to be heard, before anybody's time is up."""


class Performer(Protocol):
    """What does what the core decided. Every method returns at once; facts come back through the engine."""

    def prepare(self, environment: Environment, effect: Spawn) -> str:
        """Name the run that is about to be spawned; the name is kept together with the decision."""

    def perform(self, environment: Environment, effect: Effect) -> None:
        """Do it."""

    def probe(self, environment: Environment, due: ProbeDue) -> None:
        """Ask for the health of a process."""


class Engine:
    """All state of a daemon. `performer` and `on_idle` are set once, before anything is asked of it."""

    performer: Performer
    on_idle: Callable[[Environment], None]
    """The time of something in there is up, or nearly: look whether that is so, and act."""

    def __init__(self, loop: asyncio.AbstractEventLoop, database: Database) -> None:
        self.environments: dict[str, Environment] = {}
        self._loop = loop
        self._database = database
        self._timer: asyncio.TimerHandle | None = None
        self._hearing_until = 0.0
        self._is_hearing = False
        self._watchers: set[Callable[[Environment], None]] = set()
        self._listeners: list[Callable[[StoredEvent], None]] = []
        self._deadlines: dict[str, float] = {}
        """By path: when an environment has something to do."""

    @property
    def database(self) -> Database:
        """What is kept, for those that look at it."""
        return self._database

    # -------------------------------------------------------------------------------------- environments

    def restore(self, stored: StoredEnvironment) -> Environment:
        """Take up an environment from the database, as it was."""
        environment = Environment(stored.project, stored.lives, random.random)
        environment.environ = stored.environ
        environment.umask = USUAL_UMASK if stored.umask is None else stored.umask
        environment.activated_at = stored.activated_at
        environment.last_activity_at = stored.last_activity_at
        known_since = self.now() if stored.last_activity is None else min(stored.last_activity, self.now())
        environment.inactivity = Inactivity(known_since, stored.uses)
        self.environments[environment.path] = environment
        return environment

    def add(self, project: Project, last_run: Callable[[str], int]) -> Environment:
        """Make a project known, or take over its edited file.

        `last_run` gives the number of a process's last run as its log tells it: a project whose log is older than this
        home goes on counting there.
        """
        environment = self.environments.get(project.path)
        is_news = environment is None or environment.project != project or environment.reload_error is not None
        effects: list[Effect] = []
        if environment is None:
            lives = [Life(name=process.name, run=last_run(process.name)) for process in project.processes]
            environment = Environment(project, lives, random.random)
            environment.inactivity = Inactivity(self.now())
            self.environments[project.path] = environment
        else:
            effects = environment.adopt_project(project, last_run, self.now())
        with self._database.transaction():
            self._save(environment)
            self._database.save_lives(environment.path, environment.lives.values())
        for effect in effects:
            self.performer.perform(environment, effect)
        self._arm(environment)
        if is_news:
            self._tell(environment)
        return environment

    def warnings(self) -> list[str]:
        """What a user should know of how the state is kept, a sentence each."""
        return self._database.warnings()

    def find(self, name: str) -> Environment:
        """By path, or by the name of exactly one. EnvironmentNotFound, EnvironmentAmbiguous."""
        if found := self.environments.get(name):
            return found
        matches = [e for e in self.environments.values() if e.project.name == name]
        if len(matches) > 1:
            raise EnvironmentAmbiguous(name, [environment.path for environment in matches])
        if not matches:
            raise EnvironmentNotFound(name, [environment.project.name for environment in self.environments.values()])
        return matches[0]

    def forget(self, environment: Environment) -> None:
        """Drop an inactive environment. EnvironmentActive."""
        if environment.is_active:
            raise EnvironmentActive(environment.path)
        with self._database.transaction():
            self._database.forget_environment(environment.path)
        del self.environments[environment.path]
        self._arm(environment)
        self._tell(environment)

    def capture(
        self, environment: Environment, environ: dict[str, str] | None, umask: int | None, *, activated: bool
    ) -> None:
        """Keep the asking shell's environment and umask: of an activation always, else where there is none yet."""
        if environ is not None and (activated or environment.environ is None):
            environment.environ = environ
            environment.umask = USUAL_UMASK if umask is None else umask
        if activated:
            environment.activated_at = time.time()
        with self._database.transaction():
            self._save(environment)

    def touch(self, environment: Environment, actor: str) -> None:
        """Somebody has named it in a request."""
        now, names = self.now(), environment.wanted()
        if environment.use(Activity.REQUESTS, dict.fromkeys(names, now)) or not names:
            environment.last_activity_at = time.time()
        self.keep_uses(environment, actor)
        self._arm(environment)

    def saw(self, environment: Environment, source: Activity, seen: Mapping[str, float]) -> None:
        """Processes were used, each at its instant (monotonic), in a way that has to be looked for."""
        if not environment.use(source, seen):
            return
        environment.last_activity_at = time.time() - max(0.0, self.now() - max(seen.values()))
        if environment.inactivity.is_worth_keeping(environment.supervisor.plan, environment.in_use()):
            self.keep_uses(environment, source.value)
        self._arm(environment)

    def _begin_use(self, environment: Environment, names: Iterable[str], actor: str) -> None:
        """These are being started: their time begins."""
        environment.inactivity.begin(names, self.now())
        if environment.has_timeouts:
            self.keep_uses(environment, actor)

    def keep_uses(self, environment: Environment, actor: str) -> None:
        """Keep when everything was used last."""
        if environment.path not in self.environments:
            return
        with self._database.transaction():
            at = time.time() if environment.last_activity_at is None else environment.last_activity_at
            self._database.save_activity(environment.path, at, self.now(), actor, environment.inactivity.uses)
        environment.inactivity.kept()

    # ------------------------------------------------------------------------------- requests and facts

    def start(self, environment: Environment, names: Iterable[str], actor: str, *, rerun: bool = False) -> None:
        """Somebody wants these to run."""
        names = list(names)
        self._resume_watch(environment, names, actor)
        idle = [n for n in environment.supervisor.plan.with_dependencies(names) if not environment.lives[n].wanted]
        self._begin_use(environment, idle, actor)
        self._settle(environment, environment.supervisor.start(names, self.now(), rerun=rerun, actor=actor))

    def stop(
        self,
        environment: Environment,
        names: Iterable[str],
        actor: str,
        reason: str,
        *,
        kill: bool = False,
        idle: bool = False,
    ) -> None:
        """Somebody wants these down; or, `idle`, nobody uses them."""
        effects = environment.supervisor.stop(names, reason, self.now(), kill=kill, actor=actor, idle=idle)
        self._settle(environment, effects)

    def restart(
        self, environment: Environment, names: Iterable[str], actor: str, reasons: Mapping[str, str] | None = None
    ) -> None:
        """Somebody wants these down and up again, or it is necessary for some `reasons`, by name."""
        names = list(names)
        self._resume_watch(environment, names, actor)
        self._begin_use(environment, names, actor)
        self._settle(environment, environment.supervisor.restart(names, self.now(), reasons or {}, actor=actor))

    @staticmethod
    def _resume_watch(environment: Environment, names: Iterable[str], actor: str) -> None:
        if actor != "supervisor":  # a person has looked after it: its files count again
            environment.files.resume(names)

    def files_changed(self, environment: Environment, name: str, paths: Iterable[str], seconds_ago: float) -> None:
        """Files that a process is to be restarted for have changed."""
        life = environment.lives.get(name)
        if life is not None and life.wanted:
            environment.files.changed(name, paths, self.now(), self.now() - seconds_ago)
            self._arm(environment)

    def tell(self, environment: Environment) -> None:
        """Something else about it has changed than its processes."""
        self._tell(environment)

    def resume(self, environment: Environment) -> None:
        """Go on where an earlier daemon was."""
        self._settle(environment, environment.supervisor.resume(self.now()))

    def post(self, environment: Environment, event: Event) -> None:
        """A fact has become known."""
        if event.name in environment.lives:
            self._settle(environment, environment.handle(event, self.now()))

    def probed(self, environment: Environment, name: str, run: int, *, ok: bool, detail: str) -> None:
        """A health check was answered, by a probe or by a line of output."""
        answer = environment.health.probed(name, run, ok=ok, detail=detail, now=self.now())
        self._settle(environment, environment.answered(answer, self.now()))

    def record(
        self,
        kind: str,
        message: str,
        actor: str,
        environment: Environment | None = None,
        *,
        process: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """A line of the history that the core does not know of; without an environment, about the daemon itself."""
        path = None if environment is None else environment.path
        event = StoredEvent(time.time(), path, process, kind, message, actor, dict(data or {}))
        with self._database.transaction():
            self._database.add_events([event])
        self._publish([event])

    def listen(self, listener: Callable[[StoredEvent], None]) -> Callable[[], None]:
        """Call `listener` with every new line of the history, once it is kept; the answer ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _publish(self, events: Iterable[StoredEvent]) -> None:
        for event in events:
            for listener in list(self._listeners):
                listener(event)

    # -------------------------------------------------------------------------------------- performing

    def now(self) -> float:
        """Monotonic seconds; the same clock in every process of this boot (clock_gettime(2), CLOCK_MONOTONIC)."""
        return time.monotonic()

    def _settle(self, environment: Environment, effects: list[Effect]) -> None:
        spawns = [(self.performer.prepare(environment, e), e) for e in effects if isinstance(e, Spawn)]
        events = [self._event(environment, effect) for effect in effects if isinstance(effect, Record)]
        over = [effect for effect in effects if isinstance(effect, Release)]
        changed = environment.supervisor.take_changed()
        if changed or events or spawns:
            with self._database.transaction():
                self._database.save_lives(environment.path, changed)
                self._database.add_events(events)
                for key, spawn in spawns:
                    self._database.begin_run(key, environment.path, spawn.name, spawn.run)
                for run in over:
                    self._database.explain_run(environment.path, run.name, run.run, run.reason)
        for effect in effects:
            if not isinstance(effect, Record):
                self.performer.perform(environment, effect)
        self._arm(environment)
        if changed:
            self._tell(environment)
        self._publish(events)

    def _save(self, environment: Environment) -> None:
        self._database.save_environment(
            environment.project, environment.environ, environment.activated_at, environment.umask
        )
        self._database.save_lives(environment.path, environment.supervisor.take_changed())

    @staticmethod
    def _event(environment: Environment, record: Record) -> StoredEvent:
        return StoredEvent(
            time.time(), environment.path, record.name, record.kind, record.message, record.actor, dict(record.data)
        )

    # ------------------------------------------------------------------------------------------- time

    def _arm(self, environment: Environment) -> None:
        """Wake up at the next deadline of any environment, after one of them has changed."""
        deadline = environment.next_deadline() if environment.path in self.environments else None
        if deadline is None:
            self._deadlines.pop(environment.path, None)
        else:
            self._deadlines[environment.path] = deadline
        self._set_timer()

    @contextmanager
    def hearing(self) -> Iterator[None]:
        """Deadlines wait until all is heard of what has happened while nobody was there to hear it."""
        self._is_hearing = True
        try:
            yield
        finally:
            self._is_hearing = False
            self._set_timer()

    def _set_timer(self) -> None:
        is_free = self._deadlines and not self._is_hearing
        upcoming = max(min(self._deadlines.values()), self._hearing_until) if is_free else None
        if self._timer is not None:
            if upcoming == self._timer.when():
                return
            self._timer.cancel()
        self._timer = None if upcoming is None else self._loop.call_at(upcoming, self._tick, upcoming)

    def _tick(self, set_for: float) -> None:
        self._timer = None
        now = self.now()
        if now - set_for > _HEARING_SECONDS and set_for != self._hearing_until:
            # We were suspended, or starved, and requests, exits and output wait to be read. Were the inactivity or the
            # silence of these counted first, it would be our own. Once: a loop that is always late has to go on.
            self._hearing_until = now + _HEARING_SECONDS
            self._set_timer()
            return
        for path in [path for path, deadline in self._deadlines.items() if deadline <= now]:
            environment = self.environments[path]
            effects, probes = environment.tick(now)
            self._settle(environment, effects)
            for due in probes:
                self.performer.probe(environment, due)
            for over in environment.files.tick(now):
                self._files_due(environment, over)
            if any(environment.idle(now)):
                self.on_idle(environment)
            self._arm(environment)

    def _files_due(self, environment: Environment, due: RestartDue | Suspended) -> None:
        life = environment.lives.get(due.name)
        if life is None or not life.wanted:
            return
        if isinstance(due, Suspended):
            self.record("watch_suspended", due.reason, "supervisor", environment, process=due.name)
            self._tell(environment)
            return
        began = life.started if life.started_at is None else self.now() - (time.time() - life.started_at)
        if life.state in {State.STARTING, State.RUNNING} and began > due.at:
            return
        failed = environment.supervisor.plan.blaming([due.name], environment.lives)
        self.restart(environment, [due.name], "supervisor", {due.name: due.reason})
        if failed:
            self.start(environment, failed, "supervisor")

    # ----------------------------------------------------------------------------------------- waiting

    def watch(self, watcher: Callable[[Environment], None]) -> Callable[[], None]:
        """Call `watcher` after every change; the answer ends that."""
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)

    def _tell(self, environment: Environment) -> None:
        for watcher in list(self._watchers):
            watcher(environment)

    async def wait_until(self, condition: Callable[[], bool], timeout_seconds: float) -> bool:
        """Whether the condition on the state came true in time. It is looked at after every change."""
        if condition():
            return True
        woken = asyncio.Event()
        unwatch = self.watch(lambda _: woken.set() if condition() else None)
        try:
            async with asyncio.timeout(timeout_seconds):
                await woken.wait()
        except TimeoutError:
            return condition()
        finally:
            unwatch()
        return True
