"""Why a process is as it is, and what would change it: told of every state, from lives and a graph."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcept.core.check_standing import CheckStanding
from runcept.core.explain import Cause, Failing, RunBefore, causes, what_next
from runcept.core.life import Ended, Life
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
from runcept.core.remedy import remedy
from runcept.core.supervisor import Supervisor
from runcept.core.views import ProcessView
from runcept.core.why import how, summary, why

CHECK = HealthCheck(url="tcp://localhost:1", probe=Probe.TCP, target="localhost:1")
NOW = 1000.0
TODAY = 1_800_000_000.0  # 2027-01-15T08:00:00Z
REFUSED = "tcp://localhost:1 refused the connection"


def process(name: str, *needs: str, condition: Condition = Condition.READY, **options: Any) -> Process:
    depends_on = tuple(Dependency(need, condition) for need in needs)
    return Process(name=name, command=name, argv=(name,), working_dir="/", depends_on=depends_on, **options)


def world(*processes: Process, **lives: dict[str, Any]) -> Supervisor:
    made = [Life(name=name, **facts) for name, facts in lives.items()]
    return Supervisor(Project(path="/p", name="p", processes=processes), made, lambda: 0.0)


def chain(supervisor: Supervisor, name: str, standing: CheckStanding | None = None) -> list[Cause]:
    """The causes; `standing` is how the check of `db` stands."""
    return causes(supervisor, name, lambda each: standing if each == "db" else None, NOW, TODAY)


def clock(instant: str) -> str:
    """The time of the day in UTC."""
    return instant[11:19]


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
    told = [(each.process, each.state, each.reason, each.hint) for each in chain(supervisor, "web")]
    assert told == [
        ("web", State.PENDING, "waits for api", ""),
        ("api", State.FAILED, "dependency db failed", ""),
        ("db", State.FAILED, "command not found: postgres", "Install it."),
    ]
    assert [each.process for each in chain(supervisor, "db")] == ["db"]


def test_a_port_that_is_waited_for_is_no_dependency() -> None:
    """The sentence says what is waited for, and when it starts."""
    reason = "waits for port 1, which api gives up when it has ended"
    supervisor = world(
        process("api"),
        process("web"),
        api={"state": State.STOPPING, "reason": "stopped by request: SIGTERM was sent"},
        web={"state": State.PENDING, "reason": reason, "blamed": "api", "wanted": True},
    )
    told = chain(supervisor, "web")
    assert [each.process for each in told] == ["web", "api"]
    assert why(told[0], str) == f"it {reason}"
    assert what_next(supervisor, "web", NOW) == "It starts by itself when api has ended, and given up its port."


def test_a_dependency_that_is_well_is_no_cause() -> None:
    """What runs without a reason blames nobody."""
    supervisor = world(process("db"), process("web", "db"), web={"state": State.RUNNING, "reason": ""})
    [cause] = chain(supervisor, "web")
    assert cause.reason is None


def test_the_blamed_one_may_have_left_the_project() -> None:
    """A reload took it away: the chain ends before it."""
    supervisor = world(
        process("web"), web={"state": State.FAILED, "reason": "dependency gone failed", "blamed": "gone"}
    )
    assert [each.process for each in chain(supervisor, "web")] == ["web"]


@given(st.integers(1, 12), st.data())
def test_causes_begin_with_the_process_and_end(size: int, data: st.DataObject) -> None:
    """Whatever graph, and whoever is blamed: each link is a neighbour of the one before, and none comes twice."""
    processes, lives = [], {}
    for number in range(size):
        needs = data.draw(st.lists(st.integers(0, number - 1), unique=True)) if number else []
        name = f"p{number}"
        blamed = data.draw(st.sampled_from(["", *(f"p{need}" for need in needs)]))
        processes.append(process(name, *(f"p{need}" for need in needs)))
        lives[name] = {
            "state": data.draw(st.sampled_from(list(State))),
            "blamed": blamed,
            "wanted": data.draw(st.booleans()),
        }
    supervisor = world(*processes, **lives)
    needed = {each.name: {dependency.name for dependency in each.depends_on} for each in processes}
    for name in needed:
        told = [each.process for each in chain(supervisor, name)]
        assert told[0] == name
        assert all(second in needed[first] or first in needed[second] for first, second in pairwise(told))
        assert len({*told}) == len(told)
        assert supervisor.lives[told[-1]].blamed in {"", *told}


def test_a_supervisor_blames_the_one_that_failed() -> None:
    """The core itself sets the blame, when the start of something is refused and while it waits."""
    supervisor = world(process("db", health_check=CHECK), process("web", "db"))
    supervisor.start(["web"], NOW)
    assert [each.process for each in chain(supervisor, "web")] == ["web", "db"]
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
    assert after(State.STARTING, wanted=True) == "It is ready when it has lived for a moment."
    assert "health check succeeds" in after(State.STARTING, process_of={"health_check": CHECK}, wanted=True)
    assert after(State.STARTING, process_of={"kind": Kind.TASK}, wanted=True).startswith("It is a task")
    assert after(State.RUNNING, wanted=True) == "Nothing needs to be done."
    ill: dict[str, Any] = {"health": Health.UNHEALTHY, "wanted": True}
    policy: dict[str, Any] = {"health_check": CHECK}
    assert "`runcept restart web`" in after(State.RUNNING, process_of=policy, **ill)
    policy["restart"] = RestartPolicy(on_unhealthy=True)
    assert after(State.RUNNING, process_of=policy, **ill) == "It is restarted for its health."


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
    task = {"kind": Kind.TASK}
    by_hand = "Nothing starts it by itself; `runcept start web` starts it"
    assert after(State.EXITED, process_of=task, wanted=True) == f"{by_hand}."
    assert after(State.EXITED, wanted=True).startswith("It ended by itself, so nothing starts it again; `runcept start")
    assert after(State.STOPPED) == f"{by_hand}; `runcept activate` starts all of the project."
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
        "Nothing starts it by itself. When db is mended, `runcept start web` starts it, with what it needs."
    )
    supervisor.lives["db"].state = State.RUNNING
    assert what_next(supervisor, "web", NOW) == (
        "Nothing starts it by itself. As db is running now, `runcept start web` starts it, with what it needs."
    )


def test_what_is_started_by_name_alone() -> None:
    """Or for what needs it; the key in the project file is named."""
    supervisor = world(process("db", autostart=False), process("api", "db"), process("web", "db"))
    assert what_next(supervisor, "db", NOW) == (
        "It has autostart = false, so it is started by name alone, or for api or web; `runcept start db` starts it."
    )
    assert what_next(world(process("db", autostart=False)), "db", NOW) == (
        "It has autostart = false, so it is started by name alone; `runcept start db` starts it."
    )


@pytest.mark.parametrize(
    ("kind", "condition", "words"),
    [
        (Kind.SERVICE, Condition.READY, "db is ready"),
        (Kind.SERVICE, Condition.STARTED, "db is started"),
        (Kind.TASK, Condition.READY, "db has ended with success"),
        (Kind.TASK, Condition.COMPLETED, "db has ended with success"),
        (Kind.TASK, Condition.STARTED, "db is started"),
        (Kind.SERVICE, Condition.COMPLETED, "db has ended with success"),
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


# ---------------------------------------------------------------------------------------------------- words


def waiting(dependency: dict[str, Any], **options: Any) -> Supervisor:
    """`web` waits for `db`, which is as told."""
    return world(
        process("db", health_check=CHECK, **options),
        process("web", "db"),
        web={"state": State.PENDING, "reason": "waits for db", "blamed": "db", "wanted": True},
        db={"wanted": True, "run": 1, "pid": 5, **dependency},
    )


def failing(times: int = 7, **more: Any) -> CheckStanding:
    """Since 48 s, and asked again in 4 s."""
    facts: dict[str, Any] = {"since": NOW - 48, "detail": REFUSED, "next_at": NOW + 4, **more}
    return CheckStanding(CHECK, facts.pop("counts_from", None), times, **facts)


@pytest.mark.parametrize(
    ("dependency", "standing", "words"),
    [
        (
            {"state": State.RUNNING, "health": Health.UNHEALTHY, "reason": "unhealthy: x"},
            failing(),
            f"web is pending because db is unhealthy because {REFUSED}, 7 times since 07:59:12; next check in 4s.",
        ),
        (
            {"state": State.STARTING, "health": Health.UNKNOWN, "reason": "not ready yet: x"},
            failing(1, counts_from=NOW + 12),
            (
                f"web is pending because db is not ready because {REFUSED} at 07:59:12; failures count in 12s; "
                "next check in 4s."
            ),
        ),
        (
            {"state": State.STARTING, "health": Health.UNKNOWN, "reason": "not ready yet: x"},
            failing(next_at=None),
            f"web is pending because db is not ready because {REFUSED}, 7 times since 07:59:12.",
        ),
        (
            {"state": State.STARTING, "health": Health.UNKNOWN, "reason": "waits for its health check log://up"},
            failing(0, detail="no line has matched up yet", counts_from=NOW + 12, next_at=NOW + 12),
            (
                "web is pending because db is not ready because no line has matched up yet since 07:59:12; it counts "
                "as unhealthy in 12s."
            ),
        ),
        (
            {"state": State.STARTING, "health": Health.UNKNOWN, "reason": "waits for its health check tcp://x:1"},
            CheckStanding(CHECK, NOW + 60, next_at=NOW),
            "web is pending because db is not ready: waits for its health check tcp://x:1.",
        ),
        (
            {"state": State.BACKOFF, "reason": "exit code 1; restart 2 of 10 after 1s", "deadline": NOW + 0.7},
            None,
            "web is pending because db is in backoff: exit code 1; restart 2 of 10 after 1s; next attempt in 700ms.",
        ),
    ],
)
def test_the_chain_in_one_sentence(dependency: dict[str, Any], standing: CheckStanding | None, words: str) -> None:
    """How often a check has failed and since when; what comes next, and when."""
    assert summary(chain(waiting(dependency), "web", standing), clock) == words


def test_a_healthy_process_whose_last_check_failed() -> None:
    """It is healthy yet, and how many failures are missing is told."""
    lives = {"state": State.RUNNING, "health": Health.HEALTHY, "wanted": True, "run": 1, "pid": 5, "reason": ""}
    supervisor = world(process("db", health_check=CHECK), db=lives)
    assert summary(chain(supervisor, "db", failing(2)), clock) == (
        f"db is running and healthy, but its last check failed: {REFUSED}, 2 times since 07:59:12; 3 in a row make it "
        "unhealthy; next check in 4s."
    )
    assert summary(chain(supervisor, "db", CheckStanding(CHECK, None, next_at=NOW + 9)), clock) == (
        "db is running and healthy; nothing is wrong with it."
    )


@pytest.mark.parametrize(
    ("kind", "condition", "words"),
    [
        (Kind.SERVICE, Condition.READY, "it waits for db to be ready, and for cache, queue"),
        (Kind.TASK, Condition.READY, "it waits for db to end with success, and for cache, queue"),
        (Kind.SERVICE, Condition.STARTED, "it waits for db to be started, and for cache, queue"),
        (Kind.SERVICE, Condition.COMPLETED, "it waits for db to end with success, and for cache, queue"),
    ],
)
def test_what_it_waits_for_is_told_with_all_others(kind: Kind, condition: Condition, words: str) -> None:
    """What is there already is left out."""
    needs = tuple(Dependency(name, condition) for name in ("there", "db", "cache", "queue"))
    dependencies = [process(name, kind=kind) for name in ("there", "db", "cache", "queue")]
    web = Process(name="web", command="web", argv=("web",), working_dir="/", depends_on=needs)
    here = State.RUNNING if condition is not Condition.COMPLETED and kind is Kind.SERVICE else State.EXITED
    supervisor = world(
        *dependencies,
        web,
        web={"state": State.PENDING, "reason": "waits for db", "blamed": "db", "wanted": True},
        there={"state": here, "wanted": True},
        db={"state": State.STARTING, "wanted": True},
        cache={"state": State.PENDING, "wanted": True},
        queue={"state": State.BACKOFF, "wanted": True},
    )
    assert why(chain(supervisor, "web")[0], clock) == words


def test_what_has_to_end_before_a_process_is_stopped() -> None:
    """Who depends on it and is stopping goes first; that is the cause, and when it is killed is told."""
    supervisor = world(
        process("db"),
        process("web", "db"),
        db={"state": State.RUNNING, "run": 1, "pid": 5},
        web={"state": State.STOPPING, "run": 1, "pid": 6, "reason": "stopped by request (mcp)", "deadline": NOW + 3},
    )
    told = chain(supervisor, "db")
    assert [each.process for each in told] == ["db", "web"]
    assert why(told[0], clock) == "it is to be stopped, and web, which depends on it, has to end before"
    assert why(told[1], clock) == "stopped by request (mcp); it is killed in 3s"
    assert what_next(supervisor, "db", NOW) == "It is stopped when web has ended."


def test_the_limiter_counts_what_is_recent() -> None:
    """Restarts within the window; none is told where nothing is started again."""
    policy = RestartPolicy(when=Restart.ON_FAILURE, window=300)
    lives = {"state": State.RUNNING, "wanted": True, "failures": [NOW - 400, NOW - 20, NOW - 2]}
    [cause] = chain(world(process("web", restart=policy), web=lives), "web")
    assert cause.limiter is not None
    assert (cause.limiter.recent, cause.limiter.most, cause.limiter.window_seconds) == (2, 10, 300)
    assert chain(world(process("web"), web=lives), "web")[0].limiter is None


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_its_words(state: State) -> None:
    """None is told by its name in a sentence that does not read."""
    assert how(Cause("web", state, "x")).split()[0] in {"is", "has"}


# -------------------------------------------------------------------------------------------------- remedy


def cause(state: State, reason: str, **facts: Any) -> Cause:
    return Cause("db", state, reason, **facts)


def check_of(url: str, detail: str) -> Failing:
    return Failing(url, detail, 3, "2027-01-15T08:00:00.000000Z", 3, None)


UP = {"state": State.RUNNING, "health": Health.UNHEALTHY}
LOOK = "(`runcept logs db`)"


@pytest.mark.parametrize(
    ("root", "ports", "output", "words"),
    [
        (cause(State.FAILED, "port 80 is held by pid 7 (x)", hint="Stop that process."), [], [], "Stop that process."),
        (cause(State.FAILED, "exit code 1"), [], [], f"Mend what its log ends with {LOOK}."),
        (cause(State.BACKOFF, "exit code 1; restart 1 of 10"), [], [], f"Mend what its log ends with {LOOK}."),
        (cause(State.FAILED, "exit code 127: sh: 1: celery: not found"), [], [], "The shell found no command celery"),
        (
            cause(State.FAILED, "exit code 1"),
            [],
            ["ModuleNotFoundError: No module named 'x'"],
            "Python has no module x",
        ),
        (
            cause(State.FAILED, "killed by SIGKILL: the machine, or its control group, was out of memory"),
            [],
            [],
            "It ran out of memory",
        ),
        (cause(State.FAILED, "killed by SIGKILL"), [], [], "Something else than Runcept has ended it."),
        (cause(State.FAILED, "killed by SIGSEGV"), [], [], "The program crashed"),
        (
            cause(State.FAILED, "ended while nobody was there to see its exit status"),
            [],
            [],
            "How it ended is not known",
        ),
        (cause(State.FAILED, "cannot be ended: pid 9 (dd)"), [], [], "It hangs in the kernel"),
        (
            cause(**UP, reason="unhealthy: x", failing=check_of("tcp://localhost:1", REFUSED)),
            [8001],
            [],
            "It listens on 8001, and its health check asks 1: make them the same.",
        ),
        (
            cause(**UP, reason="unhealthy: x", failing=check_of("http://[::1]:81/a", "http://[::1]:81/a refused it")),
            [81],
            [],
            "Nothing listens on 81 yet",
        ),
        (
            cause(**UP, reason="unhealthy: x", failing=check_of("http://h/a", "GET /a answered 503")),
            [],
            [],
            "See what its health check asks (http://h/a)",
        ),
        (
            cause(State.STARTING, "not ready", failing=check_of("tcp://localhost:1", REFUSED)),
            [],
            ["Error: Cannot find module 'express'"],
            "Node.js finds no package express",
        ),
        (cause(State.STARTING, "x", failing=check_of("log://up", "no line")), [], [], "See in its log what it writes"),
        (
            cause(State.RUNNING, "", health=Health.HEALTHY, failing=check_of("tcp://localhost:1", REFUSED)),
            [],
            [],
            "",
        ),
        (cause(State.RUNNING, ""), [], [], ""),
        (cause(State.STOPPED, "never started"), [], [], ""),
        (cause(State.STOPPING, "x", failing=check_of("tcp://localhost:1", REFUSED)), [], [], ""),
    ],
)
def test_the_nearest_fix(root: Cause, ports: list[int], output: list[str], words: str) -> None:
    """From the hint of an error, else the last lines, else the state; nothing where nothing is wrong."""
    view = ProcessView("/p", "db", root.state, root.health, reason=root.reason, ports=ports)
    said = remedy([cause(State.PENDING, "waits for db"), root], view, output)
    assert said.startswith(words) if words else not said


def test_what_sleeps_is_woken_by_a_connection() -> None:
    """The sentence names the port; without `wake` nothing but a start helps."""
    told = after(State.STOPPED, asleep=True, process_of={"ports": (8000, 8001), "wake": Wake.CONNECT})
    assert told == "A connection to port 8000 or 8001 starts it; so does `runcept start web`."
    assert after(State.STOPPED, asleep=True).startswith("Nothing starts it by itself; `runcept start web` starts it;")


@pytest.mark.parametrize(
    ("facts", "is_told"),
    [
        ({"state": State.RUNNING, "reason": "", "failures": [NOW - 2]}, True),
        ({"state": State.STARTING, "reason": "has just been started"}, True),
        ({"state": State.RUNNING, "reason": ""}, False),
        ({"state": State.FAILED, "reason": "exit code 1"}, False),
    ],
)
def test_how_the_run_before_ended(facts: dict[str, Any], *, is_told: bool) -> None:
    """Of what was started again by itself, or is not well; of what is down, its own end is known."""
    lives = {"wanted": True, "run": 4, "before": Ended(3, "exit code 9", TODAY - 60), **facts}
    [link] = chain(world(process("web", restart=RestartPolicy(when=Restart.ALWAYS)), web=lives), "web")
    expected = RunBefore(3, "exit code 9", "2027-01-15T07:59:00.000000Z")
    assert link.run_before == (expected if is_told else None)
