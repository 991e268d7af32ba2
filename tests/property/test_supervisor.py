"""Random histories: a supervisor against a world that does what it is told, late, badly, or not at all."""

from __future__ import annotations

import heapq
import random
from typing import Any

import msgspec
from hypothesis import HealthCheck as Slow
from hypothesis import given, settings
from hypothesis import strategies as st

from runcept.core import events as ev
from runcept.core.effects import Effect, Kill, Release, Signal, Spawn, Watch
from runcept.core.life import Life
from runcept.core.model import (
    Condition,
    Dependency,
    Health,
    HealthCheck,
    Kind,
    Probe,
    Process,
    Project,
    Restart,
    RestartPolicy,
    State,
)
from runcept.core.supervisor import Supervisor

UP = {State.RUNNING, State.EXITED}


class World:
    """The operating system, unpredictable: it holds the pids and answers effects later, in its own order."""

    def __init__(self, project: Project, rng: random.Random) -> None:
        self.rng = rng
        self.now = 0.0
        self.project = project
        self.supervisor = Supervisor(project, [], rng.random)
        self.living: dict[tuple[str, int], int] = {}
        """(name, run) to the number of its processes alive."""
        self.leader: set[tuple[str, int]] = set()
        self.agenda: list[tuple[float, int, ev.Event]] = []
        self.count = 0
        self.watched: set[tuple[str, int]] = set()
        self.ports: dict[tuple[str, int], tuple[int, ...]] = {}
        """(name, run) to what it was given."""
        self.exempt: set[str] = set()
        """Restarted on their own, or for their health: told to stop whatever needs them."""

    def later(self, event: ev.Event) -> None:
        self.count += 1
        heapq.heappush(self.agenda, (self.now + self.rng.choice([0.0, 0.01, 0.3, 4.0]), self.count, event))

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            key = (effect.name, getattr(effect, "run", 0))
            match effect:
                case Spawn():
                    self.check_spawn(effect)
                    ports = self.project.process(effect.name).ports
                    if any(not set(ports).isdisjoint(self.ports[each]) for each in self.living):
                        self.later(ev.SpawnFailed(effect.name, effect.run, "port taken", self.now, is_final=True))
                        continue
                    if self.rng.random() < 0.1:
                        self.later(ev.SpawnFailed(effect.name, effect.run, "command not found: x", self.now))
                        continue
                    self.living[key] = self.rng.choice([1, 1, 2])
                    self.ports[key] = ports
                    self.leader.add(key)
                    self.later(ev.Spawned(effect.name, effect.run, 1000 + self.count, self.now, self.ports[key]))
                case Signal():
                    self.check_signal(effect)
                    if key in self.leader and self.rng.random() < 0.7:
                        self.end(key)
                    elif key not in self.leader and self.rng.random() < 0.5:
                        self.living.pop(key, None)
                        self.report_gone(key)
                case Kill():
                    ended = key in self.leader
                    self.living.pop(key, None)
                    if ended:
                        self.leader.discard(key)
                        self.later(ev.Exited(*key, None, "SIGKILL", self.now))
                    else:
                        self.report_gone(key)
                case Watch():
                    self.watched.add(key)
                    self.report_gone(key)
                case Release():
                    assert key not in self.living, f"{key} was released while something of it lived"
                case _:
                    pass

    def end(self, key: tuple[str, int]) -> None:
        """The main process ends; what it started may stay."""
        self.leader.discard(key)
        self.living[key] -= 1
        left = self.living[key] > 0
        if not left:
            del self.living[key]
        code = self.rng.choice([0, 0, 1, None])
        self.later(ev.Exited(*key, code, None if code is not None else "SIGSEGV", self.now, leftovers=left))

    def report_gone(self, key: tuple[str, int]) -> None:
        if key in self.watched and key not in self.living:
            self.watched.discard(key)
            self.later(ev.Gone(*key))

    # ------------------------------------------------------------------------------------ the invariants

    def check_spawn(self, spawn: Spawn) -> None:
        alive = [key for key in self.living if key[0] == spawn.name]
        assert not alive, f"{spawn.name} is spawned while {alive} lives"
        ports = set(self.project.process(spawn.name).ports)
        owners = [
            self.supervisor.lives[name] for name, run in self.living if not ports.isdisjoint(self.ports[name, run])
        ]
        leaving = [each.name for each in owners if each.restarting or not each.wanted or each.state is State.STOPPING]
        assert not leaving, f"{spawn.name} is spawned while {leaving} has its port, and is on its way down"
        for dependency in self.project.process(spawn.name).depends_on:
            other = self.supervisor.lives[dependency.name]
            task = self.project.process(dependency.name).kind is Kind.TASK
            if dependency.condition is Condition.READY and not task:
                assert other.state is State.RUNNING, f"{spawn.name} is spawned before {other.name} is ready"
                assert other.health is not Health.UNHEALTHY
            elif dependency.condition is Condition.STARTED:
                assert other.pid is not None or other.state is State.EXITED
            else:
                assert other.state is State.EXITED

    def check_signal(self, signal: Signal) -> None:
        if signal.name in self.exempt or self.supervisor.lives[signal.name].stopping_for in {"unhealthy", "ended"}:
            return
        for process in self.project.processes:
            needs = any(dependency.name == signal.name for dependency in process.depends_on)
            alive = any(key[0] == process.name for key in self.living)
            assert not (needs and alive), f"{signal.name} is told to stop while {process.name} needs it and runs"

    # ------------------------------------------------------------------------------------------ histories

    def act(self, names: list[str]) -> None:
        """One thing that a person or the operating system does."""
        supervisor, now, rng = self.supervisor, self.now, self.rng
        some = rng.sample(names, rng.randint(1, len(names)))
        match rng.choice(
            ["start", "start", "stop", "restart", "dependents", "edit", "crash", "health", "health", "time"]
        ):
            case "start":
                self.perform(supervisor.start(some, now, rerun=rng.random() < 0.5))
            case "stop":
                self.exempt -= {name for name in some if supervisor.lives[name].state is not State.STOPPING}
                self.perform(supervisor.stop(some, "stopped by request", now, kill=rng.random() < 0.2))
            case "restart":
                self.exempt |= set(some)
                self.perform(supervisor.restart(some, now))
            case "dependents":
                self.exempt |= set(some)
                self.perform(supervisor.restart(supervisor.with_running_dependents(some), now))
            case "edit":
                self.edit()
            case "crash" if self.leader:
                self.end(rng.choice(sorted(self.leader)))
            case "health" if self.leader:
                name, run = rng.choice(sorted(self.leader))
                health = rng.choice([Health.HEALTHY, Health.HEALTHY, Health.UNHEALTHY])
                if self.project.process(name).health_check and supervisor.lives[name].pid:
                    self.perform(supervisor.handle(ev.HealthChanged(name, run, health, "probed"), now))
            case _:
                self.advance(rng.choice([0.05, 0.5, 5.0]))

    def edit(self) -> None:
        """Their ports are dealt anew, and what runs is restarted for it."""
        dealt = [process.ports for process in self.project.processes]
        self.rng.shuffle(dealt)
        processes = [
            msgspec.structs.replace(process, ports=ports)
            for process, ports in zip(self.project.processes, dealt, strict=True)
        ]
        self.project = Project(path="/p", name="p", processes=tuple(processes))
        self.supervisor = Supervisor(self.project, self.supervisor.lives.values(), self.rng.random)
        self.perform(self.supervisor.resume(self.now))
        lives = self.supervisor.lives.values()
        self.exempt |= {life.name for life in lives}
        self.perform(self.supervisor.restart([life.name for life in lives if life.wanted], self.now))

    def advance(self, seconds: float) -> None:
        """Let time pass: the facts and deadlines that fall into it, in order."""
        end = self.now + seconds
        while True:
            deadline = self.supervisor.next_deadline()
            fact = self.agenda[0][0] if self.agenda else None
            upcoming = min((instant for instant in (deadline, fact) if instant is not None), default=None)
            if upcoming is None or upcoming > end:
                break
            self.now = max(self.now, upcoming)
            if fact is not None and fact <= self.now:
                self.perform(self.supervisor.handle(heapq.heappop(self.agenda)[2], self.now))
            else:
                self.perform(self.supervisor.tick(self.now))
            living = [key[0] for key in self.living]
            assert len(living) == len(set(living)), "two runs of one process live"
        self.now = end


