"""The history: who is said to have asked, which events somebody asks for, and how they look."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runcept.api.messages import Event, EventList, Events
from runcept.cli.event_lines import _LOOKS, EventPainter
from runcept.client.history import last
from runcept.core import events as ev
from runcept.core.effects import Effect, Record, Release
from runcept.core.history import KINDS, Choice
from runcept.core.life import SUPERVISOR, Life
from runcept.core.model import (
    Dependency,
    Health,
    HealthCheck,
    Probe,
    Process,
    Project,
    Restart,
    RestartPolicy,
    State,
)
from runcept.core.reactions import SETTLE_SECONDS, after_reboot
from runcept.core.supervisor import Supervisor

SOURCE = Path(__file__).resolve().parents[2] / "src" / "runcept"
CHECK = HealthCheck(url="tcp://localhost:1", probe=Probe.TCP, target="localhost:1")
AGAIN = RestartPolicy(when=Restart.ON_FAILURE, delay=1.0, max_restarts=2, on_unhealthy=True)


class Tale:
    """A supervisor whose facts are told by the test, and the history that it makes."""

    def __init__(self, *processes: Process) -> None:
        self.now = 1000.0
        self.supervisor = Supervisor(Project(path="/p", name="p", processes=processes), [], lambda: 0.0)
        self.records: list[Record] = []
        self.releases: list[Release] = []

    def take(self, effects: list[Effect]) -> None:
        self.records += [effect for effect in effects if isinstance(effect, Record)]
        self.releases += [effect for effect in effects if isinstance(effect, Release)]

    def start(self, *names: str, actor: str = "cli") -> None:
        self.take(self.supervisor.start(names, self.now, actor=actor))

    def stop(self, *names: str, actor: str = "cli") -> None:
        self.take(self.supervisor.stop(names, f"stopped by request ({actor})", self.now, actor=actor))

    def restart(self, *names: str, actor: str = "cli") -> None:
        self.take(self.supervisor.restart(names, self.now, actor=actor))

    def fact(self, kind: Any, name: str, *facts: Any) -> None:
        self.take(self.supervisor.handle(kind(name, self.supervisor.lives[name].run, *facts), self.now))

    def spawned(self, name: str) -> None:
        self.fact(ev.Spawned, name, 42, 5.0)

    def exited(self, name: str, code: int | None, signal: str | None = None) -> None:
        self.fact(ev.Exited, name, code, signal, 6.0)

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.take(self.supervisor.tick(self.now))

    def run(self, name: str, actor: str = "cli") -> None:
        self.start(name, actor=actor)
        self.spawned(name)
        self.later(SETTLE_SECONDS)

    def told(self) -> list[tuple[str, str, str]]:
        """(process, kind, actor) of what is new."""
        told = [(each.name, each.kind, each.actor) for each in self.records]
        self.records = []
        return told


def process(name: str, *needs: str, **options: Any) -> Process:
    needed = tuple(Dependency(need) for need in needs)
    return Process(name=name, command=name, argv=(name,), working_dir="/", depends_on=needed, **options)


def test_what_comes_of_a_request_is_by_who_asked() -> None:
    """Also when it comes later: the readiness of what was started, the end of what was stopped."""
    tale = Tale(process("db"), process("web", "db"))
    tale.start("web", actor="mcp")
    assert tale.told() == [("db", "starting", "mcp"), ("web", "pending", "mcp")]
    tale.spawned("db")
    tale.later(SETTLE_SECONDS)
    assert tale.told() == [("db", "ready", "mcp"), ("web", "starting", "mcp")]
    tale.spawned("web")
    tale.later(SETTLE_SECONDS)
    tale.told()
    tale.stop("db", actor="inactivity")
    tale.exited("web", None, "SIGTERM")
    tale.exited("db", None, "SIGTERM")
    assert tale.told() == [
        ("web", "stopping", "inactivity"),
        ("web", "exited", "inactivity"),
        ("web", "stopped", "inactivity"),
        ("db", "stopping", "inactivity"),
        ("db", "exited", "inactivity"),
        ("db", "stopped", "inactivity"),
    ]


def test_what_happens_by_itself_is_the_supervisors() -> None:
    """A crash, and all that follows from it, whoever had started it."""
    tale = Tale(process("web", restart=AGAIN))
    tale.run("web")
    tale.told()
    tale.exited("web", 1)
    (_, restarting) = tale.records
    assert restarting.data["cause"] == "crash"
    tale.later(10)
    tale.spawned("web")
    tale.later(SETTLE_SECONDS)
    kinds = ["exited", "restarting", "starting", "ready"]
    assert tale.told() == [("web", kind, SUPERVISOR) for kind in kinds]


def test_a_restart_that_was_asked_for_is_by_who_asked() -> None:
    """From the stop to the readiness of the next run; its cause is the request."""
    tale = Tale(process("web"))
    tale.run("web", actor="mcp")
    tale.told()
    tale.restart("web", actor="cli")
    tale.exited("web", None, "SIGTERM")
    assert tale.records[2].data == {"run": 1, "cause": "request"}
    tale.spawned("web")
    tale.later(SETTLE_SECONDS)
    assert tale.told() == [("web", kind, "cli") for kind in ("stopping", "exited", "restarting", "starting", "ready")]


def test_a_restart_for_its_health_is_the_supervisors() -> None:
    """As is what its health check says."""
    tale = Tale(process("web", health_check=CHECK, restart=AGAIN))
    tale.start("web")
    tale.spawned("web")
    tale.fact(ev.HealthChanged, "web", Health.HEALTHY, "it answered")
    assert tale.told() == [("web", "starting", "cli"), ("web", "ready", "cli")]
    tale.fact(ev.HealthChanged, "web", Health.UNHEALTHY, "it did not answer")
    tale.exited("web", None, "SIGTERM")
    assert tale.records[-1].data["cause"] == "unhealthy"
    kinds = ("unhealthy", "stopping", "exited", "restarting")
    assert tale.told() == [("web", kind, SUPERVISOR) for kind in kinds]


def test_a_run_is_released_with_why_it_is_over() -> None:
    """How it ended by itself, why it was stopped, or why it could not begin."""
    tale = Tale(process("web", restart=AGAIN))
    tale.run("web")
    tale.exited("web", 3)
    tale.later(10)
    tale.fact(ev.SpawnFailed, "web", "no such command", 6.0, True)
    assert tale.records[-1].kind == "failed"
    tale.run("web")
    tale.stop("web")
    tale.exited("web", 0)
    reasons = [(each.run, each.reason) for each in tale.releases]
    assert reasons == [(1, "exit code 3"), (2, "no such command"), (3, "stopped by request (cli)")]


def test_waiting_is_told_once() -> None:
    """However often what it waits for changes."""
    tale = Tale(process("db", health_check=CHECK), process("web", "db"))
    tale.start("web")
    tale.spawned("db")
    for word in ("refused", "refused again"):
        tale.fact(ev.HealthChanged, "db", Health.UNKNOWN, word)
    assert [each for each in tale.told() if each[0] == "web"] == [("web", "pending", "cli")]
    assert "refused again" in tale.supervisor.lives["web"].reason


def test_a_reboot_is_told_of_what_it_has_ended() -> None:
    """Of what did not live there is nothing to tell."""
    up, down = Life(name="web", state=State.RUNNING, wanted=True), Life(name="db")
    assert [(each.kind, each.actor) for each in after_reboot(up)] == [("stopped", SUPERVISOR)]
    assert after_reboot(down) == []


def kinds_in(path: Path) -> Iterator[str]:
    """The kinds that a module writes down."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        place = {"record": 0, "_record": 1, "_judged": 1, "Record": 1}.get(called)
        if place is not None and len(node.args) > place and isinstance(found := node.args[place], ast.Constant):
            yield str(found.value)


