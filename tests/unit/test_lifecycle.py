"""The life of one process and of its neighbours, told as sequences of requests and facts with a time."""

from __future__ import annotations

from typing import Any

import pytest

from runcept.core import events as ev
from runcept.core.effects import Effect, Kill, Record, Release, Signal, Spawn, Watch
from runcept.core.lifecycle import TRANSITIONS, step
from runcept.core.model import (
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
    Wake,
)
from runcept.core.reactions import SETTLE_SECONDS, Context, after_reboot
from runcept.core.supervisor import Supervisor

CHECK = HealthCheck(url="tcp://localhost:1", probe=Probe.TCP, target="localhost:1")


def process(name: str, *needs: str, **options: Any) -> Process:
    return Process(
        name=name,
        command=name,
        argv=(name,),
        working_dir="/",
        depends_on=tuple(Dependency(need) for need in needs),
        **options,
    )


class Story:
    """A supervisor whose clock and facts are told by the test. Spawned pids are 100 + the run's number."""

    def __init__(self, *processes: Process) -> None:
        self.now = 1000.0
        self.supervisor = Supervisor(Project(path="/p", name="p", processes=processes), [], lambda: 0.0)
        self.effects: list[Effect] = []

    def take(self, effects: list[Effect]) -> list[Effect]:
        done = [_bare(effect) for effect in effects if not isinstance(effect, Record)]
        self.effects = effects
        return done

    def start(self, *names: str, rerun: bool = False) -> list[Effect]:
        return self.take(self.supervisor.start(names, self.now, rerun=rerun))

    def stop(self, *names: str) -> list[Effect]:
        return self.take(self.supervisor.stop(names, "stopped by request", self.now))

    def restart(self, *names: str, dependents: bool = False) -> list[Effect]:
        chosen = self.supervisor.with_running_dependents(names) if dependents else names
        return self.take(self.supervisor.restart(chosen, self.now))

    def edit(self, *processes: Process) -> None:
        """The lives go on under another project."""
        project = Project(path="/p", name="p", processes=processes)
        self.supervisor = Supervisor(project, self.supervisor.lives.values(), lambda: 0.0)

    def spawned(self, name: str, *ports: int) -> list[Effect]:
        run = self.supervisor.lives[name].run
        return self.take(self.supervisor.handle(ev.Spawned(name, run, 100 + run, 5.0, ports), self.now))

    def healthy(self, name: str, health: Health = Health.HEALTHY, reason: str = "it answered") -> list[Effect]:
        run = self.supervisor.lives[name].run
        return self.take(self.supervisor.handle(ev.HealthChanged(name, run, health, reason), self.now))

    def exited(self, name: str, code: int | None = 0, signal: str | None = None, **more: Any) -> list[Effect]:
        run = self.supervisor.lives[name].run
        return self.take(self.supervisor.handle(ev.Exited(name, run, code, signal, 6.0, **more), self.now))

    def gone(self, name: str, survivors: str = "") -> list[Effect]:
        run = self.supervisor.lives[name].run
        return self.take(self.supervisor.handle(ev.Gone(name, run, survivors), self.now))

    def later(self, seconds: float) -> list[Effect]:
        self.now += seconds
        return self.take(self.supervisor.tick(self.now))

    def run(self, name: str) -> None:
        """Start it and let it become ready."""
        self.start(name)
        self.spawned(name)
        self.later(SETTLE_SECONDS)
        assert self.state(name) is State.RUNNING

    def state(self, name: str) -> State:
        return self.supervisor.lives[name].state

    def reason(self, name: str) -> str:
        return self.supervisor.lives[name].reason


def _bare(effect: Effect) -> Effect:
    """Without the words for the history."""
    return Release(effect.name, effect.run) if isinstance(effect, Release) else effect


def test_a_process_without_a_check_is_ready_when_it_has_lived_for_a_moment() -> None:
    """A command that fails at once is never called ready."""
    story = Story(process("web"))
    assert story.start("web") == [Spawn("web", 1)]
    story.spawned("web")
    assert story.state("web") is State.STARTING
    story.later(SETTLE_SECONDS)
    assert story.state("web") is State.RUNNING
    assert story.reason("web") == ""


