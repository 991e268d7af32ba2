"""The daemon: one a home. Puts the parts together, and takes them apart when it is asked to end."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Coroutine
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from typing import Any

import runcept
from runcept.api import messages as m
from runcept.config.settings import load_settings
from runcept.core.life import SUPERVISOR
from runcept.core.secrets import mask
from runcept.daemon.engine import Engine
from runcept.daemon.environment import Environment
from runcept.daemon.files import Files
from runcept.daemon.handlers import Handlers
from runcept.daemon.hooks import Hooks
from runcept.daemon.lookout import Lookout
from runcept.daemon.notifier import Notifier
from runcept.daemon.performer import SystemPerformer
from runcept.daemon.recovery import Recovery
from runcept.daemon.retention import Retention
from runcept.daemon.server import bind, serve
from runcept.database.connection import Storage
from runcept.database.queries import Database
from runcept.errors import ConfigError, RunceptError
from runcept.paths import daemon_log, ensure_home, socket_path
from runcept.paths import database as database_path
from runcept.process.apart import stand_apart
from runcept.process.keeper_link import KeeperLink
from runcept.process.limits import raise_file_limit
from runcept.process.lock import Lock, call_holder
from runcept.units import instant

__all__ = ["main"]

_log = logging.getLogger("runcept.daemon")
_LOG_BYTES = 5_000_000
_RETRY_SECONDS = 1.0
_HOME_SECONDS = 2.0
"""How often it is looked whether the home is still ours."""


class _JsonLines(logging.Formatter):
    """One JSON object a record, as every log of ours."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {"ts": instant(record.created), "level": record.levelname.lower(), "message": mask(record.getMessage())}
        if record.exc_info:
            entry["traceback"] = mask(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False)


class _ForEyes(logging.Formatter):
    """For the terminal of a daemon in the foreground: what others have said makes no line of its own, and no escape."""

    def format(self, record: logging.LogRecord) -> str:
        said = [f"{record.levelname} {record.getMessage()}"]
        if record.exc_info:
            said += self.formatException(record.exc_info).split("\n")
        return "\n".join("".join(c if c.isprintable() else ascii(c)[1:-1] for c in mask(line)) for line in said)


