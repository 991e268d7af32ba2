"""docs/benchmarks.md, made of what was measured: the same results give the same page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from benchmarks.peers.chart import chart, written
from benchmarks.peers.results import Crowd, Results, Row, Workload
from benchmarks.peers.tools import CROWD, TOOLS

__all__ = ["page", "picture"]

OWN = "Runcept"
LIMIT = "cat"
INTRODUCTION = """\
# Benchmarks

How fast the output of a program gets into the log that a tool keeps of it, and whether all of it gets there. The same
program ran under each tool in one run, tools in turns, so that each met the same noise. This page was written by
`python -m benchmarks.peers --write-docs`; `make bench-peers` installs the tools and repeats it all.
"""
METHOD = """\
## What was measured

A program writes numbered lines for {seconds:g} s, or {total:g} GB of them: in blocks of 64 KiB, which end within
lines, as programs write that buffer their output; or with a write for each line. The clock runs from its first write
until its last line can be read in the tool's log file; nothing is asked to be on the disk itself. What counts are the
bytes of the program that are whole in the log: the median of {rounds} rounds, with the least and the most. Before each
trial as much memory as it needs was used and given back, since a virtual machine pays for what it has not used yet.

*Lost*: nothing of the line is in the log. *Torn*: a part is missing, or something else stands within it. Both are of a
million lines, over all rounds. *CPU*: seconds of the tool's own processes for a GB, without the program. *Memory*: the
most that they had resident. Of Runcept, daemon and keeper are counted; the host that runs commands (28 MiB) takes no
part in it.

No tool rotates or compresses here, and none shows its output on a screen but mprocs, which has to.
"""
KEEPS = {
    "records": "records: instant (µs) and stream of each line",
    "timestamps": "a timestamp before each line",
    "names": "a name before each line",
    "nothing": "the bytes alone",
}


def picture(results: Results) -> str:
    """docs/pictures/logs-throughput.svg."""
    return chart(results, {tool.name: tool.keeps for tool in TOOLS})


def page(results: Results) -> str:
    """docs/benchmarks.md."""
    rounds = max((len(row.outcomes) for row in results.rows), default=0)
    parts = [
        INTRODUCTION,
        "![MB/s of output that arrive in the log, by tool, for four ways of writing](pictures/logs-throughput.svg)\n",
        *(section(results, workload) for workload in results.workloads()),
        crowds(results),
        summary(results),
        METHOD.format(seconds=results.seconds, total=results.total / 1e9, rounds=rounds),
        compared(results),
        machine(results),
    ]
    return "\n".join(part for part in parts if part)


def section(results: Results, workload: Workload) -> str:
    """The table of one workload, the fastest first."""
    rows = sorted((row for row in results.rows if row.workload == workload), key=lambda row: -row.rate)
    limit = results.row(LIMIT, workload)
    titles = ("", "MB/s", "of `cat`", "lost", "torn", "CPU s/GB", "memory MiB", "keeps")
    keeps = {tool.name: tool.keeps for tool in TOOLS}
    cells = [
        (
            f"**{row.tool}**" if row.tool == OWN else row.tool,
            f"{written(row.rate)} ({written(min(row.rates))} to {written(max(row.rates))})",
            ratio(row.rate / limit.rate) if limit else "",
            *books(row),
            f"{row.cpu_per_gb:.2f}",
            f"{row.memory:.0f}",
            keeps[row.tool],
        )
        for row in rows
    ]
    return f"## Lines of {workload.title}\n\n{table(titles, cells)}"


def ratio(value: float) -> str:
    """With two digits that say something."""
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def books(row: Row) -> tuple[str, str]:
    """Lines lost and torn of a million; where some were still to come, nobody knows how many would be lost."""
    return (per_million(row.share("lost")) if row.in_time else "late", per_million(row.share("torn")))


def per_million(share: float) -> str:
    """None is 0, and what is not none is not."""
    if not share:
        return "0"
    return f"{share:,.0f}" if share >= 1 else "< 1"


def crowds(results: Results) -> str:
    """The many slow ones."""
    if not results.crowds:
        return ""
    titles = ("", "CPU of one core", "lines that arrived", "memory MiB")
    cells = [
        (
            f"**{each.tool}**" if each.tool == OWN else each.tool,
            spread(each),
            f"{each.arrived:.1%}",
            f"{each.memory:.0f}",
        )
        for each in sorted(results.crowds, key=lambda each: sorted(each.cpu)[len(each.cpu) // 2])
    ]
    return f"""\
