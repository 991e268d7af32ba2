"""What of many failures is shown on the desktop, when, and in which words."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from runcept.scheduler.notices import Notice, Notices


def test_one_failure_is_shown_with_its_reason_a_moment_later() -> None:
    """The moment is for those that come of it."""
    notices = Notices()
    notices.failed("web", "exit code 3: no such table", 100)
    assert notices.deadline is not None
    assert 101 <= notices.deadline <= 102
    assert notices.take("shop", {"web"}, notices.deadline) == Notice("web of shop failed", "exit code 3: no such table")
    assert notices.deadline is None


def test_failures_that_come_together_are_one_notice() -> None:
    """The title names them; the reasons of the first four follow."""
    notices = Notices()
    for number, name in enumerate(("db", "web", "worker")):
        notices.failed(name, f"reason of {name}", 100 + number / 10)
    assert notices.take("shop", {"db", "web", "worker"}, 102) == Notice(
        "3 processes of shop failed: db, web, worker", "db: reason of db\nweb: reason of web\nworker: reason of worker"
    )
    names = [f"process-{number}" for number in range(1000)]
    for name in names:
        notices.failed(name, "x" * 1000, 200)
    title, body = notices.take("shop", names, 207) or ("", "")
    assert title.startswith("1000 processes of shop failed: process-0, process-1,")
    assert title.endswith("…")
    assert body.splitlines()[-1] == "and 996 more"
    assert len(title + body) < 1000


def test_what_has_not_stayed_failed_is_no_news() -> None:
    """Somebody has started or stopped it meanwhile, so somebody knows."""
    notices = Notices()
    notices.failed("web", "exit code 1", 100)
    notices.failed("db", "exit code 2", 100)
    assert notices.take("shop", {"db"}, 102) == Notice("db of shop failed", "exit code 2")
    notices.failed("web", "exit code 1", 110)
    assert notices.take("shop", (), 112) is None
    assert notices.deadline is None


def test_a_process_that_fails_again_is_named_once() -> None:
    """With its last reason."""
    notices = Notices()
    notices.failed("web", "exit code 1", 100)
    notices.failed("web", "exit code 2", 100.5)
    assert notices.take("shop", {"web"}, 102) == Notice("web of shop failed", "exit code 2")


@given(st.lists(st.floats(0, 3), max_size=60))
def test_a_project_shows_one_notice_in_five_seconds(pauses: list[float]) -> None:
    """However it fails; and nothing waits for longer than that."""
    notices, now, shown = Notices(), 0.0, []
    for pause in pauses:
        end = now + pause
        while notices.deadline is not None and notices.deadline <= end:
            shown.append(notices.deadline)
            assert notices.take("shop", {"web"}, notices.deadline)
        now = end
        notices.failed("web", "x", now)
        assert notices.deadline is not None
        assert now < notices.deadline <= now + 5
    assert all(later - earlier > 4.99 for earlier, later in pairwise(shown))
