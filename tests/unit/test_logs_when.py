from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from runcept.errors import InstantUnclear
from runcept.logs.reader import parse_when

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC).timestamp()


@pytest.fixture(autouse=True)
def _in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """It is nine o'clock there."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10m", "2026-11-22T07:50:00Z"),
        ("1h30m ago", "2026-11-22T06:30:00Z"),
        ("90", "2026-11-22T07:58:30Z"),
        ("2d", "2026-11-20T08:00:00Z"),
        ("now", "2026-11-22T08:00:00Z"),
        ("08:30", "2026-11-22T07:30:00Z"),
        ("8:30:15.5", "2026-11-22T07:30:15.5Z"),
        ("today", "2026-11-21T23:00:00Z"),
        ("yesterday", "2026-11-20T23:00:00Z"),
        ("2026-11-22", "2026-11-21T23:00:00Z"),
        ("2026-07-01 12:00", "2026-07-01T10:00:00Z"),
        ("2026-11-22T07:00:00.000001Z", "2026-11-22T07:00:00.000001Z"),
        ("2026-11-22T07:00:00+05:00", "2026-11-22T02:00:00Z"),
    ],
)
def test_a_point_in_time_is_understood(text: str, expected: str) -> None:
    """Ago, today at, RFC 3339; times without an offset and days are local."""
    assert parse_when(text, NOW) == pytest.approx(datetime.fromisoformat(expected).timestamp(), abs=1e-6)


@pytest.mark.parametrize("text", ["", "soon", "25:00", "12:61", "2026-13-01", "10 parsecs", "-5m"])
def test_what_is_no_point_in_time_is_refused(text: str) -> None:
    """The error says what can be written instead."""
    with pytest.raises(InstantUnclear) as caught:
        parse_when(text, NOW)
    assert "12:30" in caught.value.hint
