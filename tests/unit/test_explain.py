"""Why a process is as it is, and what would change it: told of every state, from lives and a graph."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcept.core.explain import causes, what_next
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
    Wake,
)
from runcept.core.supervisor import Supervisor

CHECK = HealthCheck(url="tcp://localhost:1", probe=Probe.TCP, target="localhost:1")
NOW = 1000.0


def process(name: str, *needs: str, condition: Condition = Condition.READY, **options: Any) -> Process:
    depends_on = tuple(Dependency(need, condition) for need in needs)
    return Process(name=name, command=name, argv=(name,), working_dir="/", depends_on=depends_on, **options)


def world(*processes: Process, **lives: dict[str, Any]) -> Supervisor:
    made = [Life(name=name, **facts) for name, facts in lives.items()]
    return Supervisor(Project(path="/p", name="p", processes=processes), made, lambda: 0.0)


def after(state: State, *, process_of: dict[str, Any] | None = None, **facts: Any) -> str:
    """What comes next for a process alone."""
    return what_next(world(process("web", **(process_of or {})), web={"state": state, **facts}), "web", NOW)


# --------------------------------------------------------------------------------------------------- causes


def test_a_chain_is_told_to_where_it_began() -> None:
    """Each blamed on the next, with the reason and the hint of each."""
    supervisor = world(
        process("db"),
        process("api", "db"),
        process("web", "api"),
        web={"state": State.PENDING, "reason": "waits for api", "blamed": "api"},
        api={"state": State.FAILED, "reason": "dependency db failed", "blamed": "db"},
        db={"state": State.FAILED, "reason": "command not found: postgres", "hint": "Install it."},
    )
    told = [(each.process, each.state, each.reason, each.hint) for each in causes(supervisor, "web")]
    assert told == [
        ("web", State.PENDING, "waits for api", ""),
        ("api", State.FAILED, "dependency db failed", ""),
        ("db", State.FAILED, "command not found: postgres", "Install it."),
    ]
    assert [each.process for each in causes(supervisor, "db")] == ["db"]


def test_a_dependency_that_is_well_is_no_cause() -> None:
    """What runs without a reason blames nobody."""
    supervisor = world(process("db"), process("web", "db"), web={"state": State.RUNNING, "reason": ""})
    [cause] = causes(supervisor, "web")
    assert cause.reason is None


def test_the_blamed_one_may_have_left_the_project() -> None:
    """A reload took it away: the chain ends before it."""
    supervisor = world(
        process("web"), web={"state": State.FAILED, "reason": "dependency gone failed", "blamed": "gone"}
    )
    assert [each.process for each in causes(supervisor, "web")] == ["web"]


@given(st.integers(1, 12), st.data())
def test_causes_begin_with_the_process_and_end(size: int, data: st.DataObject) -> None:
    """Whatever graph, and whoever is blamed: each link is a dependency of the one before."""
    processes, lives = [], {}
    for number in range(size):
        needs = data.draw(st.lists(st.integers(0, number - 1), unique=True)) if number else []
        name = f"p{number}"
        blamed = data.draw(st.sampled_from(["", *(f"p{need}" for need in needs)]))
        processes.append(process(name, *(f"p{need}" for need in needs)))
        lives[name] = {"state": data.draw(st.sampled_from(list(State))), "blamed": blamed}
    supervisor = world(*processes, **lives)
    needed = {each.name: {dependency.name for dependency in each.depends_on} for each in processes}
    for name in needed:
        told = [each.process for each in causes(supervisor, name)]
        assert told[0] == name
        assert all(second in needed[first] for first, second in pairwise(told))
        assert supervisor.lives[told[-1]].blamed == ""


def test_a_supervisor_blames_the_one_that_failed() -> None:
    """The core itself sets the blame, when the start of something is refused and while it waits."""
    supervisor = world(process("db", health_check=CHECK), process("web", "db"))
    supervisor.start(["web"], NOW)
    assert [each.process for each in causes(supervisor, "web")] == ["web", "db"]
    assert what_next(supervisor, "web", NOW) == "It starts by itself when db is ready."


# ----------------------------------------------------------------------------------------------------- next


@pytest.mark.parametrize("state", list(State))
@given(
    wanted=st.booleans(),
    restarting=st.booleans(),
    health=st.sampled_from(list(Health)),
    kind=st.sampled_from(list(Kind)),
    check=st.sampled_from([None, CHECK]),
    on_unhealthy=st.booleans(),
)
def test_every_state_has_a_next_sentence(
    state: State, *, wanted: bool, restarting: bool, health: Health, kind: Kind, check: Any, on_unhealthy: bool
) -> None:
    """One sentence, that ends."""
    options = {"kind": kind, "health_check": check, "restart": RestartPolicy(on_unhealthy=on_unhealthy)}
    said = after(state, process_of=options, wanted=wanted, restarting=restarting, health=health)
    assert said.endswith(".")
    assert said[0].isupper()


def test_what_comes_next_while_it_is_up() -> None:
    """Starting: what makes it ready. Running: nothing, unless it is unhealthy."""
    assert after(State.STARTING) == "It is ready when it has lived for a moment."
    assert "health check succeeds" in after(State.STARTING, process_of={"health_check": CHECK})
    assert after(State.STARTING, process_of={"kind": Kind.TASK}).startswith("It is a task")
    assert after(State.RUNNING) == "Nothing needs to be done."
    unhealthy = {"health_check": CHECK}
    assert "`runcept restart web`" in after(State.RUNNING, process_of=unhealthy, health=Health.UNHEALTHY)
    unhealthy["restart"] = RestartPolicy(on_unhealthy=True)  # type: ignore[assignment]
    assert after(State.RUNNING, process_of=unhealthy, health=Health.UNHEALTHY) == "It is restarted for its health."


def test_what_comes_next_while_it_stops() -> None:
    """Another start, or the end."""
    assert after(State.STOPPING, restarting=True, wanted=True) == "It is started again when it has ended."
    assert after(State.STOPPING, stopping_for="restart", wanted=True) == "It is started again when it has ended."
    assert after(State.STOPPING, wanted=True).startswith("What becomes of it is decided")
    assert after(State.STOPPING, wanted=False) == "It ends; `runcept start web` starts it again."


def test_what_comes_next_after_a_crash() -> None:
    """With a restart policy: when; without: that somebody has to do something."""
    policy = {"restart": RestartPolicy(when=Restart.ON_FAILURE)}
    assert after(State.BACKOFF, process_of=policy, wanted=True, deadline=NOW + 2.5) == (
        "It is started again by itself in 2.5s; `runcept start web` starts it at once."
    )
    assert after(State.BACKOFF, process_of=policy, wanted=True, deadline=NOW - 1).startswith("It is started again")
    assert after(State.FAILED, reason="exit code 1") == (
        "Nothing starts it by itself. When the cause is mended, `runcept start web` starts it."
    )
    assert after(State.EXITED) == "Nothing starts it by itself; `runcept start web` starts it."
    assert after(State.STOPPED) == "Nothing starts it by itself; `runcept start web` starts it."
    assert after(State.STOPPED, wanted=True) == "It is being started."


def test_what_failed_for_another_is_mended_there() -> None:
    """The root is named, not the neighbour."""
    supervisor = world(
        process("db"),
        process("api", "db"),
        process("web", "api"),
        web={"state": State.FAILED, "reason": "dependency api failed", "blamed": "api"},
        api={"state": State.FAILED, "reason": "dependency db failed", "blamed": "db"},
        db={"state": State.FAILED, "reason": "exit code 1"},
    )
    assert what_next(supervisor, "web", NOW) == (
        "Nothing starts it by itself. Mend db first; then `runcept start web` starts it, with what it needs."
    )


@pytest.mark.parametrize(
    ("kind", "condition", "words"),
    [
        (Kind.SERVICE, Condition.READY, "db is ready"),
        (Kind.SERVICE, Condition.STARTED, "db is started"),
        (Kind.TASK, Condition.READY, "db has ended with success"),
        (Kind.TASK, Condition.COMPLETED, "db has ended with success"),
        (Kind.TASK, Condition.STARTED, "db is started"),
        (Kind.SERVICE, Condition.COMPLETED, "db is completed"),
    ],
)
def test_what_a_pending_process_waits_for(kind: Kind, condition: Condition, words: str) -> None:
    """The condition that its dependency has to meet."""
    supervisor = world(
        process("db", kind=kind),
        process("web", "db", condition=condition),
        web={"state": State.PENDING, "reason": "waits", "blamed": "db", "wanted": True},
    )
    assert what_next(supervisor, "web", NOW) == f"It starts by itself when {words}."


def test_what_sleeps_is_woken_by_a_connection() -> None:
    """The sentence names the port; without `wake` nothing but a start helps."""
    told = after(State.STOPPED, asleep=True, process_of={"ports": (8000, 8001), "wake": Wake.CONNECT})
    assert told == "A connection to port 8000 or 8001 starts it; so does `runcept start web`."
    assert after(State.STOPPED, asleep=True) == "Nothing starts it by itself; `runcept start web` starts it."
