"""Starts a program in a session of its own, and says at which step it failed. The only fork of the keeper."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
from collections.abc import Callable, Mapping
from typing import NoReturn

__all__ = ["launch", "raise_file_limit"]

_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
_file_limit = resource.getrlimit(resource.RLIMIT_NOFILE)


def raise_file_limit() -> None:
    """Four descriptors a run pass the usual 1,024 at 250 runs. A child gets the limit that we were given."""
    soft, hard = _file_limit
    most = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    with contextlib.suppress(OSError, ValueError):  # macOS has yet another bound: then it stays as it is
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def launch(
    argv: list[str], env: Mapping[str, str], cwd: str, before_exec: Callable[[], None], spare: int = -1
) -> tuple[int, int]:
    """The pid of what becomes a program, and a pipe: at its end once execvpe(3) over the PATH of `env` succeeded.

    Else the pipe tells the step that failed, prepare, chdir or exec, and the errno. The program has exactly `env`,
    default signal dispositions, an empty mask, and of our descriptors 0 to 2 alone. `before_exec` runs in the child,
    which has `spare` as well until its exec.
    Nothing here waits: a directory or a program on a server that is gone is the child's matter, which has nothing of
    ours open by then.
    """
    told, tell = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # a handler of ours must not run in the child
    try:
        if (pid := os.fork()) == 0:
            _become(tell, spare, argv, env, cwd, before_exec)
    except OSError:
        os.close(told)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.close(tell)
    return pid, told


def _become(  # noqa: PLR0917  what launch was given
    tell: int, spare: int, argv: list[str], env: Mapping[str, str], cwd: str, before_exec: Callable[[], None]
) -> NoReturn:
    step, number = "prepare", errno.EINVAL  # if it is no OSError: a NUL in an argument
    try:
        os.setsid()
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        low, high = sorted((tell, spare if spare >= 0 else tell))
        os.closerange(3, low)  # whatever it waits for from here on: our lock, our socket, our daemon do not
        os.closerange(low + 1, high)
        os.closerange(high + 1, 1 << 16)
        before_exec()
        resource.setrlimit(resource.RLIMIT_NOFILE, _file_limit)  # more may be open: from here on nothing is opened
        step = "chdir"
        os.chdir(cwd)
        step = "exec"
        os.execvpe(argv[0], argv, env)  # noqa: S606  no shell, on purpose
    except OSError as error:
        number = error.errno or number
    finally:  # whatever it was, only the parent can report it
        os.write(tell, f"{step} {number}".encode())
        os._exit(127)
