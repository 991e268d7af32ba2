"""When things stop for inactivity, in words."""

from __future__ import annotations

from datetime import datetime

import pytest

from runcept.cli.idle import idle_lines, idle_stop
from runcept.core.views import EnvironmentView, ProcessView
from runcept.mcp.answers import environment_text
from runcept.units import instant

NOON = datetime(2026, 11, 22, 12, 0).astimezone().timestamp()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (190, "stops at 12:03 if unused (in 3m10s)"),
        (42, "stops at 12:00:42 if unused (in 42s)"),
        (3 * 86400, "stops at 2026-11-25 12:00 if unused (in 3d)"),
        (-1, "stops at 11:59:59 if unused (now)"),
    ],
)
def test_the_clock_is_as_exact_as_it_is_near(seconds: float, expected: str) -> None:
    """The date where it is another day's, seconds within a minute."""
    assert idle_stop(instant(NOON + seconds), NOON) == expected


def test_a_process_is_named_where_its_own_timeout_ends_first() -> None:
    """Not where it is the project's end as well, and nothing is said where nothing stops."""
    soon, later = instant(NOON + 60), instant(NOON + 600)
    processes = [
        ProcessView("/p", "web", idle_stop_at=soon),
        ProcessView("/p", "db"),
        ProcessView("/p", "last", idle_stop_at=later),
    ]
    view = EnvironmentView("/p", "p", processes=processes, idle_stop_at=later)
    assert idle_lines(view, NOON) == [
        "stops at 12:10 if unused (in 10m)",
        "web stops at 12:01 if unused (in 1m)",
    ]
    assert idle_lines(EnvironmentView("/p", "p", processes=[ProcessView("/p", "db")]), NOON) == []
    told = environment_text(view)
    assert f"Without activity it is stopped at {later}. Unused, web is stopped at {soon}." in told
    assert "Unused, last" not in told
