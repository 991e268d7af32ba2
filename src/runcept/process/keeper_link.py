"""The daemon's end of the connection to the keeper, and the start of a keeper where there is none. No policy.

JSON lines. Requests `{"id", "op", …}` are answered by `{"id", "result"}` or `{"id", "error": {errno, strerror}}`; the
keeper tells `{"event": "bytes", "key", "size", "stuck"}` (why its output cannot be spooled, or "") and
`{"event": "exited", "key", "code", "signal", "at", "size"}` of its own accord. An error of ESRCH: there is no such
process (any more), EBUSY: it lives.

A spawn is answered after its fork. `{"event": "begun", "key"}` tells that its execvpe(2) succeeded, which may take as
long as a file server does. Where it or what comes before it failed, the event exited has `failed`, the step (prepare,
chdir or exec) and the errno.

The ports of a process that sleeps are a door, with a name; see `hold`. `{"event": "knock", "door"}` tells that somebody
has connected, `{"event": "bound", "door"}` that a run has bound them.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

import runcept
from runcept.errors import (
    CommandIsDirectory,
    CommandNotExecutable,
    CommandNotFound,
    KeeperLost,
    SpawnRefused,
    StartError,
    WorkingDirectoryUnusable,
)
from runcept.paths import ensure_home, ensure_private, socket_path
from runcept.process.identity import boot_id
from runcept.process.identity import start_time as start_time_of
from runcept.process.limits import given_files
from runcept.process.lock import call_holder
from runcept.process.system import set_tag

__all__ = ["Exit", "HeldRun", "KeeperLink", "NotAsked", "never_ran"]

_START_SECONDS = 5.0
_ANSWER_SECONDS = 30.0
_LIMITS = {
    errno.EMFILE: "no file descriptor is left; stop something, or raise `ulimit -n` after `runcept daemon stop`",
    errno.ENFILE: "no file descriptor is left on this machine",
    errno.EAGAIN: "no more processes are allowed (`ulimit -u`, or pids.max of the cgroup); stop something",
    errno.ENOMEM: "there is no memory left for another process",
}
"""What a spawn may meet before its program is executed, in words; else it is about the run's directory."""
_OF_THE_PROGRAM = {"chdir", "exec"}
_LOG_MAX = 1 << 20
_LOCKED = 3
"""Exit status of a keeper that found another one."""


class Exit(msgspec.Struct, frozen=True):
    """How a main process ended: by itself, by a signal, or (both null) nobody knows. `at`: seconds since the epoch."""

    code: int | None
    signal: int | None
    at: float
    size: int = 0
    """Bytes that its spool held then; in the keeper's own record alone."""
    failed: str = ""
    """The step (prepare, chdir or exec) and the errno of a program that never ran; see `never_ran`."""


class HeldRun(msgspec.Struct, frozen=True):
    """A run that the keeper holds. `size`: bytes in its spool since its start. `meta`: what was given to spawn.

    `stuck`: why its output cannot be spooled.
    """

    key: str
    pid: int
    start_time: int
    size: int = 0
    started_at: float | None = None
    """Seconds since the epoch; None for an adopted one."""
    exit: Exit | None = None
    meta: Any = None
    stuck: str = ""
    begun: bool = True
    """Its program is being executed, or was; before, it may hang on a directory or a file."""


class NotAsked(Exception):
    """The keeper was lost before it was asked, so it has done nothing."""


