"""What stops when: tables of uses and instants, with the time as an argument."""

from __future__ import annotations

import msgspec
import pytest

from runcept.core.model import Activity, Dependency, Process, Project
from runcept.core.plan import Plan
from runcept.scheduler.inactivity import Ending, Inactivity, Need, Uses, interval, needs

REQUESTS, CONNECTIONS, OUTPUT, CPU = Activity


def process(
    name: str, timeout: float | None = None, *needed: str, activity: tuple[Activity, ...] | None = None
) -> Process:
    """One that needs others."""
    made = Process(name, name, (name,), "/", depends_on=tuple(map(Dependency, needed)), inactivity_timeout=timeout)
    return made if activity is None else msgspec.structs.replace(made, activity=activity)


def plan(*processes: Process, timeout: float | None = None) -> Plan:
    """A project of these, with a timeout of its own."""
    return Plan(Project("/p", "p", inactivity_timeout=timeout, processes=processes))


def used(**instants: float) -> Inactivity:
    """Processes that were used last then."""
    return Inactivity(0.0, Uses(instants))


def stops(inactivity: Inactivity, of: Plan, *wanted: str) -> dict[str, float]:
    """When each timeout ends, by whose it is."""
    return {ending.process: ending.at for ending in inactivity.endings(of, wanted or of.order)}


def test_a_project_stops_when_none_of_it_was_used_for_so_long() -> None:
    """The last use of any process counts; of one that is down as well."""
    web_db = plan(process("web"), process("db"), timeout=100)
    assert stops(used(web=10, db=50), web_db) == {"": 150}
    assert stops(used(web=10, db=50), web_db, "web") == {"": 150}
    assert used(web=10).endings(web_db, []) == []
    assert stops(used(web=10), plan(process("web"))) == {}


def test_a_timeout_of_its_own_stops_a_process_alone() -> None:
    """Where it ends before the project's; else that is the one that is told of."""
    both = plan(process("web", 20), process("db"), timeout=100)
    assert used(web=10, db=50).endings(both, ["web", "db"]) == [
        Ending("", ("web", "db"), 50, 100, 150),
        Ending("web", ("web",), 10, 20, 30),
    ]
    assert stops(used(web=10), plan(process("web", 200), timeout=100)) == {"": 110}


@pytest.mark.parametrize(
    ("web", "uses", "expected"),
    [
        (process("web", 50, "db"), {"web": 10, "db": 0}, {"web": 60, "db": 60}),
        (process("web", 5, "db"), {"web": 10, "db": 0}, {"web": 15, "db": 30}),
        (process("web", 50, "db"), {"web": 0, "db": 40}, {"web": 50, "db": 60}),
        (process("web", None, "db"), {"web": 10, "db": 0}, {"db": float("inf")}),
    ],
    ids=["no earlier than its dependent", "used through it", "its own use", "a dependent without a timeout"],
)
def test_nothing_is_stopped_under_a_dependent(web: Process, uses: dict[str, float], expected: dict[str, float]) -> None:
    """The use of a dependent is one of what it needs, and as long as it is up that stays up."""
    chain = plan(web, process("db", 20))
    found = stops(used(**uses), chain)
    assert {name: found.get(name, float("inf")) for name in expected} == expected
    assert stops(used(**uses), chain, "db") == {"db": uses["db"] + 20}  # once the dependent is down


def test_only_what_is_in_its_activity_counts() -> None:
    """For each process by itself; what never counts is stopped after its start all the same."""
    mixed = plan(process("web"), process("job", activity=(CPU,)), process("none", activity=()), timeout=100)
    inactivity = used(web=0, job=0, none=0)
    everybody = dict.fromkeys(mixed.order, 7.0)
    assert inactivity.use(mixed, REQUESTS, everybody)
    assert inactivity.uses.used == {"web": 7, "job": 0, "none": 0}
    assert not inactivity.use(mixed, OUTPUT, everybody)
    assert not inactivity.use(mixed, CPU, {"web": 8.0})
    assert inactivity.use(mixed, CPU, {"job": 9.0})
    assert inactivity.use(mixed, CONNECTIONS, {"web": 5.0})  # seen late: a later use stays
    assert inactivity.uses.used == {"web": 7, "job": 9, "none": 0}
    inactivity.begin(["none"], 20)
    assert stops(inactivity, mixed) == {"": 120}


