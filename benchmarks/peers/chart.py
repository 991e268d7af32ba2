"""The picture of the figures: bars on a logarithmic scale, drawn as SVG by hand. Its colours suit light and dark."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape

from benchmarks.peers.results import Results, Row, Workload

__all__ = ["chart"]

WIDTH = 860
LEFT = 190.0  # of the bars; names stand before it
RIGHT = 80.0  # for the figure behind the longest bar
BAR, GAP, HEAD = 14.0, 5.0, 46.0
FLOOR = 1.0  # MB/s, where the bars begin
STYLE = """\
<style>
text { font: 13px ui-sans-serif, system-ui, "DejaVu Sans", sans-serif; fill: #57606a; }
.title { font-weight: 600; }
.own { font-weight: 600; }
.nothing, .names { fill: #8c959f; }
.timestamps { fill: #bf8700; }
.records { fill: #1f883d; }
.grid { stroke: #8c959f; stroke-opacity: 0.35; }
@media (prefers-color-scheme: dark) {
text { fill: #b1bac4; }
.nothing, .names { fill: #6e7681; }
.timestamps { fill: #d29922; }
.records { fill: #3fb950; }
}
</style>"""
LEGEND = {
    "records": "records, each line with its instant and stream",
    "timestamps": "lines with a timestamp",
    "nothing": "a copy, with a name at most",
}


def chart(results: Results, keeps: dict[str, str]) -> str:
    """A panel for each workload, a bar for each tool; `keeps` has for each tool what it keeps with a line."""
    panels: list[str] = []
    top = 34.0
    rates = [row.rate for row in results.rows]
    scale = Scale(max(rates, default=FLOOR))
    for workload in results.workloads():
        rows = [row for row in results.rows if row.workload == workload]
        panels += panel(workload, rows, keeps, scale, top)
        top += HEAD + len(rows) * (BAR + GAP)
    panels += ticks(scale, top - 8)
    height = top + 12
    return "\n".join(
        [
            f'<svg viewBox="0 0 {WIDTH} {height:g}" xmlns="http://www.w3.org/2000/svg" role="img">',
            "<title>How many MB/s of output arrive in the log, by tool</title>",
            STYLE,
            *legend(),
            *panels,
            "</svg>\n",
        ]
    )


class Scale:
    """Where a rate is on the axis."""

    def __init__(self, most: float) -> None:
        self._width = (WIDTH - LEFT - RIGHT) / math.log10(max(most, 10 * FLOOR) / FLOOR)
        self._most = most

    def length(self, rate: float) -> float:
        """Of a bar; what is slower than FLOOR has one of a pixel."""
        return max(1.0, self._width * math.log10(max(rate, FLOOR) / FLOOR))

    def grid(self) -> Iterator[tuple[float, float]]:
        """The powers of ten, and where they are."""
        rate = FLOOR
        while rate <= self._most:
            yield rate, LEFT + (self.length(rate) if rate > FLOOR else 0.0)
            rate *= 10


def legend() -> Iterator[str]:
    """What the colours mean."""
    left = 60.0
    for kind, words in LEGEND.items():
        yield f'<rect class="{kind}" x="{left:g}" y="8" width="12" height="12"/>'
        yield f'<text x="{left + 17:g}" y="19">{escape(words)}</text>'
        left += 45 + 6.3 * len(words)


def panel(workload: Workload, rows: list[Row], keeps: dict[str, str], scale: Scale, top: float) -> Iterator[str]:
    """One workload: title, grid, bars in the order of their length."""
    first = top + HEAD - 18
    bottom = first + len(rows) * (BAR + GAP) - GAP
    yield f'<text class="title" x="{LEFT:g}" y="{top + 12:g}">Lines of {escape(workload.title)}: MB/s</text>'
    for _, at in scale.grid():
        yield f'<line class="grid" x1="{at:.1f}" y1="{first - 5:g}" x2="{at:.1f}" y2="{bottom + 3:g}"/>'
    for index, row in enumerate(sorted(rows, key=lambda each: -each.rate)):
        at = first + index * (BAR + GAP)
        kind = keeps[row.tool]
        own = ' class="own"' if kind == "records" else ""
        length = scale.length(row.rate)
        base = f"{at + BAR - 3:g}"
        yield f'<text{own} x="{LEFT - 8:g}" y="{base}" text-anchor="end">{escape(row.tool)}</text>'
        yield f'<rect class="{kind}" x="{LEFT:g}" y="{at:g}" width="{length:.1f}" height="{BAR:g}"/>'
        yield f'<text{own} x="{LEFT + length + 6:.1f}" y="{base}">{written(row.rate)}</text>'


def ticks(scale: Scale, base: float) -> Iterator[str]:
    """What the lines of the grid stand for."""
    for rate, at in scale.grid():
        yield f'<text x="{at:.1f}" y="{base:g}" text-anchor="middle">{rate:.0f}</text>'


def written(rate: float) -> str:
    """A rate, with as many digits as it is worth."""
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"