class KeeperLink(asyncio.Protocol):
    """A connection that has said hello. Every method raises KeeperLost once the keeper is gone.

    `on_bytes(key, size, stuck)` and `on_exited(key, code, signal, at, size, failed)` are called in the order in which
    the keeper told, and never before the `spawn` or `adopt` of that key has returned to who awaits it directly.
    """

    def __init__(
        self,
        on_bytes: Callable[[str, int, str], None],
        on_exited: Callable[[str, int | None, int | None, float, int, str], None],
        on_lost: Callable[[], None],
        on_door: Callable[[str, str], None],
    ) -> None:
        self._on_door = on_door
        self._on_bytes, self._on_exited, self._on_lost = on_bytes, on_exited, on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._unread = bytearray()
        self._pending: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._requests = 0
        self._is_ours = True
        self._spawning = asyncio.Lock()
        self._beginning: dict[str, asyncio.Future[None]] = {}
        """By key: the spawns that are not yet known to have succeeded."""
        self._is_lost = False
        self.pid = 0
        self.runs: list[HeldRun] = []
        """What the keeper held at the hello."""
        self.doors: dict[str, bool] = {}
        """The doors that it had then, and whether a run had bound the port."""
        self.can_hold = False
        """It can keep ports on this system."""

    @classmethod
    async def connect(
        cls,
        home: str,
        restart_argv: Sequence[str] | None,
        on_bytes: Callable[[str, int, str], None],
        on_exited: Callable[[str, int | None, int | None, float, int, str], None],
        on_lost: Callable[[], None],
        *,
        on_door: Callable[[str, str], None] = lambda *_: None,
        options: Sequence[str] = (),
    ) -> KeeperLink:
        """Connect to the home's keeper, or start one, and say hello; KeeperLost after 5 s without.

        `restart_argv`: how the keeper is to start this daemon again; None: not at all. `on_lost` is called once, when
        the keeper has ended. `on_door` is told the event and the door. `options` go to a keeper that is started.
        """
        ensure_home(home)
        path = socket_path(home, "keeper")
        ensure_private(os.path.dirname(path))
        starting = _Starting(home, path, options)
        try:
            async with asyncio.timeout(_START_SECONDS):
                while True:
                    link = cls(on_bytes, on_exited, on_lost, on_door)
                    if await link._reach(path) and await link._greet(restart_argv):
                        return link
                    starting.attend()
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise KeeperLost(f"nobody answered at {path} within {_START_SECONDS:g} s") from None

    async def _reach(self, path: str) -> bool:
        """Whether somebody listens."""
        try:
            await self._loop.create_unix_connection(lambda: self, path)
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True

    async def _greet(self, restart_argv: Sequence[str] | None) -> bool:
        """Say how to start this daemon again, and hear what is held; False where a dying keeper was reached."""
        on_lost, self._on_lost = self._on_lost, lambda: None
        try:
            hello = await self._ask("hello", restart=restart_argv and list(restart_argv))
        except KeeperLost:
            return False
        except BaseException:  # whatever it was, a cancelled start too: nobody else would close it
            self.close()
            raise
        self._on_lost = on_lost
        self.pid = hello["pid"]
        self.runs = [_held(entry) for entry in hello["runs"]]
        self.doors, self.can_hold = hello.get("doors", {}), hello.get("can_hold", False)  # it may be an older one
        return True

    async def spawn(
        self,
        *,
        key: str,
        directory: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: str,
        meta: Any = None,
        tag: int = 0,
        cgroup: str | None = None,
        umask: int = 0o022,
        door: str | None = None,
        ports: Sequence[int] = (),
        on_fork: Callable[[HeldRun], None] = lambda _: None,
    ) -> HeldRun:
        """Start a program with exactly `env` and `umask`, in a session of its own; StartError says why it could not be.

        `on_fork` is called with what the keeper holds from then on, though it may be long until it is a program, or
        known that it never will be: it can be signalled, and has to be released. NotAsked: it was not even tried.

        `tag`: what marks it and all that it forks (see linux.set_tag): inherited from the keeper, so from its first
        instant on, and for that one at a time. `cgroup`: the directory of the group that it begins in. `door`: it gets
        what is kept there of its `ports`, and what it binds of them is kept.
        What it writes is spooled to `directory`, which the keeper makes and the caller removes, after a failure too.
        """
        request = {"argv": list(argv), "env": dict(env), "cwd": cwd, "meta": meta, "cgroup": cgroup, "umask": umask}
        request |= {"door": door, "ports": list(ports)}
        begun = self._beginning[key] = self._loop.create_future()
        try:
            async with self._spawning:
                if self._is_lost:
                    raise NotAsked
                set_tag(self.pid, tag)
                try:
                    held = _held(await self._ask("spawn", key=key, directory=directory, boot_id=boot_id(), **request))
                finally:
                    set_tag(self.pid, 0)
            on_fork(held)
            if not held.begun:
                await begun
        except OSError as error:
            if error.strerror not in _OF_THE_PROGRAM:
                raise SpawnRefused(argv[0], _refusal(error.errno or 0, directory)) from None
            raise _start_error(error, argv[0], env, cwd) from None
        finally:
            del self._beginning[key]
            if begun.done() and not begun.cancelled():
                begun.exception()  # where nobody waited for it yet it is known all the same
        return held

    async def adopt(
        self, *, key: str, directory: str, pid: int, start_time: int, meta: Any = None, offset: int = 0
    ) -> HeldRun:
        """Let this keeper hold a process that an earlier one spawned, and that may end meanwhile: then `exit` is set.

        Its output goes on behind what is in its directory, and behind `offset`, up to which it was logged.
        ProcessLookupError where nothing is left of it, another OSError where its directory is not what it was.
        """
        if start_time_of(pid) != start_time:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH), key)
        who = {"pid": pid, "start_time": start_time, "boot_id": boot_id()}
        return _held(await self._ask("adopt", key=key, directory=directory, meta=meta, offset=offset, **who))

    async def signal(self, key: str, number: int) -> None:
        """Signal its process group; ProcessLookupError where there is nobody."""
        await self._ask("signal", key=key, signal=int(number))

    async def release(self, key: str) -> int:
        """Let the keeper forget a run that has ended; the final size of its spool.

        OSError: EBUSY while it lives, ENOSPC where its last output finds no room; it stays held then.
        """
        size: int = (await self._ask("release", key=key))["size"]
        return size

    async def hold(self, door: str, addresses: Sequence[tuple[str, int]]) -> None:
        """Nobody has its ports any more: keep them, and tell once when somebody connects, who waits then.

        `addresses` where no run has left any sockets; OSError where they cannot be bound.
        """
        await self._ask("hold", door=door, addresses=[list(each) for each in addresses])

    async def refuse(self, door: str, answer: str, *, close: bool) -> None:
        """Turn away all who wait at a door, with `answer` where they speak HTTP; `close`: give up its ports."""
        await self._ask("refuse", door=door, answer=answer, close=close)

    def consumed(self, key: str, offset: int) -> None:
        """Tell how far the run's spool is in its log: the keeper stops reading where the backlog passes its bound.

        Nothing is waited for, and a keeper that is gone need not know.
        """
        if self._transport is not None and not self._transport.is_closing():
            self._write({"op": "consumed", "key": key, "offset": offset})

    async def be_found(self) -> None:
        """Have the keeper make anew what was removed of the home: its lock and its socket."""
        await self._ask("be_found")

    async def goodbye(self) -> None:
        """Leave on purpose: the keeper does not start the daemon again, and it ends if it holds nothing."""
        await self._ask("goodbye")
        self.close()

    def close(self) -> None:
        """Hang up without a word: to the keeper this daemon has died. `on_lost` is not called."""
        self._is_ours = False
        if self._transport is not None:
            self._transport.close()

    async def _ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        self._requests += 1
        number = self._requests
        answer: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self._pending[number] = answer
        try:
            self._write({"id": number, "op": operation, **parameters})
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await answer
        except TimeoutError:
            if self._transport is not None:
                self._transport.abort()  # so that somebody connects anew, and finds out what was done and what not
            raise KeeperLost(f"no answer to {operation} within {_ANSWER_SECONDS:g} s") from None
        finally:
            del self._pending[number]

    def _write(self, message: dict[str, Any]) -> None:
        if self._transport is None or self._transport.is_closing():
            raise KeeperLost("the connection is closed")
        self._transport.write(json.dumps(message).encode("ascii") + b"\n")

    # ----------------------------------------------------------------------------------- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  a stream socket's is one
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take the complete lines, in order; events wait their turn behind the tasks that answers have woken."""
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            message = json.loads(line.decode("ascii"))  # of text, since of bytes it would guess the encoding
            if "event" in message:
                self._hear(message)
            elif (answer := self._pending.get(message["id"])) and not answer.done():
                if "error" in message:
                    answer.set_exception(OSError(message["error"]["errno"], message["error"]["strerror"]))
                else:
                    answer.set_result(message["result"])

    def connection_lost(self, _error: Exception | None) -> None:
        """Fail what is asked, and say so once."""
        waited_for: list[asyncio.Future[Any]] = [*self._pending.values(), *self._beginning.values()]
        for answer in waited_for:
            if not answer.done():
                answer.set_exception(KeeperLost("it ended"))
        if self._is_ours:
            self._is_ours, self._is_lost = False, True
            self._on_lost()

    def _hear(self, message: dict[str, Any]) -> None:
        """How a spawn has gone is for who waits for it, at once; all else is told behind that."""
        if "door" in message:
            self._loop.call_soon(self._on_door, message["event"], message["door"])
            return
        begun = self._beginning.get(message["key"])
        if begun is not None and not begun.done():
            if message["event"] == "begun":
                begun.set_result(None)
                return
            if failed := message.get("failed"):
                step, number = failed.split()
                begun.set_exception(OSError(int(number), step))
                return
        if message["event"] != "begun":
            self._loop.call_soon(self._tell, message)

    def _tell(self, message: dict[str, Any]) -> None:
        if message["event"] == "bytes":
            self._on_bytes(message["key"], message["size"], message["stuck"])
        else:
            end = msgspec.convert(message, Exit)
            self._on_exited(message["key"], end.code, end.signal, end.at, end.size, end.failed)


def _held(entry: dict[str, Any]) -> HeldRun:
    """`start_time` by our own means where the keeper's portable half knows none: a held pid is not recycled."""
    if entry["start_time"] is None:
        entry = entry | {"start_time": start_time_of(entry["pid"]) or 0}
    return msgspec.convert(entry, HeldRun)


