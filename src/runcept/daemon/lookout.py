"""Looks whether processes are used: connections from outside, new output, CPU time; stops what is not.

Only what a timeout depends on is looked for, and as seldom as that timeout allows. What a use means, and when time is
up, is decided in `scheduler.inactivity`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from runcept.core.model import Activity, Probe
from runcept.daemon.engine import Engine
from runcept.daemon.environment import Environment
from runcept.daemon.performer import SystemPerformer
from runcept.daemon.runs import Run
from runcept.process import members, probes
from runcept.process.connections import Finder, Party
from runcept.process.usage import CpuMeter
from runcept.scheduler.inactivity import Ending, interval
from runcept.units import format_duration, instant

__all__ = ["Lookout"]

_log = logging.getLogger(__name__)
_BUSY_PERCENT = 1.0
_PAUSE_SECONDS = 0.2
"""After a change, for others that follow it: a thousand processes that start are a thousand changes."""
_WHAT_COUNTS = {
    Activity.REQUESTS: "any command about it",
    Activity.CONNECTIONS: "a connection to its port",
    Activity.OUTPUT: "output",
    Activity.CPU: "use of the CPU",
}


class Lookout:
    """One a daemon."""

    def __init__(self, engine: Engine, performer: SystemPerformer) -> None:
        self._engine = engine
        self._performer = performer
        self._finder = Finder()
        self._cpu: CpuMeter[tuple[str, str]] = CpuMeter()
        self._sizes: dict[str, int] = {}
        """By run: how much it had written at the last look."""
        self._connected: dict[str, set[str]] = {}
        """By environment: the processes that were connected to at the last look."""
        self._looked_at = engine.now()
        self._is_news = asyncio.Event()

    async def run(self) -> None:
        """Look again and again, as long as a timeout depends on it."""
        for run in self._performer.runs:  # what an earlier daemon saw is no news
            self._sizes[run.key] = self._performer.capture.offset(run.key)
        self._engine.watch(self._changed)
        while True:
            await self._next_look()
            self._look()

    def _changed(self, environment: Environment) -> None:
        if environment.has_timeouts:
            self._is_news.set()

    async def _next_look(self) -> None:
        """Sleep until it is due; a change may make it so earlier."""
        while True:
            self._is_news.clear()
            pause = interval(need for environment in self._watched() for need in environment.needs().values())
            left = None if pause is None else self._looked_at + pause - self._engine.now()
            if left is not None and left <= 0:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._is_news.wait()
                    await asyncio.sleep(_PAUSE_SECONDS)

    def _watched(self) -> list[Environment]:
        return [each for each in self._engine.environments.values() if each.has_timeouts and each.is_active]

    # ------------------------------------------------------------------------------------------ looking

    def _look(self) -> None:
        """Tell the engine of every use since the last look."""
        self._looked_at = self._engine.now()
        try:
            with self._performer.capture.held():  # /proc is some thousand files
                self._look_at_all(self._looked_at)
        except Exception:  # noqa: BLE001
            # A defect in one look, or no descriptor for it, must not end them all, nor what asked for it.
            _log.exception("could not look whether processes are used")

    def _look_at_all(self, now: float) -> None:
        wanted: dict[Activity, dict[Environment, list[Run]]] = {}
        for environment in self._watched():
            for name, need in environment.needs().items():
                if (run := self._living(environment, name)) is not None:
                    for source in need.sources:
                        wanted.setdefault(source, {}).setdefault(environment, []).append(run)
        for environment, runs in wanted.get(Activity.OUTPUT, {}).items():
            seen = dict.fromkeys(self._writing(runs), now)
            self._engine.saw(environment, Activity.OUTPUT, seen)
        self._look_for_work(wanted.get(Activity.CPU, {}), now)
        self._look_for_connections(wanted.get(Activity.CONNECTIONS, {}), now)
        keys = {run.key for run in self._performer.runs}
        self._sizes = {key: size for key, size in self._sizes.items() if key in keys}

    def _living(self, environment: Environment, name: str) -> Run | None:
        life = environment.lives[name]
        run = self._performer.runs.find(environment.path, name, life.run)
        return run if run is not None and run.pid is not None and life.pid is not None else None

    def _writing(self, runs: Iterable[Run]) -> Iterator[str]:
        """Those whose log has grown by what they wrote."""
        for run in runs:
            size = self._performer.capture.offset(run.key)
            if size > self._sizes.get(run.key, 0):
                yield run.name
            self._sizes[run.key] = size

    def _look_for_work(self, wanted: Mapping[Environment, Iterable[Run]], now: float) -> None:
        leaders = {(each.path, run.name): run.pid or 0 for each, runs in wanted.items() for run in runs}
        busy = self._cpu.look(leaders) if leaders else {}
        for environment in wanted:
            working = {
                name for (path, name), percent in busy.items() if path == environment.path if percent > _BUSY_PERCENT
            }
            self._engine.saw(environment, Activity.CPU, dict.fromkeys(working, now))

    def _look_for_connections(self, wanted: Mapping[Environment, Iterable[Run]], now: float) -> None:
        parties = [party for environment in wanted for party in self._parties(environment)]
        if not parties:
            return
        found = self._finder.look(parties, now, probes.own_ports())
        for environment in wanted:
            seen = {name: at for (path, name), at in found.items() if path == environment.path}
            before = self._connected.get(environment.path, set())
            self._connected[environment.path] = {name for name, at in seen.items() if at == now}
            closed = dict.fromkeys(before - seen.keys(), now)  # since the last look, nobody knows when
            self._engine.saw(environment, Activity.CONNECTIONS, seen | closed)

    def _parties(self, environment: Environment) -> Iterator[Party]:
        plan = environment.supervisor.plan
        up = [name for name, life in environment.lives.items() if life.pid is not None]
        checks = (environment.project.process(name).health_check for name in up)
        asks_itself = any(check is not None and check.probe is Probe.CMD for check in checks)
        for name in up:
            if (run := self._living(environment, name)) is None:
                continue
            others = set(up) - set(plan.with_dependencies([name]))
            tag = members.tag(run.marker(), self._performer.home)
            ports = environment.lives[name].ports
            yield Party(environment.path, name, run.pid or 0, tag, ports, not asks_itself and not others)

    # ------------------------------------------------------------------------------------------- acting

    def attend(self, environment: Environment) -> None:
        """The time of something is up, or nearly: look once more; then stop it, or announce that it will be."""
        self._look()
        now = self._engine.now()
        over, soon = environment.idle(now)
        for ending in over:
            self._stop(environment, ending, now)
        for ending in soon:
            self._announce(environment, ending, now)

    def _stop(self, environment: Environment, ending: Ending, now: float) -> None:
        names = [ending.process] if ending.process else environment.wanted()
        if not any(environment.lives[name].wanted for name in names):
            return  # with what it depends on
        unused = format_duration(now - ending.since)
        self._engine.record(
            "inactivity_stop",
            f"{', '.join(names)}: not used for {unused}",
            "inactivity",
            environment,
            process=ending.process or None,
            data={"processes": names, "unused_seconds": round(now - ending.since, 3)},
        )
        self._engine.stop(environment, names, "inactivity", f"stopped after {unused} without activity", idle=True)

    def _announce(self, environment: Environment, ending: Ending, now: float) -> None:
        at, left = time.time() + ending.at - now, ending.at - now
        clock = time.strftime("%H:%M:%S", time.localtime(at))
        plan = environment.supervisor.plan
        users = ending.names if not ending.process else plan.with_dependents(ending.names)
        counts = {source for each in users for source in environment.project.process(each).activity}
        keeps = [words for source, words in _WHAT_COUNTS.items() if source in counts]
        keep = f"{', '.join(keeps)}, or a longer inactivity_timeout" if keeps else "a longer inactivity_timeout"
        message = (
            f"{', '.join(ending.names)}: not used for {format_duration(now - ending.since)}, to be stopped in "
            f"{format_duration(left)}, at {clock}; what keeps it: {keep}"
        )
        data = {"processes": [*ending.names], "stop_at": instant(at)}
        process = ending.process or None
        self._engine.record("inactivity_warning", message, "inactivity", environment, process=process, data=data)
        environment.inactivity.announce(ending)
        self._engine.keep_uses(environment, "inactivity")
