"""The nearest fix for what an explanation tells: one or two sentences that say what a person does now. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from runcept.core.diagnosis import diagnose_output
from runcept.core.explain import Cause, Failing
from runcept.core.model import Health, State
from runcept.core.views import ProcessView

__all__ = ["remedy"]

_PORT = re.compile(r"^(?:tcp|https?)://[^/?#]*:(\d+)(?=[/?#]|$)")
_OF_REASONS = (
    (
        re.compile("nobody was there to see its exit status"),
        "How it ended is not known; the end of its log shows how far it came.",
    ),
    (
        re.compile("cannot be ended"),
        "It hangs in the kernel, as with a file system that does not answer: mend that, and it ends by itself.",
    ),
    (re.compile(r"^killed by SIG(?:KILL|TERM|INT|HUP|QUIT)\b"), "Something else than Runcept has ended it."),
    (re.compile(r"^killed by SIG"), "The program crashed: its log, or a core dump, shows where."),
)


def remedy(causes: Sequence[Cause], root: ProcessView, output: Sequence[str]) -> str:
    """For the process in which it began, `root`, from its state and the last lines that it wrote; "" where all is well.

    `output`: lines without escapes of terminals, oldest first.
    """
    cause = causes[-1]
    if cause.hint:
        return cause.hint
    if cause.state in {State.FAILED, State.BACKOFF}:
        return diagnose_output(root, output) or _of_end(cause)
    if cause.failing is None or cause.health is Health.HEALTHY or cause.state is State.STOPPING:
        return ""
    return diagnose_output(root, output) or _of_check(cause.failing, root)


def _of_end(cause: Cause) -> str:
    for pattern, sentence in _OF_REASONS:
        if pattern.search(cause.reason or ""):
            return sentence
    return f"Mend what its log ends with (`runcept logs {cause.process}`)."


def _of_check(failing: Failing, root: ProcessView) -> str:
    """The check asks in the wrong place, or too early."""
    asked = _PORT.match(failing.check)
    if failing.check.startswith("log://"):
        return "See in its log what it writes when it is ready, and whether its output is buffered."
    if asked is None or "refused" not in failing.detail:
        return f"See what its health check asks ({failing.check}), and what its log says of it."
    if root.ports and int(asked[1]) not in root.ports:
        ports = ", ".join(map(str, root.ports))
        return f"It listens on {ports}, and its health check asks {asked[1]}: make them the same."
    return f"Nothing listens on {asked[1]} yet: its log tells whether it needs longer, or listens elsewhere."
