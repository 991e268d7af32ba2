"""The clock of the machine is set, by an hour: no grace, back-off, interval or limit changes, and nothing is lost.

Where an instant is shown it is of the clock as it was then; what is waited for is never of that clock.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from tests.chaos.clock import HOUR, Clock, answers, library, with_a_clock
from tests.chaos.ledger import Ledger
from tests.chaos.stage import Stage, is_alive
from tests.support import wait_until

from runcept.api import messages as m
from runcept.logs.files import chain
from runcept.logs.reader import read
from runcept.logs.record import raw_ts
from runcept.paths import database
from runcept.units import instant, parse_instant

soon = partial(wait_until, seconds=30)
LATE = 25.0
"""Seconds, on a machine that has other things to do; a clock that is wrong is wrong by an hour."""
STUBBORN = 'command = "trap : TERM; echo up; while :; do sleep 0.1; done"'
"""It ignores what is polite."""


@pytest.fixture
def clock(stage: Stage, tmp_path: Path) -> Iterator[Clock]:
    with with_a_clock(stage, tmp_path) as made:
        yield made


def one(stage: Stage, text: str, project: str = "") -> None:
    stage.write_file(f'[project]\nname = "p"\n{project}\n[[process]]\nname = "web"\n{text}\n')


def state(stage: Stage) -> str:
    """Without counting as activity."""
    (view,) = stage.ask("ps").processes
    return str(view.state)


def deadline(stage: Stage, name: str) -> float:
    """When its state ends, as the daemon has stored it: monotonic."""
    connection = sqlite3.connect(database(stage.home))
    try:
        ((life,),) = connection.execute("SELECT life FROM processes WHERE name = ?", (name,))
    finally:
        connection.close()
    return float(json.loads(life)["deadline"])


def forward_and_back(clock: Clock) -> None:
    clock.jump(HOUR)
    clock.jump(-2 * HOUR)


def forward(clock: Clock) -> None:
    clock.jump(HOUR)


def back(clock: Clock) -> None:
    clock.jump(-HOUR)


def test_libfaketime_is_there() -> None:
    """In CI at least: without it this file tests nothing."""
    assert Path(library()).exists()


@pytest.mark.parametrize("change", [forward, back, forward_and_back])
def test_a_jump_within_a_grace_changes_it_by_nothing(
    stage: Stage, clock: Clock, change: Callable[[Clock], None]
) -> None:
    """SIGKILL comes when the two seconds are over."""
    one(stage, f'{STUBBORN}\nstop_timeout = "2s"')
    pid = stage.ask_for("start", "web").processes[0].pid
    soon(lambda: stage.messages("web"))
    begun = time.monotonic()
    stage.ask_for("stop", "web", wait=False)
    assert state(stage) == "stopping"
    change(clock)
    soon(lambda: not is_alive(pid))
    assert 1.95 <= time.monotonic() - begun < LATE
    soon(lambda: state(stage) == "stopped")
    assert stage.statuses()["web"].exit_signal == "SIGKILL"


@pytest.mark.parametrize("change", [forward, back])
def test_a_daemon_that_is_killed_after_a_jump_goes_on_with_the_same_deadlines(
    stage: Stage, clock: Clock, change: Callable[[Clock], None]
) -> None:
    """A grace and a back-off: what is stored of them is monotonic. The keeper starts the daemon, whatever the date."""
    stage.write_file(
        f'[project]\nname = "p"\n[[process]]\nname = "web"\n{STUBBORN}\nstop_timeout = "3s"\n'
        '[[process]]\nname = "quits"\ncommand = "exit 3"\nrestart = "on-failure"\nrestart_delay = "3s"\n'
    )
    pid = stage.ask_for("activate", wait=False) and soon(lambda: stage.statuses()["web"].pid)
    soon(lambda: stage.statuses()["quits"].state == "backoff")
    due = deadline(stage, "quits")
    begun = time.monotonic()
    stage.ask_for("stop", "web", wait=False)
    change(clock)
    killed = stage.daemons()
    stage.kill(killed)
    soon(lambda: set(stage.daemons()) - set(killed) and answers(stage))
    assert abs(clock.shown() - clock.now()) < 60
    soon(lambda: not is_alive(pid))
    assert 2.95 <= time.monotonic() - begun < LATE
    soon(lambda: stage.statuses()["quits"].run == 2)
    assert due <= time.monotonic() < due + LATE


@pytest.mark.parametrize("change", [forward, back])
def test_a_jump_within_a_back_off_changes_it_by_nothing(
    stage: Stage, clock: Clock, change: Callable[[Clock], None]
) -> None:
    """It is started again when its delay is over, and once."""
    stage.write({"quits": 'restart = "on-failure"\nrestart_delay = "3s"'})
    stage.ask_for("activate", wait=False)
    soon(lambda: stage.statuses()["quits"].state == "backoff")
    due = deadline(stage, "quits")
    change(clock)
    soon(lambda: stage.statuses()["quits"].run == 2)
    assert due <= time.monotonic() < due + LATE
    soon(lambda: [entry.run for entry in Ledger(stage).journal()] == [1, 2])


@pytest.mark.parametrize("change", [forward, back])
def test_a_jump_does_not_make_failures_older(stage: Stage, clock: Clock, change: Callable[[Clock], None]) -> None:
    """All of them are within the window of a minute: the third restart is the last."""
    one(
        stage,
        'command = "exit 3"\nrestart = "always"\nrestart_delay = "200ms"\nmax_restarts = 3\nrestart_window = "1m"',
    )
    stage.ask_for("activate", wait=False)
    soon(lambda: stage.statuses()["web"].run == 2)
    change(clock)
    soon(lambda: stage.statuses()["web"].state == "failed")
    assert stage.statuses()["web"].run == 4
    assert "gave up" in stage.statuses()["web"].reason


@pytest.mark.parametrize("change", [forward, back])
def test_a_jump_changes_no_interval_of_a_health_check_and_no_start_period(
    stage: Stage, clock: Clock, change: Callable[[Clock], None]
) -> None:
    """Unhealthy when the start period is over, not before; then asked each 300 ms, neither more often nor never."""
    check = 'url = "cmd://echo >> probes; test -e ok", interval = "300ms", retries = 1, start_period = "2s"'
    one(stage, f'command = ["sleep", "1000"]\nhealth_check = {{{check}}}')
    probes = stage.project / "probes"
    begun = time.monotonic()
    stage.ask_for("activate", wait=False)
    soon(probes.exists)
    change(clock)
    soon(lambda: stage.statuses()["web"].health == "unhealthy")
    assert 1.9 <= time.monotonic() - begun < LATE
    (stage.project / "ok").touch()
    soon(lambda: stage.statuses()["web"].health == "healthy")
    change(clock)
    begun, size = time.monotonic(), probes.stat().st_size
    soon(lambda: probes.stat().st_size >= size + 6)
    assert 1.2 <= time.monotonic() - begun < LATE


@pytest.mark.parametrize("change", [forward, back, forward_and_back])
def test_a_jump_is_no_inactivity(stage: Stage, clock: Clock, change: Callable[[Clock], None]) -> None:
    """It stops three seconds after its last use."""
    one(stage, 'command = ["sleep", "1000"]', 'inactivity_timeout = "3s"')
    pid = stage.ask_for("start", "web").processes[0].pid
    begun = time.monotonic()
    change(clock)  # the last use
    soon(lambda: not is_alive(pid))
    assert 3 <= time.monotonic() - begun < LATE
    assert "without activity" in stage.ask("ps").processes[0].reason


def test_what_is_used_before_the_clock_is_set_says_when_it_stops_on_the_clock_that_was_set(
    stage: Stage, clock: Clock
) -> None:
    """Also where nothing has been asked since."""
    one(stage, 'command = ["sleep", "1000"]', 'inactivity_timeout = "1m"')
    stage.ask_for("start", "web")
    clock.offset += HOUR
    clock._write()
    (known,) = stage.ask("environments", m.Environments()).environments
    assert abs(parse_instant(known.last_activity_at) - time.time()) < 30
    assert 30 < parse_instant(known.idle_stop_at) - clock.now() < 61


def test_uptime_is_no_difference_of_dates(stage: Stage, clock: Clock) -> None:
    """`started_at` and `ended_at` are what the clock said then; between them lies an hour that never was."""
    one(stage, 'command = ["sleep", "1000"]')
    stage.ask_for("start", "web")
    clock.jump(HOUR)
    view = stage.statuses()["web"]
    assert 0 <= view.uptime_seconds < 60
    assert abs(parse_instant(view.started_at) - time.time()) < 60
    stage.ask_for("stop", "web")
    clock.jump(-2 * HOUR)
    view = stage.ask_for("start", "web").processes[0]
    assert 0 <= view.uptime_seconds < 60
    assert abs(parse_instant(view.started_at) - clock.now()) < 60
    stage.ask_for("stop", "web")
    assert abs(parse_instant(stage.statuses()["web"].ended_at) - clock.now()) < 60


@pytest.mark.parametrize("change", [forward, back])
def test_a_jump_ends_nobodys_wait(stage: Stage, clock: Clock, change: Callable[[Clock], None]) -> None:
    """Who waits two seconds for what never becomes ready is told after two seconds."""
    one(stage, 'command = ["sleep", "1000"]\nhealth_check = "cmd://false"')
    with ThreadPoolExecutor(1) as pool:
        begun = time.monotonic()
        waiting = pool.submit(stage.ask_for, "activate", seconds=2)
        soon(lambda: stage.ask("ps").processes)
        change(clock)
        outcome = waiting.result()
    assert outcome.timed_out
    assert 1.9 <= time.monotonic() - begun < LATE


def test_a_log_stays_in_order_whatever_the_clock_does(stage: Stage, clock: Clock) -> None:
    """Two runs, rotated, while the clock goes an hour forward and two back: every line once, no `ts` decreases.

    What `--since` and `--until` find by bisection is what looking at each line finds.
    """
    stage.write({"storm": 'log = {max_size = "100KB", keep = 1000, compress = false}'})
    log = stage.log("storm")

    def files() -> int:
        return len(os.listdir(os.path.dirname(log)))

    def rotates() -> None:
        known = files()
        soon(lambda: files() > known + 1)

    stage.ask_for("start", "storm")
    rotates()
    clock.jump(HOUR)
    rotates()
    clock.jump(-2 * HOUR)
    rotates()
    stage.ask_for("restart", "storm")
    rotates()
    clock.jump(HOUR)
    rotates()
    stage.ask_for("stop", "storm")
    stage.end()
    assert Ledger(stage).judge().wrong == {}
    found = list(chain(log))  # the newest first
    stamps: list[str] = []
    for name in (f"{log}.{number}" for number in range(len(found) - 1, 0, -1)):
        stamps += filter(None, map(raw_ts, Path(name).read_bytes().split(b"\n")))
    stamps += filter(None, map(raw_ts, Path(log).read_bytes().split(b"\n")))
    assert all(before <= after for before, after in pairwise(stamps))
    assert parse_instant(stamps[-1]) - parse_instant(stamps[0]) >= HOUR
    lines = read({"storm": log}, lines=None).lines
    assert [line.ts for line in lines] == stamps
    for at in (stamps[0], stamps[len(stamps) // 4], stamps[len(stamps) // 2], instant(time.time()), stamps[-1]):
        since = read({"storm": log}, lines=None, since=at).lines
        assert since == [line for line in lines if line.ts is not None and line.ts >= at]
        until = read({"storm": log}, lines=None, until=at).lines
        assert until == [line for line in lines if line.ts is not None and line.ts <= at]


def test_the_last_ten_minutes_after_a_jump_back_are_there(stage: Stage, clock: Clock) -> None:
    """Lines of an hour that has not come yet are not older than ten minutes."""
    one(stage, 'command = "echo before; while [ ! -e go ]; do sleep 0.02; done; echo after; exec sleep 1000"')
    clock.jump(HOUR)
    stage.ask_for("start", "web")
    soon(lambda: stage.messages("web"))
    clock.jump(-HOUR)
    (stage.project / "go").touch()
    soon(lambda: "after" in stage.messages("web"))
    page = read({"web": stage.log("web")}, since="10m", stream="stdout")
    assert [line.message for line in page.lines] == ["before", "after"]


def test_a_managed_process_has_the_clock_of_the_machine(stage: Stage, clock: Clock) -> None:
    """Nothing of the daemon's own environment reaches it, so nothing of this test's."""
    one(stage, 'command = "date +%s; exec sleep 1000"')
    clock.jump(HOUR)
    pid = stage.ask_for("start", "web").processes[0].pid
    soon(lambda: stage.messages("web"))
    assert abs(int(stage.messages("web")[0]) - time.time()) < 60
    environ = Path(f"/proc/{pid}/environ").read_bytes()
    assert b"LD_PRELOAD" not in environ
    assert b"FAKETIME" not in environ
