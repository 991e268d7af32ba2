"""Does what the core decides: spawns, signals, sweeps, probes, and brings the facts back to the engine.

Each effect that takes time is a task of the daemon's task group. What is known of a run that is not over is its `Run`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from signal import Signals
from typing import Any

from runcept.core import effects as fx
from runcept.core import events as ev
from runcept.core.model import HealthCheck, LogLimits, Process
from runcept.daemon.capture import Capture, Note, Output, Watch, why
from runcept.daemon.engine import Engine
from runcept.daemon.environment import Environment
from runcept.daemon.prober import Prober
from runcept.daemon.runs import GROUP, PORTS, REASON_LENGTH, Run, Runs
from runcept.daemon.surroundings import child_environ, choose_ports
from runcept.daemon.wake import Waker
from runcept.database.queries import Database
from runcept.errors import (
    KeeperLost,
    LogNotReadable,
    LogsUnwritable,
    PortTaken,
    PreviousRunLives,
    RunceptError,
)
from runcept.logs.commit import CommitFile
from runcept.paths import ensure_project_directory, log_path, logs_directory
from runcept.process import cgroups, members
from runcept.process.fate import Fate, oom_kills
from runcept.process.identity import boot_id
from runcept.process.keeper_link import HeldRun, KeeperLink, NotAsked, never_ran
from runcept.process.limits import patiently
from runcept.process.signals import is_in_group, name_of, send, sweep
from runcept.scheduler.health import ProbeDue

__all__ = ["SystemPerformer"]

_log = logging.getLogger(__name__)
_DRAIN_SECONDS = 5.0
"""An exit is shown when its last line is readable, or after this long where the log cannot be written."""
_CONSUMED_STEP = 1 << 20
"""The keeper is told how far a log is in steps of so many bytes: a 64th of what it lets wait."""
_UNHELD_POLL = 0.1
_KEEPER_SECONDS = 0.5
"""For the keeper to pass a signal on: the grace runs, and one that is suspended must not keep it from them."""
_RETRY_SECONDS = 1.0


class SystemPerformer:
    """The performer of a real system."""

    def __init__(
        self, home: str, engine: Engine, database: Database, spawn_task: Callable[[Coroutine[Any, Any, None]], Any]
    ) -> None:
        self.home = home
        self.link: KeeperLink
        self.linked = asyncio.Event()
        """There is a keeper; without, a spawn waits for the next one."""
        self._engine = engine
        self._database = database
        self._spawn_task = spawn_task
        self.capture = Capture(asyncio.get_running_loop(), self._consumed, self._unlogged)
        self.runs = Runs(home)
        self.waker = Waker(engine, spawn_task)
        self.prober = Prober(engine, self.runs, self.waker, spawn_task)

    # ------------------------------------------------------------------------------ the engine's orders

    def prepare(self, environment: Environment, effect: fx.Spawn) -> str:
        """Name the run, so that a new daemon knows of it whatever happens next."""
        key = f"{effect.name}-{effect.run}-{os.urandom(4).hex()}"
        self.runs.know(Run(key, environment, effect.name, effect.run))
        return key

    def perform(self, environment: Environment, effect: fx.Effect) -> None:
        """Begin to do it."""
        if isinstance(effect, fx.Record) or not (run := self.runs.find(environment.path, effect.name, effect.run)):
            return
        match effect:
            case fx.Spawn():
                self._spawn_task(self._spawn(run))
            case fx.Signal():
                self._spawn_task(self._signal(run, Signals[effect.signal], self._engine.now()))
            case fx.Kill():
                self._spawn_task(self._kill(run))
            case fx.Watch():
                self._spawn_task(self._watch(run))
            case fx.Limit():
                self.capture.limit(run.key, _log_limits(run))
            case fx.Release():
                self._spawn_task(self.release(run))

    def probe(self, environment: Environment, due: ProbeDue) -> None:
        """Ask for the health of a process."""
        self._spawn_task(self.prober.probe(environment, due))

    def has_lost(self, link: KeeperLink) -> bool:
        """Whether this keeper is gone: what it has told is not true any more."""
        return link is not self.link or not self.linked.is_set()

    def unlink(self) -> None:
        """The keeper is gone: nobody holds anything until the next one does."""
        self.linked.clear()
        for run in self.runs:
            run.in_keeper = False

    # ---------------------------------------------------------------------------------------------- spawn

    async def _spawn(self, run: Run) -> None:
        environment = run.environment
        process = environment.project.process(run.name)
        try:
            await self._await_previous(run)
            await self.runs.admit(run, process)
            reserved = self.runs.reserved(run, self._engine.environments.values())
            reserved |= self.waker.reserved(environment, run.name)
            door, kept = await self.waker.lend(environment, process)
            run.ports = choose_ports(process, reserved, self.runs.whose, kept)  # nobody else's from here on
            _make_room(environment.path)
            environ = await child_environ(environment.environ, process, run.marker(), run.ports)
            environment.gave(run.name, environ)
            self.runs.make_group(run)
            run.oom_kills = oom_kills()
            child = await self._launch(run, process, environ, door)
        except KeeperLost:
            run.is_cut_off = True  # whether it lives is found out with the next keeper
            return
        except Exception as error:  # noqa: BLE001  whatever it was: somebody waits, and no other fact would come
            if not isinstance(error, RunceptError | OSError):
                _log.exception("%s: could not be started", run.key)
            run.ports = ()
            reason, hint = (error.message, error.hint) if isinstance(error, RunceptError) else (why(error), "")
            reason = run.masked(reason)
            await self._note_failure(run, reason)
            final = isinstance(error, PortTaken)
            self._engine.post(environment, ev.SpawnFailed(run.name, run.number, reason, time.time(), final, hint))
            return
        at = child.started_at or time.time()
        with self._database.transaction():
            self._database.spawned_run(run.key, child.pid, child.start_time, boot_id(), at)
        facts = {"run": run.number, "pid": child.pid}
        first = Note("started", f"run {run.number}, pid {child.pid}", facts, at)
        await self.begin(run, process.health_check, child.pid, child.start_time, first)
        self._engine.post(environment, ev.Spawned(run.name, run.number, child.pid, at, run.ports))
        run.begun.set()

    async def _launch(self, run: Run, process: Process, environ: Mapping[str, str], door: str | None) -> HeldRun:
        """Have the keeper start it; the next one where this one was lost before it was asked."""

        def forked(child: HeldRun) -> None:
            run.pid, run.start_time, run.in_keeper = child.pid, child.start_time, True
            run.known_at = self._engine.now()

        while True:
            await self.linked.wait()
            with suppress(NotAsked):
                return await self.link.spawn(
                    key=run.key,
                    directory=self.runs.directory(run.key),
                    argv=list(process.argv),
                    env=environ,
                    cwd=process.working_dir,
                    meta={**run.marker(), PORTS: list(run.ports), GROUP: run.group},
                    tag=members.tag(run.marker(), self.home),
                    cgroup=run.group,
                    umask=run.environment.umask,
                    door=door,
                    ports=run.ports,
                    on_fork=forked,
                )

    async def _await_previous(self, run: Run) -> None:
        """The log has one run after the other; but a log that cannot be written must not keep a process down.

        What has survived its SIGKILL does: there are no two of one process. PreviousRunLives.
        """
        previous, run.previous = run.previous, None
        if previous is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                await previous.released.wait()
        if not previous.released.is_set() and (left := await self.members(previous)):
            raise PreviousRunLives(members.named(left))

    async def begin(
        self, run: Run, check: HealthCheck | None, pid: int, start_time: int, first: Note | None = None
    ) -> None:
        """Its main process lives: log its output, and watch for the line that makes it ready, if `check` is for one."""
        run.pid, run.start_time, run.in_keeper, run.is_admitted = pid, start_time, True, True
        run.fate = run.fate or Fate(pid, start_time)
        await self.open_log(run, first, self.prober.watch(run, check))

    async def open_log(self, run: Run, first: Note | None = None, watch: Watch | None = None) -> None:
        """Move its output from the spool to its log from now on."""
        if run.is_logged:
            return
        environment, directory = run.environment, self.runs.directory(run.key)
        own = log_path(environment.path, run.name)
        output = Output(directory, own, run.number, _log_limits(run), environment.logs)
        run.is_logged = True
        await self.capture.open(run.key, output, first, watch)

    async def _note_failure(self, run: Run, reason: str) -> None:
        """The log tells the whole story, so also of a run that never was."""
        await self.open_log(run)
        sentence = f"run {run.number} could not be started: {reason}"
        self.capture.note(run.key, Note("failed", sentence, {"run": run.number}))

    # ---------------------------------------------------------------------------------------- signal, end

    async def _signal(self, run: Run, signal: Signals, ordered_at: float) -> None:
        """To the whole group at once, which no fork escapes, and to whoever has left it."""
        left = await self.members(run, ordered_at)
        if run.in_keeper and not run.has_ended:
            # It has ended just now, or nobody passes it on: what is left gets its signal below.
            with suppress(OSError, KeeperLost):
                async with asyncio.timeout(min(_KEEPER_SECONDS, _grace(run) / 2)):
                    await self.link.signal(run.key, signal)
                left = [member for member in left if not is_in_group(member.pid, run.pid)]
        for member in left:
            await patiently(partial(send, member, signal))

    async def _kill(self, run: Run) -> None:
        """SIGKILL to all of it, until nothing is left or what is left cannot be killed."""
        cgroups.kill(run.group)
        if left := await sweep(lambda: self.members(run)):
            names = run.masked(members.named(left))
            _log.error("%s: cannot be killed: %s", run.key, names)
            self._engine.post(run.environment, ev.Gone(run.name, run.number, names))

    async def _watch(self, run: Run) -> None:
        pause = 0.005
        while not run.released.is_set():
            if not await self.members(run):
                self._engine.post(run.environment, ev.Gone(run.name, run.number))
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.2)

    async def members(self, run: Run, since: float | None = None) -> list[members.Member]:
        """What lives of it, as a look tells that was begun at `since` (monotonic) or later, or a moment ago."""
        return await self.runs.members(run, self.link.pid, since)

    def look_after(self, run: Run) -> None:
        """It lives, and no keeper holds it."""
        self._spawn_task(self._look_after(run))

    async def _look_after(self, run: Run) -> None:
        """No keeper will tell when it ends: look for it. Its exit status is nobody's to know."""
        while any(member.pid == run.pid for member in await self.members(run)):  # noqa: ASYNC110  no event of ours
            await asyncio.sleep(_UNHELD_POLL)
        self.ended_unseen(run)

    def exited(  # noqa: PLR0917  as the keeper tells it
        self, key: str, code: int | None, signal: int | None, at: float, size: int, failed: str = ""
    ) -> None:
        """The keeper saw a main process end, which never was its program where that `failed`."""
        if run := self.runs.get(key):
            self._spawn_task(self._end(run, code, signal, at, size, failed))

    def ended_unseen(self, run: Run) -> None:
        """It ended while no keeper held it: the kernel may tell how, else nobody does."""
        if run.fate is None and run.pid is not None and run.start_time is not None:
            run.fate = Fate(run.pid, run.start_time)
        status = None if run.fate is None else run.fate.status()
        code, signal = (None, None) if status is None else (status, None) if status >= 0 else (None, -status)
        self.note_gap(run)
        self.exited(run.key, code, signal, time.time(), 0)

    async def _end(  # noqa: PLR0917  as the keeper tells it
        self, run: Run, code: int | None, signal: int | None, at: float, size: int, failed: str
    ) -> None:
        """Its main process has ended: tell, once everything that it wrote is in the log."""
        await run.begun.wait()
        if run.has_ended:
            return
        run.has_ended, known_at = True, self._engine.now()
        if run.is_logged and not await self.capture.drained(run.key, size, _DRAIN_SECONDS):
            _log.warning("%s: ended, and its last output is not in the log yet", run.key)
        name = None if signal is None else name_of(signal)
        last_line = run.masked(await self._last_words(run) or never_ran(failed))[:REASON_LENGTH]
        self.note_end(run, code, name, at)
        with self._database.transaction():
            self._database.ended_run(run.key, code, name, at)
        leftovers = any(member.pid != run.pid for member in await self.members(run, known_at))
        starved = run.oom_kills is not None and (oom_kills() or 0) > run.oom_kills
        self._engine.post(
            run.environment, ev.Exited(run.name, run.number, code, name, at, leftovers, last_line, starved)
        )

    def note_gap(self, run: Run) -> None:
        """The record that nobody can know whether all of it is in the log."""
        gap = f"run {run.number} ended while no keeper held it: its last output may be missing"
        self.capture.note(run.key, Note("gap", gap, {"run": run.number}))

    def note_end(self, run: Run, code: int | None, signal: str | None, at: float | None = None) -> None:
        """The record that the run has ended, behind what it wrote."""
        how = f"killed by {signal}" if signal else f"exit code {code}" if code is not None else "exit status unknown"
        facts = {"run": run.number, "exit_code": code, "exit_signal": signal}
        self.capture.note(run.key, Note("exited", f"run {run.number}: {how}", facts, at))

    async def _last_words(self, run: Run) -> str:
        try:
            return await self.capture.flush(run.key, run.number)
        except (LogNotReadable, OSError) as error:
            _log.warning("%s: its last line is not in the log yet: %s", run.key, why(error))
        except Exception:  # noqa: BLE001
            # A defect of the reader's must not hide that the process has ended.
            _log.exception("%s: its last line could not be read", run.key)
        return ""

    # ------------------------------------------------------------------------------------------- release

    async def release(self, run: Run) -> None:
        """Keep the last output and forget the run; the next one waits for it."""
        said = False
        while not await self._try_release(run, quietly=said):
            said = True
            await asyncio.sleep(_RETRY_SECONDS)
        self.runs.remove_directory(run.key)
        with self._database.transaction():
            self._database.release_run(run.key)
        self.runs.forget(run)

    async def _try_release(self, run: Run, *, quietly: bool) -> bool:
        """Whether the keeper has let go of it, and all of its output is in its log."""
        try:
            await self.open_log(run)
            size = await self._let_go(run)
            if run.is_logged:
                await self.capture.drained(run.key, size, _DRAIN_SECONDS)
                await self.capture.close(run.key)
                run.is_logged = False
        except (RunceptError, OSError) as error:
            if self._is_gone(run.environment):
                return await self._let_go_for_good(run)
            if not quietly:
                _log.warning("%s: its last output waits in its directory: %s", run.key, error)
            return False
        return True

    def _is_gone(self, environment: Environment) -> bool:
        """Nobody knows it any more, and its directory is not there either."""
        return environment.path not in self._engine.environments and not os.path.isdir(environment.path)

    async def _let_go_for_good(self, run: Run) -> bool:
        """Its project was deleted and is forgotten: nobody will ever read what it wrote last."""
        try:
            await self._let_go(run)
            if run.is_logged:
                await self.capture.close(run.key, dropping=True)
        except OSError:  # it lives yet
            return False
        _log.warning("%s: its project is gone, and so is the last of its output", run.key)
        return True

    async def _let_go(self, run: Run) -> int:
        """Have the keeper forget it; the size of its spool. A keeper that is gone has left all there is on the disk."""
        size = 0
        if run.in_keeper:
            with suppress(KeeperLost, ProcessLookupError):
                size = await self.link.release(run.key)
        run.in_keeper = False
        return size

    async def drop(self, key: str) -> None:
        """Have the keeper forget a run that is over and done with."""
        with suppress(RunceptError, OSError):
            await self.link.release(key)
        self.runs.remove_directory(key)

    # -------------------------------------------------------------------------------------------- output

    def bytes_arrived(self, key: str, size: int, stuck: str = "") -> None:
        """The keeper has spooled output up to `size`; `stuck`: why it cannot spool what comes behind that."""
        self.capture.more(key, size)
        run = self.runs.get(key)
        if run is not None and run.unspooled != stuck:
            _log.warning("%s: output %s", key, f"waits in its pipe: {stuck}" if stuck else "is being spooled again")
            run.unspooled = stuck

    def _consumed(self, key: str, offset: int) -> None:
        run = self.runs.get(key)
        if run is not None and run.in_keeper and offset - run.told_consumed >= _CONSUMED_STEP:
            with suppress(KeeperLost):  # the next one hears of the next offset
                self.link.consumed(key, offset)
                run.told_consumed = offset

    def logged(self, run: Run) -> int:
        """Up to where its output was logged, by this daemon or by one before it. OSError."""
        stored = CommitFile(self.runs.directory(run.key)).load()
        return max(self.capture.offset(run.key), max(stored.consumed) if stored is not None else 0)

    def _unlogged(self, key: str, reason: str) -> None:
        if run := self.runs.get(key):
            run.unlogged = reason

    def notice(self, environment: Environment, name: str, number: int) -> str:
        """What a user should know about a run's output, or its ports, in a sentence; empty where all is well."""
        run = self.runs.find(environment.path, name, number)
        reason = "" if run is None else run.unspooled or run.unlogged
        return f"its output waits to be logged: {reason}" if reason else self.waker.notice(environment, name)

    async def settle(self) -> None:
        """Wait until every run that is over is released; what cannot be, for a full disk, is the next daemon's."""
        over = [run for run in self.runs if run.is_over]
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                for run in over:
                    await run.released.wait()

    def end(self) -> None:
        """After the last run: end what serves them all."""
        self.capture.end()
        self.runs.end()


def _make_room(project: str) -> None:
    try:
        ensure_project_directory(project)
    except OSError as error:
        place = os.path.dirname(logs_directory(project))
        raise LogsUnwritable(place, (error.strerror or str(error)).lower()) from error


def _grace(run: Run) -> float:
    """Seconds; of a process that is in the project file no more, enough."""
    return 2 * _KEEPER_SECONDS if run.process is None else run.process.stop_timeout


def _log_limits(run: Run) -> LogLimits:
    """Of a process that is in the project file no more, the limits that everybody has."""
    return LogLimits() if run.process is None else run.process.log
