"""Points in time as people write them for `--since` and `--until`. Pure: now is an argument."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from runcept.errors import InstantUnclear
from runcept.units import duration, parse_instant

__all__ = ["parse_when"]

_TIME = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d(?:\.\d{1,6})?))?")
_DAYS_BACK = {"today": 0, "yesterday": 1}


def parse_when(text: str, now: float) -> float:
    """Seconds since the epoch of "10m" or "1h30m" (ago), "12:30[:15]", "today", "yesterday" or RFC 3339.

    `now` is in seconds since the epoch. Days begin at the local midnight, times without an offset are local.
    Raises InstantUnclear.
    """
    words = text.strip().lower()
    try:
        if words == "now":
            return now
        midnight = datetime.fromtimestamp(now).astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
        if words in _DAYS_BACK:
            return (midnight.replace(tzinfo=None) - timedelta(days=_DAYS_BACK[words])).timestamp()
        if time := _TIME.fullmatch(words):
            second, micro = divmod(round(float(time[3] or 0) * 1_000_000), 1_000_000)
            return midnight.replace(
                hour=int(time[1]), minute=int(time[2]), second=second, microsecond=micro, tzinfo=None
            ).timestamp()
        if re.match(r"\d{4}-", words):
            return parse_instant(text.strip())
        return now - duration(words.removesuffix("ago"))
    except (ValueError, OverflowError) as error:
        raise InstantUnclear(text) from error
