"""What the hook of a shell adds to a prompt, where nothing changes and where a project is entered."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median

from benchmarks.entry import BARE, warm_host
from benchmarks.measure import Figure, print_table, seconds
from benchmarks.stage import RUNCEPT, Stage, stage

__all__ = ["TITLE", "figures"]

PROMPTS = 10_000
ROUNDS = 7
ROUNDS_ENTERING = 30
LIMIT = 0.005
"""Seconds for a prompt where nothing changes."""
TITLE = "The hook of a shell in a project with one process"
PROJECT = '[project]\nname = "one"\n[[process]]\nname = "p"\ncommand = "sleep 1000000"\n'
NAME = "a bare interpreter"
LOOPS = {
    "bash": ". {hook}; cd {place}; __runcept_hook; for ((i = 0; i < {count}; i++)); do {body}; done",
    "zsh": ". {hook}; cd {place}; __runcept_hook; for ((i = 0; i < {count}; i++)); do {body}; done",
    "fish": ". {hook}; cd {place}; __runcept_hook; for i in (seq {count}); {body}; end",
}
OPTIONS = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config"]}
SAME = "__runcept_hook"
OTHER = {
    "bash": "__runcept_pwd=; __runcept_hook",
    "zsh": "__runcept_pwd=; __runcept_hook",
    "fish": "set -g __runcept_pwd ''; __runcept_hook",
}


def figures() -> Iterator[Figure]:
    """Each shell that is installed, five directories below the project; then the command that an entering runs."""
    with stage(PROJECT) as here:
        deep = here.project / "a" / "b" / "c" / "d" / "e"
        deep.mkdir(parents=True)
        bare = median(run(here, BARE) for _ in range(20))
        for shell in LOOPS:
            if shutil.which(shell) is None:
                print(f"{shell} is not installed here")
                continue
            each = a_prompt(here, shell, str(deep), SAME)
            yield Figure(f"{shell}: a prompt where nothing changes", each, "s", bare, NAME, LIMIT)
            each = a_prompt(here, shell, str(deep), OTHER[shell])
            yield Figure("  in another directory of the project", each, "s", bare, NAME)
        alone, bare = entering(here)
        yield Figure("entering a project, no daemon", alone, "s", bare, NAME)
        here.runcept("activate")
        warm_host(here)
        warm, bare = entering(here)
        yield Figure("entering an active project", warm, "s", bare, NAME)


def a_prompt(here: Stage, shell: str, place: str, body: str) -> float:
    """Seconds that the hook takes once, all of which it computes: a loop of it, less a loop of nothing."""
    hook = here.project / f"hook.{shell}"
    hook.write_text(here.runcept("hook", shell), encoding="utf-8")
    taken: dict[str, float] = {}
    loops = {each: LOOPS[shell].format(hook=hook, place=place, count=PROMPTS, body=each) for each in (body, "true")}
    for _ in range(ROUNDS):
        for each, script in loops.items():
            before = computed()
            run(here, [shell, *OPTIONS[shell], "-i", "-c", script])
            once = computed() - before
            taken[each] = min(once, taken.get(each, once))  # whatever else runs here only adds to it
    return (taken[body] - taken["true"]) / PROMPTS


def computed() -> float:
    """Seconds of a core that all programs have used that were started here and have ended."""
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def entering(here: Stage) -> tuple[float, float]:
    """Medians of the command that an entering runs, and of a bare interpreter in turns with it."""
    enter = [str(RUNCEPT), "hook", "bash", "--enter", "."]
    taken, bare = zip(*((run(here, enter), run(here, BARE)) for _ in range(ROUNDS_ENTERING)), strict=True)
    return median(taken), median(bare)


def run(here: Stage, command: list[str]) -> float:
    """Seconds that it takes in the project."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environ |= {"RUNCEPT_HOME": here.home, "HOME": str(here.project.parent)}
    nowhere = subprocess.DEVNULL
    return seconds(
        lambda: subprocess.run(
            command, cwd=here.project, env=environ, check=True, stdin=nowhere, stdout=nowhere, stderr=nowhere
        )
    )


if __name__ == "__main__":
    raise SystemExit(not print_table(TITLE, figures()))
