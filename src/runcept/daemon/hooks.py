"""Runs the hooks of processes beside everything else, and tells in the history how each went.

Nothing waits for a hook. One and the same hook of a process runs once at a time, and begins at most once a second:
events that come meanwhile make one more run, which is told of the newest. A hook is over when nothing that it started
lives any more; what lives when its time is up is killed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from runcept.core.hooks import HOOKS, hook_outcome, hook_variables, hooks_due
from runcept.core.model import Process
from runcept.core.printable import printable
from runcept.core.secrets import mask, secret_values
from runcept.daemon.capture import why
from runcept.daemon.engine import Engine
from runcept.daemon.environment import Environment
from runcept.daemon.runs import Runs
from runcept.daemon.surroundings import child_environ, marker_of
from runcept.database.queries import StoredEvent
from runcept.process import members
from runcept.process.commands import last_line, run_command
from runcept.process.limits import patiently
from runcept.process.signals import name_of, sweep

__all__ = ["Hooks"]

_log = logging.getLogger(__name__)
_LIMIT_SECONDS = 30.0
_BETWEEN_SECONDS = 1.0
_AT_ONCE = 8
_LEAVING_SECONDS = 5.0
"""For hooks to end when the daemon does."""
_LOOK_SECONDS = 0.25
"""How often it is looked whether anything that a hook has started lives: any number of hooks share four looks."""
_LINE_MAX = 500
_OUTPUT_MAX = 2_000
"""Characters of its output in the history."""


class _Key(NamedTuple):
    """One hook of one process."""

    path: str
    process: str
    hook: str


@dataclass(frozen=True, slots=True)
class _Call:
    """What a hook is run for, as it was when the event came."""

    environment: Environment
    process: Process
    variables: Mapping[str, str]
    marker: Mapping[str, str]
    ports: Collection[int]
    events: int = 1


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How a hook went; code and signal are null where it was killed at its limit, or was not run."""

    how: str
    seconds: float
    said: str
    exit_code: int | None = None
    exit_signal: str | None = None


