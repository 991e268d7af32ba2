"""What a tool costs: CPU seconds and memory of its own processes, without the programs that it runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psutil

__all__ = ["Meter"]

_MIB = 1 << 20


class Meter:
    """Looks at the processes `pids` and their descendants, but for those in `others`, whenever it is told to."""

    def __init__(self, pids: tuple[int, ...], others: set[int]) -> None:
        self._roots = [psutil.Process(pid) for pid in pids]
        self._others = others
        self._before = 0.0
        self._cpu = 0.0
        self.peak = 0.0
        """MiB: the most that each has had resident, of all together."""
        self.look()
        self._before, self._cpu = self._cpu, 0.0

    @property
    def cpu(self) -> float:
        """Seconds, since it was made until it was last told to look."""
        return self._cpu

    def look(self, theirs: float = 0.0) -> None:
        """Note what they have used. `theirs`: CPU seconds of programs that have ended.

        Whoever has waited for these has their times beside its own, times(2); and so it is with those of the tool that
        have ended unseen.
        """
        own = waited = peak = 0.0
        for process in self._all():
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError, FileNotFoundError):
                times = process.cpu_times()
                own += times.user + times.system
                waited += times.children_user + times.children_system
                peak += _peak(process.pid)
        self._cpu = max(self._cpu, own + max(0.0, waited - theirs) - self._before)
        self.peak = max(self.peak, peak)

    def _all(self) -> Iterator[psutil.Process]:
        for root in self._roots:
            if root.pid not in self._others:
                yield root
            with contextlib.suppress(psutil.NoSuchProcess):
                yield from (each for each in root.children(recursive=True) if each.pid not in self._others)


def _peak(pid: int) -> float:
    """MiB that it has had resident at most. Of a zombie nothing is left."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / _MIB
    return 0.0
