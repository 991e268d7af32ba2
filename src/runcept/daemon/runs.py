"""The runs that are not over: what is known of each, what belongs to it, where it is kept. It decides nothing."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from runcept.core.model import Process
from runcept.core.secrets import mask
from runcept.daemon.environment import Environment
from runcept.daemon.surroundings import Holder, marker_of
from runcept.errors import NoDescriptorLeft
from runcept.paths import runs_directory
from runcept.process import cgroups, members
from runcept.process.fate import Fate
from runcept.process.identity import start_time
from runcept.process.limits import patiently, runs_that_fit
from runcept.process.system import command_of, tag_of

__all__ = ["GROUP", "PORTS", "REASON_LENGTH", "Run", "Runs"]

PORTS, GROUP = "ports", "cgroup"
"""What the keeper is told beside the marker: the ports and the control group, for a daemon that has to find out."""
REASON_LENGTH = 500
"""Characters of a line of output within a reason."""
_LEAVING_SECONDS = 5.0
"""For a run that is over to give its descriptors back."""
_OVER = "~over"
"""Ends the name of a run's directory that is being removed: no name of a process has a tilde."""


@dataclass
class Run:
    """One run of one process, from the decision to spawn it to its release."""

    key: str
    environment: Environment
    name: str
    number: int
    pid: int | None = None
    start_time: int | None = None
    known_at: float = field(default_factory=time.monotonic)
    """Monotonic: since when `pid` is known. An earlier look at all processes does not tell of it."""
    ports: tuple[int, ...] = ()
    """Its own until it has ended, also before it binds them."""
    group: str | None = None
    """The directory of its control group."""
    in_keeper: bool = False
    is_admitted: bool = False
    """It counts among the runs that there are descriptors for."""
    has_ended: bool = False
    is_logged: bool = False
    """Its spool is open."""
    is_cut_off: bool = False
    """The keeper was lost before it said whether it had started it."""
    fate: Fate | None = None
    """Its main process, for when no keeper tells how it ended."""
    oom_kills: int | None = None
    """How many the kernel had killed for want of memory when it was started; null where that is not known."""
    unspooled: str = ""
    """Why the keeper cannot take what it writes; empty where it can."""
    unlogged: str = ""
    """Why what was spooled cannot be logged; empty where it can."""
    told_consumed: int = 0
    """Up to where the keeper was told that its output is in its log."""
    previous: Run | None = None
    """The run before it, if that one was still on its way out."""
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Its start was told to the engine: what is known of its end may follow."""
    released: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_over(self) -> bool:
        """Nothing of it lives any more: there is another one, or its process is not known any more."""
        life = self.environment.lives.get(self.name)
        return life is None or life.run != self.number or not life.is_up

    @property
    def process(self) -> Process | None:
        """As the project file has it; None where it does so no more."""
        return next((each for each in self.environment.project.processes if each.name == self.name), None)

    def holder(self) -> Holder:
        """As the owner of a port."""
        return Holder(self.pid, self.name, self.environment.path)

    def marker(self) -> dict[str, str]:
        """The variables by which what it starts can be told."""
        return marker_of(self.environment.path, self.name, self.number)

    def masked(self, text: str) -> str:
        """As it may be told: without the secrets of its environment."""
        return mask(text, self.environment.secrets(self.name))


class Runs:
    """Those of one home, by key, and by path, name and number."""

    def __init__(self, home: str) -> None:
        self.home = home
        self._runs: dict[str, Run] = {}
        self._numbered: dict[tuple[str, str, int], Run] = {}
        self._groups = cgroups.groups_of(home)

    def __iter__(self) -> Iterator[Run]:
        """A copy, so that they may come and go meanwhile."""
        return iter(list(self._runs.values()))

    def get(self, key: str) -> Run | None:
        """The run of this key."""
        return self._runs.get(key)

    def know(self, run: Run) -> None:
        """Take care of a run from now on; the one before it may still be on its way out."""
        run.previous = self._numbered.get((run.environment.path, run.name, run.number - 1))
        self._runs[run.key] = self._numbered[run.environment.path, run.name, run.number] = run

    def find(self, path: str, name: str, number: int) -> Run | None:
        """The run, unless it is released."""
        return self._numbered.get((path, name, number))

    def forget(self, run: Run) -> None:
        """It is over, and with it the directory of its control group."""
        if run.fate is not None:
            run.fate.close()
        cgroups.remove(run.group)
        del self._runs[run.key]
        del self._numbered[run.environment.path, run.name, run.number]
        run.released.set()

    async def admit(self, run: Run, process: Process) -> None:
        """Take no more than can be looked after; those that are over make room in a moment. NoDescriptorLeft."""
        while sum(other.is_admitted for other in self._runs.values()) >= runs_that_fit():
            leaving = next((other for other in self._runs.values() if other.is_admitted and other.is_over), None)
            if leaving is None:
                raise NoDescriptorLeft(process.argv[0], runs_that_fit())
            try:
                async with asyncio.timeout(_LEAVING_SECONDS):
                    await leaving.released.wait()
            except TimeoutError:
                raise NoDescriptorLeft(process.argv[0], runs_that_fit()) from None
        run.is_admitted = True

    # ------------------------------------------------------------------------------------------ what it has

    def make_group(self, run: Run) -> None:
        """A control group for it, where one can be made."""
        run.group = cgroups.make(self._groups, run.key)

    def reserved(self, run: Run, environments: Iterable[Environment]) -> dict[int, Holder | None]:
        """The ports that living runs were given, and (of nobody) those that other processes want one day."""
        wanted: dict[int, Holder | None] = {
            port: None
            for environment in environments
            for process in environment.project.processes
            if (environment.path, process.name) != (run.environment.path, run.name)
            for port in process.ports
        }
        others = [other for other in self._runs.values() if other is not run and not other.has_ended]
        return wanted | {port: other.holder() for other in others for port in other.ports}

    def whose(self, pid: int) -> Holder | None:
        """Of which run of ours a process is."""
        tag = tag_of(pid)
        for run in self._runs.values():
            if pid == run.pid or tag == members.tag(run.marker(), self.home) or pid in cgroups.pids(run.group):
                return run.holder()
        return None

    async def members(self, run: Run, keeper_pid: int, since: float | None = None) -> list[members.Member]:
        """What lives of it, as a look tells that was begun at `since` (monotonic) or later, or a moment ago."""
        if run.pid is None:  # its keeper was lost, or is stopped, before it said who it is: its control group may tell
            return await patiently(partial(_in_group, run.group))
        while since is not None and (pause := members.rest(since)) > 0:  # noqa: ASYNC110  others may have looked by then
            await asyncio.sleep(pause)
        since = max(run.known_at, members.recently()) if since is None else since
        others = {other.pid for other in self._runs.values() if other.pid is not None and other is not run}
        look = partial(members.members, run.pid, keeper_pid, run.marker(), others)
        group = cgroups.pids(run.group)
        return await patiently(partial(look, start_time=run.start_time, home=self.home, group=group, since=since))

    def directory(self, key: str) -> str:
        """Where the keeper keeps a run."""
        return os.path.join(runs_directory(self.home), key)

    def remove_directory(self, key: str) -> None:
        """Remove the directory of a run at one blow: half of it would look like output that is in no log."""
        if key != os.path.basename(key) or key.startswith("."):  # of a run that somebody else has named
            return
        directory = self.directory(key)
        with suppress(OSError):
            os.rename(directory, directory + _OVER)
        shutil.rmtree(directory + _OVER, ignore_errors=True)

    def unknown(self, known: Collection[str]) -> list[str]:
        """The keys of the directories that belong to no run of those `known`."""
        return sorted(set(os.listdir(runs_directory(self.home))) - set(known))

    def clear_away(self) -> None:
        """Remove what an earlier daemon had no time to."""
        for name in os.listdir(runs_directory(self.home)):
            if name.endswith(_OVER):
                shutil.rmtree(os.path.join(runs_directory(self.home), name), ignore_errors=True)
        cgroups.remove(self._groups)
        self._groups = cgroups.groups_of(self.home)

    def end(self) -> None:
        """After the last run: remove what serves them all."""
        cgroups.remove(self._groups)


def _in_group(group: str | None) -> list[members.Member]:
    known = ((pid, start_time(pid)) for pid in cgroups.pids(group))
    return [members.Member(pid, started, command_of(pid)) for pid, started in known if started is not None]
