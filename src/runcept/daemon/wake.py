"""Wakes what sleeps: holds its ports by means of the keeper, and starts it when somebody connects.

The ports of one process are a door of the keeper's. While the process sleeps, who connects waits in the kernel's queue;
the next run gets the listening socket together with its queue, so nobody is refused, and nobody stands in between.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import runcept.process.ports as tcp
from runcept.core.life import Life
from runcept.core.model import HealthCheck, Probe, Process, Project, State
from runcept.core.printable import printable
from runcept.core.secrets import mask
from runcept.daemon.engine import Engine
from runcept.daemon.environment import Environment
from runcept.daemon.surroundings import Holder
from runcept.errors import KeeperLost
from runcept.process.keeper_link import KeeperLink
from runcept.scheduler.wake import Doing, answer, doing

__all__ = ["Waker"]

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 2.0
_PATIENCE_SECONDS = 60.0
"""Whoever has waited so long for a process that has not even bound its port is told so."""
_USE_SECONDS = 0.5
"""Somebody who waits uses it: so often that is counted, else a slow start could end as inactivity."""
_LEAVE_SECONDS = 5.0


@dataclass
class _Door:
    """What is known of the ports of one process."""

    path: str
    name: str
    ports: tuple[int, ...] = ()
    done: Doing | None = None
    """What was done last."""
    is_lent: bool = True
    """What is kept was left by a run that went to sleep, and the next one has not become ready yet."""
    is_bound: bool = False
    """The run has bound its port."""
    trouble: str = ""
    """Why its ports are not held."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def key(self) -> str:
        """As the keeper calls it."""
        return f"{self.name} {self.path}"


