"""How soon a client that watches sees that a process has died, and that it has been started again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from statistics import median

from benchmarks.measure import Figure, print_table, seconds
from benchmarks.stage import Stage, stage
from runcept.api.messages import Start
from runcept.core.views import ProcessView, State

__all__ = ["TITLE", "figures"]

ROUNDS = 30
RESTART_DELAY = 0.01
TITLE = "From kill(2) until a client is told"
PROJECT = f"""
[project]
name = "fragile"
[[process]]
name = "fails"
command = "sleep 1000000"
[[process]]
name = "returns"
command = "sleep 1000000"
restart = "always"
restart_delay = {RESTART_DELAY}
restart_max_delay = {RESTART_DELAY}
[[process]]
name = "never-ready"
command = "sleep 1000000"
health_check = "log://never"
"""


class Seen(Exception):
    """What was waited for has been told."""


class Killing:
    """Kills a process once it runs, and notes when it is told to be in the state waited for afterwards."""

    def __init__(self, name: str, state: State) -> None:
        self.name, self.state = name, state
        self.killed_at = 0.0
        self.run: int | None = None

    def told(self, view: ProcessView) -> None:
        """A process has changed."""
        if view.name != self.name:
            return
        if self.run is None:
            if view.state is State.RUNNING and view.pid is not None:
                self.run, self.killed_at = view.run, time.perf_counter()
                os.kill(view.pid, signal.SIGKILL)
        elif view.state is self.state and (view.pid is not None or self.state is State.FAILED):
            raise Seen


def measure(here: Stage, name: str, state: State) -> float:
    """Seconds, once. The request waits for `never-ready` as well, so it goes on telling."""
    watch = Killing(name, state)
    with here.connection() as connection:
        params = Start(environment=str(here.project), names=[name, "never-ready"], progress=True)
        try:
            connection.call("start", params, watch.told)
        except Seen:
            return time.perf_counter() - watch.killed_at
    raise TimeoutError(name)


def directly() -> float:
    """Seconds from kill to the return of wait, of a child of our own."""
    process = subprocess.Popen(["sleep", "1000000"])
    process.kill()
    return seconds(process.wait)


def figures() -> Iterator[Figure]:
    """A death that is final, and one that is not."""
    failed, returned, own = [], [], []
    with stage(PROJECT) as here:
        here.runcept("activate", "--no-wait")
        for _ in range(ROUNDS):
            own.append(directly())
            failed.append(measure(here, "fails", State.FAILED))
            here.runcept("stop", "returns")  # a start by a person resets the limiter of restarts
            returned.append(measure(here, "returns", State.STARTING) - RESTART_DELAY)
    wait = "kill and wait of a child of our own"
    yield Figure("until `failed`", median(failed), "s", median(own), wait)
    yield Figure("until it lives again, beyond restart_delay", median(returned), "s", median(own), wait)


if __name__ == "__main__":
    raise SystemExit(not print_table(TITLE, figures()))