def test_what_nothing_is_known_of_counts_from_when_that_began() -> None:
    """A daemon that finds it living gives it its whole time."""
    assert stops(Inactivity(30.0), plan(process("web"), timeout=100)) == {"": 130}


def test_a_warning_comes_at_nine_tenths_and_once() -> None:
    """Again after the next use, and not for what is stopped in the same moment."""
    web = plan(process("web"), timeout=100)
    inactivity = used(web=0)
    assert inactivity.next_deadline(web, ["web"]) == 90
    assert inactivity.due(web, ["web"], 89.9) == ([], [])
    over, soon = inactivity.due(web, ["web"], 90)
    assert (over, [each.at for each in soon]) == ([], [100])
    inactivity.announce(soon[0])
    assert inactivity.due(web, ["web"], 95) == ([], [])
    assert inactivity.next_deadline(web, ["web"]) == 100
    inactivity.use(web, REQUESTS, {"web": 96})
    assert inactivity.next_deadline(web, ["web"]) == 186
    assert len(inactivity.due(web, ["web"], 190)[1]) == 1
    over, soon = inactivity.due(web, ["web"], 196)
    assert ([each.names for each in over], soon) == ([("web",)], [])


def test_a_warning_is_not_repeated_by_the_next_daemon() -> None:
    """It is stored with the uses."""
    web = plan(process("web"), timeout=100)
    first = used(web=0)
    first.announce(first.endings(web, ["web"])[0])
    stored = msgspec.json.decode(msgspec.json.encode(first.uses), type=Uses)
    assert Inactivity(95.0, stored).due(web, ["web"], 95) == ([], [])
    assert Inactivity(95.0, stored).next_deadline(web, ["web"]) == 100


def test_the_end_is_when_the_last_of_it_stops() -> None:
    """None where one goes on for ever."""
    assert used(web=10).end(plan(process("web", 20), process("db")), ["web", "db"]) is None
    assert used(web=10).end(plan(process("web", 20), process("db")), ["web"]) == 30
    assert used(web=10, db=20).end(plan(process("web", 20), process("db", 30)), ["web", "db"]) == 50
    assert used(web=10, db=20).end(plan(process("web", 20), process("db"), timeout=200), ["web", "db"]) == 220
    assert used().end(plan(process("web"), timeout=5), []) is None


def test_only_what_a_timeout_depends_on_is_looked_for() -> None:
    """Its own, the project's, and that of what it needs; requests tell of themselves."""
    assert needs(plan(process("web"), process("db")), ["web", "db"]) == {}
    assert needs(plan(process("web", activity=(REQUESTS,)), timeout=9), ["web"]) == {}
    chain = plan(process("web", None, "db"), process("db", 60, activity=(CPU, REQUESTS)), process("job"))
    assert needs(chain, chain.order) == {
        "web": Need(frozenset({CONNECTIONS}), 60),
        "db": Need(frozenset({CPU}), 60),
    }
    assert needs(plan(process("web", 60), timeout=30), ["web"])["web"].limit == 30
    assert needs(plan(process("web", 60), timeout=30), []) == {}


@pytest.mark.parametrize(("limit", "expected"), [(2, 2), (60, 3), (600, 30), (28800, 30)])
def test_looks_are_as_seldom_as_the_timeout_allows(limit: float, expected: float) -> None:
    """A twentieth of it, but 2 to 30 seconds: what was connected for a moment is told of for one minute."""
    sources = frozenset({CONNECTIONS})
    assert interval([Need(sources, limit), Need(sources, 10 * limit)]) == expected
    assert interval([]) is None


def test_what_is_stored_lags_by_a_twentieth_at_most() -> None:
    """A use that goes on is not worth a write at each look."""
    web = plan(process("web"), timeout=100)
    inactivity = Inactivity(0.0)
    inactivity.begin(["web"], 10)
    assert inactivity.is_worth_keeping(web, ["web"])
    inactivity.kept()
    inactivity.use(web, REQUESTS, {"web": 14})
    assert not inactivity.is_worth_keeping(web, ["web"])
    inactivity.use(web, REQUESTS, {"web": 16})
    assert inactivity.is_worth_keeping(web, ["web"])