def test_a_process_with_a_check_is_ready_at_its_first_success() -> None:
    """Time alone does not make it ready."""
    story = Story(process("web", health_check=CHECK))
    story.start("web")
    story.spawned("web")
    story.later(3600)
    assert story.state("web") is State.STARTING
    story.healthy("web")
    assert story.state("web") is State.RUNNING


def test_a_dependent_waits_for_its_dependency_and_says_for_which() -> None:
    """It is pending with a reason, and spawned at the moment the dependency is ready."""
    story = Story(process("web", "db"), process("db", health_check=CHECK))
    assert story.start("web") == [Spawn("db", 1)]
    assert story.state("web") is State.PENDING
    assert "waits for db" in story.reason("web")
    story.spawned("db")
    assert story.healthy("db") == [Spawn("web", 1)]


def test_a_failed_dependency_fails_what_waits_for_it() -> None:
    """The dependent's reason names the dependency and why that failed."""
    story = Story(process("web", "db"), process("db"))
    story.start("web")
    story.spawned("db")
    story.exited("db", 3, last_line="no space left")
    assert story.state("web") is State.FAILED
    assert story.reason("web") == "dependency db failed: exit code 3: no space left"


def test_a_task_is_ready_when_it_has_ended_with_success() -> None:
    """What depends on it is spawned then, not when the task is."""
    story = Story(process("web", "migrate"), process("migrate", kind=Kind.TASK))
    assert story.start("web") == [Spawn("migrate", 1)]
    assert story.spawned("migrate") == []
    assert story.later(60) == []
    assert story.exited("migrate", 0) == [Release("migrate", 1), Spawn("web", 1)]


def test_a_task_that_has_ended_is_not_run_again_by_an_activation() -> None:
    """Only naming it does that."""
    story = Story(process("migrate", kind=Kind.TASK))
    story.start("migrate")
    story.spawned("migrate")
    story.exited("migrate", 0)
    assert story.start("migrate") == []
    assert story.start("migrate", rerun=True) == [Spawn("migrate", 2)]


def test_a_stop_takes_dependents_first() -> None:
    """The database is told to stop when the worker is gone, not before."""
    story = Story(process("db"), process("worker", "db"))
    story.run("db")
    story.run("worker")
    assert story.stop("db") == [Signal("worker", 1, "SIGTERM")]
    assert story.exited("worker", None, "SIGTERM") == [Release("worker", 1), Signal("db", 1, "SIGTERM")]
    story.exited("db")
    assert {story.state("db"), story.state("worker")} == {State.STOPPED}


def test_a_process_that_does_not_stop_is_killed_at_its_grace() -> None:
    """Not a moment earlier."""
    story = Story(process("web", stop_timeout=10.0))
    story.run("web")
    story.stop("web")
    assert story.later(9.99) == []
    assert story.later(0.02) == [Kill("web", 1)]
    story.exited("web", None, "SIGKILL")
    assert story.state("web") is State.STOPPED
    assert story.supervisor.lives["web"].exit_signal == "SIGKILL"


def test_a_stop_while_the_spawn_is_under_way_follows_it() -> None:
    """No pid is left behind by an early stop."""
    story = Story(process("web"))
    story.start("web")
    assert story.stop("web") == []
    assert story.state("web") is State.STOPPING
    assert story.spawned("web") == [Signal("web", 1, "SIGTERM")]
    story.exited("web", None, "SIGTERM")
    assert story.state("web") is State.STOPPED


def test_what_may_have_begun_unheard_gets_its_signal_and_its_grace_before_it_is_killed() -> None:
    """On a busy machine the news of a start may take longer than the grace."""
    story = Story(process("web", stop_timeout=2))
    story.start("web")
    assert story.stop("web") == []
    assert story.later(2) == [Signal("web", 1, "SIGTERM")]
    assert story.later(1) == []
    assert story.later(1) == [Kill("web", 1)]


