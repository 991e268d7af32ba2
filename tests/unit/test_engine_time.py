"""When the engine acts on its deadlines, on a loop that has hardly time for it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from runcept.core.life import Life
from runcept.core.model import Process, Project, State
from runcept.daemon.engine import Engine
from runcept.database.connection import Storage
from runcept.database.queries import Database, StoredEnvironment

PROJECT = Project(path="/p", name="p", processes=(Process(name="web", command="x", argv=("x",), working_dir="/p"),))
TURN_SECONDS = 0.6
"""Longer than the pause in which is heard what was said to a daemon that was suspended, and as much again."""


def test_a_loop_that_is_always_late_acts_on_its_deadlines_all_the_same(tmp_path: Path) -> None:
    """What waits is heard first, once: were it put off at each late turn, nobody's time would ever be up."""

    async def scene() -> bool:
        loop = asyncio.get_running_loop()
        database = Database(Storage(str(tmp_path / "runcept.db")))
        engine = Engine(loop, database)
        life = Life(name="web", state=State.STARTING, wanted=True, run=1, pid=1, deadline=engine.now() + 0.1)
        environment = engine.restore(StoredEnvironment(PROJECT, None, None, [life]))
        engine.resume(environment)
        for _ in range(6):
            loop.call_soon(time.sleep, TURN_SECONDS)  # the load itself
            await asyncio.sleep(0)
        database.close()
        return environment.lives["web"].state is State.RUNNING

    assert asyncio.run(scene())


def test_no_time_is_up_while_it_is_heard_what_has_happened(tmp_path: Path) -> None:
    """A daemon that comes back to deadlines that have passed first finds out what became of what they are about."""

    async def scene() -> tuple[State, bool]:
        database = Database(Storage(str(tmp_path / "runcept.db")))
        engine = Engine(asyncio.get_running_loop(), database)
        life = Life(name="web", state=State.STARTING, wanted=True, run=1, pid=1, deadline=engine.now() - 60)
        environment = engine.restore(StoredEnvironment(PROJECT, None, None, [life]))
        with engine.hearing():
            engine.resume(environment)
            await asyncio.sleep(TURN_SECONDS)  # in which it would be: that it is not has no event
            before = environment.lives["web"].state
        is_up = await engine.wait_until(lambda: environment.lives["web"].state is State.RUNNING, 10)
        database.close()
        return before, is_up

    assert asyncio.run(scene()) == (State.STARTING, True)
