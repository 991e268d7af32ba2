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

from runcept.logs.commit import Commit, CommitFile
from runcept.logs.encoder import Encoder
from runcept.logs.record import LIFECYCLE_MARK, lifecycle
from runcept.logs.spool import Block, Spool
from runcept.logs.target import Target
from runcept.logs.watch import Watch

__all__ = ["LogWriter"]

_READ = 256 << 10  # bytes: larger reads leave the processor's cache
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


class LogWriter:
    """Moves the spool of one run into its process's log. The run's directory may appear after the writer."""

    def __init__(self, log_path: str, run_directory: str) -> None:
        self._target = Target(log_path)
        self._spool = Spool(run_directory)
        self._commits = CommitFile(run_directory)
        self._watches: list[Watch] = []
        self._seen: list[bytes] = []
        self._floor = 0
        self._committed = self._commits.load() or Commit()
        if max(self._committed.consumed) > self._spool.end():  # the spool was begun anew
            self._committed = self._committed._replace(consumed=(0, 0), finished=False)
        self._rewind()

    @property
    def offset(self) -> int:
        """Up to where the spool has been read: what the keeper may count as consumed."""
        return self._spool.position

    @property
    def finished(self) -> bool:
        """Whether all of the run is in the log: `finish` was called last, by this writer or one before it."""
        return self._committed.finished

    def pump(self, limit_bytes: int = 1 << 20) -> int:
        """Move at most `limit_bytes` of the spool into the log; how many were moved, 0 where there is nothing new.

        Raises OSError, and nothing was moved that a later call would not move again.
        """
        moved = 0
        while moved < limit_bytes and (blocks := self._spool.read(min(_READ, limit_bytes - moved))):
            self._emit(partial(self._encode, blocks))
            moved += sum(len(block.data) for block in blocks)
            self._tell()
            self._spool.discard(min(self._committed.consumed))
        return moved

    def note(self, event: str, message: str, *, at: float | None = None, **facts: object) -> None:
        """Append a lifecycle record behind what was pumped: `facts` such as run, pid, exit_code; `at` in epoch seconds.

        The note that begins a run has the event "started" and the fact `run`: readers count on both.
        """
        micros = round((time.time() if at is None else at) * 1_000_000)
        self._emit(lambda: lifecycle(self._encoder.stamp(micros), event, message, facts))

    def flush(self) -> None:
        """Pump what is left, then write the lines that no newline has ended: their writer has ended."""
        while self.pump():
            pass
        if self._encoder.pending(0) or self._encoder.pending(1):
            self._emit(self._cut_off)
            self._tell()

    def finish(self) -> None:
        """`flush`, and remember that the run has no more bytes."""
        self.flush()
        self._commit(self._committed.size, finished=True)

    def watch(self, pattern: str, callback: Callable[[str], None]) -> None:
        """Call `callback` once, with the first line pumped from now on in which `pattern` is found (see Watch).

        The line is in the log by then. PatternInvalid where the pattern is no regular expression.
        """
        self._watches.append(Watch(pattern, callback))
        self._encoder.tap = self._seen.append

    def close(self) -> None:
        """Give back the files; what was not pumped is pumped by the next writer."""
        self._target.close()
        self._spool.close()
        self._commits.close()

    def _emit(self, make: Callable[[], bytes]) -> None:
        """Append what `make` gives and commit, or be as before."""
        try:
            self._open()
            if data := make():
                self._append(data)
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
        self._committed = Commit(committed.consumed, target.size, target.device, target.inode)

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
