"""What a client is told without that anything is changed: status, waits, causes, and news of each change."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Literal

import msgspec

from runcept.api import messages as m
from runcept.config.project import load_project
from runcept.config.settings import load_settings
from runcept.core.explain import causes, what_next
from runcept.core.life import Life
from runcept.core.model import Process, Project, State
from runcept.core.plan import Plan
from runcept.core.secrets import mask
from runcept.core.views import Descendant, EnvironmentView, ProcessView, RunView, Usage, environment_view, process_view
from runcept.daemon.engine import Engine
from runcept.daemon.environment import USUAL_UMASK, Environment
from runcept.daemon.performer import SystemPerformer
from runcept.daemon.surroundings import command_environ, login_environ
from runcept.database.queries import RunRecord
from runcept.errors import (
    ConfigError,
    ConfigUnreadable,
    EnvironmentNotFound,
    LogNotReadable,
    ProcessNotFound,
    ProcessNotTakenOver,
    ProjectNotFound,
    RunceptError,
    SeveralProcesses,
)
from runcept.logs.reader import read
from runcept.paths import PROJECT_FILE, log_path
from runcept.process import usage as resources
from runcept.units import instant

__all__ = ["Inquiries", "Notify", "is_down", "is_good", "is_settled", "last_run", "load_environment"]

Notify = Callable[[str, list[ProcessView]], None]
"""Tell the asking client what changed: the path of an environment, and its processes that did."""

_log = logging.getLogger(__name__)
_DASHBOARDS = frozenset({"web", "tui"})


def is_down(life: Life) -> bool:
    """Nothing lives of it, and nothing is about to."""
    return life.state in {State.STOPPED, State.EXITED, State.FAILED}


def is_settled(environment: Environment, name: str) -> bool:
    """It has become what a start can make of it."""
    life = environment.lives[name]
    return life.state in {State.RUNNING, State.EXITED, State.FAILED} or (
        life.state is State.STOPPED and not life.wanted
    )


def is_good(environment: Environment, name: str) -> bool:
    """It has become what was asked for."""
    return environment.lives[name].state in {State.RUNNING, State.EXITED}


_Reached = Literal["ready", "stopped", "exited"]
_Outcome = Literal["ready", "stopped", "exited", "timeout", "undecided"]


def _reached(life: Life, until: _Reached, run: int) -> _Reached | None:
    """What has become of it, as far as it ends a wait that began when `run` was its last run; None: nothing yet."""
    if until == "stopped":
        return "stopped" if is_down(life) and not life.wanted else None
    if until == "exited":
        is_over = life.run > run or (life.run and life.pid is None and life.state is not State.STARTING)
        return "exited" if is_over else None
    if life.state is State.RUNNING:
        return "ready"
    if life.state is State.EXITED:
        return "ready" if life.ready else "exited"
    return "exited" if life.state is State.FAILED else None


def load_environment(home: str, engine: Engine, path: str) -> Environment:
    """Read the project file of a directory and make it known. ConfigError, NotFound."""
    project = load_project(os.path.join(path, PROJECT_FILE), load_settings(home))
    return engine.add(project, lambda name: last_run(log_path(project.path, name)))


def _facts(life: Life) -> tuple[object, ...]:
    """What of a process is told when it changes."""
    return (life.state, life.health, life.reason, life.run)


def last_run(path: str, reach: int | None = None) -> int:
    """The number of the last run that a log, or the last `reach` bytes of it, tells of; 0 where it tells of none.

    0 also where it cannot be read.
    """
    try:
        lines = read({"": path}, lines=1, stream="runcept", reach=reach).lines
    except LogNotReadable as error:
        _log.warning("%s, so its runs are counted anew", error)
        return 0
    return max((line.run or 0 for line in lines), default=0)


def _duration(run: RunRecord) -> float | None:
    if run.started_at is None or run.ended_at is None:
        return None
    return round(max(0.0, run.ended_at - run.started_at), 3)  # the clock may have been put back


def _single(pattern: str, names: list[str]) -> str:
    """The one process that is meant. SeveralProcesses."""
    name, *others = names
    if others:
        raise SeveralProcesses(pattern, names)
    return name


class Inquiries:
    """The operations that only look, by the names of the table, and the views that all answers are made of."""

    def __init__(self, home: str, engine: Engine, performer: SystemPerformer) -> None:
        self._home = home
        self._engine = engine
        self._performer = performer
        self._sampler: resources.Sampler[int] = resources.Sampler()

    def _runs(self, view: ProcessView, limit: int) -> list[RunView]:
        """The last runs of a process, newest first."""
        found = self._engine.database.last_runs(view.environment, view.name, limit)
        return [
            RunView(
                run=each.run,
                pid=each.pid,
                started_at=None if each.started_at is None else instant(each.started_at),
                ended_at=None if each.ended_at is None else instant(each.ended_at),
                duration_seconds=_duration(each) if each.run != view.run or view.pid is None else view.uptime_seconds,
                exit_code=each.exit_code,
                exit_signal=each.exit_signal,
                reason=each.reason,
            )
            for each in found
        ]

    async def status(self, params: m.Status, notify: Notify) -> EnvironmentView:
        """One environment in full."""
        del notify
        environment = self._shown(params.environment)
        self._used(environment, params.actor)
        view = self._environment_view(environment, self.measure([environment]))
        if params.tree:
            processes = view.processes or []
            trees = [msgspec.structs.replace(each, tree=await self._tree(environment, each)) for each in processes]
            view = msgspec.structs.replace(view, processes=trees)
        if params.runs:
            processes = view.processes or []
            told = [msgspec.structs.replace(each, runs=self._runs(each, params.runs)) for each in processes]
            view = msgspec.structs.replace(view, processes=told)
        trouble = [environment.watch_trouble] if environment.watch_trouble else []
        return msgspec.structs.replace(view, warnings=[*self._engine.warnings(), *trouble])

    async def _tree(self, environment: Environment, view: ProcessView) -> list[Descendant]:
        """What lives of a process, each behind its parent, the main process first."""
        run = self._performer.runs.find(environment.path, view.name, view.run or 0)
        living = {each.pid: each for each in await self._performer.members(run)} if run is not None else {}
        children: dict[int | None, list[int]] = {}
        for pid in sorted(living, reverse=True):
            parent = living[pid].parent
            is_below = parent in living and pid != view.pid
            children.setdefault(parent if is_below else None, []).append(pid)
        waiting: list[tuple[int, int | None]] = [(pid, None) for pid in children.get(None, ())]
        waiting.sort(key=lambda each: each[0] == view.pid)  # the last is taken first
        secrets, found = environment.secrets(view.name), []
        while waiting:
            pid, above = waiting.pop()
            found.append(Descendant(pid, above, mask(living[pid].command, secrets)))
            waiting += [(child, pid) for child in children.get(pid, ())]
        return found

    async def list_processes(self, params: m.Status, notify: Notify) -> m.ProcessList:
        """The processes of one environment."""
        view = await self.status(params, notify)
        return m.ProcessList(environment=view.path, processes=view.processes or [])

    async def environments(self, params: m.Environments, notify: Notify) -> m.EnvironmentList:
        """Known environments."""
        del notify
        text = params.text.lower()
        found = [
            environment
            for environment in self._engine.environments.values()
            if (environment.is_active or not params.active)
            and any(
                text in part.lower()
                for part in (environment.project.name, environment.path, environment.project.description)
            )
        ]
        return self.environment_list(found, processes=params.processes)

    async def ps(self, params: m.NoParams, notify: Notify) -> m.Processes:
        """The processes of all environments."""
        del params, notify
        return m.Processes(processes=self._all_views())

    async def wait(self, params: m.Wait, notify: Notify) -> m.Waited:
        """Wait for what becomes of a process."""
        del notify
        environment, name = self._one(params)
        (waited,) = await self._wait(environment, [name], params)
        return waited

    async def wait_all(self, params: m.WaitAll, notify: Notify) -> m.AllWaited:
        """Wait for what becomes of each of several, or until one ends the wait."""
        del notify
        environment = self._shown(params.environment)
        self._used(environment, params.actor)
        meant = [name for pattern in params.names for name in self._meant(environment, pattern)]
        waited = await self._wait(environment, list(dict.fromkeys(meant)), params)
        return m.AllWaited(environment=environment.path, waited=waited)

    async def _wait(self, environment: Environment, names: list[str], params: m.Wait | m.WaitAll) -> list[m.Waited]:
        runs = {name: environment.lives[name].run for name in names}
        outcomes: dict[str, _Reached] = {}

        def is_over() -> bool:
            for name in names:
                life = environment.lives.get(name)
                reached = "stopped" if life is None else _reached(life, params.until, runs[name])
                if reached is not None:
                    outcomes[name] = reached
                else:  # ready for a moment only
                    outcomes.pop(name, None)
            is_lost = params.until == "ready" and any(each != "ready" for each in outcomes.values())
            return is_lost or len(outcomes) == len(names)

        is_in_time = await self._engine.wait_until(is_over, params.timeout)
        self._used(environment, params.actor)
        for name in names:
            if name not in environment.lives:
                raise ProcessNotFound(name, environment.project.name, environment.path, [*environment.lives])
        otherwise: _Outcome = "undecided" if is_in_time else "timeout"
        views = self.views(environment, names, self.measure([environment]))
        return [
            m.Waited(environment=environment.path, process=view, outcome=outcomes.get(view.name, otherwise))
            for view in views
        ]

    async def explain(self, params: m.Explain, notify: Notify) -> m.Explanation:
        """Why a process is as it is."""
        del notify
        environment, name = self._one(params)
        now = self._engine.now()
        found = causes(environment.supervisor, name, lambda each: environment.standing(each, now), now, time.time())
        names = {name, found[-1].process}
        views = {each.name: each for each in self.views(environment, names, self.measure([environment]))}
        return m.Explanation(
            environment=environment.path,
            process=views[name],
            causes=found,
            root=views[found[-1].process],
            next=what_next(environment.supervisor, name, now),
        )

    async def exec(self, params: m.Exec, notify: Notify) -> m.Surroundings:
        """What the asking client may run a command with: that of a process, or of the project."""
        del notify
        environment = self._shown(params.environment)
        self._used(environment, params.actor)
        project, process = self._as_started_now(environment, params.name)
        captured, umask = environment.environ, environment.umask
        if captured is None:
            captured, umask = params.environ, USUAL_UMASK if params.umask is None else params.umask
        shell: dict[str, str | None] = {**(await login_environ() if captured is None else captured), **params.terminal}
        given = {name: value for name, value in shell.items() if value is not None}
        life = None if process is None else environment.lives.get(process.name)
        environ = await command_environ(given, project, process, life)
        directory = project.working_dir if process is None else process.working_dir
        return m.Surroundings(
            environment=environment.path,
            process=None if process is None else process.name,
            environ=environ,
            working_dir=directory or environment.path,
            umask=umask,
        )

    def _as_started_now(self, environment: Environment, named: str | None) -> tuple[Project, Process | None]:
        """A process as it runs; one that does not, and the project itself, as the file has it now."""
        life = environment.lives.get(named or "")
        if named is not None and life is not None and life.pid is not None:
            return environment.project, environment.project.process(named)
        project = environment.project
        with suppress(ProjectNotFound):
            project = load_project(os.path.join(environment.path, PROJECT_FILE), load_settings(self._home))
        return project, None if named is None else project.process(_single(named, Plan(project).select([named])))

    async def use(self, params: m.Use, notify: Notify) -> m.NoResult:
        """Somebody has looked at its logs."""
        del notify
        if environment := self._engine.environments.get(self.path(params.environment)):
            self._used(environment, params.actor)
        return m.NoResult()

    def _used(self, environment: Environment, actor: str) -> None:
        """Somebody has looked at it: a person or an assistant, for a dashboard looks without being asked."""
        if actor not in _DASHBOARDS:
            self._engine.touch(environment, actor)

    def _one(self, params: m.OfProcess) -> tuple[Environment, str]:
        """The process that is meant, and its environment. BadRequest where several are."""
        environment = self._shown(params.environment)
        self._used(environment, params.actor)
        return environment, _single(params.name, self._meant(environment, params.name))

    def _meant(self, environment: Environment, pattern: str) -> list[str]:
        """The processes that a name or a glob means. ProcessNotFound, ProcessNotTakenOver."""
        try:
            return environment.supervisor.plan.select([pattern])
        except ProcessNotFound:
            with suppress(ConfigError, ProjectNotFound):
                edited = load_project(os.path.join(environment.path, PROJECT_FILE), load_settings(self._home))
                if any(process.name == pattern for process in edited.processes):
                    raise ProcessNotTakenOver(pattern, edited.name, edited.path) from None
            raise

    async def watch(self, params: m.Watch, notify: Notify) -> m.NoResult:
        """Tell of each change, until the time is up."""
        unwatch = self._engine.watch(self.reporter(notify))
        try:
            await asyncio.sleep(params.timeout)
        finally:
            unwatch()
        return m.NoResult()

    def reporter(
        self, notify: Notify, only: Environment | None = None, names: Iterable[str] | None = None
    ) -> Callable[[Environment], None]:
        """Tell of each change of state, health or reason once; `only` of these processes of this environment.

        Without `only`, of all environments: what is so already is no news, and that an environment is new, gone, or has
        another project file is told without a process.
        """
        chosen = None if names is None else set(names)
        known = [] if only is not None else [*self._engine.environments.values()]
        shown = {(each.path, name): _facts(life) for each in known for name, life in each.lives.items()}
        projects: dict[str, object] = {each.path: each.project for each in known}

        def report(changed: Environment) -> None:
            if only not in {None, changed}:
                return
            news = []
            for name, life in changed.lives.items():
                facts = _facts(life)
                if (chosen is None or name in chosen) and shown.get((changed.path, name)) != facts:
                    shown[changed.path, name] = facts
                    news.append(name)
            project = changed.project if changed.path in self._engine.environments else None
            is_other = only is None and projects.get(changed.path) != project
            projects[changed.path] = project
            if news or is_other:
                notify(changed.path, self.views(changed, news, {}))

        return report

    def path(self, name: str) -> str:
        """The canonical path that a path, or the name of a known environment, stands for."""
        return os.path.realpath(name) if name.startswith("/") else self._engine.find(name).path

    def current(self, name: str) -> Environment:
        """The same, with the project file read again."""
        return load_environment(self._home, self._engine, self.path(name))

    def _shown(self, name: str) -> Environment:
        """What `status` shows: what runs as it was activated; else the project file as it is now, if there is one."""
        known = self._engine.environments.get(os.path.realpath(name) if name.startswith("/") else "")
        known = known or (self._engine.find(name) if not name.startswith("/") else None)
        if known is not None and known.is_active:
            self._look_again(known)
            return known
        try:
            return self.current(known.path if known is not None else name)
        except ConfigUnreadable:
            if known is None:
                raise EnvironmentNotFound(name, []) from None
        except ProjectNotFound:
            if known is None:
                raise
        return known

    def _look_again(self, environment: Environment) -> None:
        """A project file that could not be taken over may be right again, where nobody else reads it again."""
        if environment.reload_error is not None and not environment.project.auto_reload:
            with suppress(RunceptError):
                load_project(os.path.join(environment.path, PROJECT_FILE), load_settings(self._home))
                environment.reload_error = None

    def views(self, environment: Environment, names: Iterable[str], usage: Mapping[int, Usage]) -> list[ProcessView]:
        """The named processes of an environment; `usage` by pid."""
        now = self._engine.now()
        idle_stops = environment.idle_stops(now, time.time())
        views = []
        for name in names:
            life = environment.lives[name]
            views.append(
                process_view(
                    environment.path,
                    environment.project.process(name),
                    life,
                    now=now,
                    log_path=log_path(environment.path, name),
                    notice=self._notice(environment, life),
                    usage=usage.get(life.pid or 0, Usage()),
                    idle_stop_at=idle_stops.get(name),
                )
            )
        return views

    def _notice(self, environment: Environment, life: Life) -> str:
        """What else is to be known of it, a sentence each."""
        outdated = life.is_up and life.outdated is not None
        said = (
            self._performer.notice(environment, life.name, life.run),
            environment.files.suspended.get(life.name, ""),
            "it runs as an earlier project file had it; `runcept reload` restarts it" if outdated else "",
        )
        return "; ".join(filter(None, said))

    def _all_views(self) -> list[ProcessView]:
        environments = list(self._engine.environments.values())
        usage = self.measure(environments)
        return [view for e in environments for view in self.views(e, e.lives, usage)]

    def _environment_view(self, environment: Environment, usage: Mapping[int, Usage]) -> EnvironmentView:
        return environment_view(
            environment.project,
            active=environment.is_active,
            processes=self.views(environment, environment.lives, usage),
            activated_at=environment.activated_at,
            last_activity_at=environment.last_activity_at,
            idle_stop_at=environment.idle_stop_at(self._engine.now(), time.time()),
            reload_error=environment.reload_error,
        )

    def environment_list(self, environments: Iterable[Environment], *, processes: bool = False) -> m.EnvironmentList:
        """These environments; their processes, of which nothing is measured, only where they were asked for."""
        views = [self._environment_view(environment, {}) for environment in environments]
        if not processes:
            views = [msgspec.structs.replace(view, processes=msgspec.UNSET) for view in views]
        return m.EnvironmentList(environments=views)

    def measure(self, environments: Iterable[Environment]) -> Mapping[int, Usage]:
        """What the living main processes use with their descendants, by pid; nothing is known without descriptors."""
        pids = [life.pid for e in environments for life in e.lives.values() if life.pid is not None]
        try:
            with self._performer.capture.held():  # /proc is some thousand files
                sampled = self._sampler.sample({pid: pid for pid in pids})
        except OSError:
            return {}
        return {
            pid: Usage(used.memory_bytes, used.cpu_percent, used.ports, tuple(resources.urls(used.ports)))
            for pid, used in sampled.items()
        }
