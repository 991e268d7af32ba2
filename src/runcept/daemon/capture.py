"""The thread that moves output from spools into logs, so that a noisy process never delays an answer.

It serves every run in turn, a slice each, so that a storm in one delays its neighbours by a slice. The event loop
talks to it through a queue of calls, and hears from it once a round. Nothing else touches a LogWriter.

The two share one interpreter: whenever the loop waits for a file or a socket, the thread takes it, and gives it back
half a millisecond after it is asked to. Where the loop does that a thousand times in a row, it holds the thread.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from runcept.core.model import LogLimits
from runcept.logs.compressor import Compressor
from runcept.logs.last_words import LINES, telling
from runcept.logs.reader import read
from runcept.logs.rotation import Rotation, remove
from runcept.logs.writer import LogWriter

__all__ = ["Capture", "Note", "Output", "Watch", "why"]

_log = logging.getLogger(__name__)
_SLICE = 1 << 20
_RETRY_SECONDS = 1.0
_SWITCH_SECONDS = 0.0005
"""How long one of the two may go on when the other wants to; Python's own choice, ten times that, is felt."""
_LINE_LENGTH = 4096
"""Characters of a line that tells why; it is cut further once what is secret in it was masked."""
_REASON_REACH = (
    4 << 20
)  # bytes: the line that tells why stands near the end, and everybody waits while it is looked for


class Output(NamedTuple):
    """Where the output of a run comes from and goes to."""

    directory: str
    """The run's, with its spool."""
    log_path: str
    run: int
    limits: LogLimits
    logs: frozenset[str] = frozenset()
    """Those of all processes of the project."""


class Note(NamedTuple):
    """A record of the stream `runcept`; `at` in seconds since the epoch, None: now."""

    event: str
    message: str
    facts: Mapping[str, object]
    at: float | None = None


class Watch(NamedTuple):
    """Call back in the event loop, once, with the first line that the regular expression matches."""

    pattern: str
    callback: Callable[[str], None]


class _Tap:
    """One run's way from spool to log. `size` is what the keeper has written to the spool so far."""

    def __init__(self, log_path: str, make_writer: Callable[[], LogWriter]) -> None:
        self.log_path = log_path
        self.writer: LogWriter | None = None
        """None until there was a descriptor for it, and leave to read."""
        self.size = 0
        self.notes: deque[tuple[int, Note]] = deque()
        """Records that are to come behind so many bytes; they wait where the log cannot be written."""
        self.retry_at = 0.0
        self.failing = False
        self._make_writer = make_writer

    @property
    def offset(self) -> int:
        """Up to where the spool was read."""
        return 0 if self.writer is None else self.writer.offset

    def is_behind(self) -> bool:
        """Whether there is something to write."""
        return self.writer is None or bool(self.notes) or self.writer.offset < self.size

    def write(self) -> int:
        """Write a slice of what there is, notes in their places; how many bytes it was. OSError: go on there later."""
        if self.writer is None:
            self.writer = self._make_writer()
            self.size = max(self.size, self.writer.offset)
        writer = self.writer
        until = min(self.size, self.notes[0][0]) if self.notes else self.size
        moved = 0
        if (count := min(_SLICE, until - writer.offset)) > 0:
            moved = writer.pump(count, upto=until)
        while self.notes and self.notes[0][0] <= writer.offset:
            note = self.notes[0][1]
            writer.note(note.event, note.message, at=note.at, **note.facts)
            self.notes.popleft()
        return moved


