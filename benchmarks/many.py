"""Two hundred processes that do nothing: to start, to show, to have, and to stop."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from statistics import median

import psutil

from benchmarks.measure import Figure, bare_interpreter, bare_interpreter_memory, print_table, repeat, seconds
from benchmarks.stage import Stage, stage

__all__ = ["TITLE", "figures"]

COUNT = 200
ROUNDS = 3
IDLE_SECONDS = 20.0
TITLE = f"{COUNT} processes of `sleep`"
COMMAND = ["sleep", "1000000"]
PROJECT = '[project]\nname = "many"\n' + "".join(
    f'[[process]]\nname = "sleep-{number}"\ncommand = "{" ".join(COMMAND)}"\n' for number in range(COUNT)
)


def figures() -> Iterator[Figure]:
    """Started and ended directly and by Runcept, in turn; then left alone."""
    bare = bare_interpreter()
    spawned, killed, activated, shown, stopped = [], [], [], [], []
    with stage(PROJECT) as here:
        here.runcept("daemon", "start")
        for _ in range(ROUNDS):
            direct: list[subprocess.Popen[bytes]] = []
            spawned.append(seconds(lambda: direct.extend(subprocess.Popen(COMMAND) for _ in range(COUNT))))  # noqa: B023
            killed.append(seconds(lambda: end(direct)))  # noqa: B023
            activated.append(seconds(lambda: here.runcept("activate")))
            shown.append(repeat(lambda: here.runcept("status"), 5))
            stopped.append(seconds(lambda: here.runcept("kill-all", "--yes")))
        here.runcept("activate")
        idle = list(at_rest(here))
    start = f"starting {COUNT} with subprocess"
    yield Figure("activate", median(activated), "s", median(spawned), start, 6.0)
    yield Figure("status", median(shown), "s", bare, "a bare interpreter", 0.4)
    yield Figure("kill-all", median(stopped), "s", median(killed), f"ending {COUNT} with kill and wait")
    yield from idle


def at_rest(here: Stage) -> Iterator[Figure]:
    """What daemon and keeper cost while nothing happens."""
    daemon = psutil.Process(here.document("daemon", "status")["pid"])
    keeper = psutil.Process(psutil.Process(here.document("status")["processes"][0]["pid"]).ppid())
    busy = {"daemon": daemon, "keeper": keeper}
    before = {name: used(process) for name, process in busy.items()}
    time.sleep(IDLE_SECONDS)
    for name, process in busy.items():
        share = (used(process) - before[name]) / IDLE_SECONDS * 100
        yield Figure(f"idle {name}, of one core over {IDLE_SECONDS:g} s", share, "%", limit=1.0)
    mib = 1 << 20
    bare = "a bare interpreter"
    yield Figure("daemon, resident", daemon.memory_info().rss / mib, "MiB", bare_interpreter_memory(), bare, 60.0)
    small = bare_interpreter_memory("-I", "-S")
    yield Figure("keeper, resident", keeper.memory_info().rss / mib, "MiB", small, f"{bare} with -I -S", 16.0)


def used(process: psutil.Process) -> float:
    """CPU seconds since its start."""
    times = process.cpu_times()
    return float(times.user + times.system)


def end(processes: list[subprocess.Popen[bytes]]) -> None:
    """Tell all, then wait for each."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait()


if __name__ == "__main__":
    raise SystemExit(not print_table(TITLE, figures()))
