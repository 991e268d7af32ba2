"""One environment in the daemon's memory: the supervisor of its processes, their health, when it was used.

It composes the deciding parts and does no I/O; the engine feeds it and performs what it answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import msgspec

from runcept.core.changes import needs_restart, takes_over_check
from runcept.core.check_port import resolved
from runcept.core.check_standing import CheckStanding
from runcept.core.effects import Effect, Limit
from runcept.core.events import Event, Exited, HealthChanged, Spawned
from runcept.core.life import Life
from runcept.core.model import Activity, Health, Kind, Process, Project, State
from runcept.core.printable import printable
from runcept.core.secrets import mask, secret_values
from runcept.core.supervisor import Supervisor
from runcept.core.views import ReloadError
from runcept.paths import log_path
from runcept.scheduler.filewatch import FileWatch
from runcept.scheduler.health import HealthSchedule, ProbeDue
from runcept.scheduler.inactivity import Ending, Inactivity, Need, needs

__all__ = ["USUAL_UMASK", "Environment"]

_TEXTS = frozenset({"reason", "last_line", "survivors"})
"""The fields of events whose words come from other programs, or from a project file: no secrets, no escapes."""
USUAL_UMASK = 0o022
"""What processes get whose shell is not known: the daemon's own is private, and theirs is not to be."""


