"""What a page says of one matrix: sentences, tables, pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from study.report.null_comparison import Beside, interval
from study.report.trial_groups import Studied
from sweeper.report.artifact_table import as_number
from sweeper.report.contrast import Spread, spread
from sweeper.report.words import MISSING, plural


class Grid(NamedTuple):
    """A table as text."""

    columns: list[str]
    rows: list[list[str]]
    title: str = ""


class Picture(NamedTuple):
    """An image by its address, and what it shows."""

    address: str
    caption: str


class Telling(NamedTuple):
    """What a page says of one matrix.

    Attributes:
        title: what is studied.
        sentence: what was found and how sure it is.
        more: further sentences.
        grids: the numbers.
        pictures: images of single trials.
        figures: charts as (title, caption, plotly figure).
        notes: what is missing for a surer answer.
    """

    title: str
    sentence: str
    more: list[str] = []
    grids: list[Grid] = []
    pictures: list[Picture] = []
    figures: list[tuple[str, str, Any]] = []
    notes: list[str] = []


def comparison_grid(besides: Sequence[Beside], title: str = "") -> Grid:
    """One row a number and null."""
    several = len({one.null_name for one in besides}) > 1
    rows = [
        [
            one.name,
            *([one.null_name] if several else []),
            interval(one.real),
            interval(one.null),
            interval(one.effect),
            f"{one.real.n}, {one.null.n}",
            one.reading.removesuffix(" the null").removesuffix(" of"),
        ]
        for one in besides
    ]
    names = ["null"] if several else []
    columns = ["number", *names, "real", "null's", "real less null", "seeds", "beside the null"]
    return Grid(columns, rows, title)


def counted(words: Iterable[str]) -> str:
    """`circle 2, order 1`: how many of each, the most first; a dash for nothing."""
    found: dict[str, int] = defaultdict(int)
    for word in words:
        found[word] += 1
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{word} {n}" for word, n in ordered) or MISSING


def cells(rows: Iterable[Mapping[str, str]], column: str) -> Spread:
    """A column of tables that trials left, over the trials."""
    return spread(as_number(row.get(column)) for row in rows)


def notes(one: Studied, sweep: str, *, has_null: bool = True) -> list[str]:
    """What was left out, and the sweep that would make the answer surer."""
    found = []
    if one.left_out:
        found.append(
            f"{plural(one.left_out, 'trial')} left out: failed, unfinished or uncertified."
        )
    if not one.real:
        found.append(f"No real trial. To have it: sweeper run {sweep}")
    elif has_null and not one.nulls:
        found.append(f"No null. To have it: sweeper run {sweep}")
    if 0 < one.n_seeds < 2:
        found.append(f"One seed, hence no interval. To have it: sweeper run {sweep} --set seeds=3")
    return found
