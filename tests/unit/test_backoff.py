"""The delays before a restart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runcept.core.backoff import delay_before_restart, recent
from runcept.core.model import RestartPolicy

POLICY = RestartPolicy(delay=0.5, max_delay=30.0, max_restarts=100, window=300.0)


def test_delays_double_up_to_the_longest() -> None:
    """Without jitter they are exact."""
    delays = [delay_before_restart([0.0] * count, POLICY, 0.0) for count in range(1, 10)]
    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


@given(st.integers(1, 100), st.floats(0, 1, exclude_max=True))
def test_jitter_only_lengthens_and_never_beyond_the_longest(count: int, jitter: float) -> None:
    """Processes that failed together come back apart."""
    exact = delay_before_restart([0.0] * count, POLICY, 0.0)
    delay = delay_before_restart([0.0] * count, POLICY, jitter)
    assert exact is not None
    assert delay is not None
    assert exact <= delay <= min(30.0, exact * 1.25)


def test_one_more_than_allowed_gives_up() -> None:
    """`max_restarts` restarts are made, and no more."""
    policy = RestartPolicy(max_restarts=2)
    assert delay_before_restart([1.0, 2.0], policy, 0.0) is not None
    assert delay_before_restart([1.0, 2.0, 3.0], policy, 0.0) is None


def test_failures_are_forgotten_at_the_end_of_the_window() -> None:
    """Exactly then."""
    assert recent([0.0, 100.0, 300.0], POLICY, 300.0) == [100.0, 300.0]
