"""Durations, signals and health checks as other tools write them, as values of a project file. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from signal import Signals
from typing import Any

from runcept import units

__all__ = ["check", "duration", "go_seconds", "signal", "url_in"]

_GO = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_ASKS = re.compile(
    r"(?:curl|wget)(?:\s+-\S+|\s+/dev/null)*\s+[\"']?"
    r"(?P<url>https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::\d+)?(?:/[^\s\"'`$;&|<>*?]*)?)[\"']?"
    r"(?:\s+-\S+)*(?:\s+>\s*/dev/null(?:\s+2>&1)?)?(?:\s*\|\|\s*(?:exit\s+1|false))?"
)
_YEAR = 365 * 86400.0


def go_seconds(text: str) -> float | None:
    """Seconds of a duration as Go writes it ("1m30s", "1.5h"), or of a plain number of them; None: it is none."""
    text = text.strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text, re.ASCII):
        return float(text)
    if len(text) > 40 or not re.fullmatch(rf"(?:{_GO.pattern})+", text, re.ASCII):
        return None
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _GO.findall(text))
    return seconds if seconds < _YEAR else None


def duration(seconds: float) -> str:
    """As a project file has it: "1m30s", or in seconds where that says it better."""
    text = units.format_duration(seconds)
    return text if units.duration(text) == seconds else f"{seconds:g}s"


def signal(text: str) -> str | None:
    """The name of a signal that is given by its name or number; None: there is no such signal."""
    word = text.strip().upper()
    if word.isdecimal() and word.isascii():
        numbers = {each.value: each.name for each in Signals}
        return numbers.get(int(word[:6]))
    full = word if word.startswith("SIG") else f"SIG{word}"
    return Signals[full].name if full in Signals.__members__ else None


def check(url: str, timing: Mapping[str, Any]) -> object:
    """The value of `health_check`: the URL alone where nothing else is said."""
    return {"url": url, **timing} if timing else url


def url_in(command: str | Iterable[str]) -> str | None:
    """The URL that a curl or wget on this machine would ask for and nothing else: Runcept can ask itself."""
    text = command if isinstance(command, str) else shlex.join(command)
    found = _ASKS.fullmatch(text.strip())
    return found["url"].replace("0.0.0.0", "localhost") if found else None  # noqa: S104  it is asked, not listened on
