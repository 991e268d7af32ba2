"""When things stop for inactivity, as a person reads it. No I/O."""

from __future__ import annotations

from datetime import datetime, timedelta

from runcept.core.views import EnvironmentView
from runcept.units import format_duration, parse_instant

__all__ = ["idle_lines", "idle_stop"]

_NEAR = timedelta(minutes=1)
_DAY = timedelta(days=1)


def idle_stop(instant: str, now: float) -> str:
    """As "stops at 14:32 if unused (in 3m10s)"; `now` in seconds since the epoch."""
    at = datetime.fromisoformat(instant).astimezone()
    left = timedelta(seconds=parse_instant(instant) - now)
    clock = at.strftime("%H:%M:%S" if left < _NEAR else "%H:%M" if left < _DAY else "%Y-%m-%d %H:%M")
    soon = left.total_seconds()
    return f"stops at {clock} if unused ({f'in {format_duration(soon)}' if soon > 0 else 'now'})"


def idle_lines(view: EnvironmentView, now: float) -> list[str]:
    """One for the project, and one for each process whose own timeout ends before that."""
    lines = [idle_stop(view.idle_stop_at, now)] if view.idle_stop_at is not None else []
    own = {each.name: each.idle_stop_at for each in view.processes or [] if each.idle_stop_at != view.idle_stop_at}
    return lines + [f"{name} {idle_stop(at, now)}" for name, at in own.items() if at is not None]
