"""Tables and pages of text for a terminal."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from rich import box
from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweeper.errors import one_line

WIDE = 400
"""Columns of a page that goes to a file or a pipe."""

NO_LIMIT = 100_000
"""The width that Rich is given: it cuts what does not fit, so the text is folded here first."""

LONGEST_WORD = 32
"""A word up to this many characters is broken only where nothing else makes a table fit."""

_LONGEST_PIECE = 14
_PIECES = re.compile(r"[^_/=:]*[_/=:]+|[^_/=:]+")


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
    width = page_width(width)
    console = Console(file=io.StringIO(), width=NO_LIMIT, color_system=None, force_jupyter=False)
    with console.capture() as capture:
        for part in parts:
            if isinstance(part, str):
                console.print(Text(_clean(part)), width=width)
            else:
                console.print(_table(part, width))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def page_width(width: int | None = None) -> int:
    """The width of a page: the given one, else the terminal's, else `WIDE`."""
    return width or shutil.get_terminal_size(fallback=(WIDE, 1)).columns


def fits(grid: Grid, width: int | None = None) -> bool:
    """Whether a table fits a page without breaking a word of up to `LONGEST_WORD` characters."""
    columns = list(zip(grid.columns, *grid.rows, strict=True))
    return sum(map(_least, columns)) + _edges(columns) <= page_width(width)


def _edges(columns: Sequence[object]) -> int:
    return 2 + 2 * len(columns)


def _table(grid: Grid, width: int) -> Table:
    columns, *rows = ([_clean(cell) for cell in row] for row in (grid.columns, *grid.rows))
    made = Table(
        box=box.SIMPLE_HEAD,
        title=Text(_clean(grid.title)) if grid.title else None,
        title_justify="left",
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    numbers = [name in grid.right for name in grid.columns]
    widths = _widths([columns, *rows], numbers, width - _edges(columns))
    for given, name, column_width in zip(grid.columns, columns, widths, strict=True):
        made.add_column(
            Text(_folded(name, column_width)),
            justify="right" if given in grid.right else "left",
            overflow="fold",
            width=column_width,
        )
    for row in rows:
        made.add_row(*(Text(_folded(cell, w)) for cell, w in zip(row, widths, strict=True)))
    return made


def _clean(text: str) -> str:
    """Remove control characters: a label must not be able to control the terminal."""
    return one_line(text, limit=10_000)


def _folded(text: str, width: int) -> str:
    """Lines no wider than `width`: broken at spaces, a longer word after its `_/=:`."""
    lines = [""]
    for word in text.split():
        pieces = [word] if cell_len(word) <= width else _pieces(word, width)
        for at, piece in enumerate(pieces):
            longer = f"{lines[-1]} {piece}" if lines[-1] and not at else lines[-1] + piece
            if cell_len(longer) <= width:
                lines[-1] = longer
            else:
                lines.append(piece)
    return "\n".join(lines)


def _pieces(word: str, width: int) -> list[str]:
    return [part for piece in _PIECES.findall(word) for part in chop_cells(piece, width)]


def _all_pieces(text: str) -> list[str]:
    return [piece for word in text.split() for piece in _PIECES.findall(word)]


def _longest(cells: Iterable[str], parts: Callable[[str], Iterable[str]]) -> int:
    return max((cell_len(part) for cell in cells for part in parts(cell)), default=0)


def _least(cells: Sequence[str]) -> int:
    """The width of a column with its title in pieces and its other words whole."""
    title, *rest = cells
    return max(min(LONGEST_WORD, _longest(rest, str.split)), _longest([title], _all_pieces))


def _widths(rows: Sequence[Sequence[str]], numbers: Sequence[bool], width: int) -> list[int]:
    """Columns as wide as their text; if that is too much, titles are folded, then cells.

    Last, words are broken, but never numbers. The widest column shrinks first.
    """
    columns = list(zip(*rows, strict=True))
    widths = [max(map(cell_len, cells)) for cells in columns]
    least = [_least(cells) for cells in columns]
    whole = [
        max([*map(cell_len, cells[1:]), floor]) for cells, floor in zip(columns, least, strict=True)
    ]
    broken = [
        floor if is_number else min(floor, _LONGEST_PIECE, _longest(cells, _all_pieces))
        for cells, floor, is_number in zip(columns, least, numbers, strict=True)
    ]
    for floors in (whole, least, broken):
        while sum(widths) > width and any(w > f for w, f in zip(widths, floors, strict=True)):
            _, widest = max((w, i) for i, w in enumerate(widths) if w > floors[i])
            widths[widest] -= 1
    return widths
