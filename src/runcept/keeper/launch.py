"""Starts a program in a session of its own, and says at which step it failed. The only fork of the keeper."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
from collections.abc import Callable
from typing import Any

__all__ = ["Refused", "launch", "raise_file_limit"]

_SIGNALS = tuple(map(int, signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}))
_file_limit = resource.getrlimit(resource.RLIMIT_NOFILE)


class Refused(Exception):
    """`args` are the stage (prepare, fork, chdir, exec; also gone, busy), the errno, and what it is about."""


def raise_file_limit() -> None:
    """Five descriptors a run pass the usual 1,024 at 200 runs. A child gets the limit that we were given."""
    soft, hard = _file_limit
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def launch(program: dict[str, Any], outputs: tuple[str, ...], before_exec: Callable[[], None]) -> int:
    """The pid of a program {argv, env, cwd}, once its execvpe(3) over the PATH of `env` succeeded; else Refused.

    It has exactly `env`, /dev/null as stdin, the FIFOs `outputs` as stdout and stderr, no other descriptor, default
    signal dispositions and an empty mask. It opens the FIFOs itself, read-write: it shares no O_NONBLOCK with us and
    gets no SIGPIPE when we are gone. `before_exec` runs in the child.
    """
    told, tell = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # a handler of ours must not run in the child
    try:
        pid = os.fork()
        if pid == 0:
            _become(tell, program, outputs, before_exec)
    except OSError as error:
        os.close(told)
        raise Refused("fork", error.errno, program["argv"][0]) from error
    finally:
        os.close(tell)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
    with open(told, encoding="ascii") as file:
        failure = file.read()  # ends with the exec, which closes the pipe
    if failure:
        os.waitpid(pid, 0)
        raise Refused(*json.loads(failure))
    return pid


def _become(tell: int, program: dict[str, Any], outputs: tuple[str, ...], before_exec: Callable[[], None]) -> None:
    failure = ["prepare", errno.EINVAL, program["argv"][0]]
    try:
        os.dup2(tell, 3, inheritable=False)
        os.closerange(4, 65536)
        os.setsid()
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        resource.setrlimit(resource.RLIMIT_NOFILE, _file_limit)
        for descriptor, path in enumerate(outputs, 1):
            os.dup2(os.open(path, os.O_RDWR), descriptor)
        failure[::2] = "chdir", program["cwd"]
        os.chdir(program["cwd"])
        failure[::2] = "prepare", program["cwd"]
        before_exec()
        failure[::2] = "exec", program["argv"][0]
        os.execvpe(program["argv"][0], program["argv"], program["env"])  # noqa: S606  no shell, on purpose
    except OSError as error:
        failure[1] = error.errno
    finally:  # whatever it was, only the parent can report it
        os.write(3, json.dumps(failure).encode())
        os._exit(127)
