"""How soon to start again, and when to give up: exponential back-off with jitter and a limit, as a pure function.

The limiter has one memory, the instants of the failures within the window; it forgets by itself as they grow old.
Jitter only lengthens a delay, up to a quarter, so that processes that failed together do not return together
(AWS Architecture Blog, "Exponential Backoff and Jitter", 2015).
"""

from __future__ import annotations

from collections.abc import Sequence

from runcept.core.model import RestartPolicy

__all__ = ["delay_before_restart", "recent"]

_JITTER = 0.25


def recent(failures: Sequence[float], policy: RestartPolicy, now: float) -> list[float]:
    """The failures that still count at `now`."""
    return [instant for instant in failures if now - instant < policy.window]


def delay_before_restart(failures: Sequence[float], policy: RestartPolicy, jitter: float) -> float | None:
    """Seconds to wait after the last of the recent `failures` (at least one), or None: too many, give up.

    `jitter` is a random number in [0, 1).
    """
    count = len(failures)
    if count > policy.max_restarts:
        return None
    doubled = policy.delay * 2.0 ** min(count - 1, 30)
    return min(policy.max_delay, doubled * (1 + _JITTER * jitter))
