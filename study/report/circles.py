"""Are there circles? Each ordered set of words, and the rate of unnamed loops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from study.report.null_comparison import (
    DIGITS,
    NullComparison,
    answer,
    by_seed,
    clause,
    compare_with_nulls,
    interval,
    interval_of_nulls,
    metric_of,
    most_conservative,
)
from study.report.section import (
    Picture,
    Section,
    cells,
    comparison_grid,
    counted,
    notes,
)
from study.report.trial_groups import TrialFiles, TrialGroup, group_trials
from sweeper.records import TrialRow
from sweeper.report.contrast import spread
from sweeper.report.tables import Grid
from sweeper.report.words import number
from trials.api import TrialKind

_SORTS = {
    "neighbourhoods": "neighbourhoods of tokens",
    "groups": "groups of atoms",
}


def describe_circles(
    rows: Sequence[TrialRow], kind: TrialKind, files: TrialFiles, sweep: str
) -> Iterator[Section]:
    """One section per matrix and setting."""
    for group in group_trials(rows, kind):
        circles = compare_with_nulls(group, "sets of words on a circle", "n_circles")
        ordered = compare_with_nulls(group, "sets of words in order", "n_ordered")
        loops = {
            sort: compare_with_nulls(
                group, f"loops per thousand {words}", f"loops_per_thousand_{sort}"
            )
            for sort, words in _SORTS.items()
        }
        tested = compare_with_nulls(group, "", "n_sets_tested")[0].real
        found = most_conservative(circles)
        subject = "the number of ordered sets of words on a circle"
        yield Section(
            group.title,
            f"{answer(subject, found, out_of=f' of {number(tested.mean)}')}."
            if tested.mean > 0
            else "Not identified: no ordered set of words has enough tokens here.",
            [
                *_named(group, files),
                *(_loop_rate(group, sort, most_conservative(loops[sort])) for sort in _SORTS),
            ],
            [
                comparison_grid([*circles, *ordered, *(b for bs in loops.values() for b in bs)]),
                *_sets(group, files),
            ],
            _pictures(group, files) if tested.mean > 0 else [],
            notes=notes(group, sweep),
        )


def _loop_rate(group: TrialGroup, sort: str, found: NullComparison) -> str:
    """The rate vs. the null. Seeds may agree on none, so also what a single trial rules out."""
    told = clause(f"The number of unnamed loops per thousand {_SORTS[sort]}", found)
    high = spread(by_seed(group.real, metric_of(f"loops_per_thousand_{sort}_high")).values())
    bound = f"; a single real trial rules out more than {number(high.mean, DIGITS)} (95 %)"
    return f"{told}{bound if high.n else ''}."


def _named(group: TrialGroup, files: TrialFiles) -> list[str]:
    """The sets that every real trial finds on a circle, and on a curve."""
    real, null = files.tables(group, "sets")
    found = []
    for verdict in ("circle", "curve"):
        names = [
            name
            for name in dict.fromkeys(line["set"] for line in real)
            if all(line["verdict"] == verdict for line in real if line["set"] == name)
        ]
        in_null = {line["set"] for line in null if line["verdict"] == verdict}
        told = [f"{name} (and in a null)" if name in in_null else name for name in names]
        if real:
            found.append(f"A {verdict} in every real trial: {', '.join(told) or 'none'}.")
    return found


def _sets(group: TrialGroup, files: TrialFiles) -> list[Grid]:
    """One row per set: the verdicts of the trials, and means over the real ones."""
    real, null = files.tables(group, "sets")
    body = []
    for name in dict.fromkeys(line["set"] for line in [*real, *null]):
        ours = [line for line in real if line["set"] == name]
        theirs = [line for line in null if line["set"] == name]
        body.append(
            [
                name,
                number(cells(ours or theirs, "n_tokens").mean),
                counted(line["verdict"] for line in ours),
                counted(line["verdict"] for line in theirs),
                interval(cells(ours, "fourier_share")),
                interval_of_nulls(group, cells(theirs, "fourier_share")),
                *(
                    number(cells(ours, column).mean, 3)
                    for column in ("p", "circulant_share", "closure", "wrap_gap")
                ),
            ]
        )
    columns = ["set", "tokens", "real trials", "null trials", "Fourier share", "null's"]
    columns += ["p", "circulant share", "closure", "wrap gap"]
    title = "Sets of words: how many trials find a circle, an open curve, an order, or none of them"
    return [Grid(columns, body, title=title)] if body else []


def _pictures(group: TrialGroup, files: TrialFiles) -> list[Picture]:
    for row in group.real[:1]:
        if address := files.picture(row, "sets"):
            caption = (
                "The sets with the smallest p-values, in the plane of their two leading "
                f"principal components, which does not use the order; real rows, "
                f"seed {row.params.get('seed')}."
            )
            return [Picture(address, caption)]
    return []
