"""The section of a page on one matrix: sentences, tables, pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from study.report.null_comparison import NullComparison, interval
from study.report.trial_groups import TrialGroup
from sweeper.report.artifact_table import as_number
from sweeper.report.contrast import Spread, spread
from sweeper.report.tables import Grid
from sweeper.report.words import MISSING, plural


class Picture(NamedTuple):
    """An image by its address, with its caption."""

    address: str
    caption: str


class Section(NamedTuple):
    """The section of a page on one matrix.

    Attributes:
        title: what is studied.
        sentence: the answer and how certain it is.
        more: further sentences.
        grids: the numbers.
        pictures: images of single trials.
        figures: charts as (title, caption, plotly figure).
        notes: what is missing for a more certain answer.
    """

    title: str
    sentence: str
    more: list[str] = []
    grids: list[Grid] = []
    pictures: list[Picture] = []
    figures: list[tuple[str, str, Any]] = []
    notes: list[str] = []


def comparison_grid(comparisons: Sequence[NullComparison], title: str = "") -> Grid:
    """One row per number and null."""
    several = len({one.null_name for one in comparisons}) > 1
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
        for one in comparisons
    ]
    names = ["null"] if several else []
    columns = ["number", *names, "real", "null's", "real minus null", "seeds", "vs. the null"]
    return Grid(columns, rows, title=title)


def counted(words: Iterable[str]) -> str:
    """`circle 2, order 1`: how many of each, most first; a dash for none."""
    found: dict[str, int] = defaultdict(int)
    for word in words:
        found[word] += 1
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{word} {n}" for word, n in ordered) or MISSING


def cells(rows: Iterable[Mapping[str, str]], column: str) -> Spread:
    """A column of the tables that trials left, summarised over the trials."""
    return spread(as_number(row.get(column)) for row in rows)


def notes(group: TrialGroup, sweep: str, *, has_null: bool = True) -> list[str]:
    """What was left out, and the sweep that would make the answer more certain."""
    found = []
    if group.left_out:
        found.append(
            f"{plural(group.left_out, 'trial')} left out: failed, unfinished or uncertified."
        )
    if not group.real:
        found.append(f"No real trial. To add it: sweeper run {sweep}")
    elif has_null and not group.nulls:
        found.append(f"No null. To add it: sweeper run {sweep}")
    if 0 < group.n_seeds < 2:
        found.append(f"One seed, so no interval. To add seeds: sweeper run {sweep} --set seeds=3")
    if group.n_seeds > 1 and group.redrawn:
        found.append(f"Intervals over seeds cover {group.redrawn}.")
    return found
