"""Tables, laid out: for a pipe plain and stable, for a terminal as wide as it is. Imports rich only to draw.

A pipe gets every column, aligned, with `-` where there is nothing. A terminal gets the columns that say something and
fit, the most important first; long names are shortened in the middle; a remark begins where its row has nothing more
to say, or goes below if it is too long.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Self

from runcept.cli.invocation import Invocation
from runcept.core.columns import cut, width_of
from runcept.core.printable import printable

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["Cell", "Column", "Row", "Table", "drawn_lines", "print_cells", "shortened"]

_GAP = 2
_SYMBOL = 2
_INDENT = 4
_NARROWEST_REMARK = 20  # columns, however narrow the terminal
_SHORT, _SHORTEST = 16, 4
"""To what width a text that always stays is shortened: before others are left out for it, and when all else failed."""


class Cell(NamedTuple):
    """A text and its rich style. The text may be another program's: what would act on a terminal is not shown."""

    text: str
    style: str = ""


class Column(NamedTuple):
    """`rank`: 0 always stays, shortened in the middle; else the highest goes first when the width does not suffice."""

    title: str
    rank: int = 0
    right: bool = False


class Row(NamedTuple):
    """Cells in the order of the columns; `symbol` is drawn before them on a terminal only; `remark` comes last."""

    cells: Sequence[Cell]
    symbol: Cell = Cell("")
    remark: Cell = Cell("")


class Table(NamedTuple):
    """`remark` is the title of the remarks in a pipe; without `titles` no line of titles is shown."""

    columns: Sequence[Column]
    rows: Sequence[Row]
    remark: str = ""
    titles: bool = True

    def print(self, invocation: Invocation) -> None:
        """To the invocation's stdout, for a terminal or a pipe."""
        if invocation.drawn:
            _draw(self, invocation)
        else:
            for line in _plain(_safe(self)):
                invocation.print(line)


def print_cells(invocation: Invocation, cells: Sequence[Cell], separator: str = "", plain: str = "  ") -> None:
    """One line of cells, as long as it is, with the separator between them; in a pipe with `plain` instead."""
    said = [_safe_cell(cell) for cell in cells if cell.text]
    if not invocation.color:
        invocation.print((separator if invocation.drawn else plain).join(cell.text for cell in said).rstrip())
        return
    from rich.text import Text

    from runcept.cli.drawing import console

    between = Text(separator, "dim")
    parts = [part for cell in said for part in (between, Text(cell.text, cell.style))][1:]
    console(invocation).print(Text.assemble(*parts), soft_wrap=True)


def drawn_lines(table: Table, width: int, *, one_line_a_row: bool = False) -> list[Text]:
    """The table for a terminal of this width, as rich text; with `one_line_a_row`, remarks stay beside, to be cut."""
    from rich.text import Text

    lines = []
    for cells in _drawn(_safe(table), width, one_line_a_row=one_line_a_row):
        text = Text.assemble(*((cell.text, cell.style) for cell in cells), no_wrap=True, overflow="ellipsis")
        text.rstrip()
        lines.append(text)
    return lines


def _safe(table: Table) -> Table:
    rows = [Row([*map(_safe_cell, row.cells)], row.symbol, _safe_cell(row.remark)) for row in table.rows]
    return table._replace(rows=rows)


def _safe_cell(cell: Cell) -> Cell:
    return Cell(printable(cell.text, color=False), cell.style)


def _pad(text: str, width: int, right: bool) -> str:
    space = " " * (width - width_of(text))
    return space + text if right else text + space


def _plain(table: Table) -> list[str]:
    lines = [[cell.text or "-" for cell in row.cells] for row in table.rows]
    if table.titles:
        lines.insert(0, [column.title for column in table.columns])
    widths = [max(width_of(line[i]) for line in lines) for i in range(len(table.columns))] if lines else []
    remarks = [row.remark.text for row in table.rows]
    if table.titles:
        remarks.insert(0, table.remark)
    joined = []
    for line, remark in zip(lines, remarks, strict=True):
        cells = [_pad(text, widths[i], table.columns[i].right) for i, text in enumerate(line)]
        joined.append((" " * _GAP).join([*cells, remark]).rstrip())
    return joined