class Environment:
    """One known environment."""

    def __init__(self, project: Project, lives: list[Life], jitter: Callable[[], float]) -> None:
        self.supervisor = Supervisor(project, lives, jitter)
        self.health = HealthSchedule()
        self.files = FileWatch()
        self.watch_trouble = ""
        """Why changes of its files are not seen, or seen late."""
        self.reload_error: ReloadError | None = None
        """What is wrong with its project file, where an edit of it could not be taken over."""
        self.environ: dict[str, str] | None = None
        """Captured when it was last activated from a command line."""
        self.umask = USUAL_UMASK
        """Captured with it."""
        self.leftovers: frozenset[str] = frozenset()
        """Processes that are in its file no more, and are here until they have been stopped."""
        self.activated_at: float | None = None
        """Wall clock, like last_activity_at."""
        self.last_activity_at: float | None = None
        self.inactivity = Inactivity(0.0)
        self._jitter = jitter
        self._secrets: dict[str, Sequence[str]] = {}

    @property
    def project(self) -> Project:
        """What its processes are."""
        return self.supervisor.project

    @property
    def path(self) -> str:
        """Its identity."""
        return self.project.path

    @cached_property
    def logs(self) -> frozenset[str]:
        """The logs of its processes."""
        return frozenset(log_path(self.path, process.name) for process in self.project.processes)

    @cached_property
    def watching(self) -> tuple[str, ...]:
        """Its processes that are restarted when files change."""
        return tuple(process.name for process in self.project.processes if process.watch)

    @property
    def lives(self) -> dict[str, Life]:
        """The lives of its processes by name."""
        return self.supervisor.lives

    @property
    def is_active(self) -> bool:
        """Something of it is wanted, or lives."""
        return any(life.wanted or life.is_up for life in self.lives.values())

    @property
    def is_asleep(self) -> bool:
        """Something of it sleeps, and may be woken by a connection."""
        return any(life.asleep for life in self.lives.values())

    def wanted(self) -> list[str]:
        """The processes that somebody wants to run."""
        return [name for name, life in self.lives.items() if life.wanted]

    def gave(self, name: str, environ: Mapping[str, str]) -> None:
        """A process is being started with this environment: texts about it must not tell what is secret there."""
        self._secrets[name] = secret_values(environ)

    def secrets(self, name: str) -> Sequence[str]:
        """What must not be told of a process."""
        if name in self._secrets:
            return self._secrets[name]
        own = (process.env for process in self.project.processes if process.name == name)
        return secret_values(self.environ or {}, *own)  # an earlier daemon has started it, or nobody yet

    def adopt_project(self, project: Project, last_run: Callable[[str], int], now: float) -> list[Effect]:
        """Take over an edited file; `last_run` tells from which number a process goes on that is new in it.

        What is up goes on, as the file says wherever that takes no restart; what is up and was removed from the file
        stays until it is stopped.
        """
        self.reload_error = None
        names = {process.name for process in project.processes}
        kept = [each for each in self.project.processes if each.name not in names and self.lives[each.name].is_up]
        self.leftovers = frozenset(process.name for process in kept)
        names |= self.leftovers
        kept = [
            msgspec.structs.replace(each, depends_on=tuple(need for need in each.depends_on if need.name in names))
            for each in kept
        ]
        merged = msgspec.structs.replace(project, processes=(*project.processes, *kept))
        if merged == self.project:
            return []
        before = {process.name: process for process in self.project.processes}
        new = [Life(name=name, run=last_run(name)) for name in names - self.lives.keys()]
        self.supervisor = Supervisor(merged, [*self.lives.values(), *new], self._jitter)
        for about_the_project in ("logs", "has_timeouts", "watching"):
            self.__dict__.pop(about_the_project, None)
        effects: list[Effect] = []
        for process in merged.processes:
            life, base = self.lives[process.name], before.get(process.name)
            if base is not None and base.watch != process.watch:
                self.files.resume([process.name])
            if base is not None and base != process and life.is_up:
                effects += self._take_over(base, process, life, now)
        return effects

    def _take_over(self, old: Process, new: Process, life: Life, now: float) -> list[Effect]:
        """What of the new definition holds for the run that there is; what does not is remembered."""
        base = life.outdated or old
        life.outdated = base if needs_restart(base, new, life) else None
        if old.health_check != new.health_check and takes_over_check(old.health_check, new.health_check, life):
            self._check_otherwise(new, life, now)
        return [Limit(life.name, life.run)] if old.log != new.log else []

    def _check_otherwise(self, process: Process, life: Life, now: float) -> None:
        self.health.end(life.name)
        is_starting = life.state is State.STARTING and life.pid is not None
        if life.state is State.RUNNING:
            life.reason = ""
        life.health = Health.NONE if process.health_check is None else Health.UNKNOWN
        if is_starting and process.kind is Kind.SERVICE:
            life.deadline = now if process.health_check is None else None  # without a check it is ready now
        self.watch_health(life, now)

    # -------------------------------------------------------------------------------------------- events

    def handle(self, event: Event, now: float) -> list[Effect]:
        """One fact; keeps the health schedule in step. What of it is secret gets into no state and no event."""
        effects = self.supervisor.handle(self._harmless(event), now)
        life = self.lives[event.name]
        if isinstance(event, Spawned) and event.run == life.run:
            self.watch_health(life, now)
        elif isinstance(event, Exited) and event.run == life.run:
            self.health.end(event.name)
        return effects

    def watch_health(self, life: Life, now: float) -> None:
        """Begin to check the health of a living run, as far as it was known before."""
        check = self.supervisor.project.process(life.name).health_check
        if check is not None and life.pid is not None:
            asked = resolved(check, life.ports)
            self.health.begin(life.name, life.run, asked, life.started, known=life.health, now=now)

    def standing(self, name: str, now: float) -> CheckStanding | None:
        """How the health check of a living run stands, without what is secret."""
        found = self.health.standing(name, now)
        if found is None:
            return None
        check = msgspec.structs.replace(found.check, url=self._told(name, found.check.url))
        return msgspec.structs.replace(found, check=check, detail=self._told(name, found.detail))

    def answered(self, answer: HealthChanged | None, now: float) -> list[Effect]:
        """A change of health."""
        if answer is None or answer.run != self.lives[answer.name].run:
            return []
        return self.supervisor.handle(self._harmless(answer), now)

    def _harmless(self, event: Event) -> Event:
        words = {field: getattr(event, field) for field in _TEXTS.intersection(event.__struct_fields__)}
        if not any(words.values()):
            return event
        return msgspec.structs.replace(event, **{field: self._told(event.name, text) for field, text in words.items()})

    def _told(self, name: str, text: str) -> str:
        return printable(mask(text, self.secrets(name)), color=False)

    def tick(self, now: float) -> tuple[list[Effect], list[ProbeDue]]:
        """Everything that is due."""
        effects = self.supervisor.tick(now)
        probes: list[ProbeDue] = []
        for due in self.health.tick(now):
            if isinstance(due, ProbeDue):
                probes.append(due)
            else:
                effects += self.answered(due, now)
        return effects, probes

    def in_use(self) -> list[str]:
        """The processes whose time runs: none without a timeout; a task that has ended, if there is nothing else."""
        wanted = self.wanted() if self.has_timeouts else []
        return [name for name in wanted if self.lives[name].state is not State.EXITED] or wanted

    @cached_property
    def has_timeouts(self) -> bool:
        """Something of it stops when it is not used."""
        timeouts = [self.project.inactivity_timeout, *(each.inactivity_timeout for each in self.project.processes)]
        return any(timeout is not None for timeout in timeouts)

    def use(self, source: Activity, seen: Mapping[str, float]) -> bool:
        """Processes were used, each at its instant; whether that counts."""
        return self.inactivity.use(self.supervisor.plan, source, seen)

    def needs(self) -> dict[str, Need]:
        """What has to be looked for, for somebody's timeout depends on it."""
        return needs(self.supervisor.plan, self.in_use())

    def idle(self, now: float) -> tuple[list[Ending], list[Ending]]:
        """(the timeouts that are over, those that are to be announced)."""
        return self.inactivity.due(self.supervisor.plan, self.in_use(), now)

    def next_deadline(self) -> float | None:
        """The earliest instant (monotonic) at which there is something to do."""
        deadlines = (
            self.supervisor.next_deadline(),
            self.health.next_deadline(),
            self.inactivity.next_deadline(self.supervisor.plan, self.in_use()),
            self.files.next_deadline(),
        )
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def idle_stop_at(self, now: float, today: float) -> float | None:
        """When the last of it stops if nobody uses it until then, in seconds since the epoch: `today`, which is `now`.

        Of the clock as it is: since the last activity it may have been set.
        """
        end = self.inactivity.end(self.supervisor.plan, self.in_use())
        return None if end is None else today + end - now

    def idle_stops(self, now: float, today: float) -> dict[str, float]:
        """The same of each process that has a timeout of its own, where that ends first."""
        endings = self.inactivity.endings(self.supervisor.plan, self.in_use())
        return {ending.process: today + ending.at - now for ending in endings if ending.process}
