"""The writer of one run's log: spool to encoder to NAME.jsonl, exactly once whatever happens between.

A step is: read from the spool, encode, append, commit. A crash before the commit leaves records that the next writer
cuts off and encodes again, to the same bytes, for the instants are in the spool's index. An error (a full disk, a
project that was deleted) is the same to it: it raises OSError, is where it was, and the next `pump` goes on.
It blocks on files alone, does no more than it is asked to, and belongs to one thread at a time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial

from runcept.core.model import LogLimits
from runcept.logs.commit import Commit, CommitFile
from runcept.logs.encoder import Encoder
from runcept.logs.record import LIFECYCLE_MARK, continued, instant_micros, instant_text, lifecycle, raw_ts
from runcept.logs.rotation import Rotation, remove
from runcept.logs.spool import Block, Spool
from runcept.logs.target import Target
from runcept.logs.watch import Watch

__all__ = ["LogWriter"]

_MARKED = 64  # bytes: the stream of a record is in them
_READ = 256 << 10  # bytes: larger reads leave the processor's cache
_GROWTH = 68  # bytes of the record of an empty line, of which one byte was read: no other output grows so much
_FIRST_MAX = 200  # bytes of the first record of a file that goes on with a run
_LAG_MAX = 8 << 20  # bytes: an unfinished line may hold back this much of the spool from deletion


class _Unfinished:
    """Where in the run those bytes lie that one stream has read but not ended; pieces may lie between the other's."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[int, int]] = deque()  # offset, end
        self._count = 0

    def add(self, offset: int, length: int) -> None:
        """More bytes were read."""
        start = offset
        if self._pieces and self._pieces[-1][1] == offset:
            start, _ = self._pieces.pop()
        self._pieces.append((start, offset + length))
        self._count += length

    def keep(self, count: int) -> None:
        """Only the last `count` of them are unfinished still."""
        while (excess := self._count - count) > 0:
            start, end = self._pieces.popleft()
            if end - start > excess:
                self._pieces.appendleft((start + excess, end))
            self._count -= min(excess, end - start)

    def start(self, otherwise: int) -> int:
        """The offset of the first of them."""
        return self._pieces[0][0] if self._pieces else otherwise