## {CROWD:,} processes that write ten lines a second each

{table(titles, cells)}
Of tools that can be given so many; in brackets the least and the most of {len(results.crowds[0].cpu)} times. What the
programs cannot write in time on a busy machine has not arrived either.
"""


def spread(crowd: Crowd) -> str:
    """The median, the least and the most."""
    ordered = sorted(crowd.cpu)
    return f"{ordered[len(ordered) // 2]:.1f} % ({ordered[0]:.1f} to {ordered[-1]:.1f})"


def summary(results: Results) -> str:
    """The ratios that were to be reached, and whether they are."""
    return "## Targets\n\n" + table(("", "at least, or at most", "measured"), list(targets(results)))


def targets(results: Results) -> Iterator[tuple[str, str, str]]:
    """One row each."""
    for workload, least in ((Workload(100, "block"), 0.25), (Workload(1000, "block"), 0.5)):
        own, limit = results.row(OWN, workload), results.row(LIMIT, workload)
        if own and limit:
            share = own.rate / limit.rate
            yield f"lines of {workload.title}, of `cat`", f"{least:g}", mark(f"{share:.2f}", reached=share >= least)
    for workload in results.workloads():
        if workload.how == "block" and (own := results.row(OWN, workload)):  # else the program is the slowest part
            stamped = [row for row in results.rows if row.workload == workload and row.tool in STAMPED]
            limit = results.row(LIMIT, workload)
            for place, row in enumerate(sorted(stamped, key=lambda each: -each.rate)[:2]):
                share = own.rate / row.rate
                which = "next fastest" if place else "fastest"
                what = f"lines of {workload.title}, of the {which} with timestamps ({row.tool})"
                beyond = "; 4 would be more than `cat`" if limit and 4 * row.rate > limit.rate else ""
                yield what, f"4{beyond}", mark(f"{share:.2g}", reached=share >= 4)
    own_rows = [row for row in results.rows if row.tool == OWN]
    if own_rows:
        amiss = sum(row.share("lost") + row.share("torn") + row.share("doubled") for row in own_rows)
        yield "lines lost, torn or doubled", "0", mark(per_million(amiss), reached=not amiss)
    for each in results.crowds:
        if each.tool == OWN:
            middle = sorted(each.cpu)[len(each.cpu) // 2]
            yield (
                f"{CROWD:,} processes, ten lines a second each, of one core",
                "6 %",
                mark(f"{middle:.1f} %", reached=middle <= 6),
            )


STAMPED = {tool.name for tool in TOOLS if tool.keeps == "timestamps"}


def mark(figure: str, *, reached: bool) -> str:
    """A figure, and that it is not what it should be."""
    return figure if reached else f"{figure} (missed)"


def compared(results: Results) -> str:
    """Which tools, how they were told, and which are missing."""
    cells = [
        (tool.name, results.versions.get(tool.name, ""), tool.note, KEEPS[tool.keeps])
        for tool in TOOLS
        if any(row.tool == tool.name for row in results.rows)
    ]
    text = f"## What was compared\n\n{table(('', 'version', 'how it keeps output', 'what is kept'), cells)}"
    if results.absent:
        missing = "".join(f"* {name}: {why}\n" for name, why in sorted(results.absent.items()))
        text += f"\nNot in it, since they could not be installed where this was measured:\n\n{missing}"
    return text


def machine(results: Results) -> str:
    """When and where."""
    facts = [("date", results.date), *results.machine.items()]
    facts.append(("load of the machine (1 min) before and after", " and ".join(f"{each:.1f}" for each in results.load)))
    facts += [
        (f"`cat FILE > COPY`, no pipe, lines of {size} bytes", f"{rate:.0f} MB/s")
        for size, rate in results.copy.items()
    ]
    return f"## Where\n\n{table(('', ''), facts)}"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown, figures to the right."""
    rows = list(rows)
    plain = "0123456789<"
    right = [bool(rows) and all(row[index][:1] in plain for row in rows) for index in range(len(titles))]
    lines = [titles, ["---:" if each else "---" for each in right], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
