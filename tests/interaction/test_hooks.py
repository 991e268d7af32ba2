"""Hooks as real processes, with a limit that a test can wait for: what hangs, floods, forks and comes too often."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from runcept.core.model import Hooks as Commands
from runcept.core.model import Process, Project
from runcept.daemon.engine import Engine
from runcept.daemon.hooks import Hooks
from runcept.daemon.runs import Runs
from runcept.database.connection import Storage
from runcept.database.queries import Database, StoredEvent
from runcept.process.system import entry

LIMIT = 1.0


def lives(pid: int) -> bool:
    found = entry(pid)
    return found is not None and not found.is_zombie


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something that tells nobody."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  no event of ours
            await asyncio.sleep(0.01)


class Stage:
    """An engine with one project whose processes have a hook, and the hooks of the daemon."""

    def __init__(self, path: Path, database: Database, commands: dict[str, str], between: float) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self.told: list[StoredEvent] = []
        self.engine = Engine(asyncio.get_running_loop(), database)
        self.hooks = Hooks(str(path), self.engine, Runs(str(path)), self._spawn, LIMIT, between)
        processes = [
            Process(name, "x", ("x",), str(path), hooks=Commands(failed=command)) for name, command in commands.items()
        ]
        self._environment = self.engine.add(Project(str(path), "shop", processes=tuple(processes)), lambda _: 0)
        self.engine.capture(
            self._environment, {"PATH": os.environ["PATH"], "API_TOKEN": "tr0ub4dor"}, 0o22, activated=True
        )
        self.engine.listen(self._heard)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        return task

    def _heard(self, event: StoredEvent) -> None:
        if event.kind == "hook":
            self.told.append(event)

    def fail(self, process: str = "web", reason: str = "boom") -> None:
        """Have a process fail, as far as hooks know."""
        data = {"exit_code": 1}
        self.engine.record("failed", reason, "supervisor", self._environment, process=process, data=data)

    def forsake(self) -> None:
        """Nobody looks after what runs any more."""
        for task in self._tasks:
            task.cancel()

    async def until_told(self, count: int, seconds: float = 20) -> None:
        """Wait until so many hooks have ended."""
        await until(lambda: len(self.told) >= count, seconds)

    async def until_over(self, seconds: float = 20) -> None:
        """Wait until nothing is left to do."""
        async with asyncio.timeout(seconds):
            await asyncio.gather(*self._tasks)


@contextmanager
def kept(path: Path) -> Iterator[Database]:
    (path / "runs").mkdir()
    database = Database(Storage(str(path / "runcept.db")))
    try:
        yield database
    finally:
        database.close()


def play(
    path: Path, commands: str | dict[str, str], scene: Callable[[Stage], Awaitable[None]], between: float = 0.05
) -> list[StoredEvent]:
    """What was told of the hooks of a scene."""

    async def played(database: Database) -> list[StoredEvent]:
        stage = Stage(path, database, {"web": commands} if isinstance(commands, str) else commands, between)
        await scene(stage)
        return stage.told

    with kept(path) as database:
        return asyncio.run(played(database))


async def one(stage: Stage) -> None:
    """One failure, and all that comes of it."""
    stage.fail()
    await stage.until_over()


def test_a_hook_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    """Also what has left its session and its group, with an empty environment."""
    away = 'setsid env -i sleep 60 & echo $! >> pids; (trap "" TERM HUP; sleep 60) & echo $! >> pids; echo waits; wait'
    found: list[list[bool]] = []

    async def scene(stage: Stage) -> None:
        pids = tmp_path / "pids"
        stage.engine.listen(
            lambda event: found.append(
                [*map(lives, map(int, pids.read_text().split()))] if event.kind == "hook" else []
            )
        )
        stage.fail()
        await stage.until_over()

    (told,) = play(tmp_path, away, scene)
    assert found[-1] == [False, False], "it was said that all of it was killed"
    assert told.message.startswith("hook failed of web: killed, with all that it had started, after 1")
    assert told.message.endswith("s: waits")
    assert (told.data["exit_code"], told.data["exit_signal"]) == (None, None)


def test_what_a_hook_leaves_behind_has_its_time_and_no_more(tmp_path: Path) -> None:
    """How it went is told at once."""

    async def scene(stage: Stage) -> None:
        begun = stage.engine.now()
        stage.fail()
        await stage.until_told(1)
        assert stage.engine.now() - begun < LIMIT
        pid = int((tmp_path / "pid").read_text())
        assert lives(pid)
        await stage.until_over()
        assert not lives(pid)
        assert stage.engine.now() - begun >= LIMIT

    (told,) = play(tmp_path, "setsid sleep 60 & echo $! > pid; exit 7", scene)
    assert told.data["exit_code"] == 7


def test_events_that_come_while_a_hook_runs_make_one_more_run_with_the_newest(tmp_path: Path) -> None:
    """A thousand failures are two runs, not a thousand."""

    async def scene(stage: Stage) -> None:
        stage.fail(reason="first")
        await until((tmp_path / "told").exists)
        for number in range(1000):
            stage.fail(reason=f"number {number}")
        (tmp_path / "go").touch()
        await stage.until_over()

    told = play(tmp_path, 'echo "$RUNCEPT_REASON" >> told; until [ -e go ]; do sleep 0.01; done', scene)
    assert (tmp_path / "told").read_text() == "first\nnumber 999\n"
    assert [event.data["events"] for event in told] == [1, 1000]
    assert told[1].message.endswith(", for the last of 1000 events")


def test_one_hook_begins_once_in_its_time(tmp_path: Path) -> None:
    """A process that fails a hundred times a second has its hook run, and the machine has other things to do."""
    took: list[float] = []

    async def scene(stage: Stage) -> None:
        begun = stage.engine.now()
        for _ in range(200):
            stage.fail()
            await asyncio.sleep(0.01)
        await stage.until_over()
        took.append(stage.engine.now() - begun)

    told = play(tmp_path, "date +%s.%N >> at", scene, between=0.6)
    begun = [float(line) for line in (tmp_path / "at").read_text().split()]
    assert 3 <= len(begun) <= took[0] / 0.6 + 1
    assert all(later - earlier > 0.5 for earlier, later in pairwise(begun))
    assert sum(event.data["events"] for event in told) == 200


def test_few_hooks_run_at_once(tmp_path: Path) -> None:
    """A hundred processes that fail together do not start a hundred commands; each has its turn."""
    count = "mkdir in.$$; ls -d in.* | wc -l >> most; sleep 0.05; rmdir in.$$"

    async def scene(stage: Stage) -> None:
        for number in range(40):
            stage.fail(f"p{number}")
        await stage.until_over(60)

    told = play(tmp_path, {f"p{number}": count for number in range(40)}, scene)
    assert len(told) == 40
    assert 1 < max(map(int, (tmp_path / "most").read_text().split())) <= 8


def test_nothing_waits_for_a_hook_that_floods_its_output(tmp_path: Path) -> None:
    """The loop has its turns meanwhile, and hardly any time is spent on it; the end of the output is told."""
    turns: list[float] = []

    async def scene(stage: Stage) -> None:
        stage.fail()
        used = time.process_time()
        while not stage.told:
            turns.append(time.monotonic())
            await asyncio.sleep(0.02)
        assert time.process_time() - used < 0.15 * LIMIT
        await stage.until_over()

    (told,) = play(tmp_path, "exec yes flood", scene)
    assert max(later - earlier for earlier, later in pairwise(turns)) < 0.5
    assert told.message.endswith(": flood")
    assert len(told.data["output"]) <= 2000


def test_a_secret_that_a_hook_prints_is_not_told(tmp_path: Path) -> None:
    """Nor does what it prints act on a terminal."""
    (told,) = play(tmp_path, 'printf "got $API_TOKEN\\033[2J\\n"; exit 1', one)
    assert told.message.endswith(": got ***")
    assert told.data["output"] == "got ***\n"


@pytest.mark.parametrize(
    ("command", "end"),
    [
        ("kill -9 $$", "killed by SIGKILL after"),
        ("no-such-command", "exit code 127 after"),
        ("true", "exit code 0 after"),
    ],
)
def test_how_a_hook_went_is_told(tmp_path: Path, command: str, end: str) -> None:
    """Success as well."""
    (told,) = play(tmp_path, command, one)
    assert told.message.startswith(f"hook failed of web: {end}")
    assert (told.process, told.actor) == ("web", "supervisor")


def test_the_end_of_the_daemon_leaves_no_hook(tmp_path: Path) -> None:
    """One that is about to end may do so; what lives then is ended."""

    async def scene(stage: Stage) -> None:
        stage.fail()
        await stage.until_told(1)
        pid = int((tmp_path / "pid").read_text())
        stage.fail("slow")
        await stage.hooks.end()
        assert not lives(pid)
        assert (tmp_path / "done").exists()

    play(tmp_path, {"web": "setsid sleep 60 & echo $! > pid", "slow": "sleep 0.3; touch done"}, scene)


def test_what_a_killed_daemon_has_left_is_ended_by_the_next(tmp_path: Path) -> None:
    """When its time is over, and not before."""

    async def scene(stage: Stage) -> None:
        stage.fail()
        await stage.until_told(1)
        stage.forsake()
        pid = int((tmp_path / "pid").read_text())
        begun = stage.engine.now()
        await stage.hooks.take_up()
        assert not lives(pid)
        assert stage.engine.now() - begun >= LIMIT

    play(tmp_path, "setsid sleep 60 & echo $! > pid", scene)
