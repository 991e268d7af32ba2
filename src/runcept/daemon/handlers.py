"""What each operation does: it posts to the engine and awaits a condition on its state. It never steps the machine."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import msgspec

import runcept
from runcept.api import messages as m
from runcept.config.project import load_project
from runcept.config.settings import load_settings
from runcept.core.life import Life
from runcept.core.model import State
from runcept.core.secrets import mask
from runcept.core.views import Descendant, EnvironmentView, ProcessView, Usage, environment_view, process_view
from runcept.daemon.engine import Engine
from runcept.daemon.environment import Environment
from runcept.daemon.performer import SystemPerformer
from runcept.errors import (
    ConfigUnreadable,
    DaemonStopping,
    EnvironmentNotFound,
    LogNotReadable,
    LogNotRemovable,
    ProjectNotFound,
)
from runcept.logs.reader import read
from runcept.paths import PROJECT_FILE, log_path, socket_path
from runcept.process import usage as resources

__all__ = ["Handlers", "Notify", "last_run", "load_environment"]

Notify = Callable[[ProcessView], None]
"""Tell the asking client that a process changed."""

_log = logging.getLogger(__name__)
_NO_LIMIT = 3600.0
"""Seconds that `daemon stop` waits for graces, which are limits of their own."""
_KILL_SECONDS = 15.0
"""Seconds that `daemon stop --kill` waits for what it killed; what cannot be killed does not keep the daemon."""


def _is_down(life: Life) -> bool:
    return life.state in {State.STOPPED, State.EXITED, State.FAILED}


def _is_settled(environment: Environment, name: str) -> bool:
    """It has become what a start can make of it."""
    life = environment.lives[name]
    return life.state in {State.RUNNING, State.EXITED, State.FAILED} or (
        life.state is State.STOPPED and not life.wanted
    )


def _is_good(environment: Environment, name: str) -> bool:
    """It has become what was asked for."""
    return environment.lives[name].state in {State.RUNNING, State.EXITED}


def load_environment(home: str, engine: Engine, path: str) -> Environment:
    """Read the project file of a directory and make it known. ConfigError, NotFound."""
    project = load_project(os.path.join(path, PROJECT_FILE), load_settings(home))
    return engine.add(project, lambda name: last_run(log_path(project.path, name)))


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


class Handlers:
    """The operations of the daemon, by the names of the table."""

    def __init__(
        self,
        home: str,
        engine: Engine,
        performer: SystemPerformer,
    ) -> None:
        self._home = home
        self._engine = engine
        self._sampler: resources.Sampler[int] = resources.Sampler()
        self._performer = performer
        self._started = engine.now()
        self.stopping = asyncio.Event()
        """The daemon is to end, after the answer to `daemon_stop` was sent."""
        self._is_leaving = False
        """It has begun to end: nothing is started any more."""
        self.methods: Mapping[str, Callable[[Any, Notify], Awaitable[Any]]] = {
            "activate": self.activate,
            "deactivate": self.deactivate,
            "start": self.start,
            "stop": self.stop,
            "restart": self.restart,
            "status": self.status,
            "list": self.list_processes,
            "clear_logs": self.clear_logs,
            "environments": self.environments,
            "forget": self.forget,
            "ps": self.ps,
            "kill_all": self.kill_all,
            "daemon_status": self.daemon_status,
            "daemon_stop": self.daemon_stop,
        }

    # ---------------------------------------------------------------------------------- start and stop

    async def activate(self, params: m.Activate, notify: Notify) -> m.Outcome:
        """Start what the project file says."""
        environment = self._to_start_in(params.environment)
        plan = environment.supervisor.plan
        names = plan.select(params.names) if params.names else plan.autostarted()
        was_active = environment.is_active
        self._engine.capture(environment, params.environ, params.umask, activated=True)
        if not was_active:
            self._engine.record("activated", f"activated {environment.project.name}", params.actor, environment)
        self._engine.touch(environment, params.actor)
        return await self._started_outcome(environment, names, params, notify, rerun=False)

    async def start(self, params: m.Start, notify: Notify) -> m.Outcome:
        """Start the named processes and what they need."""
        environment = self._to_start_in(params.environment)
        names = environment.supervisor.plan.select(params.names)
        self._engine.capture(environment, params.environ, params.umask, activated=False)
        self._engine.touch(environment, params.actor)
        return await self._started_outcome(environment, names, params, notify, rerun=True)

    async def restart(self, params: m.Restart, notify: Notify) -> m.Outcome:
        """Stop and start the named processes."""
        environment = self._to_start_in(params.environment)
        names = environment.supervisor.plan.select(params.names)
        if params.dependents:
            names = environment.supervisor.with_running_dependents(names)
        self._engine.capture(environment, params.environ, params.umask, activated=False)
        self._engine.touch(environment, params.actor)
        return await self._outcome(
            environment,
            names,
            params,
            notify,
            begin=lambda: self._engine.restart(environment, names, params.actor),
            done=lambda name: _is_settled(environment, name) and not environment.lives[name].restarting,
            good=lambda name: _is_good(environment, name),
        )

    async def _started_outcome(
        self, environment: Environment, names: list[str], params: m.Waiting, notify: Notify, *, rerun: bool
    ) -> m.Outcome:
        chosen = environment.supervisor.plan.with_dependencies(names)
        return await self._outcome(
            environment,
            chosen,
            params,
            notify,
            begin=lambda: self._engine.start(environment, names, params.actor, rerun=rerun),
            done=lambda name: _is_settled(environment, name),
            good=lambda name: _is_good(environment, name),
        )

    async def stop(self, params: m.Stop, notify: Notify) -> m.Outcome:
        """Stop the named processes, and before them what needs them."""
        environment = self._known(params.environment)
        names = environment.supervisor.plan.select(params.names)
        self._engine.touch(environment, params.actor)
        return await self._stopped_outcome(environment, names, params, notify)

    async def deactivate(self, params: m.Deactivate, notify: Notify) -> m.Outcome:
        """Stop everything."""
        environment = self._known(params.environment)
        was_active = environment.is_active
        names = list(environment.lives)
        outcome = await self._stopped_outcome(environment, names, params, notify, kill=params.kill)
        if was_active:
            self._engine.record("deactivated", f"deactivated {environment.project.name}", params.actor, environment)
        return outcome

    async def _stopped_outcome(
        self, environment: Environment, names: list[str], params: m.Waiting, notify: Notify, *, kill: bool = False
    ) -> m.Outcome:
        chosen = environment.supervisor.plan.with_dependents(names)
        reason = f"stopped by request ({params.actor})"
        return await self._outcome(
            environment,
            chosen,
            params,
            notify,
            begin=lambda: self._engine.stop(environment, names, params.actor, reason, kill=kill),
            done=lambda name: _is_down(environment.lives[name]) or environment.lives[name].wanted,
            good=lambda name: environment.lives[name].state is State.STOPPED,
        )

    async def _outcome(
        self,
        environment: Environment,
        names: list[str],
        params: m.Waiting,
        notify: Notify,
        *,
        begin: Callable[[], None],
        done: Callable[[str], bool],
        good: Callable[[str], bool],
    ) -> m.Outcome:
        """Begin, wait until every name is done or the time is up, and say what came of it."""
        unwatch = self._engine.watch(self._reporter(environment, names, notify)) if params.progress else None

        def is_over() -> bool:  # what an edited file drops meanwhile is nobody's to wait for
            return all(done(name) for name in names if name in environment.lives)

        try:
            begin()
            finished = not params.wait or await self._engine.wait_until(is_over, params.timeout)
        finally:
            if unwatch is not None:
                unwatch()
        lives = environment.lives
        views = self._views(environment, filter(lives.__contains__, names), self._measure([environment]))
        bad = params.wait and not all(name in lives and good(name) for name in names)
        return m.Outcome(environment=environment.path, processes=views, ok=not bad, timed_out=not finished)

    def _reporter(
        self, environment: Environment, names: Iterable[str], notify: Notify
    ) -> Callable[[Environment], None]:
        """Tell of each change of state, health or reason once."""
        chosen = list(names)
        shown: dict[str, tuple[object, ...]] = {}

        def report(changed: Environment) -> None:
            if changed is not environment:
                return
            for name in filter(environment.lives.__contains__, chosen):
                life = environment.lives[name]
                facts = (life.state, life.health, life.reason, life.run)
                if shown.get(name) != facts:
                    shown[name] = facts
                    notify(self._views(environment, [name], {})[0])

        return report

    # -------------------------------------------------------------------------------------------- views

    async def status(self, params: m.Status, notify: Notify) -> EnvironmentView:
        """One environment in full."""
        del notify
        environment = self._shown(params.environment)
        self._engine.touch(environment, params.actor)
        view = self._environment_view(environment, self._measure([environment]))
        if params.tree:
            processes = view.processes or []
            trees = [msgspec.structs.replace(each, tree=await self._tree(environment, each)) for each in processes]
            view = msgspec.structs.replace(view, processes=trees)
        return msgspec.structs.replace(view, warnings=self._engine.warnings())

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

    async def clear_logs(self, params: m.ClearLogs, notify: Notify) -> m.ClearedLogs:
        """Remove what is in the logs of the named processes; a project file is not needed for that."""
        del notify
        path = self._path(params.environment)
        if environment := self._engine.environments.get(path):
            self._engine.touch(environment, params.actor)
        for name in params.names:
            log = log_path(path, name)
            try:
                await self._performer.capture.clear(log)
            except OSError as error:
                raise LogNotRemovable(name, log, (error.strerror or str(error)).lower()) from error
        return m.ClearedLogs(environment=path, cleared=params.names)

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
        return self._environment_list(found)

    async def forget(self, params: m.Forget, notify: Notify) -> m.EnvironmentList:
        """Drop an inactive environment; answers with the others."""
        del notify
        self._engine.forget(self._engine.find(params.environment))
        return self._environment_list(list(self._engine.environments.values()))

    async def ps(self, params: m.NoParams, notify: Notify) -> m.Processes:
        """The processes of all environments."""
        del params, notify
        return m.Processes(processes=self._all_views())

    async def kill_all(self, params: m.KillAll, notify: Notify) -> m.Processes:
        """Stop every process of every environment."""
        active = [environment for environment in self._engine.environments.values() if environment.is_active]
        each = [
            self.deactivate(
                m.Deactivate(
                    environment=environment.path,
                    timeout=params.timeout,
                    progress=params.progress,
                    kill=params.kill,
                    actor=params.actor,
                ),
                notify,
            )
            for environment in active
        ]
        outcomes = await asyncio.gather(*each)
        views = [view for outcome in outcomes for view in outcome.processes]
        return m.Processes(
            processes=views,
            ok=all(outcome.ok for outcome in outcomes),
            timed_out=any(outcome.timed_out for outcome in outcomes),
        )

    # ------------------------------------------------------------------------------------------- daemon

    async def daemon_status(self, params: m.NoParams, notify: Notify) -> m.DaemonStatus:
        """The daemon itself."""
        del params, notify
        environments = self._engine.environments.values()
        return m.DaemonStatus(
            running=True,
            pid=os.getpid(),
            version=runcept.__version__,
            uptime_seconds=round(self._engine.now() - self._started, 3),
            socket=socket_path(self._home),
            environments=sum(environment.is_active for environment in environments),
            processes=sum(life.pid is not None for e in environments for life in e.lives.values()),
            memory_bytes=resources.resident([os.getpid(), self._performer.link.pid]),
            warnings=self._engine.warnings(),
        )

    async def daemon_stop(self, params: m.StopDaemon, notify: Notify) -> m.DaemonStatus:
        """End, with the processes or without."""
        status = await self.daemon_status(m.NoParams(), notify)
        self._is_leaving = True
        if params.processes:
            limit = _KILL_SECONDS if params.kill else _NO_LIMIT
            await self.kill_all(m.KillAll(timeout=limit, kill=params.kill, actor=params.actor), notify)
        self.stopping.set()
        return status

    # ------------------------------------------------------------------------------------------ helpers

    def _path(self, name: str) -> str:
        """The canonical path that a path, or the name of a known environment, stands for."""
        return os.path.realpath(name) if name.startswith("/") else self._engine.find(name).path

    def _known(self, name: str) -> Environment:
        """A known environment; a path that holds a project file becomes known by being asked for."""
        if name in self._engine.environments or not name.startswith("/"):
            return self._engine.find(name)
        return self._current(name)

    def _to_start_in(self, name: str) -> Environment:
        """The same, unless the daemon ends: what was started then would outlive it."""
        if self._is_leaving:
            raise DaemonStopping
        return self._current(name)

    def _current(self, name: str) -> Environment:
        """The same, with the project file read again."""
        return load_environment(self._home, self._engine, self._path(name))

    def _shown(self, name: str) -> Environment:
        """What `status` shows: what runs as it was activated; else the project file as it is now, if there is one."""
        known = self._engine.environments.get(os.path.realpath(name) if name.startswith("/") else "")
        known = known or (self._engine.find(name) if not name.startswith("/") else None)
        if known is not None and known.is_active:
            return known
        try:
            return self._current(known.path if known is not None else name)
        except ConfigUnreadable:
            if known is None:
                raise EnvironmentNotFound(name, []) from None
        except ProjectNotFound:
            if known is None:
                raise
        return known

    def _measure(self, environments: Iterable[Environment]) -> Mapping[int, Usage]:
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

    def _views(self, environment: Environment, names: Iterable[str], usage: Mapping[int, Usage]) -> list[ProcessView]:
        now = self._engine.now()
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
                    notice=self._performer.notice(environment.path, name, life.run),
                    usage=usage.get(life.pid or 0, Usage()),
                )
            )
        return views

    def _all_views(self) -> list[ProcessView]:
        environments = list(self._engine.environments.values())
        usage = self._measure(environments)
        return [view for e in environments for view in self._views(e, e.lives, usage)]

    def _environment_view(self, environment: Environment, usage: Mapping[int, Usage]) -> EnvironmentView:
        return environment_view(
            environment.project,
            active=environment.is_active,
            processes=self._views(environment, environment.lives, usage),
            activated_at=environment.activated_at,
            last_activity_at=environment.last_activity_at,
            idle_stop_at=environment.idle_stop_at(self._engine.now(), time.time()),
        )

    def _environment_list(self, environments: Iterable[Environment]) -> m.EnvironmentList:
        views = [self._environment_view(environment, {}) for environment in environments]
        return m.EnvironmentList(
            environments=[msgspec.structs.replace(view, processes=msgspec.UNSET) for view in views]
        )