def _start_error(error: OSError, command: str, env: Mapping[str, str], cwd: str) -> StartError:
    """The sentence for a failed spawn: chdir(2) or execvpe(3) have said little, a look at the file says more."""
    number, step = error.errno or 0, error.strerror
    reason = os.strerror(number).lower()
    if step == "chdir":
        reasons = {errno.ENOENT: "it does not exist", errno.ENOTDIR: "it is not a directory"}
        return WorkingDirectoryUnusable(cwd, reasons.get(number, reason))
    if step == "exec" and number in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
        named = os.path.join(cwd, command) if "/" in command else None
        path = named or shutil.which(command, os.F_OK, env.get("PATH", os.defpath))
        if path is None or not os.path.exists(path):
            return CommandNotFound(command)
        if os.path.isdir(path):
            return CommandIsDirectory(command)
        if number != errno.EACCES:
            return SpawnRefused(command, "the interpreter that its first line names does not exist")
        if not os.access(path, os.X_OK):
            return CommandNotExecutable(path)
    return SpawnRefused(command, reason)


def never_ran(failed: str) -> str:
    """Why a program was not executed, of `Exit.failed`, for a daemon that has not asked for it; empty where it was."""
    step, _, number = failed.partition(" ")
    return f"its program was not executed: {step}: {os.strerror(int(number)).lower()}" if failed else ""


