"""What each operation does: it posts to the engine and awaits a condition on its state. It never steps the machine."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import runcept
from runcept.api import messages as m
from runcept.core.model import State
from runcept.daemon.engine import Engine
from runcept.daemon.environment import Environment
from runcept.daemon.history import History
from runcept.daemon.inquiries import Inquiries, Notify, is_down, is_good, is_settled
from runcept.daemon.performer import SystemPerformer
from runcept.daemon.reload import Reloads
from runcept.errors import DaemonStopping, LogNotRemovable
from runcept.paths import log_path, socket_path
from runcept.process import usage as resources

__all__ = ["Handlers"]

_NO_LIMIT = 3600.0
"""Seconds that `daemon stop` waits for graces, which are limits of their own."""
_KILL_SECONDS = 15.0
"""Seconds that `daemon stop --kill` waits for what it killed; what cannot be killed does not keep the daemon."""


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
        self._inquiries = Inquiries(home, engine, performer)
        self._history = History(engine, self._inquiries)
        self._performer = performer
        self.reloads = Reloads(home, engine, self._inquiries)
        self._started = engine.now()
        self.stopping = asyncio.Event()
        """The daemon is to end, after the answer to `daemon_stop` was sent."""
        self._is_leaving = False
        """It has begun to end: nothing is started any more."""
        self.methods: Mapping[str, Callable[[Any, Notify], Awaitable[Any]]] = {
            "activate": self.activate,
            "deactivate": self.deactivate,
            "reload": self.reloads.reload,
            "start": self.start,
            "stop": self.stop,
            "restart": self.restart,
            "wait": self._inquiries.wait,
            "wait_all": self._inquiries.wait_all,
            "explain": self._inquiries.explain,
            "exec": self._inquiries.exec,
            "watch": self._inquiries.watch,
            "status": self._inquiries.status,
            "list": self._inquiries.list_processes,
            "events": self._history.events,
            "clear_logs": self.clear_logs,
            "use": self._inquiries.use,
            "environments": self._inquiries.environments,
            "forget": self.forget,
            "ps": self._inquiries.ps,
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
            done=lambda name: is_settled(environment, name) and not environment.lives[name].restarting,
            good=lambda name: is_good(environment, name),
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
            done=lambda name: is_settled(environment, name),
            good=lambda name: is_good(environment, name),
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
        if environment.is_active or environment.is_asleep:
            self._engine.record("deactivated", f"deactivated {environment.project.name}", params.actor, environment)
        return await self._stopped_outcome(environment, list(environment.lives), params, notify, kill=params.kill)

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
            done=lambda name: is_down(environment.lives[name]) or environment.lives[name].wanted,
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
        unwatch = self._engine.watch(self._inquiries.reporter(notify, environment, names)) if params.progress else None

        def is_over() -> bool:  # what an edited file drops meanwhile is nobody's to wait for
            return all(done(name) for name in names if name in environment.lives)

        try:
            begin()
            finished = not params.wait or await self._engine.wait_until(is_over, params.timeout)
        finally:
            if unwatch is not None:
                unwatch()
        lives = environment.lives
        usage = self._inquiries.measure([environment])
        views = self._inquiries.views(environment, filter(lives.__contains__, names), usage)
        bad = params.wait and not all(name in lives and good(name) for name in names)
        return m.Outcome(environment=environment.path, processes=views, ok=not bad, timed_out=not finished)

    # ------------------------------------------------------------------------------------------ waiting

    # ---------------------------------------------------------------------------------------- forgetting

    async def clear_logs(self, params: m.ClearLogs, notify: Notify) -> m.ClearedLogs:
        """Remove what is in the logs of the named processes; a project file is not needed for that."""
        del notify
        path = self._inquiries.path(params.environment)
        if environment := self._engine.environments.get(path):
            self._engine.touch(environment, params.actor)
        for name in params.names:
            log = log_path(path, name)
            try:
                await self._performer.capture.clear(log)
            except OSError as error:
                raise LogNotRemovable(name, log, (error.strerror or str(error)).lower()) from error
        return m.ClearedLogs(environment=path, cleared=params.names)

    async def forget(self, params: m.Forget, notify: Notify) -> m.EnvironmentList:
        """Drop an inactive environment; answers with the others."""
        del notify
        self._engine.forget(self._engine.find(params.environment))
        return self._inquiries.environment_list(list(self._engine.environments.values()))

    async def kill_all(self, params: m.KillAll, notify: Notify) -> m.Processes:
        """Stop every process of every environment."""
        active = [each for each in self._engine.environments.values() if each.is_active or each.is_asleep]
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
        self.reloads.close()
        if params.processes:
            limit = _KILL_SECONDS if params.kill else _NO_LIMIT
            await self.kill_all(m.KillAll(timeout=limit, kill=params.kill, actor=params.actor), notify)
        self.stopping.set()
        return status

    # ------------------------------------------------------------------------------------------ helpers

    def _known(self, name: str) -> Environment:
        """A known environment; a path that holds a project file becomes known by being asked for."""
        if name in self._engine.environments or not name.startswith("/"):
            return self._engine.find(name)
        return self._inquiries.current(name)

    def _to_start_in(self, name: str) -> Environment:
        """The same, unless the daemon ends: what was started then would outlive it."""
        if self._is_leaving:
            raise DaemonStopping
        return self._inquiries.current(name)