def _reach(rotation: Rotation) -> int:
    """How much may be read at once, so that its records fit into one file."""
    return max(1, min(_READ, (rotation.max_size - _FIRST_MAX) // _GROWTH))


class LogWriter:
    """Moves the spool of one run into its process's log. The run's directory may appear after the writer.

    With a `rotation`, a new file is begun where a record would take the log past its size. With the number of its
    `run`, a file that is begun in the middle of the run says so in its first record.
    """

    def __init__(
        self, log_path: str, run_directory: str, *, run: int | None = None, rotation: Rotation | None = None
    ) -> None:
        self._target = Target(log_path)
        self._run = run
        self._rotation = rotation
        # No more is read at once than fits into one file whatever it is: records of one step are never parted.
        self._read = _READ if rotation is None else _reach(rotation)
        self._spool = Spool(run_directory)
        self._commits = CommitFile(run_directory)
        self._watches: list[Watch] = []
        self._seen: list[bytes] = []
        self._floor = 0
        self._logged: int | None = None
        """How many bytes of the run are in the log; None until something was committed."""
        # Without a commit: from the first byte there is. What was before it was logged, or it would not be gone.
        self._committed = self._commits.load() or Commit((self._spool.begin(),) * 2)
        self._rewind()

    @property
    def offset(self) -> int:
        """Up to where the spool has been read: what the keeper may count as consumed."""
        return self._spool.position

    @property
    def finished(self) -> bool:
        """Whether all of the run is in the log: `finish` was called last, by this writer or one before it."""
        return self._committed.finished

    def pump(self, limit_bytes: int = 1 << 20, *, upto: int = 0) -> int:
        """Move at most `limit_bytes` of the spool into the log; how many were moved, 0 where there is nothing new.

        There should be bytes up to the offset `upto`. Those that are not there are passed by, which a record tells.
        Raises OSError, and nothing was moved that a later call would not move again.
        """
        moved = 0
        while moved < limit_bytes and (blocks := self._spool.read(min(self._read, limit_bytes - moved))):
            self._emit(partial(self._encode, blocks))
            moved += sum(len(block.data) for block in blocks)
            self._tell()
            self._spool.discard(min(self._committed.consumed))
        return moved or self._pass_by(upto)

    def note(self, event: str, message: str, *, at: float | None = None, **facts: object) -> None:
        """Append a lifecycle record behind what was pumped: `facts` such as run, pid, exit_code; `at` in epoch seconds.

        The note that begins a run has the event "started" and the fact `run`: readers count on both.
        """
        micros = round((time.time() if at is None else at) * 1_000_000)
        self._emit(lambda: lifecycle(self._encoder.stamp(micros), event, message, facts))

    def flush(self) -> None:
        """Pump what is left, then write the lines that no newline has ended: their writer has ended."""
        while self.pump(upto=self._spool.end()):
            pass
        self._end_lines()

    def _end_lines(self) -> None:
        if self._encoder.pending(0) or self._encoder.pending(1):
            self._emit(self._cut_off)
            self._tell()

    def finish(self) -> None:
        """`flush`, and remember that the run has no more bytes."""
        self.flush()
        self._commit(self._committed.size, finished=True)

    def limit(self, limits: LogLimits) -> None:
        """Rotate by these from now on."""
        if self._rotation is not None:
            self._rotation.limit(limits)
            self._read = _reach(self._rotation)

    def watch(self, pattern: str, callback: Callable[[str], None]) -> None:
        """Call `callback` once, with the first line pumped from now on in which `pattern` is found (see Watch).

        The line is in the log by then. PatternInvalid where the pattern is no regular expression.
        """
        self._watches.append(Watch(pattern, callback))
        self._encoder.tap = self._seen.append

    def clear(self) -> None:
        """Remove all that is in the log, and go on with a new one. Raises OSError."""
        self._target.close()
        remove(self._target.path)
        micros = self._encoder.stamp(round(time.time() * 1_000_000))
        self._attempt(lambda: self._begin(self._continued(micros)))

    def close(self) -> None:
        """Give back the files; what was not pumped is pumped by the next writer."""
        self._target.close()
        self._spool.close()
        self._commits.close()

    def _pass_by(self, upto: int) -> int:
        """Go past bytes that should be in the spool up to `upto` and are not; how many they are."""
        if not (missing := self._spool.missing(upto)):
            return 0
        self._end_lines()  # what comes behind the gap does not go on with them
        self._spool.seek(self._spool.position + missing)
        self._emit(lambda: self._gap(missing))
        return missing

    def _gap(self, missing: int) -> bytes:
        """The record that bytes are lost, which were read from the process between two instants."""
        since = instant_text(self._encoder.last) if self._encoder.last else None
        until = self._encoder.stamp(self._spool.instant() or round(time.time() * 1_000_000))
        message = f"{missing} bytes of output are lost: they were removed, or their disk does not give them back"
        facts = {"run": self._run, "bytes": missing, "since": since, "until": instant_text(until)}
        return lifecycle(until, "gap", message, facts)

    def _emit(self, make: Callable[[], bytes]) -> None:
        """Append what `make` gives and commit, or be as before."""

        def step() -> None:
            in_parts = self._encoder.in_parts
            if data := make():
                self._have_room(data, in_parts=in_parts)
                self._append(data)

        self._attempt(step)

    def _attempt(self, step: Callable[[], None]) -> None:
        """Do something with the open log, or be as before."""
        try:
            self._open()
            step()
        except OSError:
            self._target.close()
            self._rewind()
            raise

    def _open(self) -> None:
        """Have the log open, without what a writer before us appended and did not commit."""
        target, committed = self._target, self._committed
        if target.ensure():
            same = (committed.device, committed.inode) == (target.device, target.inode)
            # Of a step that was cut short nothing but output is left; a lifecycle record is of somebody after us.
            if same and not committed.finished and not target.holds(LIFECYCLE_MARK, committed.size):
                target.truncate(min(committed.size, target.size))
            target.end_line()
            self._floor = self._encoder.stamp(target.newest_instant())
            if self._rotation is not None:
                self._rotation.tidy()
        self._committed = Commit(committed.consumed, target.size, target.device, target.inode)

    def _have_room(self, data: bytes, *, in_parts: bool) -> None:
        """Rotate if the log is full; see to it that a new file begins with the run that goes on in it."""
        target, rotation = self._target, self._rotation
        is_full = rotation is not None and rotation.is_due(target.size, len(data), in_parts=in_parts)
        if target.size and not is_full:
            return
        is_of_us = LIFECYCLE_MARK in data[:_MARKED]  # and so tells its run itself
        first = b"" if is_of_us else self._continued(instant_micros(raw_ts(data) or ""))
        if rotation is not None and is_full:
            target.close()
            rotation.turn()
        if first or is_full:
            self._begin(first)

    def _continued(self, micros: int) -> bytes:
        """The first record of a file in the middle of a run, stamped as the one that follows it."""
        if self._run is None:
            return b""
        logged = max(self._committed.consumed) if self._logged is None else self._logged
        return continued(micros, self._run, logged)

    def _begin(self, first: bytes) -> None:
        """Have a new file, to which nothing was committed before."""
        self._target.begin(first)
        new = self._target
        self._committed = Commit(self._committed.consumed, new.size, new.device, new.inode)

    def _append(self, data: bytes) -> None:
        try:
            if self._commits.stored != self._committed:  # which file it is must be known before it is changed
                self._commits.store(self._committed)
            self._target.append(data)
            self._commit(self._target.size)
        except OSError:
            self._target.take_back(self._committed.size)
            raise
        self._floor = self._encoder.last

    def _commit(self, size: int, *, finished: bool = False) -> None:
        """Make it so that what was appended counts."""
        position, before = self._spool.position, self._committed.consumed
        stdout, stderr = (max(done, each.start(position)) for done, each in zip(before, self._unfinished, strict=True))
        commit = self._committed._replace(consumed=(stdout, stderr), size=size, finished=finished)
        self._commits.store(commit)
        self._committed = commit
        if position >= max(commit.consumed):  # else what one stream has ahead is being passed by
            self._logged = position - self._encoder.pending(0) - self._encoder.pending(1)

    def _encode(self, blocks: list[Block]) -> bytes:
        records = [self._feed(block) for block in blocks]
        for stream, unfinished in enumerate(self._unfinished):
            if self._spool.position - unfinished.start(self._spool.position) > _LAG_MAX:
                records.append(self._encoder.cut(stream))
                unfinished.keep(0)
        return b"".join(records)

    def _feed(self, block: Block) -> bytes:
        """Encode a block, but for bytes that are in the log already, while the other stream catches up."""
        known = max(0, self._committed.consumed[block.stream] - block.offset)
        if known >= len(block.data):
            return b""
        unfinished = self._unfinished[block.stream]
        unfinished.add(block.offset + known, len(block.data) - known)
        records = self._encoder.feed(block.stream, block.micros, block.data[known:])
        unfinished.keep(self._encoder.pending(block.stream))
        return records

    def _cut_off(self) -> bytes:
        for unfinished in self._unfinished:
            unfinished.keep(0)
        return self._encoder.flush()

    def _tell(self) -> None:
        """Show the watches what has come into the log."""
        if not self._watches:
            return
        blocks, self._seen[:] = self._seen[:], []
        for block in blocks:
            self._watches = [watch for watch in self._watches if not watch.search(block)]
        if not self._watches:
            self._encoder.tap = None

    def _rewind(self) -> None:
        """Be where the last commit says."""
        self._encoder = Encoder(self._floor)
        self._encoder.tap = self._seen.append if self._watches else None
        self._seen.clear()
        self._unfinished = (_Unfinished(), _Unfinished())
        self._spool.seek(min(self._committed.consumed))
