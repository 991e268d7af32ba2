"""Which hooks an event calls for, what they are told, and what is said of them."""

from __future__ import annotations

from typing import Any

import pytest

from runcept.core.hooks import hook_outcome, hook_variables, hooks_due
from runcept.core.model import Hooks, Kind, Process

ALL = Hooks(ready="r", failed="f", unhealthy="u", exited="e")


def process(kind: Kind = Kind.SERVICE, hooks: Hooks = ALL) -> Process:
    return Process(name="web", command="x", argv=("x",), working_dir="/", kind=kind, hooks=hooks)


@pytest.mark.parametrize(
    ("kind", "event", "data", "wanted", "due"),
    [
        (Kind.SERVICE, "ready", {}, True, ["ready"]),
        (Kind.SERVICE, "failed", {}, True, ["failed"]),
        (Kind.SERVICE, "unhealthy", {}, True, ["unhealthy"]),
        (Kind.SERVICE, "exited", {"exit_code": 0}, False, ["exited"]),
        (Kind.SERVICE, "starting", {}, True, []),
        (Kind.SERVICE, "stopped", {}, False, []),
        (Kind.SERVICE, "hook", {}, True, []),
        (Kind.TASK, "exited", {"exit_code": 0}, True, ["exited", "ready"]),
        (Kind.TASK, "exited", {"exit_code": 0}, False, ["exited"]),
        (Kind.TASK, "exited", {"exit_code": 1}, True, ["exited"]),
        (Kind.TASK, "exited", {"exit_code": None}, True, ["exited"]),
    ],
)
def test_an_event_calls_for_the_hook_of_its_name(
    kind: Kind, event: str, data: dict[str, Any], wanted: bool, due: list[str]
) -> None:
    """And the end of a task with success for `ready`, unless somebody has stopped it."""
    assert hooks_due(process(kind), event, data, wanted=wanted) == due
    assert hooks_due(process(kind, Hooks()), event, data, wanted=wanted) == []


def test_what_a_hook_is_told_is_always_set() -> None:
    """Empty where there is nothing to tell, for scripts with `set -u`; never what execve(2) does not take."""
    told = hook_variables("exited", "a\0b", {"exit_code": 0, "exit_signal": None}, project="shop", pid=None)
    assert told == {
        "RUNCEPT_EVENT": "exited",
        "RUNCEPT_REASON": "ab",
        "RUNCEPT_EXIT_CODE": "0",
        "RUNCEPT_EXIT_SIGNAL": "",
        "RUNCEPT_PID": "",
        "RUNCEPT_PROJECT": "shop",
    }


def test_the_sentence_about_a_hook_has_its_end_its_time_and_its_last_line() -> None:
    """And for how many events it stands, where it is more than one."""
    said = hook_outcome("failed", "web", "exit code 1", seconds=0.2, last_line="no mail", events=1)
    assert said == "hook failed of web: exit code 1 after 200ms: no mail"
    said = hook_outcome("exited", "web", "exit code 0", seconds=0.2, last_line="", events=214)
    assert said == "hook exited of web: exit code 0 after 200ms, for the last of 214 events"
