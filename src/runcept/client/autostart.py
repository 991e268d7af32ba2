"""A daemon when one is needed: connect to it, or start it, once, however many ask at the same moment.

The start is guarded by a lock in the home, so twenty first commands make one daemon and get twenty answers. A socket
that a dead daemon left is the new daemon's to replace: nothing here removes one, so a live one is never stolen.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from runcept.client.connection import Connection
from runcept.errors import DaemonStartFailed
from runcept.paths import ensure_home

__all__ = ["ensure_daemon", "is_held", "stderr_path"]

_START_SECONDS = 10.0
_TAKEOVER_SECONDS = 2.0
"""How long another daemon may take to answer after ours ended because it was there first."""
_POLL_SECONDS = 0.005
_KEPT = {"HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "RUNCEPT_LOG", "SHELL", "TMPDIR", "TZ", "USER"}
_STDERR_MAX = 1 << 20


def stderr_path(home: str) -> str:
    """Where the stderr of a daemon goes that was started here: tracebacks that came before its log was open."""
    return os.path.join(home, "logs", "daemon.stderr")


def ensure_daemon(home: str, environ: Mapping[str, str] = os.environ) -> Connection:
    """A connection to the home's daemon, which is started where none runs.

    `environ` is the asking process's; the daemon gets the little of it that it needs.
    Errors: DaemonStartFailed, DaemonUnreachable, HomeUnsafe.
    """
    ensure_home(home)
    if connection := Connection.if_running(home):
        return connection
    try:
        with _start_lock(home) as answered:
            return answered or Connection.if_running(home) or _start(home, environ)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise DaemonStartFailed(f"{(error.strerror or str(error)).lower()}{where}", stderr_path(home)) from error


def is_held(home: str) -> bool:
    """Whether a daemon or a keeper of this home lives: one of them holds its lock, flock(2)."""
    for name in ("daemon.lock", "keeper.lock"):
        try:
            descriptor = os.open(os.path.join(home, name), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
    return False


@contextmanager
def _start_lock(home: str) -> Iterator[Connection | None]:
    """Hold the right to start a daemon; or yield a connection where one answered while we waited for that right."""
    deadline = time.monotonic() + 2 * _START_SECONDS
    descriptor = os.open(os.path.join(home, "start.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                answered = Connection.if_running(home)
            else:
                yield None
                return
            if answered:
                yield answered
                return
            if time.monotonic() > deadline:
                raise DaemonStartFailed("another command has been starting it for too long", stderr_path(home))
            time.sleep(_POLL_SECONDS)
    finally:
        os.close(descriptor)  # the lock goes with it


def _start(home: str, environ: Mapping[str, str]) -> Connection:
    import subprocess  # only a start needs these two
    from threading import Thread

    with open(stderr_path(home), "ab", opener=_private) as stderr:
        if stderr.tell() > _STDERR_MAX:
            stderr.truncate(0)
        said_before = os.fstat(stderr.fileno()).st_size
        daemon = subprocess.Popen(
            [sys.executable, "-m", "runcept.daemon", home],
            cwd="/",
            env=_reduced(environ, home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
    # Where the asking process lives long, a daemon that ended must not stay its zombie.
    Thread(target=daemon.wait, name="reaps the daemon", daemon=True).start()
    answered = _await_answer(home, daemon.poll, said_before)
    if answered.peer_pid() not in {None, daemon.pid}:
        daemon.terminate()  # the keeper's was first: ours must not come to life after its end
    return answered


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _await_answer(home: str, poll: Callable[[], int | None], said_before: int) -> Connection:
    """The connection, as soon as there is one; `poll` gives the exit status of the daemon that was started."""
    deadline = time.monotonic() + _START_SECONDS
    why = f"it did not answer within {_START_SECONDS:g} s"
    ended = False
    while time.monotonic() < deadline:
        status = None if ended else poll()
        if connection := Connection.if_running(home):
            return connection
        if status:
            why = _last_words(home, said_before) or f"it ended with status {status}"
            break
        if status == 0:  # another daemon was there first, and will answer
            ended, why = True, "it ended at once"
        if ended and not is_held(home):  # it has ended meanwhile
            deadline = min(deadline, time.monotonic() + _TAKEOVER_SECONDS)
        time.sleep(_POLL_SECONDS)
    raise DaemonStartFailed(why, stderr_path(home))


def _reduced(environ: Mapping[str, str], home: str) -> dict[str, str]:
    kept = {key: value for key, value in environ.items() if key in _KEPT or key.startswith("LC_")}
    return kept | {"RUNCEPT_HOME": home}


def _last_words(home: str, said_before: int) -> str:
    """The last line of stderr since the start: of a Python traceback, the exception. Empty where nothing was said."""
    with open(stderr_path(home), "rb") as file:
        file.seek(said_before)
        lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