def test_every_kind_that_is_written_is_known() -> None:
    """So that --kind takes it, and the page explains it."""
    written = {
        kind for package in ("core", "daemon") for path in (SOURCE / package).glob("*.py") for kind in kinds_in(path)
    }
    assert len(written) > 12
    assert written <= KINDS.keys()
    assert _LOOKS.keys() <= KINDS.keys()


@pytest.mark.parametrize(
    ("choice", "taken"),
    [
        (Choice(), "abcd"),
        (Choice(processes=["web"]), "a"),
        (Choice(processes=["w*", "db"]), "abc"),
        (Choice(kinds=["failed", "activated"]), "bd"),
        (Choice(since=2.0), "bcd"),
        (Choice(until=2.0), "ab"),
        (Choice(since=2.0, until=2.0), "b"),
        (Choice(processes=["w*"], kinds=["ready"], since=1.0, until=3.0), "a"),
    ],
)
def test_all_conditions_hold(choice: Choice, taken: str) -> None:
    """Of names, kinds and time."""
    events = {"a": (1.0, "web", "ready"), "b": (2.0 + 4e-7, "worker", "failed"), "c": (3.0, "db", "exited")}
    events["d"] = (4.0, None, "activated")
    assert "".join(key for key, event in events.items() if choice.takes(*event)) == taken