class Waker:
    """The doors of one home. `link` is the keeper's, while there is one."""

    def __init__(self, engine: Engine, spawn_task: Callable[[Coroutine[Any, Any, None]], Any]) -> None:
        self._engine = engine
        self._spawn_task = spawn_task
        self._link: KeeperLink | None = None
        self._doors: dict[str, _Door] = {}
        self._found: dict[str, tuple[Project, list[Process]]] = {}
        """By path: what of a project can be woken."""
        engine.watch(self._look)

    # --------------------------------------------------------------------------------------- the keeper

    def connected(self, link: KeeperLink) -> None:
        """There is a keeper: go on with the doors that it has; what another one had is made by `look_at_all`."""
        self._link = link
        for door in self._doors.values():
            door.done = None
        for key, is_bound in link.doors.items():
            name, _, path = key.partition(" ")
            door = self._doors.setdefault(key, _Door(path, name))
            door.done, door.is_bound = "lend", is_bound

    def disconnected(self) -> None:
        """The keeper is gone, and with it the sockets."""
        self._link = None

    def told(self, event: str, key: str) -> None:
        """The keeper has told something of a door."""
        door = self._doors.get(key)
        if door is None:
            return
        if event == "bound":
            door.is_bound = True
            return
        environment, life, process = self._known(door)
        if environment is None or process is None or doing(life, process) != "hold":
            return
        sentence = f"{door.name}: somebody has connected to {process.doorstep}"
        self._engine.record("woken", sentence, "connection", environment, process=door.name)
        self._engine.touch(environment, "connection")
        self._engine.start(environment, [door.name], "connection")
        self._spawn_task(self._attend(door))

    # ------------------------------------------------------------------------------------- what is asked

    async def lend(self, environment: Environment, process: Process) -> tuple[str | None, tuple[int, ...]]:
        """A run begins: the door to start it with, and the ports that are kept for it there. KeeperLost, OSError."""
        if not process.doorstep or self._link is None or not self._link.can_hold:
            return None, ()
        door = self._door(environment.path, process.name)
        async with door.lock:
            if door.done is not None and not door.is_lent:
                await self._link.refuse(door.key, "", close=True)  # a start by somebody begins anew
            door.is_lent &= door.done is not None
            kept = door.ports if door.is_lent else ()
            door.done, door.is_bound, door.ports = "lend", False, process.ports
        return door.key, kept

    def reserved(self, environment: Environment, name: str) -> dict[int, Holder | None]:
        """The ports that are held for others."""
        own = f"{name} {environment.path}"
        return {
            port: Holder(None, door.name, door.path, "sleeps until somebody connects")
            for key, door in self._doors.items()
            if key != own and door.done == "hold"
            for port in door.ports
        }

    def is_deaf(self, environment: Environment, process: Process, check: HealthCheck) -> bool:
        """A check would wait in the queue with all others, since the run that is to answer has no port yet."""
        door = self._doors.get(f"{process.name} {environment.path}")
        if door is None or door.is_bound or not door.is_lent or check.probe not in {Probe.HTTP, Probe.TCP}:
            return False
        with suppress(ValueError):
            asked = check.target if check.probe is Probe.HTTP else f"tcp://{check.target}"
            return urlsplit(asked).port in door.ports
        return False

    def notice(self, environment: Environment, name: str) -> str:
        """What a user should know about the ports of a process, in a sentence; empty where all is well."""
        door = self._doors.get(f"{name} {environment.path}")
        return door.trouble if door is not None else ""

    async def settle(self) -> None:
        """Wait until every door that is to be closed is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                for door in list(self._doors.values()):
                    await self._settle(door)

    # --------------------------------------------------------------------------------------- what is done

    def look_at_all(self) -> None:
        """See what is to be done, of whatever is known."""
        for environment in list(self._engine.environments.values()):
            self._look(environment)
        for door in list(self._doors.values()):
            self._see_to(door)

    def _look(self, environment: Environment) -> None:
        """An environment has changed."""
        for process in self._wakeable(environment):
            if doing(environment.lives[process.name], process) == "hold":
                self._door(environment.path, process.name)
        for door in [each for each in self._doors.values() if each.path == environment.path]:
            self._see_to(door)

    def _wakeable(self, environment: Environment) -> list[Process]:
        """Those with `wake`. Of a thousand processes that change one after the other, not all are to be looked at."""
        project, found = self._found.get(environment.path, (None, []))
        if project is not environment.project:
            found = [process for process in environment.project.processes if process.doorstep]
            self._found[environment.path] = environment.project, found
        return found

    def _see_to(self, door: _Door) -> None:
        _, life, process = self._known(door)
        if life is not None and life.state is State.RUNNING:
            door.is_lent = False
        wanted = doing(life, process)
        if wanted == "lend" and door.done == "hold":
            door.done = "lend"
        if wanted not in {"lend", door.done}:
            self._spawn_task(self._settle(door))

    async def _settle(self, door: _Door) -> None:
        """Do what is to be done, until it is."""
        async with door.lock:
            while (link := self._link) is not None and self._doors.get(door.key) is door:
                _, life, process = self._known(door)
                wanted = doing(life, process)
                if wanted in {"lend", door.done}:
                    return
                try:
                    if wanted == "hold" and process is not None:
                        await self._hold(link, door, process)
                    else:
                        await self._close(link, door, life)
                except KeeperLost:  # the next one begins anew
                    return
                except OSError as error:
                    self._say(door, self._why_not(door, error))
                    await asyncio.sleep(_RETRY_SECONDS)

    async def _hold(self, link: KeeperLink, door: _Door, process: Process) -> None:
        if not link.can_hold:
            self._say(door, "its port is not held, and nothing wakes it: that takes Linux 5.9 or newer")
            door.done = "hold"
            return
        if door.ports and door.ports != process.ports:
            await link.refuse(door.key, answer(door.name, None), close=True)
        door.ports = process.ports
        loopback = [(host, port) for port in process.ports for host in ("127.0.0.1", "::1")]
        await link.hold(door.key, loopback)
        door.done, door.is_lent, door.is_bound = "hold", True, False
        self._say(door, "")

    async def _close(self, link: KeeperLink, door: _Door, life: Life | None) -> None:
        if link.can_hold:
            await link.refuse(door.key, answer(door.name, life), close=True)
        self._doors.pop(door.key, None)

    def _say(self, door: _Door, trouble: str) -> None:
        if door.trouble != trouble:
            door.trouble = trouble
            if trouble:
                _log.warning("%s of %s: %s", door.name, door.path, trouble)

    @staticmethod
    def _why_not(door: _Door, error: OSError) -> str:
        for port in door.ports:
            if owner := tcp.owner_of(port):
                command = printable(mask(owner[1]), color=False)
                return f"port {port} cannot be held for it: pid {owner[0]} ({command}) has it"
        return f"its port cannot be held: {(error.strerror or str(error)).lower()}"

    async def _attend(self, door: _Door) -> None:
        """Until it is ready: whoever waits uses it; and is told after a while, if it has not even bound its port."""
        told_at = self._engine.now()
        while True:
            environment, life, process = self._known(door)
            if environment is None or life is None or doing(life, process) != "lend" or not door.is_lent:
                return
            self._engine.touch(environment, "connection")
            if self._link is not None and not door.is_bound and self._engine.now() - told_at > _PATIENCE_SECONDS:
                told_at = self._engine.now()
                with suppress(KeeperLost, OSError):
                    await self._link.refuse(door.key, answer(door.name, life), close=False)
            await asyncio.sleep(_USE_SECONDS)

    def _door(self, path: str, name: str) -> _Door:
        return self._doors.setdefault(f"{name} {path}", _Door(path, name))

    def _known(self, door: _Door) -> tuple[Environment | None, Life | None, Process | None]:
        environment = self._engine.environments.get(door.path)
        if environment is None or door.name not in environment.lives:
            return environment, None, None
        return environment, environment.lives[door.name], environment.project.process(door.name)
