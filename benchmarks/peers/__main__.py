"""`python -m benchmarks.peers`: measure Runcept and other tools side by side, or put the others into a directory.

What is not found, in the directory of `--tools` or on the PATH, is left out, and it is said why.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.measure import seconds
from benchmarks.peers.install import UNTRIED, absent, install
from benchmarks.peers.lines import write_source
from benchmarks.peers.page import page, picture
from benchmarks.peers.results import Crowd, Outcome, Results, Row, Workload, load, save
from benchmarks.peers.tools import TOOLS, Tool, Tools
from benchmarks.peers.trial import crowd, trial
from runcept import __version__

ROOT = Path(__file__).resolve().parents[2]
WORKLOADS = tuple(Workload(size, how) for how in ("block", "line") for size in (100, 1000))
CROWD_SECONDS = 15.0
GROWTH = 1.8  # of the bytes of a program, at most: a record has 68 bytes beside a line of 100
PLACES = {"docs/benchmarks.md": page, "docs/pictures/logs-throughput.svg": picture}


def main() -> None:
    """Measure, print the page, and write it where that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--install", type=Path, metavar="DIR", help="put the tools into DIR, and measure nothing")
    parser.add_argument("--tools", type=Path, metavar="DIR", help="where they were put")
    parser.add_argument("--only", metavar="NAMES", help="some tools, by name, with commas between them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="how long a program writes at most")
    parser.add_argument("--total", type=int, default=1_000_000_000, help="how many bytes it writes at most")
    parser.add_argument("--no-crowd", action="store_true", help="without the thousand processes")
    parser.add_argument(
        "--crowd", action="store_true", help="the thousand processes alone, beside the last results of the rest"
    )
    parser.add_argument("--write-docs", action="store_true", help="write docs/benchmarks.md and its picture")
    asked = parser.parse_args()
    if asked.install:
        for name, why in install(asked.install.resolve()).items():
            print(f"{name}: {why}")
        return
    if asked.only and (unknown := set(asked.only.split(",")) - {tool.name for tool in TOOLS}):
        parser.error(f"no tool is named {', '.join(unknown)}; there are {', '.join(tool.name for tool in TOOLS)}")
    results = measure_crowd(asked) if asked.crowd else measure(asked)
    if asked.write_docs:
        save(results)
        for place, make in PLACES.items():
            (ROOT / place).write_text(make(results), encoding="utf-8")
    else:
        print(page(results))


def measure(asked: argparse.Namespace) -> Results:
    """All of it: tools in turns, workload by workload, round by round."""
    directory = asked.tools.resolve() if asked.tools else None
    tools, missing = Tools(directory), absent(directory)
    chosen = [tool for tool in TOOLS if not asked.only or tool.name in asked.only.split(",")]
    found = [tool for tool in chosen if not tool.program or tools.find(tool.program)]
    missing |= {tool.name: f"`{tool.program}` is not here" for tool in chosen if tool not in found}
    missing |= {name: "never tried" for name in UNTRIED if name not in missing}
    idle = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory(prefix="runcept-peers-") as place:
        rows, copy = throughput(found, tools, Path(place), asked)
    crowds = [] if asked.no_crowd else slow_ones(found, tools, asked.rounds, missing)
    idle.append(os.getloadavg()[0])
    return Results(
        date=dt.datetime.now(dt.UTC).date().isoformat(),
        machine=about_machine(),
        load=idle,
        versions={tool.name: version(tool, tools) for tool in found},
        absent=missing,
        seconds=asked.seconds,
        total=asked.total,
        rows=rows,
        crowds=crowds,
        copy=copy,
    )


def measure_crowd(asked: argparse.Namespace) -> Results:
    """The thousand processes under each tool anew."""
    before = load()
    tools = Tools(asked.tools.resolve() if asked.tools else None)
    found = [tool for tool in TOOLS if tool.name in before.versions]
    return msgspec.structs.replace(before, crowds=slow_ones(found, tools, asked.rounds, before.absent))


def throughput(
    found: Sequence[Tool], tools: Tools, place: Path, asked: argparse.Namespace
) -> tuple[list[Row], dict[str, float]]:
    """The trials of the fast programs, and how fast `cat` copies a file."""
    sources = {size: place / f"lines-{size}" for size in {each.size for each in WORKLOADS}}
    for size, source in sources.items():
        write_source(source, size, asked.total)
    outcomes: dict[tuple[Tool, Workload], list[Outcome]] = {}
    copy: dict[str, float] = {}
    for turn in range(asked.rounds):
        for workload in WORKLOADS:
            source = sources[workload.size]
            for tool in found:
                use_memory(place / "used", GROWTH * asked.total)
                outcome = trial(tool, tools, workload, source, asked.seconds)
                outcomes.setdefault((tool, workload), []).append(outcome)
                row = Row(tool.name, workload, [outcome])
                print(
                    f"round {turn + 1}, {workload.title}: {tool.name}: {row.rate:.1f} MB/s, "
                    f"{outcome.lost} lost, {outcome.torn} torn, {outcome.doubled} doubled of {outcome.lines}, "
                    f"{row.cpu_per_gb:.2f} CPU s/GB, {row.memory:.0f} MiB{'' if row.in_time else ', late'}, "
                    f"load {os.getloadavg()[0]:.1f}",
                    flush=True,
                )
            rate = asked.total / seconds(lambda: copy_file(source, place / "copy")) / 1e6  # noqa: B023
            copy[str(workload.size)] = max(rate, copy.get(str(workload.size), 0.0))
    return [Row(tool.name, workload, each) for (tool, workload), each in outcomes.items()], copy


def slow_ones(found: Sequence[Tool], tools: Tools, rounds: int, missing: dict[str, str]) -> list[Crowd]:
    """A thousand processes under each tool that can have them; one that does not get them started goes to `missing`."""
    crowds = []
    for tool in found:
        if tool.many:
            try:
                crowds.append(crowd(tool, tools, CROWD_SECONDS, rounds))
            except TimeoutError as error:  # the rest took half an hour
                missing[f"{tool.name}, with so many processes"] = f"{error}: not in time"
            else:
                print(f"{crowds[-1]}, load {os.getloadavg()[0]:.1f}", flush=True)
    return crowds


def use_memory(file: Path, size: float) -> None:
    """So that each trial meets memory that the machine has used before; a virtual one has to get it from its host."""
    with file.open("wb") as target:
        for _ in range(int(size) >> 20):
            target.write(bytes(1 << 20))
    file.unlink()


def copy_file(source: Path, target: Path) -> None:
    """`cat SOURCE > TARGET`."""
    with target.open("wb") as file:
        subprocess.run(["cat", source], stdout=file, check=True)
    target.unlink()


def version(tool: Tool, tools: Tools) -> str:
    """Of a tool that is here."""
    if tool.program:
        return tools.version(tool.program)
    return __version__ if tool.name == "Runcept" else tools.version(tool.name)


def about_machine() -> dict[str, str]:
    """What it ran on."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False) if has_node() else None
    return {
        "cores": f"{os.cpu_count()} ({models[0] if models else platform.machine()})",
        "memory": f"{memory:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
    } | ({"Node": node.stdout.strip()} if node else {})


def has_node() -> bool:
    """Whether what runs pm2 and concurrently is here."""
    return Tools(None).find("node") is not None


if __name__ == "__main__":
    main()
