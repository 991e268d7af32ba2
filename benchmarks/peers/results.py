"""What was measured, as it is written down: `results.json` beside this file, of which the page in docs is made."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import msgspec

__all__ = ["Crowd", "Outcome", "Results", "Row", "Workload", "load", "save"]

_FILE = Path(__file__).with_name("results.json")


class Workload(msgspec.Struct, frozen=True):
    """Lines of so many bytes, and how the program writes them: block or line."""

    size: int
    how: str

    @property
    def title(self) -> str:
        """What it is called in a table."""
        size = f"{self.size} bytes" if self.size < 1000 else f"{self.size // 1000} KB"
        return f"{size}, {'in blocks' if self.how == 'block' else 'line by line'}"


class Outcome(msgspec.Struct, frozen=True):
    """One trial. `seconds`: from the first write to the last line in the log; `cpu` in seconds, `memory` in MiB."""

    lines: int
    seconds: float
    whole: int
    torn: int
    lost: int
    doubled: int
    cpu: float
    memory: float
    in_time: bool
    """Else lines were still on their way when it was looked into the log."""


class Row(msgspec.Struct, frozen=True):
    """All trials of one tool with one workload."""

    tool: str
    workload: Workload
    outcomes: list[Outcome]

    @property
    def rates(self) -> list[float]:
        """MB/s that arrived, in each trial."""
        return [each.whole * self.workload.size / each.seconds / 1e6 for each in self.outcomes]

    @property
    def rate(self) -> float:
        """The median of that."""
        return median(self.rates)

    @property
    def cpu_per_gb(self) -> float:
        """CPU seconds of the tool for 1 GB: the median."""
        return median(each.cpu / max(1, each.whole + each.torn) / self.workload.size * 1e9 for each in self.outcomes)

    @property
    def memory(self) -> float:
        """MiB at most, in any trial."""
        return max(each.memory for each in self.outcomes)

    @property
    def in_time(self) -> bool:
        """Whether every trial came to its end."""
        return all(each.in_time for each in self.outcomes)

    def share(self, what: str) -> float:
        """How many of a million lines are lost, torn or doubled."""
        found: int = sum(getattr(each, what) for each in self.outcomes)
        return 1e6 * found / sum(each.lines for each in self.outcomes)


class Crowd(msgspec.Struct, frozen=True):
    """Many slow processes under one tool. `cpu`: percent of one core, each time; `arrived`: of the lines, 1 for all."""

    tool: str
    cpu: list[float]
    arrived: float
    memory: float


class Results(msgspec.Struct, frozen=True):
    """A whole run. `load`: of the machine (1 minute) while it measured nothing, before and after."""

    date: str
    machine: dict[str, str]
    load: list[float]
    versions: dict[str, str]
    absent: dict[str, str]
    """Why tools are not in it."""
    seconds: float
    """How long a program writes at most."""
    total: int
    """How many bytes it writes at most."""
    rows: list[Row]
    crowds: list[Crowd]
    copy: dict[str, float]
    """MB/s of `cat FILE > COPY`, without a pipe, by size of lines."""

    def row(self, tool: str, workload: Workload) -> Row | None:
        """That of a tool and a workload."""
        return next((each for each in self.rows if (each.tool, each.workload) == (tool, workload)), None)

    def workloads(self) -> list[Workload]:
        """In the order in which they were measured."""
        return list(dict.fromkeys(each.workload for each in self.rows))


def load(path: Path = _FILE) -> Results:
    """What was written down last."""
    return msgspec.json.decode(path.read_bytes(), type=Results)


def save(results: Results, path: Path = _FILE) -> None:
    """Write it down."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
