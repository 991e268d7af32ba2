"""Asking a daemon that may end meanwhile: the next one is asked then. Blocking, like `connection`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from runcept.client.autostart import ensure_daemon
from runcept.client.connection import Connection
from runcept.errors import DaemonUnreachable, RemoteError

__all__ = ["asked"]

_STOPPING_SECONDS = 10.0
_POLL_SECONDS = 0.05
_LOSSES_MAX = 3
"""A request may be what the daemon dies of."""
_T = TypeVar("_T")


def asked(
    home: str, environ: Mapping[str, str], ask: Callable[[Connection, float], _T], *, idempotent: bool = True
) -> _T:
    """What `ask` makes of a connection to the home's daemon, which is started where none runs.

    Where that is about to end, the one that follows it is asked; where it dies before it answers, the next one is as
    well, if the request can be made twice (`idempotent`). `ask` is told how many seconds ago it was first asked.
    Errors: what it raises, and those of `ensure_daemon`.
    """
    began = time.monotonic()
    deadline = began + _STOPPING_SECONDS
    losses = 0
    while True:
        try:
            with ensure_daemon(home, environ) as connection:
                return ask(connection, time.monotonic() - began if losses else 0.0)
        except RemoteError as error:
            if error.code != "daemon-stopping" or time.monotonic() > deadline:
                raise
        except DaemonUnreachable as error:
            losses += 1
            if not error.has_died or losses == _LOSSES_MAX or not idempotent:
                raise
            deadline = time.monotonic() + _STOPPING_SECONDS
        time.sleep(_POLL_SECONDS)
