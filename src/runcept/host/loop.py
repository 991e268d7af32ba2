"""The loop of the host: it accepts callers, forks for each, and tells how a child ended that could not say so itself.

Single-threaded, and asleep unless something happens. It ends when the daemon does, when nobody has asked for a while,
and when its code is no longer what is on disk. From then on it accepts nobody, and another host may be started; but it
stays until the commands under way are over, since a command whose caller has gone is its to end.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from runcept.cli.entry import KILLED, PATIENCE, REFUSED, installation, world
from runcept.client.code import Code
from runcept.client.host_start import LOCK
from runcept.host.child import run_and_exit, word
from runcept.host.request import Request, RequestBroken, read_request

__all__ = ["Host"]

_CALLERS_MAX = 500
"""Each has a descriptor here, and a child closes those below 1,024."""
_READ_BYTES = 1 << 18
_INT = struct.calcsize("i")


@dataclass(eq=False, slots=True)
class _Asking:
    """A caller who has not said all yet."""

    connection: socket.socket
    deadline: float
    received: bytearray = field(default_factory=bytearray)


class Host:
    """Who asks, what runs, and until when. `path` is where `listener` listens; `daemon` is a connection to it."""

    def __init__(
        self, path: str, listener: socket.socket, daemon: socket.socket, code: Code, idle_seconds: float
    ) -> None:
        self._path = path
        self._listener = listener
        self._daemon = daemon
        self._code = code
        self._idle_seconds = idle_seconds
        self._idle_at = time.monotonic() + idle_seconds
        self._installation, self._world = installation(), world()
        self._asking: set[_Asking] = set()
        self._running: dict[int, socket.socket | None] = {}
        """The connection of each child's caller, by the child's pid; None once the caller has gone."""
        self._open = True
        self._poll = select.poll()
        self._reactions: dict[int, Callable[[], None]] = {}
        self._signals = self._take_signals()
        listener.setblocking(False)
        self._watch(listener, self._accept)
        self._watch(daemon, self._daemon_spoke)
        self._watch(self._signals, self._signalled)

    def run(self) -> None:
        """Until there is a reason to end, and the last command is over."""
        while self._open or self._running:
            for descriptor, _ in self._poll.poll(self._milliseconds()):
                if descriptor in self._reactions:  # what came before it may have closed it
                    self._reactions[descriptor]()
            now = time.monotonic()
            for caller in [each for each in self._asking if each.deadline <= now]:
                self._drop(caller)
            if not self._running and self._idle_at <= now:
                self.close()

    def close(self) -> None:
        """Accept nobody any more, and make room for the next host."""
        if not self._open:
            return
        self._open = False
        with contextlib.suppress(FileNotFoundError):  # the home may be gone altogether
            os.unlink(self._path)
        for each in (self._listener, self._daemon):
            self._close(each)
        for caller in [*self._asking]:
            self._drop(caller)
        os.close(LOCK)

    def _milliseconds(self) -> float | None:
        """Until the next deadline; None: there is none."""
        deadlines = [each.deadline for each in self._asking]
        if not self._running:
            deadlines.append(self._idle_at)
        return max(0.0, min(deadlines) - time.monotonic()) * 1000 if deadlines else None

    def _watch(self, what: socket.socket | int, react: Callable[[], None], events: int = select.POLLIN) -> None:
        """Call `react` at these events, poll(2), and when the other end hangs up."""
        descriptor = what if isinstance(what, int) else what.fileno()
        self._poll.register(descriptor, events)
        self._reactions[descriptor] = react

    def _close(self, connection: socket.socket) -> None:
        self._poll.unregister(connection)
        del self._reactions[connection.fileno()]
        connection.close()

    # ------------------------------------------------------------------------------------------ callers

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # it has left already
            return
        if len(self._asking) + len(self._running) >= _CALLERS_MAX or _peer(connection)[1] != os.geteuid():
            connection.close()  # it will run its command itself
            return
        connection.setblocking(False)
        caller = _Asking(connection, time.monotonic() + PATIENCE)
        self._asking.add(caller)
        self._watch(connection, partial(self._hear, caller))
        self._hear(caller)  # most have said all by now

    def _hear(self, caller: _Asking) -> None:
        try:
            block = caller.connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._drop(caller)
            return
        caller.received += block
        try:
            request = read_request(caller.received)
        except RequestBroken:
            block = b""
        if not block:
            self._drop(caller)
        elif request is not None:
            self._serve(caller, request)

    def _drop(self, caller: _Asking) -> None:
        self._asking.discard(caller)
        self._close(caller.connection)

    # ------------------------------------------------------------------------------------------ commands

    def _serve(self, caller: _Asking, request: Request) -> None:
        if request.installation != self._installation or not self._code.is_current():
            self._refuse(caller)
            self.close()  # the caller runs its command itself, and then starts a host of the code that it has
        elif request.world != self._world or _peer(caller.connection)[0] not in {0, request.pid}:
            self._refuse(caller)
        else:
            self._fork(caller, request)

    def _refuse(self, caller: _Asking) -> None:
        with contextlib.suppress(OSError):  # it has left
            caller.connection.send(word(REFUSED, 0))
        self._drop(caller)

    def _fork(self, caller: _Asking, request: Request) -> None:
        connection = caller.connection
        connection.setblocking(True)  # for the child: this is a property of what both have open
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # the child's are not for our handlers
        try:
            pid = os.fork()
        except OSError:  # no process is left, or no memory: the caller may have more luck
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            self._refuse(caller)
            return
        if pid == 0:
            run_and_exit(request, connection.fileno())
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        self._asking.discard(caller)
        self._running[pid] = connection
        self._watch(connection, partial(self._hung_up, pid, connection), 0)  # what it says is for the child

    def _hung_up(self, pid: int, connection: socket.socket) -> None:
        """The caller has gone: its command gets what a terminal sends that goes. Where it has just ended, no harm."""
        os.kill(pid, signal.SIGHUP)  # it was not reaped yet, so the pid is nobody else's
        self._close(connection)
        self._running[pid] = None

    def _signalled(self) -> None:
        if not {signal.SIGTERM, signal.SIGINT}.isdisjoint(os.read(self._signals, 4096)):
            self.close()
        for pid in [*self._running]:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._child_ended(pid, status)

    def _child_ended(self, pid: int, status: int) -> None:
        self._idle_at = time.monotonic() + self._idle_seconds
        connection = self._running.pop(pid)
        if connection is None:
            return
        if os.WIFSIGNALED(status):
            with contextlib.suppress(OSError):  # it left at the same moment
                connection.send(word(KILLED, os.WTERMSIG(status)))
        self._close(connection)

    # ------------------------------------------------------------------------------------------ the rest

    def _daemon_spoke(self) -> None:
        """It says nothing to who does not ask, so this is its end."""
        self.close()

    def _take_signals(self) -> int:
        """The descriptor from which the numbers of signals are read."""
        reading, writing = os.pipe()
        for each in (reading, writing):
            os.set_blocking(each, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        return reading


def _peer(connection: socket.socket) -> tuple[int, int]:
    """The pid and uid of the other end, as seen from here. macOS does not tell: the socket has let it in."""
    if not hasattr(socket, "SO_PEERCRED"):
        return 0, os.geteuid()
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 3 * _INT))
    return pid, uid
