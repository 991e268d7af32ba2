"""What the forked child does: it becomes the caller, runs the command, says how it ended, and is gone.

Nothing here returns to the host's loop.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from io import TextIOWrapper
from typing import NoReturn, TextIO, cast

from runcept.cli.entry import ENDED, READY
from runcept.cli.in_process import run_here
from runcept.host.request import Request

__all__ = ["run_and_exit", "word"]

_CALLER = 3
"""The descriptor of the connection, in the child."""
_FIRST_CLOSED, _CLOSED_END = 4, 1024
_INTERRUPTED = 130


class _CallerGone(Exception):
    """Nobody waits for the command."""


def word(kind: int, number: int) -> bytes:
    """What the entry hears: five bytes."""
    return kind.to_bytes(1, "big") + number.to_bytes(4, "big")


def run_and_exit(request: Request, connection: int) -> NoReturn:
    """Run the command as the caller would have, once it has given us its directory and its streams."""
    status = 1
    try:
        _take_signals()
        os.dup2(connection, _CALLER, inheritable=False)
        os.closerange(_FIRST_CLOSED, _CLOSED_END)
        os.write(_CALLER, word(READY, os.getpid()))
        _become(request)
        status = run_here(request.arguments[1:])
    except _CallerGone:
        os._exit(0)
    except KeyboardInterrupt:
        status = _INTERRUPTED
    except BaseException:  # noqa: BLE001  a defect in a command looks as it does in a process of its own
        sys.excepthook(*sys.exc_info())
    finally:
        _leave(status)


def _leave(status: int) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # nobody reads it any more
            if stream is not None:
                stream.flush()
    with contextlib.suppress(OSError):  # the caller has gone
        os.write(_CALLER, word(ENDED, status))
    os._exit(status)


def _take_signals() -> None:
    """As a fresh interpreter has them, and let those in that were held back since before the fork."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _become(request: Request) -> None:
    os.umask(request.mask)
    os.environb.clear()
    os.environb.update(request.environ)
    time.tzset()
    sys.argv = [*request.arguments]
    directory, *opened = _receive(1 + sum(each is not None for each in request.streams))
    os.fchdir(directory)
    given = iter(opened)
    for number, stream in enumerate(request.streams):
        if stream is None:
            os.close(number)
        else:
            os.dup2(next(given), number)
    for each in (directory, *opened):
        os.close(each)
    sys.stdin, sys.stdout, sys.stderr = (
        _open(number, "r" if number == 0 else "w", stream) for number, stream in enumerate(request.streams)
    )
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc, assignment]


def _receive(count: int) -> list[int]:
    """The caller's descriptors. Errors: _CallerGone: it has not given them, so the command is not ours to run."""
    connection = socket.socket(fileno=_CALLER)
    block, received, _, _ = socket.recv_fds(connection, 1, count)
    connection.detach()
    if not block or len(received) != count:
        raise _CallerGone
    return received


def _open(number: int, mode: str, stream: tuple[str, str] | None) -> TextIO:
    """As the interpreter opens its standard streams; None, which TextIO does not say, for a closed one."""
    if stream is None:
        return cast("TextIO", None)
    encoding, errors = stream
    opened = cast("TextIOWrapper", open(number, mode, encoding=encoding, errors=errors, newline="\n", closefd=False))  # noqa: SIM115
    opened.reconfigure(line_buffering=number == 2 or opened.isatty())
    return opened
