"""What a measurement is, and the table of them: each beside a yardstick of the same run, for machines differ."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

import psutil

__all__ = ["Figure", "bare_interpreter", "bare_interpreter_memory", "print_table", "repeat", "seconds"]

_TITLES = ("FIGURE", "TARGET", "MEASURED", "IN THE SAME RUN")
_MIB = 1 << 20


@dataclass(frozen=True)
class Figure:
    """One line of the table: a median in `unit` (s, MiB, MB/s, %), and a yardstick in the same unit."""

    what: str
    measured: float
    unit: str
    yardstick: float | None = None
    yardstick_name: str = ""
    limit: float | None = None
    """The target is at most this."""

    @property
    def is_missed(self) -> bool:
        """Whether there is a target, and it is not met."""
        return self.limit is not None and self.measured > self.limit

    def cells(self) -> tuple[str, str, str, str]:
        """What stands in the columns. A target that is missed is marked."""
        target = "" if self.limit is None else f"<= {_written(self.limit, self.unit)}"
        beside = ""
        if self.yardstick is not None:
            ratio = self.measured / self.yardstick
            beside = f"{ratio:6.2f} x {self.yardstick_name} ({_written(self.yardstick, self.unit)})"
        return self.what, target, _written(self.measured, self.unit) + (" MISSED" if self.is_missed else ""), beside


def print_table(title: str, figures: Iterable[Figure]) -> bool:
    """The figures of one part, in aligned columns; whether all targets are met."""
    measured = [*figures]
    rows = [figure.cells() for figure in measured]
    widths = [max(map(len, column)) for column in zip(_TITLES, *rows, strict=True)]
    print(f"\n{title}")
    for row in (_TITLES, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return not any(figure.is_missed for figure in measured)


def seconds(action: Callable[[], object]) -> float:
    """How long it takes, once."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def repeat(action: Callable[[], object], rounds: int) -> float:
    """How long it takes: the median of so many rounds."""
    return median(seconds(action) for _ in range(rounds))


def bare_interpreter() -> float:
    """Seconds that `python -c pass` takes: what no Python program can be faster than."""
    return repeat(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True), 20)


def bare_interpreter_memory(*options: str) -> float:
    """MiB that an interpreter has resident which has imported nothing of its own accord."""
    command = [sys.executable, *options, "-c", "print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        resident: float = psutil.Process(process.pid).memory_info().rss / _MIB
        process.communicate("\n")
    return resident


def _written(value: float, unit: str) -> str:
    match unit:
        case "s" if value < 0.001:
            return f"{value * 1e6:.0f} us"
        case "s" if value < 0.1:
            return f"{value * 1e3:.1f} ms"
        case "s" if value < 1:
            return f"{value * 1e3:.0f} ms"
        case "%":
            return f"{value:.2f} %"
        case "MB/s":
            return f"{value:.0f} {unit}"
    return f"{value:.3g} {unit}"