def test_a_stop_of_what_is_heard_of_by_its_end_alone_reaches_what_it_left_behind() -> None:
    """Its start was told by nobody: daemon and keeper were killed in between. The patience was over before."""
    story = Story(process("web"))
    story.start("web")
    assert story.stop("web") == []
    story.later(10)
    assert story.exited("web", 1, leftovers=True) == [Watch("web", 1), Signal("web", 1, "SIGTERM")]
    assert story.later(10) == [Kill("web", 1)]


def test_a_crash_is_restarted_after_a_back_off_that_grows() -> None:
    """0.5 s, 1 s, 2 s: and the state in between is `backoff`, with a reason."""
    story = Story(process("web", restart=RestartPolicy(when=Restart.ON_FAILURE)))
    story.run("web")
    for run, delay in enumerate([0.5, 1.0, 2.0], start=2):
        story.exited("web", 1)
        assert story.state("web") is State.BACKOFF
        assert "exit code 1; restart" in story.reason("web")
        assert story.later(delay - 0.01) == []
        assert story.later(0.02) == [Spawn("web", run)]
        story.spawned("web")
    assert story.supervisor.lives["web"].restarts == 3


def test_more_restarts_than_allowed_in_the_window_are_a_failure() -> None:
    """And a start by a person forgets them."""
    story = Story(process("web", restart=RestartPolicy(when=Restart.ON_FAILURE, max_restarts=2, window=60)))
    story.run("web")
    for _ in range(2):
        story.exited("web", 1)
        story.later(30)
        story.spawned("web")
        story.now -= 29
    story.exited("web", 1)
    assert story.state("web") is State.FAILED
    assert "gave up: restarted 2 times within 1m" in story.reason("web")
    assert story.start("web") == [Spawn("web", 4)]
    assert story.supervisor.lives["web"].failures == []


def test_failures_older_than_the_window_do_not_count() -> None:
    """A crash a week never adds up."""
    story = Story(process("web", restart=RestartPolicy(when=Restart.ON_FAILURE, max_restarts=1, window=60)))
    story.run("web")
    for _ in range(5):
        story.exited("web", 1)
        assert story.state("web") is State.BACKOFF
        story.later(61)
        story.spawned("web")


def test_on_failure_does_not_restart_success_and_always_does() -> None:
    """exit 0 ends an on-failure process as `exited`."""
    story = Story(
        process("once", restart=RestartPolicy(when=Restart.ON_FAILURE)),
        process("ever", restart=RestartPolicy(when=Restart.ALWAYS)),
    )
    story.run("once")
    story.run("ever")
    story.exited("once", 0)
    story.exited("ever", 0)
    assert story.state("once") is State.EXITED
    assert story.state("ever") is State.BACKOFF


def test_what_a_main_process_left_behind_belongs_to_its_run() -> None:
    """It gets the stop signal, then SIGKILL, and the restart waits until it is gone."""
    story = Story(process("web", restart=RestartPolicy(when=Restart.ON_FAILURE), stop_timeout=2.0))
    story.run("web")
    assert story.exited("web", 1, leftovers=True) == [Signal("web", 1, "SIGTERM"), Watch("web", 1)]
    assert story.state("web") is State.STOPPING
    assert story.later(2.1) == [Kill("web", 1)]
    assert story.gone("web") == [Release("web", 1)]
    assert story.state("web") is State.BACKOFF


def test_what_cannot_be_killed_is_named() -> None:
    """The process is failed then, and not started again."""
    story = Story(process("web", restart=RestartPolicy(when=Restart.ALWAYS)))
    story.run("web")
    story.exited("web", 0, leftovers=True)
    story.later(60)
    story.gone("web", "pid 7 (dd)")
    assert story.state("web") is State.FAILED
    assert story.reason("web") == "cannot be ended: pid 7 (dd)"


def test_an_unhealthy_process_is_restarted_when_its_policy_says_so() -> None:
    """Through the same back-off and limit as a crash."""
    policy = RestartPolicy(when=Restart.ON_FAILURE, on_unhealthy=True)
    story = Story(process("web", health_check=CHECK, restart=policy))
    story.start("web")
    story.spawned("web")
    story.healthy("web")
    assert story.healthy("web", Health.UNHEALTHY, "refused") == [Signal("web", 1, "SIGTERM")]
    story.exited("web", None, "SIGTERM")
    assert story.state("web") is State.BACKOFF


