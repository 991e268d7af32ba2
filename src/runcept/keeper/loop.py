"""The keeper's loop: what it holds, what the daemon may ask, when the daemon is started again. It decides nothing.

Two selectors: `control` has sockets, signals and ends of processes; `pipes` has the FIFOs, and `control` itself. Where
little comes from the FIFOs they are left alone after each look, at most 20 ms: many slow writers then cost little.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from functools import partial
from typing import Any

from runcept import __version__
from runcept.keeper.launch import Refused, launch, raise_file_limit
from runcept.keeper.portable import Portable
from runcept.keeper.run import Run
from runcept.keeper.wire import Wire

__all__ = ["Keeper", "main"]

_BOUND = 64 << 20
_MUCH = 4096  # bytes at one look: there is more where this came from
_PAUSE_MIN, _PAUSE_MAX = 0.0005, 0.02
_RETRY = 1.0
_UNREAPED = 0.02  # until a stranger's parent may have reaped it
_RESTARTS = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
_STEADY = 10.0  # a daemon that stayed this long has not crashed at its start
_ALONE = 10
_NEVER = float("inf")


class Keeper:
    """All that is held.

    `bound` is the backlog of a run, in bytes, at which its FIFOs are no longer read; `alone` the seconds after which a
    keeper ends that holds nothing, and that nobody has come for.
    """

    def __init__(self, home: str, lock: int, system: Portable, *, bound: int, alone: int) -> None:
        self.home, self.lock, self.system, self.bound, self.alone = home, lock, system, bound, alone
        self.runs: dict[str, Run] = {}
        self.due: dict[Run, float] = {}
        self.control, self.pipes = selectors.DefaultSelector(), selectors.DefaultSelector()
        self.pipes.register(self.control.fileno(), selectors.EVENT_READ)
        self.wire: Wire | None = None
        self.restart: list[str] | None = None
        self.daemon = self.restarts = 0
        self.met_at = self.quiet_until = self.pause = 0.0
        self.restart_at = time.monotonic() + alone
        self.done = False

    def open(self, path: str) -> None:
        """Listen at `path` and for signals. Whatever is at `path` is a dead keeper's: the living one has the lock."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self.listener = socket.socket(socket.AF_UNIX)
        umask = os.umask(0o177)
        self.listener.bind(path)
        os.umask(umask)
        self.listener.listen()
        self.listener.setblocking(False)
        self.control.register(self.listener, selectors.EVENT_READ, self._accept)
        self.signals, wakeup = os.pipe()
        for descriptor in (self.signals, wakeup):
            os.set_blocking(descriptor, False)
        self.control.register(self.signals, selectors.EVENT_READ, self._signalled)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: None)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGTSTP):
            signal.signal(number, signal.SIG_IGN)

    def log(self, sentence: str) -> None:
        """Add a line to the keeper's log; a log that cannot be written has no other place to say so."""
        with contextlib.suppress(OSError), open(os.path.join(self.home, "logs", "keeper.log"), "a") as file:
            file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {sentence}\n")

    def run(self) -> None:
        """Turn until there is nothing left to hold and somebody has said so."""
        while not self.done:
            now = time.monotonic()
            quiet = now < self.quiet_until
            until = min(self.restart_at, *self.due.values(), self.quiet_until if quiet else _NEVER)
            patience = None if until == _NEVER else max(0.0, until - now)
            ready = (self.control if quiet else self.pipes).select(patience)
            if not quiet:
                self._look([key.data for key, _mask in ready if key.data])
                ready = self.control.select(0)
            for key, _mask in ready:
                key.data()
            self._catch_up(time.monotonic())
            self._flush()

    def _look(self, ready: list[tuple[Run, int]]) -> None:
        if ready:
            much = max(self._read(run, stream) for run, stream in ready) >= _MUCH
            self.pause = 0.0 if much else min(max(2 * self.pause, _PAUSE_MIN), _PAUSE_MAX)
            self.quiet_until = time.monotonic() + self.pause

    def _read(self, run: Run, stream: int) -> int:
        moved = self._attempt(run, partial(run.read, stream)) or 0
        self._settle(run)
        return moved

    def _attempt(self, run: Run, action: Any) -> Any:
        """Do something that writes to the run's directory; a full disk stops this run alone, until it works again."""
        try:
            return action()
        except OSError as error:
            if not run.stuck:
                self.log(f"{run.key}: cannot write its output, trying again each second: {error}")
            run.stuck = True
            self.due[run] = time.monotonic() + _RETRY
            return None

    def _settle(self, run: Run) -> None:
        """Say how much there is, and read on or not."""
        if self.wire and run.told != run.spool.size:
            self.wire.sizes[run.key] = run.told = run.spool.size
        wanted = not run.stuck and run.spool.size - run.consumed < self.bound
        if wanted != run.reading:
            run.reading = wanted
            for stream, pipe in enumerate(run.pipes):
                if wanted:
                    self.pipes.register(pipe, selectors.EVENT_READ, (run, stream))
                else:
                    self.pipes.unregister(pipe)

    def _hold(self, run: Run) -> dict[str, Any]:
        self.runs[run.key] = run
        self._settle(run)
        if run.watched >= 0:
            run.watching = True
            self.control.register(run.watched, selectors.EVENT_READ, partial(self._check, run))
        elif not run.own:
            self.due[run] = time.monotonic() + _RETRY
        return run.as_dict()

    def _check(self, run: Run) -> None:
        """Its descriptor, SIGCHLD or the clock says that it may have ended."""
        ended = run.exit is None and run.ended()
        if run.watching and (ended or not run.own):
            self.control.unregister(run.watched)
            run.watching = False
        if ended:
            self._attempt(run, run.drain)
            self._attempt(run, run.record)
            self._settle(run)
            if self.wire:
                self.wire.send({"event": "exited", "key": run.key, **(run.exit or {}), "size": run.spool.size})
        elif run.exit is None and not run.own:
            self.due[run] = time.monotonic() + (_UNREAPED if run.watched >= 0 else _RETRY)

    def _catch_up(self, now: float) -> None:
        for run in [run for run, due in self.due.items() if due <= now]:
            del self.due[run]
            run.stuck = False
            if run.exit:
                self._attempt(run, run.record)
            else:
                self._check(run)
            for stream in range(len(run.pipes)):
                self._read(run, stream)
        if now >= self.restart_at:
            self._start_daemon()

    def _signalled(self) -> None:
        numbers = os.read(self.signals, 4096)
        if signal.SIGTERM in numbers and not self.runs:
            self.done = True
        for run in [run for run in self.runs.values() if run.watched < 0]:
            self._check(run)
        for pid in {self.daemon, *self.system.orphans({run.pid for run in self.runs.values() if run.own})} - {0}:
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG)[0] == self.daemon:
                    self.daemon = 0

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # it has left again
            connection, _address = self.listener.accept()
            if self.system.peer_uid(connection) != os.geteuid():
                connection.close()
                return
            self._drop()
            self.wire, self.met_at = Wire(connection), time.monotonic()
            self.control.register(connection, selectors.EVENT_READ, self._listen)

    def _listen(self) -> None:
        for message in self.wire.receive() if self.wire else []:
            answer = self._answer(message)
            if "id" in message and self.wire:
                self.wire.send({"id": message["id"], **answer})

    def _flush(self) -> None:
        if self.wire is None:
            return
        wanted = self.wire.flush()
        if self.wire.broken:
            self._drop()
            self.restarts = 0 if time.monotonic() - self.met_at > _STEADY else self.restarts
            self._schedule()
        elif wanted != self.control.get_key(self.wire.socket).events:
            self.control.modify(self.wire.socket, wanted, self._listen)

    def _drop(self) -> None:
        if self.wire:
            self.control.unregister(self.wire.socket)
            self.wire.socket.close()
            self.wire = None

    def _schedule(self) -> None:
        pause = _RESTARTS[min(self.restarts, len(_RESTARTS) - 1)] if self.restart else self.alone
        self.restart_at = time.monotonic() + pause

    def _start_daemon(self) -> None:
        self.restart_at = _NEVER
        try:
            moved = os.stat(os.path.join(self.home, "keeper.lock")).st_ino != os.fstat(self.lock).st_ino
        except FileNotFoundError:
            moved = True
        if not self.runs and (moved or not self.restart):  # a daemon would make a home that is gone anew
            self.done = True
        if not self.restart or self.done:
            return
        if not self.daemon:
            try:
                self.daemon = launch({"argv": self.restart, "env": dict(os.environ), "cwd": "/"}, (), lambda: None)
                self.log(f"the daemon was lost; started it again as pid {self.daemon}")
            except Refused as refused:
                self.log(f"the daemon was lost and cannot be started again: {refused}")
        self.restarts += 1
        self._schedule()

    def _answer(self, message: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"result": getattr(self, f"_on_{message['op']}")(message)}
        except Refused as refused:
            stage, number, path = refused.args
        except ProcessLookupError:
            stage, number, path = "gone", errno.ESRCH, message.get("key")
        except OSError as error:
            stage, number, path = "prepare", error.errno or 0, error.filename
        except Exception:  # noqa: BLE001  whatever a request does, the children are to be held
            self.log(f"cannot do {message.get('op')}: {traceback.format_exc()}")
            stage, number, path = "request", errno.EINVAL, message.get("key")
        return {"error": {"stage": stage, "errno": number, "strerror": os.strerror(number), "path": path}}

    def _held(self, message: dict[str, Any]) -> Run:
        if message["key"] not in self.runs:
            raise ProcessLookupError
        return self.runs[message["key"]]

    def _on_hello(self, message: dict[str, Any]) -> dict[str, Any]:
        self.restart, self.restart_at = message["restart"], _NEVER
        runs = [run.as_dict() for run in self.runs.values()]
        return {"pid": os.getpid(), "version": __version__, "boot_id": self.system.boot_id, "runs": runs}

    def _on_spawn(self, message: dict[str, Any]) -> dict[str, Any]:
        return self._hold(Run.spawn(message, self.system))

    def _on_adopt(self, message: dict[str, Any]) -> dict[str, Any]:
        return self._hold(Run.adopt(message, self.system))

    def _on_signal(self, message: dict[str, Any]) -> dict[str, Any]:
        self._held(message).signal(message["signal"], message["to"])
        return {}

    def _on_consumed(self, message: dict[str, Any]) -> dict[str, Any]:
        run = self._held(message)
        run.consumed = max(run.consumed, message["offset"])
        self._settle(run)
        return {}

    def _on_release(self, message: dict[str, Any]) -> dict[str, Any]:
        run = self._held(message)
        if run.exit is None:
            raise Refused("busy", errno.EBUSY, run.key)
        run.drain()
        run.stuck = True  # so that it is not read from here on
        self._settle(run)
        run.close()
        del self.runs[run.key]
        self.due.pop(run, None)
        return {"size": run.spool.size}

    def _on_goodbye(self, _message: dict[str, Any]) -> dict[str, Any]:
        self.restart = None
        return {}

    def _on_shutdown(self, _message: dict[str, Any]) -> dict[str, Any]:
        if self.runs:
            raise Refused("busy", errno.EBUSY, next(iter(self.runs)))
        self.done = True
        return {}


def main(arguments: Sequence[str]) -> int:
    """Hold the lock of HOME and serve SOCKET until told to end. Exit status 3: another keeper has this home."""
    home, path = map(os.path.abspath, arguments[:2])
    os.closerange(3, 65536)
    os.makedirs(os.path.join(home, "logs"), 0o700, exist_ok=True)
    lock = os.open(os.path.join(home, "keeper.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.stderr.write(f"another keeper holds {home}\n")
        return 3
    with contextlib.suppress(PermissionError):  # we lead a session already
        os.setsid()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    raise_file_limit()
    options = {"--bound": _BOUND, "--alone": _ALONE}
    options |= {name: int(arguments[arguments.index(name) + 1]) for name in options if name in arguments}
    system = _system("--portable" in arguments)
    keeper = Keeper(home, lock, system, bound=options["--bound"], alone=options["--alone"])
    try:
        keeper.open(path)
        keeper.run()
    except BaseException:
        keeper.log(f"ended by a defect of its own: {traceback.format_exc()}")
        raise
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    return 0


def _system(portable: bool) -> Portable:
    if portable or sys.platform != "linux":
        return Portable()
    from runcept.keeper.linux import Linux

    return Linux()