class Daemon:
    """The parts of a running daemon."""

    def __init__(self, home: str, lock: Lock, tasks: asyncio.TaskGroup, database: Database) -> None:
        self._home = home
        self._lock = lock
        self._tasks = tasks
        self._database = database
        self._engine = Engine(asyncio.get_running_loop(), database)
        self._performer = SystemPerformer(home, self._engine, database, self._spawn_task)
        self._engine.performer = self._performer
        self._hooks = Hooks(home, self._engine, self._performer.runs, self._spawn_task)
        Notifier(home, self._engine, self._spawn_task)
        self._lookout = Lookout(self._engine, self._performer)
        self._engine.on_idle = self._lookout.attend
        self._handlers = Handlers(home, self._engine, self._performer)
        self._files = Files(self._engine, self._project_file_changed, self._spawn_task)
        self._listener: socket.socket
        self._server: asyncio.Task[None]
        self._recovered = asyncio.Event()
        """What an earlier daemon left is taken up: before, nothing can be taken back from a keeper that was lost."""

    async def run(self) -> None:
        """From the first look at what lives to the last goodbye."""
        self._listener = bind(socket_path(self._home))  # first: where this fails, nothing else is begun
        await self._connect()
        await Recovery(self._engine, self._database, self._performer, self._performer.link).run()
        self._recovered.set()
        self._spawn_task(self._hooks.take_up())
        self._performer.waker.look_at_all()
        facts = {"version": runcept.__version__, "pid": os.getpid()}
        message = f"version {runcept.__version__}, pid {os.getpid()}"
        self._engine.record("daemon_started", message, SUPERVISOR, data=facts)
        self._files.begin()
        _log.info("daemon %s started, pid %d", runcept.__version__, os.getpid())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_end)
        loop.add_signal_handler(signal.SIGHUP, self._listen_anew)
        self._server = self._tasks.create_task(serve(self._listener, self._handlers, self._spawn_task))
        self._tasks.create_task(self._keep_home())
        self._spawn_task(Retention(self._engine, self._database).run())
        self._tasks.create_task(self._lookout.run())
        await self._handlers.stopping.wait()
        self._files.end()
        if self._lock.is_in_place():  # else it is another daemon's
            with suppress(FileNotFoundError):
                os.unlink(socket_path(self._home))
        self._hang_up()
        await self._leave()

    def _hang_up(self) -> None:
        self._server.cancel()
        self._listener.close()

    def _listen_anew(self) -> None:
        """SIGHUP: somebody has removed the socket, and found us by our lock."""
        if os.path.lexists(socket_path(self._home)):
            return
        _log.warning("the socket was removed: it is made anew")
        self._hang_up()
        self._listener = bind(socket_path(self._home))
        self._server = self._tasks.create_task(serve(self._listener, self._handlers, self._spawn_task))

    async def _keep_home(self) -> None:
        """See that we can be found: a home that was removed is made anew, unless another daemon has it by then."""
        while True:
            await asyncio.sleep(_HOME_SECONDS)
            if self._lock.is_in_place():
                continue
            _log.warning("%s was removed while we run", self._home)
            try:
                ensure_home(self._home)
                is_ours = self._lock.renew()
            except (RunceptError, OSError) as error:
                _log.warning("it cannot be made anew: %s", error)
                continue
            if not is_ours:
                _log.error("another daemon has it by now: we end, with all that we run, which nobody could reach")
                self._asked_to_end()
                return
            self._listen_anew()
            for handler in logging.getLogger().handlers:
                handler.close()  # it opens its file again when there is something to write
            with suppress(RunceptError, OSError):  # a keeper that is lost makes way for another, which finds its place
                await self._performer.link.be_found()
            self._engine.record("home_restored", "the home was removed, and made anew", "supervisor")

    async def _connect(self) -> None:
        """Reach the keeper, or start one."""
        restart = [sys.executable, "-m", "runcept.daemon", self._home, "--again"]
        self._performer.link = await KeeperLink.connect(
            self._home,
            restart,
            on_bytes=self._performer.bytes_arrived,
            on_exited=self._performer.exited,
            on_lost=self._keeper_lost,
            on_door=self._performer.waker.told,
        )
        self._performer.linked.set()
        self._performer.waker.connected(self._performer.link)

    def _keeper_lost(self) -> None:
        """The keeper has died: what it held lives on, and a new one adopts it."""
        _log.error("the keeper has ended")
        self._performer.unlink()
        self._performer.waker.disconnected()
        self._spawn_task(self._replace_keeper())

    async def _replace_keeper(self) -> None:
        while not self._performer.linked.is_set():
            try:
                await self._connect()
            except (RunceptError, OSError, RuntimeError) as error:  # no descriptor, process or thread left: they run on
                _log.error("there is no keeper: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)
        pid = self._performer.link.pid
        self._engine.record("keeper_started", f"pid {pid}", SUPERVISOR, data={"pid": pid})
        await self._recovered.wait()
        self._performer.waker.look_at_all()
        recovery = Recovery(self._engine, self._database, self._performer, self._performer.link)
        for run in self._performer.runs:
            await recovery.guarded(run.key, recovery.take_back(run))
        for entry in self._performer.link.runs:
            if self._performer.runs.get(entry.key) is None:
                await recovery.guarded(entry.key, recovery.take_in(entry.key, entry))

    def _project_file_changed(self, environment: Environment) -> None:
        self._spawn_task(self._handlers.reloads.file_changed(environment))

    def _asked_to_end(self) -> None:
        """SIGTERM and SIGINT are `runcept daemon stop`."""

        async def stop() -> None:
            await self._handlers.daemon_stop(m.StopDaemon(actor="supervisor"), lambda *_: None)

        self._spawn_task(stop())

    async def _leave(self) -> None:
        """Say goodbye, so that the keeper starts no other daemon; it ends as well if it holds nothing."""
        link = self._performer.link
        try:
            await self._performer.settle()
            await self._hooks.end()
            await self._performer.waker.settle()
            await link.goodbye()
        except (RunceptError, OSError) as error:
            _log.warning("the keeper did not answer: %s", error)
        self._performer.end()
        _log.info("daemon ended")

    def _spawn_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._tasks.create_task(_guarded(work))


async def _guarded(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:  # noqa: BLE001
        # A defect in one piece of work must not end the daemon and with it everybody's supervision: it is logged.
        _log.exception("a task failed")


async def _run(home: str, lock: Lock, database: Database) -> None:
    async with asyncio.TaskGroup() as tasks:
        daemon = Daemon(home, lock, tasks, database)
        await daemon.run()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()


def _set_up_log(home: str, *, foreground: bool) -> None:
    handlers: list[logging.Handler] = [
        RotatingFileHandler(
            daemon_log(home), maxBytes=_LOG_BYTES, backupCount=3, encoding="utf-8", errors="backslashreplace"
        )
    ]
    handlers[0].setFormatter(_JsonLines())
    if foreground:
        handlers.append(logging.StreamHandler())
        handlers[1].setFormatter(_ForEyes())
    level = (os.environ.get("RUNCEPT_LOG") or _wanted_level(home)).upper()
    known = logging.getLevelNamesMapping()
    logging.basicConfig(level=known.get(level, logging.INFO), handlers=handlers)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def _wanted_level(home: str) -> str:
    try:
        return load_settings(home).log_level
    except ConfigError:  # the commands that need the settings say what is wrong with them
        return ""


def main(home: str, *, foreground: bool = False, again: bool = False) -> int:
    """Run until asked to end. 0: done, also where another daemon of this home runs already.

    `again`: a keeper starts it because the last one was lost. If that keeper is gone by now, somebody has stopped both
    meanwhile, and nobody wants this one.
    """
    os.umask(0o077)  # whoever starts it: what it writes is for nobody else; processes get the umask of their shell
    ensure_home(home)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it can be heeded: whoever holds the lock may be sent one
    lock = Lock.acquire(home, "daemon.lock")
    if lock is None:
        sys.stderr.write(f"runcept: a daemon for {home} is running already\n")
        call_holder(home, "daemon.lock")  # whoever starts a second one has not found the first
        return 0
    if again and (keeper := Lock.acquire(home, "keeper.lock", to_hold=False)) is not None:
        keeper.close()
        return 0
    stand_apart()  # it may have been started by a process of ours, or by a keeper in the middle of a spawn
    raise_file_limit()
    _set_up_log(home, foreground=foreground)
    database = Database(Storage(database_path(home), lock.is_in_place))
    try:
        asyncio.run(_run(home, lock, database))
    except BaseException:  # whatever it was: the log is where one looks for it
        _log.exception("the daemon ended by an error")
        raise
    finally:
        database.close()
    return 0
