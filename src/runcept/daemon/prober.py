"""Asking for the health of processes: the checks that the schedule says are due, and lines that make one ready."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from runcept.core.model import HealthCheck, Probe
from runcept.daemon.capture import Watch, why
from runcept.daemon.engine import Engine
from runcept.daemon.environment import Environment
from runcept.daemon.runs import REASON_LENGTH, Run, Runs
from runcept.daemon.surroundings import child_environ
from runcept.daemon.wake import Waker
from runcept.errors import LogNotReadable
from runcept.logs.reader import read
from runcept.paths import log_path
from runcept.process import members, probes
from runcept.scheduler.health import ProbeDue

__all__ = ["Prober"]

_log = logging.getLogger(__name__)


class Prober:
    """It tells the engine what was answered; what that means is decided there."""

    def __init__(
        self, engine: Engine, runs: Runs, waker: Waker, spawn_task: Callable[[Coroutine[Any, Any, None]], Any]
    ) -> None:
        self._engine = engine
        self._runs = runs
        self._waker = waker
        self._spawn_task = spawn_task

    async def probe(self, environment: Environment, due: ProbeDue) -> None:
        """Ask a process once."""
        try:
            result = await self._ask(environment, due)
        except Exception as error:  # noqa: BLE001  whatever it was: without an answer it would never be asked again
            _log.exception("%s: its health could not be asked for", due.name)
            result = probes.ProbeResult(ok=False, detail=f"cannot be asked: {why(error)}", seconds=0.0)
        self._engine.probed(environment, due.name, due.run, ok=result.ok, detail=result.detail)

    async def _ask(self, environment: Environment, due: ProbeDue) -> probes.ProbeResult:
        process = environment.project.process(due.name)
        if self._waker.is_deaf(environment, process, due.check):
            return probes.ProbeResult(ok=False, detail=f"it has not bound {process.doorstep} yet", seconds=0.0)
        run = self._runs.find(environment.path, due.name, due.run)
        ports = environment.lives[due.name].ports
        marker = run.marker() if run is not None else {}
        environ = (
            await child_environ(environment.environ, process, marker, ports) if due.check.probe is Probe.CMD else {}
        )
        return await probes.probe(
            due.check,
            cwd=process.working_dir,
            env=environ,
            shell=environment.project.shell,
            umask=environment.umask,
            tag=members.tag(marker, self._runs.home),
        )

    def watch(self, run: Run, check: HealthCheck | None) -> Watch | None:
        """What looks for the line that makes it ready in what it writes from now on, if `check` is for one."""
        if check is None or check.probe is not Probe.LOG:
            return None
        return Watch(check.target, lambda line: self._spawn_task(self._matched(run, line)))

    def look_for_readiness(self, run: Run, check: HealthCheck | None) -> None:
        """Look for that line in what is logged already: by a daemon that did not live to tell."""
        if check is not None and check.probe is Probe.LOG:
            self._spawn_task(self._look_for_readiness(run, check.target))

    async def _look_for_readiness(self, run: Run, pattern: str) -> None:
        paths = {run.name: log_path(run.environment.path, run.name)}
        with suppress(LogNotReadable):  # what is logged from now on is seen
            page = await asyncio.to_thread(read, paths, lines=1, grep=pattern, run=run.number)
            for line in page.lines:
                await self._matched(run, line.message)

    async def _matched(self, run: Run, line: str) -> None:
        await run.begun.wait()
        said = run.masked(line[: 8 * REASON_LENGTH])[:REASON_LENGTH]
        self._engine.probed(run.environment, run.name, run.number, ok=True, detail=f"it wrote: {said}")
