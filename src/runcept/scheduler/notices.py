"""When failures are shown on the desktop, how many at once, and in which words. Pure.

The first failure waits a moment for those that come of it, and all are shown as one. What fails soon after a notice was
shown waits for the next one: a project shows one in five seconds at most.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

__all__ = ["Notice", "Notices"]

_TOGETHER_SECONDS = 1.5
_BETWEEN_SECONDS = 5.0
_NAMED_MAX = 4
"""Failures that are told each with its reason."""
_REASON_MAX = 150
_NAMES_MAX = 80


class Notice(NamedTuple):
    """What is shown."""

    title: str
    body: str


class Notices:
    """The failures of one project that are not shown yet. Instants are monotonic."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}
        self._shown_at: float | None = None
        self.deadline: float | None = None
        """When there is something to show; None: nothing has failed."""

    def failed(self, process: str, reason: str, now: float) -> None:
        """A process has failed."""
        self._reasons.pop(process, None)  # what failed last stands last
        self._reasons[process] = reason
        if self.deadline is None:
            earliest = now if self._shown_at is None else self._shown_at + _BETWEEN_SECONDS
            self.deadline = max(now + _TOGETHER_SECONDS, earliest)

    def take(self, project: str, still_failed: Collection[str], now: float) -> Notice | None:
        """What to show once the deadline has come; None where nobody needs to know any more.

        `still_failed`: what somebody has started again, or stopped, meanwhile, is no news.
        """
        reasons = {name: reason for name, reason in self._reasons.items() if name in still_failed}
        self._reasons, self.deadline = {}, None
        if not reasons:
            return None
        self._shown_at = now
        return _worded(project, reasons)


def _worded(project: str, reasons: dict[str, str]) -> Notice:
    if len(reasons) == 1:
        ((name, reason),) = reasons.items()
        return Notice(f"{name} of {project} failed", _short(reason, 2 * _REASON_MAX))
    names = _short(", ".join(reasons), _NAMES_MAX)
    lines = [f"{name}: {_short(reason, _REASON_MAX)}" for name, reason in list(reasons.items())[:_NAMED_MAX]]
    if len(reasons) > _NAMED_MAX:
        lines.append(f"and {len(reasons) - _NAMED_MAX} more")
    return Notice(f"{len(reasons)} processes of {project} failed: {names}", "\n".join(lines))


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