def test_an_unhealthy_process_without_a_restart_policy_stays_with_its_reason() -> None:
    """It is not killed: it stays where it is."""
    story = Story(process("web", health_check=CHECK))
    story.start("web")
    story.spawned("web")
    assert story.healthy("web", Health.UNHEALTHY, "refused 3 times") == []
    assert (story.state("web"), story.reason("web")) == (State.STARTING, "unhealthy: refused 3 times")


def test_restart_stops_and_starts_again_and_leaves_dependents_alone() -> None:
    """Unless they are asked for."""
    story = Story(process("db"), process("worker", "db"))
    story.run("db")
    story.run("worker")
    assert story.restart("db") == [Signal("db", 1, "SIGTERM")]
    assert story.exited("db", None, "SIGTERM") == [Release("db", 1), Spawn("db", 2)]
    assert story.state("worker") is State.RUNNING


def test_restart_with_dependents_goes_down_and_up_in_order() -> None:
    """Worker down, database down, database up, worker up."""
    story = Story(process("db"), process("worker", "db"))
    story.run("db")
    story.run("worker")
    assert story.restart("db", dependents=True) == [Signal("worker", 1, "SIGTERM")]
    assert story.exited("worker", None, "SIGTERM") == [Release("worker", 1), Signal("db", 1, "SIGTERM")]
    assert story.state("worker") is State.PENDING
    assert story.exited("db", None, "SIGTERM") == [Release("db", 1), Spawn("db", 2)]
    story.spawned("db")
    assert story.later(SETTLE_SECONDS) == [Spawn("worker", 2)]


def test_restart_of_a_stopped_process_starts_it_and_what_it_needs() -> None:
    """As `start` would."""
    story = Story(process("db"), process("worker", "db"))
    assert story.restart("worker") == [Spawn("db", 1)]


def test_a_start_during_a_stop_is_remembered() -> None:
    """It comes up again once it is down."""
    story = Story(process("web"))
    story.run("web")
    story.stop("web")
    assert story.start("web") == []
    assert story.exited("web") == [Release("web", 1), Spawn("web", 2)]


def test_a_stop_during_back_off_ends_it() -> None:
    """No deadline remains."""
    story = Story(process("web", restart=RestartPolicy(when=Restart.ALWAYS)))
    story.run("web")
    story.exited("web", 1)
    story.stop("web")
    assert story.state("web") is State.STOPPED
    assert story.supervisor.next_deadline() is None


def test_a_fact_about_an_earlier_run_is_dropped() -> None:
    """A late answer changes nothing."""
    story = Story(process("web"))
    story.run("web")
    story.restart("web")
    story.exited("web")
    story.spawned("web")
    assert story.supervisor.handle(ev.Exited("web", 1, 1, None, 0.0), story.now) == []
    assert story.state("web") is State.STARTING


def test_an_exit_that_nobody_saw_is_a_failure_without_a_status() -> None:
    """Never 0."""
    story = Story(process("web"))
    story.run("web")
    story.exited("web", None, None)
    life = story.supervisor.lives["web"]
    assert (life.state, life.exit_code, life.exit_signal) == (State.FAILED, None, None)
    assert "nobody was there" in life.reason


@pytest.mark.parametrize("state", [state for state in State if state is not State.RUNNING])
def test_every_state_but_running_has_a_reason(state: State) -> None:
    """Whatever way leads to it."""
    policy = RestartPolicy(when=Restart.ON_FAILURE)
    story = Story(process("db"), process("web", "db", restart=policy, health_check=CHECK))
    reasons: dict[State, list[str]] = {}

    def look() -> None:
        for life in story.supervisor.lives.values():
            reasons.setdefault(life.state, []).append(life.reason)

    look()
    story.start("web")
    look()
    story.spawned("db")
    story.later(1)
    story.spawned("web")
    look()
    story.exited("web", 1)
    look()
    story.stop("db")
    look()
    story.exited("db", 0)
    look()
    story.start("db")
    story.spawned("db")
    story.exited("db", 0)
    look()
    story.start("db")
    story.spawned("db")
    story.exited("db", 1)
    look()
    assert reasons[state]
    assert all(reasons[state])


