"""Which hooks an event of a process calls for, what they are told, and the sentence about how one went. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runcept.core.model import Kind, Process
from runcept.units import format_duration

__all__ = ["HOOKS", "hook_outcome", "hook_variables", "hooks_due"]

HOOKS = ("ready", "failed", "unhealthy", "exited")
"""Each is called like the event that calls for it."""


def hooks_due(process: Process, event: str, data: Mapping[str, Any], *, wanted: bool) -> list[str]:
    """The hooks to be run for an event, of those that the process has.

    A task is ready when it has ended with success, unless somebody has asked it to end.
    """
    due = [event] if event in HOOKS else []
    if event == "exited" and process.kind is Kind.TASK and wanted:
        due += ["ready"] if data.get("exit_code") in process.success_exit_codes else []
    return [hook for hook in due if getattr(process.hooks, hook)]


def hook_variables(hook: str, reason: str, data: Mapping[str, Any], *, project: str, pid: int | None) -> dict[str, str]:
    """What a hook is told beside whose it is; empty where there is nothing to tell, so that each is set."""
    return {
        "RUNCEPT_EVENT": hook,
        "RUNCEPT_REASON": reason.replace("\0", ""),
        "RUNCEPT_EXIT_CODE": _text(data.get("exit_code")),
        "RUNCEPT_EXIT_SIGNAL": _text(data.get("exit_signal")),
        "RUNCEPT_PID": _text(pid),
        "RUNCEPT_PROJECT": project,
    }


def _text(value: object) -> str:
    return "" if value is None else str(value)


def hook_outcome(hook: str, process: str, how: str, *, seconds: float, last_line: str, events: int) -> str:
    """One sentence; `how` it ended, the last line that it wrote, and how many events it was run for."""
    several = f", for the last of {events} events" if events > 1 else ""
    said = f": {last_line}" if last_line else ""
    return f"hook {hook} of {process}: {how} after {format_duration(seconds)}{several}{said}"
