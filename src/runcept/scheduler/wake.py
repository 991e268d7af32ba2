"""What is to become of the ports of a process that a connection wakes. Pure."""

from __future__ import annotations

from typing import Literal

from runcept.core.life import Life
from runcept.core.model import Process, State

__all__ = ["Doing", "answer", "doing"]

Doing = Literal["hold", "lend", "close"]
"""Hold them and wait for a connection; let its run have them; give them up."""

_HTTP = (
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {size}\r\n"
    "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
)


def doing(life: Life | None, process: Process | None) -> Doing:
    """What is to be done with its ports as it is now; without either it is known no more."""
    if life is None or process is None or not process.doorstep or life.state in {State.FAILED, State.EXITED}:
        return "close"
    if life.asleep and life.state is State.STOPPED:
        return "hold"
    return "lend" if life.wanted or life.is_up else "close"


def answer(name: str, life: Life | None) -> str:
    """What an HTTP client is told that waited in vain, as it goes over the wire."""
    why = "it is not known any more" if life is None else f"it is {life.state}: {life.reason}"
    text = f"runcept: {name} cannot answer; {why}\n"
    return _HTTP.format(size=len(text.encode())) + text