def any_project(rng: random.Random) -> Project:
    processes: list[Process] = []
    for index in range(rng.randint(1, 6)):
        known = [process.name for process in processes]
        needed = rng.sample(known, rng.randint(0, min(2, len(known))))
        options: dict[str, Any] = {}
        if rng.random() < 0.4:
            options["health_check"] = HealthCheck(url="tcp://x:1", probe=Probe.TCP, target="x:1")
        when = rng.choice(list(Restart))
        options["restart"] = RestartPolicy(when=when, max_restarts=rng.choice([1, 3, 10]), on_unhealthy=when != "no")
        conditions = [Condition.READY, Condition.READY, Condition.STARTED, Condition.COMPLETED]
        processes.append(
            Process(
                name=f"p{index}",
                command="x",
                argv=("x",),
                working_dir="/",
                depends_on=tuple(Dependency(name, rng.choice(conditions)) for name in needed),
                kind=rng.choice([Kind.SERVICE, Kind.SERVICE, Kind.TASK]),
                stop_timeout=rng.choice([0.0, 1.0, 10.0]),
                ports=rng.choice([(), (1 + index,), (1 + index, 101 + index)]),
                **options,
            )
        )
    rng.shuffle(processes)
    return Project(path="/p", name="p", processes=tuple(processes))


@settings(max_examples=300, deadline=None, suppress_health_check=list(Slow))
@given(st.integers(0, 2**32))
def test_every_history_keeps_the_invariants(seed: int) -> None:
    """Never two runs of one process; no port given away before it is given up; nothing spawned before its dependencies
    are ready; nothing told to stop while something that needs it runs; after a stop of everything no pid lives and no
    deadline remains."""
    rng = random.Random(seed)
    project = any_project(rng)
    world = World(project, rng)
    names = [process.name for process in project.processes]
    for _ in range(rng.randint(5, 60)):
        world.act(names)
    world.exempt = {life.name for life in world.supervisor.lives.values() if life.restarting or life.stopping_for}
    world.perform(world.supervisor.stop(names, "stopped by request", world.now))
    world.advance(1000.0)
    assert not world.living
    assert not world.agenda
    assert world.supervisor.next_deadline() is None
    states = {life.state for life in world.supervisor.lives.values()}
    assert states == {State.STOPPED}, states


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_a_stored_state_goes_on_where_it_was(seed: int) -> None:
    """A supervisor made from the stored lives of another decides as that one would have."""
    rng = random.Random(seed)
    project = any_project(rng)
    world = World(project, rng)
    names = [process.name for process in project.processes]
    for _ in range(rng.randint(5, 60)):
        world.act(names)
        stored = msgspec.json.encode(list(world.supervisor.lives.values()))
        lives = msgspec.json.decode(stored, type=list[Life])
        world.supervisor = Supervisor(world.project, lives, rng.random)
    world.exempt = set(names)
    world.perform(world.supervisor.stop(names, "stopped by request", world.now))
    world.advance(1000.0)
    assert not world.living
    assert world.supervisor.next_deadline() is None
