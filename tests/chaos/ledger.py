"""What became of every run: the evidence of the actors held against the log and the database. It only reads."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.chaos.actor import COUNTS, NO_INTENT, start_time
from tests.chaos.stage import Stage

from runcept.logs.reader import read
from runcept.paths import database, log_path

_SIGNALS = {11: "SIGSEGV", 6: "SIGABRT", 40: "SIGRTMIN+6"}

__all__ = ["Began", "Ledger", "Verdict"]


class Began(NamedTuple):
    """One process that the journal tells of."""

    what: str
    name: str
    run: int
    pid: int
    start_time: int
    at: float
    """Seconds since the epoch."""

    def is_alive(self) -> bool:
        """Whether that very process runs."""
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                is_zombie = file.read().rpartition(b")")[2].split()[0] == b"Z"
            return not is_zombie and start_time(self.pid) == self.start_time
        except (FileNotFoundError, ProcessLookupError):
            return False


@dataclass
class Verdict:
    """What went wrong, one sentence each, by kind; and how much was looked at."""

    wrong: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    runs: int = 0
    lines: int = 0
    unseen: int = 0
    """Runs that ended while no keeper lived, as their log says: what their pipes still held is gone."""
    unknown: int = 0
    """Those of them of which nobody can know how they ended."""


class Ledger:
    """The evidence of one stage. `killed`: pids of actors that we killed; `keeper_kills`: when (epoch seconds)."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.killed: set[tuple[int, int]] = set()
        self.keeper_kills: list[float] = []
        self.gaps: set[tuple[str, int]] = set()
        """The runs whose log says that something may be missing."""
        self.ends: dict[tuple[str, int], tuple[Any, ...]] = {}
        """How each run ended, as its log tells it."""

    def journal(self) -> list[Began]:
        """In the order of the beginnings."""
        path = self.stage.evidence / "journal"
        lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
        return [Began(**json.loads(line)) for line in lines]

    def judge(self) -> Verdict:
        """Once everything was stopped, and the daemon has ended."""
        verdict = Verdict()
        journal = self.journal()
        for entry in journal:
            if entry.what == "double":
                verdict.wrong["processes doubled"].append(f"{entry.name} run {entry.run}: another copy lived")
            if entry.is_alive():
                verdict.wrong["orphans"].append(f"{entry.name} run {entry.run}: pid {entry.pid} ({entry.what}) lives")
        known = self._known_runs()
        said = {name: self._said(name) for name in {entry.name for entry in journal}}
        oldest = {name: min((run for each, run in known if each == name), default=0) for name in said}
        for entry in journal:
            if entry.what == "began":
                verdict.runs += 1
                told = known.get((entry.name, entry.run))
                if told is None and entry.run < oldest[entry.name]:  # the daemon keeps a hundred; the log tells of all
                    told = self.ends.get((entry.name, entry.run))
                self._judge_run(verdict, entry, told, said[entry.name])
        return verdict

    def _known_runs(self) -> dict[tuple[str, int], tuple[Any, ...]]:
        connection = sqlite3.connect(database(self.stage.home))
        try:
            rows = connection.execute("SELECT process, run, exit_code, exit_signal, started_at, ended_at FROM runs")
            return {(name, run): rest for name, run, *rest in rows}
        finally:
            connection.close()

    def _said(self, name: str) -> dict[tuple[int, int], list[int]]:
        """The numbers in the log, by run and stream, in the order of the log."""
        numbers: dict[tuple[int, int], list[int]] = defaultdict(list)
        for line in read({name: log_path(str(self.stage.project), name)}, lines=None).lines:
            if line.event == "gap" and line.run is not None:
                self.gaps.add((name, line.run))
            elif line.event == "exited":
                number, _, how = line.message.removeprefix("run ").partition(": ")
                code = int(how.removeprefix("exit code ")) if how.startswith("exit code ") else None
                signal = how.removeprefix("killed by ") if how.startswith("killed by ") else None
                self.ends[name, int(number)] = (code, signal, None, None)
            elif line.stream in {"stdout", "stderr"} and line.newline:  # a writer that was killed may cut its last one
                run, stream, number = line.message.split(" ")
                numbers[int(run), int(stream)].append(int(number))
        return numbers

    def _judge_run(self, verdict: Verdict, entry: Began, known: Any, said: dict[tuple[int, int], list[int]]) -> None:
        who = f"{entry.name} run {entry.run}"
        if known is None:
            verdict.wrong["processes lost"].append(f"{who}: nobody knows of it")
            return
        counts = self.counts(entry)
        code, signal, started_at, ended_at = known
        unseen = (entry.name, entry.run) in self.gaps and any(
            (started_at or 0) <= at <= (ended_at or at) for at in self.keeper_kills
        )
        unknown = unseen and code is None and signal is None
        verdict.unseen, verdict.unknown = verdict.unseen + unseen, verdict.unknown + unknown
        if not unknown and (sentence := self._misjudged(entry, counts, code, signal)):
            verdict.wrong["statuses wrong"].append(f"{who}: {sentence}")
        for kind, sentence in self._misprinted(counts, entry.run, said, may_end_early=unseen):
            verdict.wrong[kind].append(f"{who}: {sentence}")
        verdict.lines += sum(len(said.get((entry.run, stream), ())) for stream in (0, 1))

    def counts(self, entry: Began) -> tuple[int, ...]:
        """What the run has written down of itself: see actor.COUNTS; zeros where it came to nothing."""
        try:
            data = (self.stage.evidence / f"{entry.name}.{entry.run}").read_bytes()
        except FileNotFoundError:
            data = b""
        return COUNTS.unpack(data) if len(data) == COUNTS.size else (0, 0, 0, 0, NO_INTENT, 0)

    def _misjudged(self, entry: Began, counts: tuple[int, ...], code: int | None, signal: str | None) -> str:
        """Why the status that is told cannot be, empty where it can."""
        *_, intent, handles_term = counts
        allowed: set[tuple[int | None, str | None]] = set()
        if intent != NO_INTENT:
            allowed.add((intent, None) if intent >= 0 else (None, _SIGNALS[-intent]))
        if entry.name.startswith("stubborn") or (entry.pid, entry.start_time) in self.killed:
            allowed.add((None, "SIGKILL"))
        if not handles_term:
            allowed.add((None, "SIGTERM"))
        return "" if (code, signal) in allowed else f"{(code, signal)} is told, {sorted(map(str, allowed))} can be"

    @staticmethod
    def _misprinted(
        counts: tuple[int, ...], run: int, said: dict[tuple[int, int], list[int]], *, may_end_early: bool
    ) -> Iterator[tuple[str, str]]:
        for stream in (0, 1):
            begun, done = counts[2 * stream : 2 * stream + 2]
            numbers = said.get((run, stream), [])
            unique = set(numbers)
            highest = max(unique, default=0)
            least = 0 if may_end_early else done
            if doubled := len(numbers) - len(unique):
                yield "lines doubled", f"stream {stream}: {doubled}"
            if missing := max(highest, least) - len(unique):
                yield "lines lost", f"stream {stream}: {missing} of {done} (begun {begun}, highest logged {highest})"
            if numbers != sorted(numbers) or highest > begun:
                yield "lines torn", f"stream {stream}: not in order, or never written"
