"""What an environment does with an edited project file, before anybody restarts anything."""

from __future__ import annotations

from typing import Any

import msgspec

from runcept.core.effects import Limit
from runcept.core.events import Spawned
from runcept.core.model import Dependency, Health, HealthCheck, LogLimits, Probe, Process, Project, State
from runcept.daemon.environment import Environment

CHECK = HealthCheck("tcp://127.0.0.1:1", Probe.TCP, "127.0.0.1:1")


def process(name: str, *needs: str, **options: Any) -> Process:
    return Process(
        name=name, command=name, argv=(name,), working_dir="/", depends_on=tuple(map(Dependency, needs)), **options
    )


def project(*processes: Process) -> Project:
    return Project(path="/p", name="p", processes=processes)


def started(*processes: Process, now: float = 10.0) -> Environment:
    """All of them have a pid."""
    environment = Environment(project(*processes), [], lambda: 0.0)
    environment.supervisor.start([each.name for each in processes], now)
    for pid, name in enumerate(environment.supervisor.plan.order, 100):
        environment.handle(Spawned(name, 1, pid, now), now)
        environment.tick(now + 1)
    return environment


def adopt(environment: Environment, *processes: Process) -> list[Any]:
    return environment.adopt_project(project(*processes), lambda _: 0, 20.0)


def test_what_is_behind_the_file_is_remembered_until_the_next_start() -> None:
    """As it was started first, however many edits follow; and not if the last one has it as it was."""
    first, second = process("web"), process("web", env={"A": "1"})
    environment = started(first)
    adopt(environment, second)
    adopt(environment, msgspec.structs.replace(second, env={"A": "2"}))
    assert environment.lives["web"].outdated == first
    adopt(environment, first)
    assert environment.lives["web"].outdated is None
    adopt(environment, second)
    environment.supervisor.stop(["web"], "x", 21.0)
    assert environment.lives["web"].outdated == first


def test_a_check_that_nobody_makes_any_more_keeps_nothing_waiting() -> None:
    """It is ready when the check that it waited for is taken out of the file."""
    environment = started(process("web", health_check=CHECK))
    assert environment.lives["web"].state is State.STARTING
    adopt(environment, process("web"))
    environment.tick(20.0)
    assert (environment.lives["web"].state, environment.lives["web"].health) == (State.RUNNING, Health.NONE)
    assert environment.health.next_deadline() is None


def test_a_new_check_is_made_at_once() -> None:
    """Of what runs; it stays ready meanwhile."""
    environment = started(process("web"))
    adopt(environment, process("web", health_check=CHECK))
    assert environment.health.next_deadline() == 20.0
    assert (environment.lives["web"].state, environment.lives["web"].health) == (State.RUNNING, Health.UNKNOWN)


def test_other_limits_reach_the_log_that_is_being_written() -> None:
    """And only that."""
    environment = started(process("web"), process("db"))
    assert adopt(environment, process("web", log=LogLimits(keep=1)), process("db")) == [Limit("web", 1)]


def test_what_is_gone_from_the_file_keeps_its_order_until_it_is_stopped() -> None:
    """What it needed, as far as that is there, goes down behind it."""
    environment = started(process("db"), process("api", "db"), process("web", "api"))
    adopt(environment, process("db"))
    assert environment.leftovers == {"api", "web"}
    assert environment.supervisor.plan.order == ("db", "api", "web")
    environment.supervisor.stop(["api", "web"], "removed", 21.0)
    assert {name: life.state for name, life in environment.lives.items()} == {
        "db": State.RUNNING,
        "api": State.RUNNING,
        "web": State.STOPPING,
    }


def test_another_watch_is_a_new_chance() -> None:
    """Who excludes what a process writes itself need not restart it as well."""
    environment = started(process("web", watch=("src",)))
    assert environment.watching == ("web",)
    environment.files.suspended["web"] = "it writes its own files"
    adopt(environment, process("web", watch=("src", "!src/own")))
    assert environment.files.suspended == {}
    adopt(environment, process("web"))
    assert environment.watching == ()