def event(number: int, **facts: Any) -> Event:
    defaults = {"environment": "/p", "process": "web", "kind": "ready", "message": f"run {number}", "actor": "cli"}
    return Event(id=number, ts="2026-11-22T08:00:00.123456Z", **(defaults | facts))


@pytest.mark.parametrize(("count", "sizes"), [(2500, [1000, 1000, 500]), (None, [1000, 1000, 1000, 1000]), (0, [0])])
def test_more_than_a_page_is_asked_for_page_by_page(count: int | None, sizes: list[int]) -> None:
    """From the newest back; the cursor is that of the first answer, behind which nothing has been seen yet."""
    asked = []

    def ask(params: Events) -> EventList:
        asked.append(params.lines)
        newest = 3500 if params.before is None else params.before - 1
        oldest = max(0, newest - params.lines)
        found = [event(number) for number in range(oldest + 1, newest + 1)]
        return EventList(events=found, cursor=3500 + len(asked) - 1, more=len(found) == params.lines)

    found, cursor = last(ask, Events(), count)
    assert asked == sizes
    assert [each.id for each in found] == list(range(3501 - (3500 if count is None else count), 3501))
    assert cursor == 3500


def test_an_event_is_a_line_in_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pipe without symbols and colours; one that is about no process has a - there."""
    monkeypatch.setattr("runcept.cli.event_lines.local_time", lambda ts: ts[:19].replace("T", " "))
    painter = EventPainter(color=False, width=None)
    lines = [event(1), event(2, process=None, kind="inactivity_stop", actor="inactivity", message="web: unused")]
    painter.make_room(lines, ["worker"])
    assert [painter.text(each) for each in lines] == [
        "2026-11-22 08:00:00  web     ready               by cli         run 1",
        "2026-11-22 08:00:00  -       inactivity_stop     by inactivity  web: unused",
    ]


def test_on_a_terminal_a_long_sentence_goes_on_below_itself() -> None:
    """Nothing is cut, no line is wider than the terminal, and what would act on it is shown as text."""
    painter = EventPainter(color=False, width=90)
    text = painter.text(event(1, message="\x1b[2Jit said " + "word " * 20, kind="failed"))
    first, *others = text.split("\n")
    assert "✖ failed" in first
    assert others
    assert all(len(line) <= 90 for line in [first, *others])
    assert len({len(line) - len(line.lstrip()) for line in others}) == 1
    assert text.count("word") == 20
    assert "\x1b" not in text
    assert "\x1b[31m" in EventPainter(color=True, width=90).text(event(1, kind="failed"))


def test_the_project_has_a_column_where_there_are_several() -> None:
    """What is about the daemon itself is no project's."""
    painter = EventPainter(color=False, width=None, label=lambda path: path.removeprefix("/"))
    assert "  p  web  ready " in painter.text(event(1))
    assert "  -  -    daemon_started " in painter.text(event(2, environment=None, process=None, kind="daemon_started"))