def test_what_the_table_does_not_list_is_an_error_that_names_both() -> None:
    """A defect shows at once, not later."""
    story = Story(process("web"))
    life = story.supervisor.lives["web"]
    with pytest.raises(LookupError, match="no transition from stopped on DeadlineReached"):
        step(life, ev.DeadlineReached("web"), Context(process=process("web"), now=0.0, jitter=0.0))
    assert set(TRANSITIONS) == set(State)


@pytest.mark.parametrize("is_final", [True, False])
def test_what_to_do_about_a_failed_start_is_known_until_something_else_happens(is_final: bool) -> None:
    """Also while it waits to be tried again; the next start begins without it."""
    restart = RestartPolicy(when=Restart.ON_FAILURE)
    story = Story(process("web", restart=restart))
    story.start("web")
    failed = ev.SpawnFailed("web", 1, "port 1 is held", 5.0, is_final, "Stop that process.")
    story.take(story.supervisor.handle(failed, story.now))
    assert story.state("web") is (State.FAILED if is_final else State.BACKOFF)
    assert story.supervisor.lives["web"].hint == "Stop that process."
    story.stop("web")
    assert story.supervisor.lives["web"].hint == ""


def test_a_stop_without_grace_is_sigkill_at_once() -> None:
    """In the order of the graph all the same, and also where the grace has begun."""
    story = Story(process("db"), process("worker", "db"))
    story.run("db")
    story.run("worker")
    assert story.take(story.supervisor.stop(["db"], "killed", story.now, kill=True)) == [Kill("worker", 1)]
    assert story.exited("worker", None, "SIGKILL") == [Release("worker", 1), Kill("db", 1)]
    story.exited("db", None, "SIGKILL")
    story.run("db")
    story.stop("db")
    assert story.take(story.supervisor.stop(["db"], "killed", story.now, kill=True)) == [Kill("db", 2)]


# ---------------------------------------------------------------------------------------------------- sleep


def asleep(*processes: Process) -> Story:
    """All of them run, and are stopped because nobody uses them."""
    story = Story(*processes)
    names = [each.name for each in processes]
    story.start(*names)
    for name in names:
        story.run(name)
    story.take(story.supervisor.stop(names, "stopped after 30m without activity", story.now, idle=True))
    for name in reversed(names):
        story.exited(name, 0)
    return story


def test_what_nobody_used_is_asleep_and_says_what_wakes_it() -> None:
    """A stop for inactivity leaves it asleep; the reason names its port where it has `wake`."""
    story = asleep(process("db"), process("web", "db", ports=(8000,), wake=Wake.CONNECT))
    assert [life.asleep for life in story.supervisor.lives.values()] == [True, True]
    assert story.reason("db") == "stopped after 30m without activity; start or activate brings it back"
    assert story.reason("web") == "stopped after 30m without activity; a connection to port 8000 starts it"


def test_who_stops_or_starts_what_is_asleep_ends_its_sleep() -> None:
    """What a person has stopped stays down; what runs is not asleep."""
    for act in (lambda story: story.stop("web"), lambda story: story.start("web"), lambda story: story.restart("web")):
        story = asleep(process("web", ports=(8000,), wake=Wake.CONNECT))
        act(story)
        assert not story.supervisor.lives["web"].asleep
    story = asleep(process("web", ports=(8000,), wake=Wake.CONNECT))
    story.stop("web")
    assert story.reason("web") == "stopped by request"


def test_inactivity_does_not_put_to_sleep_what_is_down_already() -> None:
    """What a person had stopped before is not woken by a connection afterwards."""
    story = Story(process("web", ports=(8000,), wake=Wake.CONNECT))
    story.start("web")
    story.run("web")
    story.stop("web")
    story.take(story.supervisor.stop(["web"], "stopped after 30m without activity", story.now, idle=True))
    story.exited("web", 0)
    story.take(story.supervisor.stop(["web"], "stopped after 30m without activity", story.now, idle=True))
    assert not story.supervisor.lives["web"].asleep