class Capture:
    """All runs' output. Methods are called from the event loop; callbacks come back to it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_consumed: Callable[[str, int], None],
        on_trouble: Callable[[str, str], None],
    ) -> None:
        self._loop = loop
        self._on_consumed = on_consumed
        self._on_trouble = on_trouble
        """Called with why the log of a run cannot be written, and with "" once it can be."""
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._grown: dict[str, int] = {}
        """Sizes that the thread is to hear of, together: to wake it for each would cost more than what it does then."""
        self._taps: dict[str, _Tap] = {}
        self._behind: dict[str, _Tap] = {}
        """Those that may have something to write, in the order of their turns."""
        self._offsets: dict[str, int] = {}
        self._waiting: dict[str, list[tuple[int, asyncio.Future[None]]]] = {}
        self._compressor = Compressor(written=lambda: {tap.log_path for tap in list(self._taps.values())})
        self._may_move = threading.Event()
        self._may_move.set()
        sys.setswitchinterval(_SWITCH_SECONDS)
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._ending = False
        self._thread.start()

    # ------------------------------------------------------------------------------- from the event loop

    async def open(self, key: str, output: Output, first: Note | None, watch: Watch | None) -> None:
        """Begin, or go on where an earlier daemon was killed. Where the log cannot be written, it is tried again.

        `first` is the record that comes before every line of the run, `watch` sees every line from here on.
        """
        await self._call(lambda: self._open(key, output, first, watch))

    def note(self, key: str, note: Note) -> None:
        """Put a record about the run's life between its lines."""
        self._put(lambda: self._note(key, note))

    def limit(self, key: str, limits: LogLimits) -> None:
        """The log of the run is rotated by these from now on."""
        self._put(lambda: self._limit(key, limits))

    def more(self, key: str, size: int) -> None:
        """The keeper has written this much to the run's spool."""
        if not self._grown:
            self._loop.call_soon(self._pass_on)
        self._grown[key] = size

    def offset(self, key: str) -> int:
        """Up to where the run's spool is known to be in its log."""
        return self._offsets.get(key, 0)

    async def drained(self, key: str, size: int, timeout_seconds: float) -> bool:
        """Whether every byte up to `size` was in the log in time."""
        self.more(key, size)
        if self._offsets.get(key, 0) >= size:
            return True
        arrived: asyncio.Future[None] = self._loop.create_future()
        self._waiting.setdefault(key, []).append((size, arrived))
        try:
            async with asyncio.timeout(timeout_seconds):
                await arrived
        except TimeoutError:
            return False
        return True

    async def clear(self, log_path: str) -> None:
        """Remove all that is in a log. OSError where that cannot be."""
        await self._call(lambda: self._clear(log_path))

    async def flush(self, key: str, run: int) -> str:
        """The main process has ended: keep its last line even without a newline, and give the line that tells why.

        That is the last one of the run on stderr, or on stdout where it wrote none there.
        """
        line: str = await self._call(lambda: self._flush(key, run))
        return line

    async def close(self, key: str, *, dropping: bool = False) -> None:
        """End: the last line is kept even without its newline. OSError where the log cannot be written: it goes on.

        With `dropping`, what is not in the log yet never will be.
        """
        await self._call(lambda: self._close(key, dropping))
        self._offsets.pop(key, None)
        for _, arrived in self._waiting.pop(key, []):
            arrived.cancel()

    @contextmanager
    def held(self) -> Iterator[None]:
        """No output is moved meanwhile: for something short that would be interrupted again and again."""
        self._may_move.clear()
        try:
            yield
        finally:
            self._may_move.set()

    def end(self) -> None:
        """End the thread after what it was asked so far."""
        self._put(self._end)
        self._thread.join(timeout=5)
        self._compressor.end()

    async def _call(self, function: Callable[[], Any]) -> Any:
        answer: asyncio.Future[Any] = self._loop.create_future()

        def run() -> None:
            try:
                result = function()
            except Exception as error:  # noqa: BLE001  whatever it is, somebody waits for the answer
                self._loop.call_soon_threadsafe(_answer, answer, None, error)
            else:
                self._loop.call_soon_threadsafe(_answer, answer, result, None)

        self._put(run)
        return await answer

    def _put(self, call: Callable[[], None]) -> None:
        """Have it done in the thread, behind what was asked before."""
        self._pass_on()
        self._calls.put(call)

    def _pass_on(self) -> None:
        if self._grown:
            grown, self._grown = self._grown, {}
            self._calls.put(lambda: self._grow(grown))

    def _advanced(self, offsets: dict[str, int]) -> None:
        for key, offset in offsets.items():
            self._offsets[key] = offset
            self._on_consumed(key, offset)
            waiting = self._waiting.pop(key, [])
            for size, arrived in waiting:
                if offset >= size:
                    _answer(arrived, None, None)
                else:
                    self._waiting.setdefault(key, []).append((size, arrived))

    # -------------------------------------------------------------------------------------- in the thread

    def _run(self) -> None:
        while not self._ending:
            self._take_calls()
            offsets: dict[str, int] = {}
            for key, tap in list(self._behind.items()):
                self._may_move.wait()
                if time.monotonic() >= tap.retry_at and self._write(key, tap):
                    offsets[key] = tap.offset
                if not tap.is_behind():
                    del self._behind[key]
            if offsets:
                self._loop.call_soon_threadsafe(self._advanced, offsets)

    def _take_calls(self) -> None:
        """Wait for a call unless there is output to move, then take all there are."""
        timeout: float | None = None
        if self._behind:
            timeout = max(0.0, min(tap.retry_at for tap in self._behind.values()) - time.monotonic())
        try:
            self._do(self._calls.get(block=timeout != 0.0, timeout=timeout))
            while True:
                self._do(self._calls.get_nowait())
        except queue.Empty:
            pass

    @staticmethod
    def _do(call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:  # noqa: BLE001
            # A defect in one call must not end the thread, and with it the log of every process.
            _log.exception("a call failed")

    def _write(self, key: str, tap: _Tap) -> bool:
        """Whether output was moved. Where that fails, it is tried again in a second; it is said once."""
        try:
            moved = tap.write()
        except Exception as error:  # noqa: BLE001  a defect in one log must not end the thread of all
            tap.retry_at = time.monotonic() + _RETRY_SECONDS
            if not tap.failing:
                _log.warning(
                    "%s: output waits in the spool: %s", key, why(error), exc_info=not isinstance(error, OSError)
                )
                self._loop.call_soon_threadsafe(self._on_trouble, key, why(error))
            tap.failing = True
            return False
        if tap.failing:
            _log.warning("%s: output is being logged again", key)
            self._loop.call_soon_threadsafe(self._on_trouble, key, "")
        tap.failing = False
        return moved > 0

    def _open(self, key: str, output: Output, first: Note | None, watch: Watch | None) -> None:
        def make_writer() -> LogWriter:
            rotation = Rotation(output.log_path, output.limits, self._compressor, output.logs)
            writer = LogWriter(output.log_path, output.directory, run=output.run, rotation=rotation)
            if watch is not None:
                writer.watch(watch.pattern, lambda line: self._tell(watch, line))
            return writer

        tap = self._taps[key] = self._behind[key] = _Tap(output.log_path, make_writer)
        if first is not None:
            tap.notes.append((0, first))
        self._write(key, tap)
        self._loop.call_soon_threadsafe(self._advanced, {key: tap.offset})

    def _tell(self, watch: Watch, line: str) -> None:
        self._loop.call_soon_threadsafe(watch.callback, line)

    def _grow(self, grown: Mapping[str, int]) -> None:
        for key, size in grown.items():
            tap = self._taps.get(key)
            if tap is not None:
                tap.size = max(tap.size, size)
                self._behind[key] = tap

    def _note(self, key: str, note: Note) -> None:
        tap = self._taps.get(key)
        if tap is not None:
            tap.notes.append((tap.size, note))
            self._behind[key] = tap
            if not tap.failing and self._write(key, tap):
                self._loop.call_soon_threadsafe(self._advanced, {key: tap.offset})

    def _limit(self, key: str, limits: LogLimits) -> None:
        tap = self._taps.get(key)
        if tap is not None and tap.writer is not None:
            tap.writer.limit(limits)

    def _flush(self, key: str, run: int) -> str:
        tap = self._taps.get(key)
        if tap is None or tap.writer is None:
            return ""
        tap.writer.flush()
        if not tap.writer.offset:  # it has written nothing
            return ""
        for stream in ("stderr", "stdout"):
            page = read({key: tap.log_path}, lines=LINES, stream=stream, run=run, reach=_REASON_REACH)
            if line := telling(page.lines):
                return line[:_LINE_LENGTH]
        return ""

    def _clear(self, log_path: str) -> None:
        writers = [tap.writer for tap in self._taps.values() if tap.writer is not None and tap.log_path == log_path]
        if writers:
            writers[-1].clear()  # one before it is at its end, and finds the new file
        else:
            remove(log_path)

    def _close(self, key: str, dropping: bool) -> None:
        tap = self._taps.get(key)
        if tap is not None:
            while not dropping and (tap.is_behind() or tap.writer is None):
                tap.write()
            if tap.writer is not None:
                if not dropping:
                    tap.writer.finish()
                tap.writer.close()
            del self._taps[key]
            self._behind.pop(key, None)

    def _end(self) -> None:
        self._ending = True


def why(error: Exception) -> str:
    """What is wrong, and with which file."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    return ": ".join(filter(None, (error.strerror.lower(), error.filename)))


def _answer(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
