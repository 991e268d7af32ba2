"""What a command costs from its start to its end while the host is warm, beside a bare interpreter in turns with it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import psutil

from benchmarks.measure import Figure, print_table, seconds
from benchmarks.stage import RUNCEPT, Stage, stage

__all__ = ["TITLE", "figures"]

ROUNDS = 60
ROUNDS_ALONE = 10
WARM_SECONDS = 10.0
LIMIT = 4
"""Times a bare interpreter."""
TITLE = "A command of a project with three processes"
PROJECT = '[project]\nname = "three"\n' + "".join(
    f'[[process]]\nname = "p{number}"\ncommand = "sleep 1000000"\n' for number in range(3)
)
BARE = [sys.executable, "-c", "pass"]
ALONE = "import sys; from runcept.cli.in_process import run_here; sys.exit(run_here(sys.argv[1:]))"
STATUS = ["--json", "status"]
COMMANDS = (["--version"], STATUS, ["status"], ["logs", "-n", "10"])
NAME = "a bare interpreter"


def figures() -> Iterator[Figure]:
    """Commands by the host, one without it, and what the host itself costs."""
    with stage(PROJECT) as here:
        here.runcept("activate")
        host = warm_host(here)
        for command in COMMANDS:
            taken, bare = in_turns(here, [str(RUNCEPT), *command], ROUNDS)
            limit = LIMIT * bare if command is STATUS else None
            yield Figure(f"runcept {' '.join(command)}", taken, "s", bare, NAME, limit)
        taken, bare = in_turns(here, [sys.executable, "-c", ALONE, *STATUS], ROUNDS_ALONE)
        yield Figure("  without a host", taken, "s", bare, NAME)
        yield Figure("memory of the host, shared with nobody", host.memory_full_info().uss / (1 << 20), "MiB")


def in_turns(here: Stage, command: list[str], rounds: int) -> tuple[float, float]:
    """Medians of the command and of a bare interpreter: each sees the same noise."""
    return in_turns_with(here, command, BARE, rounds)


def in_turns_with(here: Stage, command: list[str], other: list[str], rounds: int) -> tuple[float, float]:
    """The same with another command in its place."""
    pairs = [(run(here.project, here.home, command), run(here.project, here.home, other)) for _ in range(rounds)]
    taken, bare = zip(*pairs, strict=True)
    return median(taken), median(bare)


def run(project: Path, home: str, command: list[str]) -> float:
    """Seconds that it takes. Modules are compiled, as in an installation, whatever the environment here says."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environ["RUNCEPT_HOME"] = home
    return seconds(lambda: subprocess.run(command, cwd=project, env=environ, stdout=subprocess.DEVNULL, check=True))


def warm_host(here: Stage) -> psutil.Process:
    """The host that a second command leaves behind."""
    here.runcept("status")
    deadline = time.monotonic() + WARM_SECONDS
    while not os.path.exists(os.path.join(here.home, "host.sock")):
        if time.monotonic() > deadline:
            raise TimeoutError("no host")
        time.sleep(0.01)
    words = ["runcept.host", here.home]
    [found] = [each for each in psutil.process_iter(["cmdline"]) if words == (each.info["cmdline"] or [])[-3:-1]]
    return found


if __name__ == "__main__":
    raise SystemExit(not print_table(TITLE, figures()))
