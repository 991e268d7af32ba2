"""Signals that reach the process meant or nobody, and the sweep that leaves nothing of a run behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from signal import SIGKILL, Signals

from runcept.process.identity import start_time
from runcept.process.limits import patiently
from runcept.process.members import Member

__all__ = ["is_in_group", "name_of", "send", "sweep"]

_UNKILLABLE_SECONDS = 5.0
_POLL_MIN, _POLL_MAX = 0.001, 0.1
_NAMES = {known.value: known.name for known in Signals}


def name_of(number: int) -> str:
    """As kill(1) calls it: SIGTERM; SIGRTMIN+3 for the real-time signals, which Python has no names for."""
    if number in _NAMES:
        return _NAMES[number]
    first = getattr(signal, "SIGRTMIN", number)
    return f"SIGRTMIN+{number - first}" if number > first else f"SIG{number}"


def send(member: Member, number: int) -> bool:
    """Signal that very process: False where it is gone, its pid is somebody else's by now, or it is not ours to signal.

    pidfd_open(2) first, then the start time: what the descriptor holds cannot change after the look. Elsewhere than on
    Linux there is a moment between look and kill(2).
    """
    try:
        if sys.platform != "linux":
            if start_time(member.pid) != member.start_time:
                return False
            os.kill(member.pid, number)
            return True
        descriptor = os.pidfd_open(member.pid)
        try:
            if start_time(member.pid) != member.start_time:
                return False
            signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def is_in_group(pid: int, leader: int | None) -> bool:
    """Whether the process is in the group of this leader; one that is gone is."""
    try:
        return os.getpgid(pid) == leader
    except ProcessLookupError:
        return True


async def sweep(find_members: Callable[[], Awaitable[Collection[Member]]]) -> list[Member]:
    """SIGKILL to all that `find_members` finds, again and again until it finds nothing; [] as a rule.

    What is still there 5 s after its first SIGKILL cannot be killed, and is returned once nothing else is left.
    """
    loop = asyncio.get_running_loop()
    pause, since = _POLL_MIN, dict[Member, float]()
    while left := set(await find_members()):
        now = loop.time()
        if all(now - since.get(member, now) >= _UNKILLABLE_SECONDS for member in left):
            return sorted(left, key=lambda member: member.pid)
        for member in left:
            await patiently(partial(send, member, SIGKILL))
        is_known = left <= since.keys()  # what forks anew is caught by being quicker
        pause = min(2 * pause, _POLL_MAX) if is_known else _POLL_MIN
        since = {member: since.get(member, now) for member in left}
        await asyncio.sleep(pause)
    return []
