"""Tables and pages of text for a terminal."""

from __future__ import annotations

import io
import shutil
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweeper.errors import one_line

WIDE = 400
"""Columns of a page whose reader is a file or a pipe."""

NO_LIMIT = 100_000
"""The width Rich believes in: it would cut what it cannot fold."""

LONGEST_WORD = 24
"""A word up to this many characters is never broken; a table may get wider than its page."""


class Grid(NamedTuple):
    """A table as text: columns named in `right` hold numbers. No cell is ever read as markup."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Collection[str] = ()
    title: str = ""


def page(*parts: Grid | str, width: int | None = None) -> str:
    """Plain text of tables and lines, one under the other, folded to `width` characters.

    Without a width it is the terminal's, and `WIDE` where the output is no terminal.
    """
    width = width or shutil.get_terminal_size(fallback=(WIDE, 1)).columns
    console = Console(file=io.StringIO(), width=NO_LIMIT, color_system=None)
    with console.capture() as capture:
        for part in parts:
            if isinstance(part, str):
                console.print(Text(_clean(part)), width=width)
            else:
                console.print(_table(part, width))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def _table(grid: Grid, width: int) -> Table:
    columns, *rows = ([_clean(cell) for cell in row] for row in (grid.columns, *grid.rows))
    made = Table(
        box=box.SIMPLE_HEAD,
        title=Text(_clean(grid.title)) if grid.title else None,
        title_justify="left",
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    edges = 2 + 2 * len(columns)
    widths = _widths([columns, *rows], width - edges)
    for given, name, column_width in zip(grid.columns, columns, widths, strict=True):
        made.add_column(
            Text(name),
            justify="right" if given in grid.right else "left",
            overflow="fold",
            width=column_width,
        )
    for row in rows:
        made.add_row(*map(Text, row))
    return made


def _clean(text: str) -> str:
    """Without control characters: what a label holds must not steer the terminal."""
    return one_line(text, limit=10_000)


def _widths(rows: Iterable[Sequence[str]], width: int) -> list[int]:
    """Columns as wide as their text; where that is too much, titles are folded, then cells.

    In either case the widest column gives way first.
    """
    columns = list(zip(*rows, strict=True))
    widths = [max(map(cell_len, cells)) for cells in columns]
    words = [
        max((cell_len(word) for cell in cells for word in cell.split()), default=0)
        for cells in columns
    ]
    least = [min(word, LONGEST_WORD) for word in words]
    whole = [
        max([*map(cell_len, cells[1:]), floor]) for cells, floor in zip(columns, least, strict=True)
    ]
    for floors in (whole, least):
        while sum(widths) > width and widths != floors:
            _, widest = max((w, i) for i, w in enumerate(widths) if w > floors[i])
            widths[widest] -= 1
    return widths