class Hooks:
    """Those of all environments. `limit` and `between` are in seconds."""

    def __init__(  # noqa: PLR0917  the last two are for tests
        self,
        home: str,
        engine: Engine,
        runs: Runs,
        spawn_task: Callable[[Coroutine[Any, Any, None]], Any],
        limit: float = _LIMIT_SECONDS,
        between: float = _BETWEEN_SECONDS,
    ) -> None:
        self._home = home
        self._engine = engine
        self._runs = runs
        self._spawn_task = spawn_task
        self._limit = limit
        self._between = between
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._waiting: dict[_Key, _Call] = {}
        self._busy: set[_Key] = set()
        """Those that run, or of which something lives, or that had to wait for the next second."""
        self._running = 0
        self._ended = asyncio.Event()
        engine.listen(self._heard)

    def _heard(self, event: StoredEvent) -> None:
        environment = self._engine.environments.get(event.environment or "")
        if event.kind not in HOOKS or environment is None:
            return
        process = next((each for each in environment.project.processes if each.name == event.process), None)
        if process is None:
            return
        life = environment.lives[process.name]
        number = event.data.get("run") or life.run
        run = self._runs.find(environment.path, process.name, number)
        pid = life.pid if run is None else run.pid
        marker = marker_of(environment.path, process.name, number)
        for hook in hooks_due(process, event.kind, event.data, wanted=life.wanted):
            told = hook_variables(hook, event.message, event.data, project=environment.project.name, pid=pid)
            self._add(hook, _Call(environment, process, told, marker, life.ports if run is None else run.ports))

    def _add(self, hook: str, call: _Call) -> None:
        key = _Key(call.environment.path, call.process.name, hook)
        if earlier := self._waiting.get(key):
            call = replace(call, events=earlier.events + 1)
        self._waiting[key] = call
        if key not in self._busy:
            self._busy.add(key)
            self._spawn_task(self._work(key))

    async def _work(self, key: _Key) -> None:
        """Run one hook for as long as there are events for it."""
        try:
            while key in self._waiting:
                next_at = self._engine.now() + self._between
                try:
                    await self._run_all_of(key)
                except Exception:  # noqa: BLE001  a defect with one event must not cost the next one its hook
                    _log.exception("hook %s of %s failed", key.hook, key.process)
                await asyncio.sleep(next_at - self._engine.now())
        finally:
            self._busy.discard(key)

    async def _run_all_of(self, key: _Key) -> None:
        """Run it, tell how it went, and see to it that nothing of it outlives its time."""
        tag = self._tag(key)
        async with self._slots:
            call = self._waiting.pop(key)  # only now, so that it is the newest
            self._running += 1
            over_at = self._engine.now() + self._limit
            try:
                outcome = await self._run(key, call, tag)
                self._tell(key, call, outcome)
            finally:
                self._running -= 1
                self._ended.set()
        seen_at = self._engine.now()
        while (pause := min(_LOOK_SECONDS, over_at - self._engine.now())) > 0:
            await asyncio.sleep(pause)
            if not await self._left(tag, seen_at):
                return
            seen_at += pause
        await self._sweep(tag)

    async def _run(self, key: _Key, call: _Call, tag: int) -> _Outcome:
        environment = call.environment
        environ = await child_environ(environment.environ, call.process, call.marker, call.ports)
        environ |= {"RUNCEPT_HOME": self._home, **call.variables}
        command = [*environment.project.shell, getattr(call.process.hooks, key.hook)]
        said = bytearray()
        begun = time.monotonic()
        code: int | None = None
        trouble = "killed, with all that it had started,"
        try:
            async with asyncio.timeout(self._limit):
                code = await run_command(
                    command, cwd=call.process.working_dir, env=environ, umask=environment.umask, tag=tag, said=said
                )
        except TimeoutError:
            await self._sweep(tag)
        except OSError as error:
            trouble = f"could not be run: {why(error)}"
        seconds = round(time.monotonic() - begun, 3)
        shown = mask(said.decode(errors="replace")[-8 * _OUTPUT_MAX :], secret_values(environ))
        output = "\n".join(printable(line, color=False) for line in shown.split("\n"))
        if code is None:
            return _Outcome(trouble, seconds, output)
        if code < 0:
            return _Outcome(f"killed by {name_of(-code)}", seconds, output, exit_signal=name_of(-code))
        return _Outcome(f"exit code {code}", seconds, output, exit_code=code)

    def _tell(self, key: _Key, call: _Call, outcome: _Outcome) -> None:
        if self._engine.environments.get(key.path) is not call.environment:  # it was forgotten, with its history
            return
        last = last_line(outcome.said.encode())[:_LINE_MAX]
        sentence = hook_outcome(
            key.hook, key.process, outcome.how, seconds=outcome.seconds, last_line=last, events=call.events
        )
        data = {
            "hook": key.hook,
            "exit_code": outcome.exit_code,
            "exit_signal": outcome.exit_signal,
            "seconds": outcome.seconds,
            "events": call.events,
            "output": outcome.said[-_OUTPUT_MAX:],
        }
        self._engine.record("hook", sentence, "supervisor", call.environment, process=key.process, data=data)

    # --------------------------------------------------------------------------------------- what is left of it

    def _tag(self, key: _Key) -> int:
        """The mark of all that a hook starts: another one than that of its process's run, whose stop it outlives."""
        return members.tag(dict(zip(_Key._fields, key, strict=True)), self._home)

    @staticmethod
    async def _left(tag: int, since: float) -> list[members.Member]:
        """What lives of it, as a look tells that was begun at `since` (monotonic) or later."""
        found = await patiently(partial(members.tagged, [tag], since))
        return found.get(tag, [])

    async def _sweep(self, tag: int) -> None:
        begun = self._engine.now()
        if left := await sweep(lambda: self._left(tag, max(begun, members.recently()))):
            _log.error("of a hook there lives what cannot be killed: %s", mask(members.named(left)))

    async def take_up(self) -> None:
        """See to it that what an earlier daemon has left running ends in time as well."""
        tags = {
            self._tag(key): key
            for environment in self._engine.environments.values()
            for process in environment.project.processes
            for key in (_Key(environment.path, process.name, hook) for hook in HOOKS if getattr(process.hooks, hook))
        }
        if not tags:
            return
        found = await patiently(partial(members.tagged, [*tags], self._engine.now()))
        if not found:
            return
        await asyncio.sleep(self._limit)
        for tag in found:
            if tags[tag] not in self._busy:  # else it is ended with another run of the same hook
                await self._sweep(tag)

    async def end(self) -> None:
        """The daemon ends: give what runs a little time, and leave nothing of it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAVING_SECONDS):
                while self._running or self._waiting:
                    self._ended.clear()
                    await self._ended.wait()
        for key in list(self._busy):
            await self._sweep(self._tag(key))
