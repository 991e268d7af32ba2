"""When probes are made and what their answers amount to."""

from __future__ import annotations

from runcept.core.check_standing import CheckStanding
from runcept.core.events import HealthChanged
from runcept.core.model import Health, HealthCheck, Probe
from runcept.scheduler.health import HealthSchedule, ProbeDue

TCP = HealthCheck(url="tcp://x:1", probe=Probe.TCP, target="x:1", interval=30, retries=3, start_period=10)
LOG = HealthCheck(url="log://ready", probe=Probe.LOG, target="ready", start_period=10)


def watching(check: HealthCheck, known: Health = Health.UNKNOWN) -> HealthSchedule:
    schedule = HealthSchedule()
    schedule.begin("web", 1, check, 100.0, known=known, now=100.0)
    return schedule


def fail(schedule: HealthSchedule, now: float) -> HealthChanged | None:
    return schedule.probed("web", 1, ok=False, detail="refused", now=now)


def test_probes_are_fast_until_the_first_success_then_at_the_interval() -> None:
    """At once, then at most 100 ms apart at first, growing; 30 s after a success."""
    schedule = watching(TCP)
    assert schedule.tick(100.0) == [ProbeDue("web", 1, TCP)]
    assert schedule.next_deadline() is None, "one probe at a time"
    gaps = []
    now = 100.0
    for _ in range(25):
        fail(schedule, now)
        following = schedule.next_deadline()
        assert following is not None
        gaps.append(following - now)
        now = following
        assert schedule.tick(now)
    assert gaps[0] <= 0.1
    assert gaps == sorted(gaps)
    assert gaps[-1] == TCP.interval
    schedule.probed("web", 1, ok=True, detail="fine", now=now)
    assert schedule.next_deadline() == now + 30


def test_failures_in_the_start_period_do_not_count() -> None:
    """They only say why it is not ready yet."""
    schedule = watching(TCP)
    for instant in (100.0, 102.0, 104.0, 109.9):
        answer = fail(schedule, instant)
        assert answer is not None
        assert (answer.health, answer.reason) == (Health.UNKNOWN, "not ready yet: refused")
    assert fail(schedule, 110.0).health is Health.UNKNOWN  # type: ignore[union-attr]
    assert fail(schedule, 111.0).health is Health.UNKNOWN  # type: ignore[union-attr]
    third = fail(schedule, 112.0)
    assert third == HealthChanged("web", 1, Health.UNHEALTHY, "refused (3 times in a row)")


def test_after_a_success_every_failure_counts_and_one_success_heals() -> None:
    """Also within the start period."""
    schedule = watching(TCP)
    healthy = schedule.probed("web", 1, ok=True, detail="fine", now=100.0)
    assert healthy == HealthChanged("web", 1, Health.HEALTHY, "fine")
    assert fail(schedule, 101.0) is None
    assert fail(schedule, 102.0) is None
    assert fail(schedule, 103.0).health is Health.UNHEALTHY  # type: ignore[union-attr]
    assert schedule.probed("web", 1, ok=True, detail="fine", now=104.0) == healthy
    assert schedule.probed("web", 1, ok=True, detail="fine", now=105.0) is None, "only changes are told"


def test_a_log_check_has_only_the_end_of_its_start_period() -> None:
    """It is unhealthy then, and healthy whenever the line comes."""
    schedule = watching(LOG)
    assert schedule.next_deadline() == 110.0
    (late,) = schedule.tick(110.0)
    assert isinstance(late, HealthChanged)
    assert late.health is Health.UNHEALTHY
    assert "no line matched ready within 10s" in late.reason
    assert schedule.next_deadline() is None
    answer = schedule.probed("web", 1, ok=True, detail="it wrote: ready", now=120.0)
    assert answer is not None
    assert answer.health is Health.HEALTHY


def test_an_answer_about_an_earlier_run_is_dropped() -> None:
    """A probe that was under way while the process was restarted says nothing."""
    schedule = watching(TCP)
    assert schedule.probed("web", 0, ok=True, detail="fine", now=101.0) is None
    schedule.end("web")
    assert schedule.probed("web", 1, ok=True, detail="fine", now=101.0) is None
    assert schedule.next_deadline() is None


def test_a_check_that_came_due_while_no_daemon_ran_is_made_at_once() -> None:
    """What was known before is still known."""
    schedule = watching(TCP, Health.HEALTHY)
    assert schedule.tick(100.0) == [ProbeDue("web", 1, TCP)]
    assert schedule.probed("web", 1, ok=True, detail="fine", now=100.1) is None
    matched = watching(LOG, Health.HEALTHY)
    assert matched.next_deadline() is None


# ----------------------------------------------------------------------------------------- how it stands


def test_a_row_of_failures_is_counted_from_its_first() -> None:
    """Those within the start period as well; a success ends the row, and the next one begins anew."""
    schedule = watching(TCP)
    assert schedule.standing("web", 100.0) == CheckStanding(TCP, counts_from=110.0, next_at=100.0)
    for now in (101.0, 102.0, 103.5):
        fail(schedule, now)
    told = schedule.standing("web", 104.0)
    assert told is not None
    assert (told.failures, told.since, told.detail, told.counts_from) == (3, 101.0, "refused", 110.0)
    assert told.next_at == schedule.next_deadline()
    told = schedule.standing("web", 110.0)
    assert told is not None
    assert told.counts_from is None, "the start period is over"
    schedule.probed("web", 1, ok=True, detail="fine", now=111.0)
    told = schedule.standing("web", 111.0)
    assert told is not None
    assert (told.failures, told.since, told.next_at) == (0, None, 141.0)
    fail(schedule, 141.0)
    told = schedule.standing("web", 141.0)
    assert told is not None
    assert (told.failures, told.since, told.counts_from) == (1, 141.0, None)


def test_a_check_that_is_being_asked_has_no_next_instant() -> None:
    """Nor has one that is over, or that there never was."""
    schedule = watching(TCP)
    schedule.tick(100.0)
    told = schedule.standing("web", 100.0)
    assert told is not None
    assert told.next_at is None
    schedule.end("web")
    assert schedule.standing("web", 100.0) is None


def test_a_line_is_waited_for_from_the_start_on() -> None:
    """It is not asked for, so nothing is counted; the start period tells when it counts as unhealthy."""
    schedule = watching(LOG)
    assert schedule.standing("web", 105.0) == CheckStanding(
        LOG, counts_from=110.0, since=100.0, detail="no line has matched ready yet", next_at=110.0
    )
    schedule.tick(110.0)
    told = schedule.standing("web", 112.0)
    assert told is not None
    assert (told.counts_from, told.since, told.next_at) == (None, 100.0, None)
    schedule.probed("web", 1, ok=True, detail="it wrote: ready", now=113.0)
    assert schedule.standing("web", 113.0) == CheckStanding(LOG, counts_from=None)