def _refusal(number: int, directory: str) -> str:
    """Why nothing was started, where it is about neither the working directory nor the program: words to act on."""
    reason = os.strerror(number).lower()
    return _LIMITS.get(number) or (reason if number == errno.EINVAL else f"{reason}: {directory}")


class _Starting:
    """The start of a keeper, at most one at a time, while nobody answers at `path`."""

    def __init__(self, home: str, path: str, options: Sequence[str]) -> None:
        program = os.path.join(os.path.dirname(runcept.__file__), "keeper")
        files = given_files() if given_files() != resource.RLIM_INFINITY else "unlimited"
        as_we_were = ["/bin/sh", "-c", f'ulimit -S -n {files}; exec "$@"', "keeper"]  # whose children are to be so
        self._command = [*as_we_were, sys.executable, "-I", "-S", "-X", "utf8", program, home, path, *options]
        self._log = os.path.join(home, "logs", "keeper.log")
        self._home = home
        self._keeper: subprocess.Popen[bytes] | None = None

    def attend(self) -> None:
        """Start one, and another where that one found a keeper that is on its way in or out; KeeperLost: it failed."""
        status = self._keeper.returncode if self._keeper is not None else _LOCKED
        if status == _LOCKED:
            if self._keeper is not None:
                self._call()
            self._keeper = self._start()
        elif status is not None:
            raise KeeperLost(f"it ended at once with status {status}")

    def _call(self) -> None:
        """A keeper whose socket was removed makes it anew when it is told that it was not found."""
        call_holder(self._home, "keeper.lock")

    def _start(self) -> subprocess.Popen[bytes]:
        """Start it to outlive us: own session, nothing of ours open. A thread reaps it if it ends before us."""
        nothing = subprocess.DEVNULL
        with open(self._log, "ab") as log:
            if log.tell() > _LOG_MAX:
                log.truncate(0)
            keeper = subprocess.Popen(
                self._command, stdin=nothing, stdout=nothing, stderr=log, cwd="/", start_new_session=True
            )
        threading.Thread(target=keeper.wait, name="keeper", daemon=True).start()
        return keeper
