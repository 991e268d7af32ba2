"""The keeper's loop: what it holds, what the daemon may ask, when the daemon is started again. It decides nothing.

Two selectors: `control` has sockets and signals; `pipes` has the FIFOs, and `control` itself. Where little comes from
the FIFOs they are left alone after each look, at most 20 ms: many slow writers then cost little. Where there are so
many that looking would take more than a hundredth of a core all the same, they are left alone up to 2 s.
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
from typing import Any

from runcept.keeper.door import Doors, can_ask
from runcept.keeper.launch import launch, raise_file_limit
from runcept.keeper.run import Run
from runcept.keeper.system import Linux, Portable
from runcept.keeper.wire import Wire

__all__ = ["Keeper", "main"]

_NEVER = float("inf")


class Keeper:
    """All that is held.

    `lock`: the descriptor of the home's lock. `bound`: the backlog of a run, in bytes, at which its FIFOs are no longer
    read. `alone`: the seconds after which a keeper ends that holds nothing, and that nobody has come for.
    """

    def __init__(self, home: str, lock: int, system: Portable, bound: int, alone: int) -> None:
        self.home, self.lock, self.system, self.bound, self.alone = home, lock, system, bound, alone
        self.runs: dict[str, Run] = {}
        self.control, self.pipes = selectors.DefaultSelector(), selectors.DefaultSelector()
        self.pipes.register(self.control.fileno(), selectors.EVENT_READ)
        self.wire: Wire | None = None
        self.doors = Doors(self.control, self._tell, can_hold=isinstance(system, Linux) and can_ask())
        self.restart: list[str] | None = None
        self.daemon = 0
        self.restart_pause, self.restarted_at = 0.1, 0.0
        self.missed_at = time.monotonic() + alone
        self.looked_at = self.again_at = self.quiet_until = self.pause = 0.0
        self.done = False

    def run(self, path: str) -> None:
        """Serve at `path` until there is nothing left to hold and somebody has said so."""
        self._open(path)
        while not self.done:
            now = time.monotonic()
            patience = min(now + 3600, self.missed_at, self.again_at) - now
            quiet = self.quiet_until - now
            if quiet <= 0:
                self._look({key.data for key, _mask in self.pipes.select(patience) if key.data})
            for key, _mask in self.control.select(min(patience, quiet)):
                key.data()
            self._catch_up(time.monotonic())
            self._flush()

    def _open(self, path: str) -> None:
        """Listen at `path` and for signals. Whatever is at `path` is a dead keeper's: the living one has the lock."""
        self.path = path
        self._bind()
        self.signals, wakeup = os.pipe()
        for descriptor in (self.signals, wakeup):
            os.set_blocking(descriptor, False)
        self.control.register(self.signals, selectors.EVENT_READ, self._signalled)
        signal.set_wakeup_fd(wakeup)
        for name in ("CHLD", "TERM", "HUP", "INT", "QUIT", "PIPE", "TSTP"):
            signal.signal(signal.Signals[f"SIG{name}"], lambda _number, _frame: None)

    def _bind(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        os.chmod(self.path, 0o600)  # before it listens nobody can connect
        self.listener.listen()
        self.listener.setblocking(False)
        self.control.register(self.listener, selectors.EVENT_READ, self._accept)

    def _look(self, ready: set[Run]) -> None:
        """Take what these have written."""
        if ready:
            before = time.process_time()
            much = max(map(self._save, ready)) > 4096  # there is more where this came from
            longest = min(max(0.02, 100 * (time.process_time() - before)), 2.0)
            self.pause = 0.0 if much else min(2 * self.pause + 0.0005, longest)
            self.quiet_until = time.monotonic() + self.pause

    def _catch_up(self, now: float) -> None:
        """See what no descriptor tells of: who has ended, whether a disk has room again, that nobody has come."""
        if now >= self.again_at:
            self.looked_at, self.again_at = now, _NEVER
            for run in self.runs.values():
                self._check(run)
                if run.stuck:
                    self._save(run)
            for pid in {self.daemon, *self.system.children()} - {0, *(run.pid for run in self.runs.values())}:
                if os.waitpid(pid, os.WNOHANG)[0] == self.daemon:
                    self.daemon = 0
        if now >= self.missed_at:
            self._start_daemon(now)

    def _begin(self, run: Run) -> None:
        """It is executed, which is told before anything else of it; or it never will be, which is told with its end."""
        self.control.unregister(run.watched)
        run.begin()
        if self.wire and not run.failed:
            self.wire.send({"event": "begun", "key": run.key})
        self._save(run)
        self.again_at = min(self.again_at, self.looked_at + 0.005)  # it may have ended before

    def _check(self, run: Run) -> None:
        """It may have ended, which is recorded, then told. Of a stranger we get no signal, but Linux tells."""
        if run.ends():
            if run.watched >= 0:
                self.control.unregister(run.watched)
            self._save(run)
            if self.wire and run.exit:
                self.wire.send({"event": "exited", "key": run.key, **run.exit, "size": run.spool.size})
        elif not (run.own or run.exit or run.watched >= 0):
            self.again_at = min(self.again_at, time.monotonic() + 0.2)

    def _save(self, run: Run) -> int:
        """Let it write down what is new, once it has begun; a full disk stops it alone, until there is room again."""
        if not run.begun:
            return 0
        moved, before = 0, run.stuck
        try:
            moved, run.stuck = run.save(), ""
        except OSError as error:
            run.stuck = f"{os.strerror(error.errno or 0).lower()}: {run.directory}"
            self.again_at = min(self.again_at, time.monotonic() + 1)
        if self.wire and (moved or before != run.stuck):
            self.wire.spooled[run.key] = {"size": run.spool.size, "stuck": run.stuck}
        self._settle(run)
        return moved

    def _settle(self, run: Run) -> None:
        """Read its FIFOs, or no more, or again."""
        wanted = run.begun and not run.stuck and run.spool.size - run.spool.consumed < self.bound
        if wanted != run.reading:
            run.reading = wanted
            for pipe in run.pipes:
                if wanted:
                    self.pipes.register(pipe, selectors.EVENT_READ, run)
                else:
                    self.pipes.unregister(pipe)

    def _release(self, run: Run) -> int:
        """Let go of one that has ended; the final size of its spool."""
        if not run.exit:
            raise OSError(errno.EBUSY, "busy: it lives")
        run.save()
        run.stuck = "released"  # so that it is read no more
        self._settle(run)
        run.close()
        del self.runs[run.key]
        return run.spool.size

    def _signalled(self) -> None:
        """SIGTERM ends a keeper that holds nothing, SIGHUP is of somebody who does not find its socket.

        SIGCHLD is of runs, daemon or orphans; one look serves a burst.
        """
        numbers = os.read(self.signals, 4096)
        self.done |= signal.SIGTERM in numbers and not self.runs and not self.doors.named
        if signal.SIGHUP in numbers:
            self._be_found()
        self.again_at = min(self.again_at, self.looked_at + 0.005)

    def _be_found(self) -> dict[str, Any]:
        """Make anew what others find us by, where it was removed: the socket, or the whole home with our lock."""
        if not os.path.lexists(self.path):
            self.lock = taken(self.home, self.system) or self.lock
            self.control.unregister(self.listener)
            self.listener.close()
            self._bind()
        return {}

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # it has left again
            connection, _address = self.listener.accept()
            if self.system.peer_uid(connection) != os.geteuid():
                connection.close()
                return
            self._drop()
            self.wire = Wire(connection)
            self.control.register(connection, selectors.EVENT_READ, self._listen)

    def _listen(self) -> None:
        for message in self.wire.receive() if self.wire else []:
            try:
                answer = {"result": self._do(message)}
            except OSError as error:
                answer = {"error": {"errno": error.errno, "strerror": error.strerror}}
            except Exception as error:  # noqa: BLE001  whatever a request does, the children are to be held
                _log(f"cannot do {message.get('op')}: {error!r}")
                answer = {"error": {"errno": errno.EINVAL, "strerror": "request"}}
            if "id" in message and self.wire:
                self.wire.send({"id": message["id"], **answer})

    def _flush(self) -> None:
        if self.wire:
            self.control.modify(self.wire.socket, self.wire.flush(), self._listen)
            if self.wire.broken:
                self._drop()
                now = time.monotonic()
                if now - self.restarted_at > 10:  # it has not crashed at its start
                    self.restart_pause = 0.1
                self.missed_at = now + (self.restart_pause if self.restart else self.alone)

    def _drop(self) -> None:
        if self.wire:
            self.control.unregister(self.wire.socket)
            self.wire.socket.close()
            self.wire = None

    def _start_daemon(self, now: float) -> None:
        """Nobody has come: start the daemon again, unless it left on purpose, or its home is gone."""
        if not self.runs and not (self.restart and os.fstat(self.lock).st_nlink):
            self.done = True
        elif self.restart and not self.daemon:
            self.restart_pause, self.restarted_at = min(3 * self.restart_pause, 30.0), now
            try:
                self.daemon, told = launch(self.restart, os.environ, "/", lambda: None)
                with open(told, encoding="ascii") as report:  # this one is waited for: its interpreter is ours as well
                    failed = report.read()
                _log(f"the daemon was lost; started it again as pid {self.daemon} {failed}")
            except OSError as error:
                _log(f"the daemon was lost and cannot be started again: {error}")
        self.missed_at = now + (self.restart_pause if self.restart else self.alone)

    def _do(self, message: dict[str, Any]) -> dict[str, Any]:
        """All that can be asked for."""
        match message:
            case {"op": "hello", "restart": restart}:
                self.restart, self.missed_at = restart, _NEVER
                runs = [run.as_dict() for run in self.runs.values()]
                return {"pid": os.getpid(), "runs": runs, **self.doors.as_dict()}
            case {"op": "spawn" | "adopt", "key": str(key)}:
                if key in self.runs:
                    raise FileExistsError(errno.EEXIST, key)
                run = self.runs[key] = Run(message, self.system)
                if run.watched >= 0 and not run.exit:
                    heed = self._begin if run.own else self._check
                    self.control.register(run.watched, selectors.EVENT_READ, lambda: heed(run))
                self.again_at = self.again_at if run.own else 0.0
                self.doors.open(message, run.report)
                self._save(run)
                return run.as_dict()
            case {"op": "signal", "key": key, "signal": number}:
                run = self._held(key)
                self._check(run)
                run.signal(number)
            case {"op": "consumed", "key": key, "offset": offset}:
                run = self._held(key)
                run.spool.consumed = max(0, offset)
                self._settle(run)
            case {"op": "be_found"}:
                return self._be_found()
            case {"op": "release", "key": key}:
                return {"size": self._release(self._held(key))}
            case {"op": "goodbye"}:
                self.restart, self.done = None, not self.runs and not self.doors.named
            case _:
                self.doors.do(message)
        return {}

    def _tell(self, event: str, door: str) -> None:
        if self.wire:
            self.wire.send({"event": event, "door": door})

    def _held(self, key: str) -> Run:
        if key not in self.runs:
            raise ProcessLookupError(errno.ESRCH, key)
        return self.runs[key]


def _log(sentence: str) -> None:
    with contextlib.suppress(OSError):  # a log that cannot be written has no other place to say so
        os.write(2, f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {ascii(sentence)[1:-1]}\n".encode())


def main(home: str, path: str, bound: str = "67108864", alone: str = "10", system: str = sys.platform) -> int:
    """Hold the lock of `home` and serve `path` until told to end. Exit status 3: another keeper has this home."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it can be heeded: whoever holds the lock may be sent one
    kind = Linux() if system == "linux" else Portable()
    lock = taken(home, kind)
    if lock is None:
        _log(f"another keeper holds {home}")
        return 3
    raise_file_limit()
    keeper = Keeper(home, lock, kind, int(bound), int(alone))
    keeper.run(path)
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.stat(os.path.join(home, "keeper.lock")), os.fstat(keeper.lock)):  # else it is another's
            os.unlink(path)
    return 0


def taken(home: str, system: Portable) -> int | None:
    """The lock of `home`, in which we name ourselves with our start time; None: another process has it."""
    lock = os.open(os.path.join(home, "keeper.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    os.ftruncate(lock, 0)
    os.pwrite(lock, b"%d %d\n" % (os.getpid(), system.start_time(os.getpid()) or 0), 0)
    return lock