def _draw(table: Table, invocation: Invocation) -> None:
    from runcept.cli.drawing import console

    to = console(invocation)
    for line in drawn_lines(table, invocation.surroundings.width):
        to.print(line, no_wrap=True, overflow="ellipsis", crop=True)


class _Fit(NamedTuple):
    """What of a table is shown at some width: indexes of the columns, their widths, and the width of the symbols."""

    shown: list[int]
    widths: dict[int, int]
    symbols: int

    @classmethod
    def of(cls, table: Table, width: int) -> Self:
        symbols = _SYMBOL if any(row.symbol.text for row in table.rows) else 0
        return cls(*_fitting(table, width - symbols), symbols)

    def padded(self, columns: Sequence[Column], symbol: Cell, cells: Sequence[Cell]) -> list[Cell]:
        """The symbol and the shown cells, each as wide as its column and the gap behind it."""
        texts = {i: shortened(cells[i].text, self.widths[i]) for i in self.shown}
        widened = [
            Cell(_pad(text, self.widths[i], columns[i].right) + " " * _GAP, cells[i].style) for i, text in texts.items()
        ]
        return [Cell(symbol.text.ljust(self.symbols), symbol.style), *widened]


def _drawn(table: Table, width: int, *, one_line_a_row: bool) -> Iterator[list[Cell]]:
    """Lines of cells, padded and fitted into the width; a remark takes the place of the empty cells before it."""
    fit = _Fit.of(table, width)
    if table.titles and table.rows:
        yield [*fit.padded(table.columns, Cell(""), [Cell(column.title, "dim") for column in table.columns])]
    for row in table.rows:
        line = fit.padded(table.columns, row.symbol, row.cells)
        while row.remark.text and not line[-1].text.strip():
            line.pop()
        used = sum(width_of(cell.text) for cell in line)
        if one_line_a_row or used + width_of(row.remark.text) <= width:
            yield [*line, row.remark]
        else:
            yield line
            for part in _wrapped(row.remark, width - _INDENT):
                yield [Cell(" " * _INDENT), part]


def _fitting(table: Table, width: int) -> tuple[list[int], dict[int, int]]:
    """The columns to show, and how wide: those that say something, less the least important until the rest fits."""
    shown = [
        index
        for index, column in enumerate(table.columns)
        if not column.rank or any(row.cells[index].text for row in table.rows)
    ]
    widths = {index: _natural(table, index) for index in shown}
    texts = [index for index in shown if not table.columns[index].rank]
    _shorten(widths, texts, width, _SHORT)
    while _total(widths) > width:
        least = max(widths, key=lambda index: (table.columns[index].rank, index))
        if not table.columns[least].rank:
            _shorten(widths, texts, width, _SHORTEST)
            break
        del widths[least]
    return [*widths], widths


def _total(widths: Mapping[int, int]) -> int:
    return sum(each + _GAP for each in widths.values()) - _GAP


def _shorten(widths: dict[int, int], texts: Sequence[int], width: int, least: int) -> None:
    """Take from the widest of the texts, down to `least`, what is too much for the width."""
    while (excess := _total(widths) - width) > 0:
        widest = max(texts, key=lambda index: widths[index])
        if widths[widest] <= least:
            return
        others = [widths[index] for index in texts if widths[index] < widths[widest]]
        widths[widest] = max(least, widths[widest] - excess, max(others, default=0) - 1)


def shortened(text: str, width: int) -> str:
    """Its beginning and its end, with an ellipsis between them, where it is wider."""
    if width_of(text) <= width:
        return text
    return f"{cut(text, width // 2)}…{cut(text[::-1], (width - 1) // 2)[::-1]}"


def _natural(table: Table, index: int) -> int:
    title = width_of(table.columns[index].title) if table.titles else 0
    return max([title, *(width_of(row.cells[index].text) for row in table.rows)])


def _wrapped(remark: Cell, width: int) -> list[Cell]:
    from textwrap import wrap

    lines = wrap(remark.text, max(width, _NARROWEST_REMARK), break_on_hyphens=False)
    return [Cell(line, remark.style) for line in lines]
