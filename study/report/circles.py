"""Are there circles? Ordered sets of words one by one, and the rate of loops that nobody named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from study.report.null_comparison import (
    DIGITS,
    Beside,
    answer,
    beside_nulls,
    by_seed,
    clause,
    hardest,
    interval,
    interval_of_nulls,
    metric_of,
)
from study.report.section import (
    Grid,
    Picture,
    Telling,
    cells,
    comparison_grid,
    counted,
    notes,
)
from study.report.trial_groups import Files, Studied, studied
from sweeper.records import TrialRow
from sweeper.report.contrast import spread
from sweeper.report.words import number
from trials.api import TrialKind

_SORTS = {
    "neighbourhoods": "neighbourhoods of tokens",
    "groups": "groups of atoms",
}


def tell_circles(
    rows: Sequence[TrialRow], kind: TrialKind, files: Files, sweep: str
) -> Iterator[Telling]:
    """One telling a matrix and setting."""
    for one in studied(rows, kind):
        circles = beside_nulls(one, "sets of words on a circle", "n_circles")
        ordered = beside_nulls(one, "sets of words in order", "n_ordered")
        loops = {
            sort: beside_nulls(one, f"loops a thousand {words}", f"loops_per_thousand_{sort}")
            for sort, words in _SORTS.items()
        }
        tested = beside_nulls(one, "", "n_sets_tested")[0].real
        found = hardest(circles)
        subject = "the number of ordered sets of words on a circle"
        yield Telling(
            one.title,
            f"{answer(subject, found, out_of=f' of {number(tested.mean)}')}."
            if tested.mean > 0
            else "Not identified: no ordered set of words has tokens enough here.",
            [*_named(one, files), *(_of_loops(one, sort, hardest(loops[sort])) for sort in _SORTS)],
            [
                comparison_grid([*circles, *ordered, *(b for bs in loops.values() for b in bs)]),
                *_sets(one, files),
            ],
            _pictures(one, files) if tested.mean > 0 else [],
            notes=notes(one, sweep),
        )


def _of_loops(one: Studied, sort: str, found: Beside) -> str:
    """The rate beside the null's; and, as seeds may agree on none, what one trial rules out."""
    told = clause(f"The number of loops that nobody named, a thousand {_SORTS[sort]},", found)
    high = spread(by_seed(one.real, metric_of(f"loops_per_thousand_{sort}_high")).values())
    bound = f"; more than {number(high.mean, DIGITS)} are ruled out by a real trial alone (95 %)"
    return f"{told}{bound if high.n else ''}."


def _named(one: Studied, files: Files) -> list[str]:
    """The sets that every real trial puts on a circle, and on a curve."""
    real, null = files.tables(one, "sets")
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


def _sets(one: Studied, files: Files) -> list[Grid]:
    """One row a set: how many trials call it what, and the means of the real ones."""
    real, null = files.tables(one, "sets")
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
                interval_of_nulls(one, cells(theirs, "fourier_share")),
                *(
                    number(cells(ours, column).mean, 3)
                    for column in ("p", "circulant_share", "closure", "wrap_gap")
                ),
            ]
        )
    columns = ["set", "tokens", "real trials", "null trials", "Fourier share", "null's"]
    columns += ["p", "circulant share", "closure", "wrap gap"]
    title = "Sets of words: how many trials find a circle, an open curve, an order, or none"
    return [Grid(columns, body, title)] if body else []


def _pictures(one: Studied, files: Files) -> list[Picture]:
    for row in one.real[:1]:
        if address := files.picture(row, "sets"):
            caption = (
                "The sets with the least p-values in the plane of their two leading principal "
                f"components, which knows no order; real rows, seed {row.params.get('seed')}."
            )
            return [Picture(address, caption)]
    return []