def test_after_a_reboot_nothing_sleeps() -> None:
    """Nobody held the port meanwhile."""
    story = asleep(process("web", ports=(8000,), wake=Wake.CONNECT))
    life = story.supervisor.lives["web"]
    after_reboot(life)
    assert (life.asleep, life.reason) == (False, "the machine was restarted")


def test_a_port_that_another_one_gives_up_is_waited_for() -> None:
    """Two that exchange theirs are both down before either has the other's; who waits, tells for what."""
    story = Story(process("api", ports=(1,)), process("web", ports=(2,)))
    story.start("api", "web")
    story.spawned("api", 1)
    story.spawned("web", 2)
    story.edit(process("api", ports=(2,)), process("web", ports=(1,)))
    assert story.restart("api", "web") == [Signal("api", 1, "SIGTERM"), Signal("web", 1, "SIGTERM")]
    assert story.exited("api") == [Release("api", 1)]
    assert (story.state("api"), story.supervisor.lives["api"].blamed) == (State.PENDING, "web")
    assert story.reason("api") == "waits for port 2, which web gives up when it has ended"
    assert story.exited("web") == [Release("web", 1), Spawn("api", 2), Spawn("web", 2)]


def test_a_port_that_another_one_keeps_is_not_waited_for() -> None:
    """The start fails for it, and tells whose it is."""
    story = Story(process("api", ports=(1,)), process("web"))
    story.start("api")
    story.spawned("api", 1)
    story.edit(process("api"), process("web", ports=(1,)))
    assert story.start("web") == [Spawn("web", 1)]


def test_who_waits_for_a_port_can_be_stopped_and_started_again() -> None:
    """It has not begun; and the port is still not there."""
    story = Story(process("api", ports=(1,)), process("web"))
    story.start("api")
    story.spawned("api", 1)
    story.edit(process("api"), process("web", ports=(1,)))
    story.stop("api")
    assert story.start("web") == []
    story.stop("web")
    assert story.state("web") is State.STOPPED
    assert story.start("api", "web") == []  # what goes down to come up again gives its port up as well
    assert story.state("web") is State.PENDING
    assert story.exited("api") == [Release("api", 1), Spawn("api", 2), Spawn("web", 1)]


def test_a_port_is_given_up_by_a_start_that_is_under_way_as_well() -> None:
    """Two edits in a row: what is being started has its port before it is known to have begun."""
    story = Story(process("api", ports=(1,)), process("web"))
    story.start("api")
    story.edit(process("api"), process("web", ports=(1,)))
    story.restart("api")
    assert story.start("web") == []
    story.spawned("api", 1)
    assert story.exited("api") == [Release("api", 1), Spawn("api", 2), Spawn("web", 1)]


def test_a_start_that_has_failed_has_no_port() -> None:
    """It is not in the way, and is not shown with one."""
    story = Story(process("api", ports=(1,)), process("web"))
    story.start("api")
    story.supervisor.handle(ev.SpawnFailed("api", 1, "port 1 is held by pid 7", 6.0, is_final=True), story.now)
    assert story.supervisor.lives["api"].ports == ()


def test_what_was_to_go_down_as_an_earlier_file_had_it_comes_up_as_the_file_has_it() -> None:
    """A stop that waits for a dependent, and a start before it came to that: the edit is in force all the same."""
    story = Story(process("db"), process("web", "db"))
    story.run("db")
    story.run("web")
    story.supervisor.lives["db"].outdated = process("db")
    assert story.start("db") == []  # it runs, and was not to go down
    assert story.stop("db", "web") == [Signal("web", 1, "SIGTERM")]
    assert story.start("db", "web") == []
    assert story.exited("web") == [Release("web", 1), Signal("db", 1, "SIGTERM")]
    assert story.exited("db") == [Release("db", 1), Spawn("db", 2)]
