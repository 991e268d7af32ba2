"""Going on where an earlier daemon was: what the database remembers, held against what really lives.

A run that the keeper holds is taken over. One that no keeper holds but that lives (the keeper was killed as well) is
adopted by the new keeper, by pid, start time and boot. One that has ended meanwhile ends now, with the exit status
that the keeper wrote down or the kernel tells, or with none. After a reboot nothing lives, and nobody is signalled.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from runcept.core import effects as fx
from runcept.core import events as ev
from runcept.core.life import SUPERVISOR, Life
from runcept.core.model import State
from runcept.core.reactions import Context, after_reboot, begin_grace, taken_in
from runcept.daemon.capture import Note
from runcept.daemon.engine import Engine
from runcept.daemon.environment import Environment
from runcept.daemon.inquiries import last_run, load_environment
from runcept.daemon.performer import SystemPerformer
from runcept.daemon.runs import GROUP, PORTS, Run
from runcept.database.queries import Database, StoredRun
from runcept.errors import LogNotReadable, RunceptError
from runcept.logs.reader import read
from runcept.paths import log_path
from runcept.process.identity import Identity, boot_id, is_alive
from runcept.process.keeper_link import Exit, HeldRun, KeeperLink
from runcept.process.signals import name_of

__all__ = ["Recovery"]

_log = logging.getLogger(__name__)
_CATCH_UP_SECONDS = 0.5
"""For what has ended meanwhile to be told, with its last output, before the first client is answered."""
_REACH = 1 << 20
_T = TypeVar("_T")


class Recovery:
    """Done once, before the first client is answered."""

    def __init__(self, engine: Engine, database: Database, performer: SystemPerformer, link: KeeperLink) -> None:
        self._engine = engine
        self._database = database
        self._performer = performer
        self._link = link
        self._held = {entry.key: entry for entry in link.runs}
        self._ended: list[Run] = []
        self._newest: dict[tuple[str, str], int] = {}
        """The number of the last run that is held or stored, by path and name."""
        for entry in link.runs:
            with suppress(ValueError):
                self._note_number(*_marked(entry.meta))

    async def run(self) -> None:
        """Take over what lives, end what has ended, start what is due."""
        with self._engine.hearing():
            await self._take_over_all()

    async def _take_over_all(self) -> None:
        self._performer.runs.clear_away()
        self._restore()
        known = self._database.unreleased_runs()
        keys = {stored_run.key for stored_run in known}
        unknown = self._performer.runs.unknown(keys | self._held.keys())  # now, before the first new one is spawned
        for stored_run in known:
            self._note_number(stored_run.environment, stored_run.process, stored_run.run)
        for key in unknown:  # these are older than what is held, and a log has one run after the other
            await self.guarded(key, self._take_up(key))
        for stored_run in known:
            await self.guarded(stored_run.key, self._take_over(stored_run))
        for key, entry in self._held.items():
            if self._database.is_released(key):
                await self._performer.drop(key)
            elif key not in keys:
                await self.guarded(key, self.take_in(key, entry))
        for environment in list(self._engine.environments.values()):
            self._give_up_unknown(environment)
            self._engine.resume(environment)
        await self._engine.wait_until(lambda: all(map(self._is_told, self._ended)), _CATCH_UP_SECONDS)

    def _note_number(self, path: str, name: str, number: int) -> None:
        self._newest[path, name] = max(number, self._newest.get((path, name), 0))

    def _restore(self) -> None:
        """What was stored; where the machine was restarted since, what is true now, which is stored at once."""
        rebooted = self._database.last_boot() not in {None, boot_id()}
        told: list[tuple[Environment, fx.Record]] = []
        with self._database.transaction():
            self._database.save_boot(boot_id())
            for stored in self._database.environments():
                of_this_boot = {} if not rebooted else {"last_activity": None, "uses": None}  # the clock began anew
                environment = self._engine.restore(msgspec.structs.replace(stored, **of_this_boot))
                for life in environment.lives.values():
                    if rebooted:
                        told += [(environment, record) for record in after_reboot(life)]
                    environment.watch_health(life, self._engine.now())  # before output that makes ready is moved
                if rebooted:
                    self._database.save_lives(environment.path, environment.lives.values())
        for environment, record in told:
            self._engine.record(record.kind, record.message, record.actor, environment, process=record.name)

    @staticmethod
    async def guarded(key: str, work: Awaitable[None]) -> None:
        """Do it for one run."""
        try:
            await work
        except Exception:  # noqa: BLE001
            # A defect in one run's recovery must not leave all the others without a daemon.
            _log.exception("%s could not be taken over", key)

    def _give_up_unknown(self, environment: Environment) -> None:
        """What is stored as alive, and of whose run nobody knows: no fact about it would ever come."""
        for life in list(environment.lives.values()):
            if life.is_up and self._performer.runs.find(environment.path, life.name, life.run) is None:
                self._engine.post(environment, ev.Lost(life.name, life.run, "nothing is known of its last run"))

    @staticmethod
    def _is_told(run: Run) -> bool:
        life = run.environment.lives.get(run.name)
        return life is None or life.run != run.number or life.ended_at is not None

    async def take_back(self, run: Run) -> None:
        """One run of this daemon, after its keeper was killed and another one started."""
        life = run.environment.lives.get(run.name)
        if life is None or run.number != life.run or not life.is_up:
            return  # it is over
        if run.in_keeper or (not run.begun.is_set() and not run.is_cut_off):
            return  # the new keeper has spawned it meanwhile, or is about to
        if run.is_cut_off:
            run.is_cut_off = False
            self._identify(run, None)
        if not await self._is_held(run, life):
            await self._lose(run, life)
        elif run not in self._ended and not run.is_cut_off:
            self._record_adoption(run)
        if run.released.is_set():  # its end was told while it was being adopted
            await self._performer.drop(run.key)

    async def _take_over(self, stored: StoredRun) -> None:
        """One run that the database knows."""
        environment = self._engine.environments.get(stored.environment)
        life = environment.lives.get(stored.process) if environment is not None else None
        is_over = life is None or stored.run != life.run or not life.is_up
        entry = self._held.get(stored.key)
        lives = entry is not None and is_alive(Identity(entry.pid, entry.start_time, boot_id()))
        if entry is not None and lives and (life is None or _knows_nothing(life, stored.run)):
            await self.take_in(stored.key, entry)  # what was kept of it could not be read
            return
        if environment is None or life is None:
            _log.warning("%s: its environment or process is not known any more", stored.key)
            await self._performer.drop(stored.key)
            with self._database.transaction():
                self._database.release_run(stored.key)
            return
        run = Run(stored.key, environment, stored.process, stored.run)
        self._identify(run, stored)
        self._performer.runs.know(run)
        if is_over:
            run.in_keeper = entry is not None
            run.begun.set()
            await self._finish_log(run, stored)
            if life.run == run.number and life.pid is not None and not lives:
                await self._tell_end(run, life, entry)
            self._performer.perform(environment, fx.Release(run.name, run.number))
            return
        if not await self._is_held(run, life):
            await self._lose(run, life)
        elif run not in self._ended:
            self._record_adoption(run)
        self._redo(run, life)

    async def _tell_end(self, run: Run, life: Life, entry: HeldRun | None) -> None:
        """It could not be killed, was given up, and has ended while no daemon ran."""
        ended = (None if entry is None else entry.exit) or self._read(run.key, "exit.json", Exit)
        if ended is None:
            self._performer.ended_unseen(run)
        else:
            self._performer.exited(run.key, ended.code, ended.signal, ended.at, 0 if entry is None else entry.size)
        await self._engine.wait_until(lambda: life.pid is None, _CATCH_UP_SECONDS)

    async def _finish_log(self, run: Run, stored: StoredRun) -> None:
        """The earlier daemon may have ended before its log could be written: then the last record is ours to make."""
        await self._performer.open_log(run)
        ended = self._read(run.key, "exit.json", Exit)
        if ended is not None:
            self._performer.bytes_arrived(run.key, ended.size)
            if run.number < self._newest.get((stored.environment, run.name), 0):  # whose lines come behind
                await self._performer.capture.drained(run.key, ended.size, _CATCH_UP_SECONDS)
            if stored.ended_at is None:
                stored = _with_end(stored, ended)
        if stored.ended_at is not None and not self._tells_end(run):
            if ended is None:
                self._performer.note_gap(run)
            self._performer.note_end(run, stored.exit_code, stored.exit_signal, stored.ended_at)

    @staticmethod
    def _tells_end(run: Run) -> bool:
        try:
            page = read({"": log_path(run.environment.path, run.name)}, lines=5, stream="runcept", run=run.number)
        except LogNotReadable:
            return False
        return any(line.event == "exited" for line in page.lines)

    def _identify(self, run: Run, stored: StoredRun | None) -> None:
        """Find out who its main process is: it has introduced itself before it executed its program.

        A fork of a dead keeper that has not got there yet never will: it cannot replace a directory by its file.
        """
        if run.key not in self._held:
            with suppress(OSError):
                os.mkdir(os.path.join(self._performer.runs.directory(run.key), "run.json"))
        introduced = self._read(run.key, "run.json", _Introduction)
        if introduced is None and stored is not None:
            introduced = _Introduction(stored.pid, stored.start_time, stored.boot_id)
        if introduced is not None and introduced.boot_id == boot_id():
            run.pid, run.start_time = introduced.pid, introduced.start_time
            self._remember(run, introduced.meta)

    @staticmethod
    def _remember(run: Run, meta: Mapping[str, Any]) -> None:
        """What the keeper was told when it was spawned."""
        run.ports, run.group = tuple(meta.get(PORTS, ())), meta.get(GROUP)

    async def _is_held(self, run: Run, life: Life) -> bool:
        """Whether it lives or its exit is known; then its output is being logged again."""
        if self._performer.has_lost(self._link):  # what that keeper held, the next one takes over: see `take_back`
            run.is_cut_off = True
            return True
        held = self._held.get(run.key)
        entry = held or await self._adopt(run)
        ended = self._read(run.key, "exit.json", Exit)
        if entry is not None:
            check = None if life.ready else run.environment.project.process(run.name).health_check
            await self._performer.begin(run, check, entry.pid, entry.start_time, self._unlogged_start(run))
            self._performer.bytes_arrived(run.key, entry.size, entry.stuck)
            self._performer.prober.look_for_readiness(run, check)
        elif ended is None and not self._lives(run):
            return False
        await self._performer.open_log(run, self._unlogged_start(run))
        self._tell_start(run, life, entry)
        run.begun.set()
        size = max(0 if entry is None else entry.size, 0 if ended is None else ended.size)
        ended = (None if entry is None else entry.exit) or ended
        if ended is not None:
            self._ended.append(run)
            if held is None and entry is not None:  # before the keeper had its pipes, or just after
                self._performer.note_gap(run)
            self._performer.exited(run.key, ended.code, ended.signal, ended.at, size, ended.failed)
        elif run.key not in self._held and not self._lives(run):  # it has ended while it was being adopted
            self._ended.append(run)
            self._performer.ended_unseen(run)
        elif entry is None:
            self._performer.look_after(run)
        return True

    @staticmethod
    def _unlogged_start(run: Run) -> Note | None:
        """The record that every line of the run comes after, where the earlier daemon did not live to write it.

        Then the last record of the log is another run's. Where there is none within reach, there are lines of this one.
        """
        path = log_path(run.environment.path, run.name)
        if run.is_logged or last_run(path, _REACH) >= run.number:
            return None
        if os.path.exists(path) and os.path.getsize(path) > _REACH and not last_run(path, _REACH):
            return None
        return Note("started", f"run {run.number}, pid {run.pid}", {"run": run.number, "pid": run.pid})

    def _tell_start(self, run: Run, life: Life, entry: HeldRun | None) -> None:
        """Post what nobody lived to hear."""
        if life.pid is not None or life.ended_at is not None or run.pid is None:
            return
        at = (None if entry is None else entry.started_at) or time.time()
        with self._database.transaction():
            self._database.spawned_run(run.key, run.pid, run.start_time or 0, boot_id(), at)
        self._engine.post(run.environment, ev.Spawned(run.name, run.number, run.pid, at, run.ports))

    async def _adopt(self, run: Run) -> HeldRun | None:
        """Let the keeper take over a process that it did not start; None where it is not there any more."""
        if run.pid is None or run.start_time is None or not self._lives(run):
            return None
        directory = self._performer.runs.directory(run.key)
        try:
            return await self._link.adopt(
                key=run.key,
                directory=directory,
                pid=run.pid,
                start_time=run.start_time,
                meta={**run.marker(), PORTS: list(run.ports), GROUP: run.group},
                offset=self._performer.logged(run),
            )
        except (RunceptError, OSError) as error:
            _log.warning("%s: the keeper does not take pid %d over: %s", run.key, run.pid, error)
            return None

    @staticmethod
    def _lives(run: Run) -> bool:
        if run.pid is None or run.start_time is None:
            return False
        return is_alive(Identity(run.pid, run.start_time, boot_id()))

    def _redo(self, run: Run, life: Life) -> None:
        """Do again what the earlier daemon may not have lived to do: better one signal too many than none.

        The grace begins anew with it, for that may be the first one.
        """
        if life.state is State.STOPPING:
            if life.ended_at is not None:
                self._performer.perform(run.environment, fx.Watch(run.name, run.number))
            if life.deadline is None:
                self._performer.perform(run.environment, fx.Kill(run.name, run.number))
            else:
                process = run.environment.project.process(run.name)
                begin_grace(life, Context(process=process, now=self._engine.now(), jitter=0.0))
                self._performer.perform(run.environment, fx.Signal(run.name, run.number, process.stop_signal))

    async def _lose(self, run: Run, life: Life) -> None:
        """Nobody knows how it ended, or whether it ever began."""
        run.begun.set()
        if life.state is State.STOPPING and life.ended_at is not None:
            return  # what it left behind is being watched
        if run.pid is None and life.pid is None:
            lost = ev.Lost(run.name, run.number, "supervision was killed while it was being started")
            self._engine.post(run.environment, lost)
        else:
            await self._performer.open_log(run, self._unlogged_start(run))
            self._ended.append(run)
            self._performer.ended_unseen(run)

    async def take_in(self, key: str, entry: HeldRun) -> None:
        """A run that only the keeper knows: the database was lost, or somebody else had the keeper start it."""
        try:
            path, name, number = _marked(entry.meta)
        except ValueError:
            _log.warning("%s: pid %s was not started by a daemon of ours", key, entry.pid)
            if entry.exit is not None:  # as long as it is held the keeper does not end
                await self._performer.drop(key)
            return
        try:
            environment = self._engine.environments.get(path)
            environment = environment or load_environment(self._performer.home, self._engine, path)
        except RunceptError as error:
            _log.warning("%s: pid %s runs on unmanaged: %s", key, entry.pid, error)
            return
        if entry.exit is not None and number < self._newest.get((path, name), 0):
            stored = StoredRun(key, path, name, number, entry.pid, entry.start_time, boot_id())
            await self._take_over(_with_end(stored, entry.exit))
            return
        if name not in environment.lives or environment.lives[name].is_up:
            _log.warning("%s: pid %s runs on unmanaged: %s does not expect it", key, entry.pid, path)
            return
        run = Run(key, environment, name, number, entry.pid, entry.start_time)
        self._remember(run, entry.meta)
        life, now, at = environment.lives[name], self._engine.now(), entry.started_at or time.time()
        context = Context(process=environment.project.process(name), now=now, jitter=0.0)
        taken_in(life, ev.Spawned(name, number, entry.pid, at, run.ports), context)
        environment.watch_health(life, now)
        with self._database.transaction():
            self._database.begin_run(key, path, name, number)
            self._database.spawned_run(key, entry.pid, entry.start_time, boot_id(), at)
            self._database.save_lives(path, [life])
        self._performer.runs.know(run)
        if await self._is_held(run, life) and run not in self._ended:
            self._record_adoption(run)

    def _record_adoption(self, run: Run) -> None:
        facts = {"run": run.number, "pid": run.pid}
        message = f"run {run.number}, pid {run.pid}"
        self._engine.record("adopted", message, SUPERVISOR, run.environment, process=run.name, data=facts)

    async def _take_up(self, key: str) -> None:
        """A run that only its directory knows: database and keeper were lost. What it wrote is logged, if it can be."""
        about = self._read(key, "run.json", _Introduction)
        if about is not None and about.pid is not None and about.start_time is not None:
            if is_alive(Identity(about.pid, about.start_time, about.boot_id or "")):
                await self.take_in(key, HeldRun(key, about.pid, about.start_time, meta=about.meta))
                return
            with suppress(RunceptError, ValueError):
                path, name, number = _marked(about.meta)
                if path not in self._engine.environments:
                    load_environment(self._performer.home, self._engine, path)
                await self._take_over(StoredRun(key, path, name, number, about.pid, about.start_time, about.boot_id))
                return
        _log.warning("%s: nobody knows whose run that was: its directory is removed", key)
        self._performer.runs.remove_directory(key)

    def _read(self, key: str, name: str, kind: type[_T]) -> _T | None:
        """What the keeper wrote down in the run's directory."""
        try:
            with open(os.path.join(self._performer.runs.directory(key), name), "rb") as file:
                return msgspec.json.decode(file.read(), type=kind)
        except (OSError, msgspec.DecodeError):
            return None


def _marked(meta: object) -> tuple[str, str, int]:
    """Path, name and number of a run, as its keeper was told. ValueError where that was not by a daemon of ours."""
    try:
        marker = msgspec.convert(meta, dict[str, Any])
        return str(marker["RUNCEPT_ENVIRONMENT"]), str(marker["RUNCEPT_PROCESS"]), int(marker["RUNCEPT_RUN"])
    except (KeyError, TypeError, ValueError) as error:  # msgspec's are ValueErrors
        raise ValueError("no marker of a run") from error


def _with_end(stored: StoredRun, ended: Exit) -> StoredRun:
    signal = None if ended.signal is None else name_of(ended.signal)
    return msgspec.structs.replace(stored, exit_code=ended.code, exit_signal=signal, ended_at=ended.at)


def _knows_nothing(life: Life, run: int) -> bool:
    """Whether nothing is stored of that run. Of one that could not be killed and was given up, there is its pid."""
    return life.run < run or (life.run == run and not life.is_up and life.pid is None and life.ended_at is None)


class _Introduction(msgspec.Struct, frozen=True):
    """run.json: who the main process is, written before its program was executed."""

    pid: int | None
    start_time: int | None
    boot_id: str | None
    meta: dict[str, Any] = {}
