"""Are words bound by matrices? How many relations, by how much, and which the most."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from study.report.null_comparison import (
    answer,
    beside_nulls,
    clause,
    hardest,
    interval,
    interval_of_nulls,
)
from study.report.section import Grid, Telling, cells, comparison_grid, counted, notes
from study.report.trial_groups import Files, Studied, studied
from sweeper.records import TrialRow
from sweeper.report.words import number
from trials.api import TrialKind

MOST_RELATIONS = 10
"""Relations that are told one by one."""

_NUMBERS = {
    "n_bindings": "relations that a matrix binds",
    "n_specific_bindings": "of these, by a matrix of their own",
    "median_gain": "median gain over a scaled offset",
    "median_gain_over_scales": "median gain over a scale a component",
    "cross_relation_gain": "median gain of another relation's matrix",
    "mean_r2_m2": "mean r2 of the scaled offset",
}


def tell_bindings(
    rows: Sequence[TrialRow], kind: TrialKind, files: Files, sweep: str
) -> Iterator[Telling]:
    """One telling a matrix and setting."""
    for one in studied(rows, kind):
        found = {name: beside_nulls(one, words, name) for name, words in _NUMBERS.items()}
        bound, specific, gain = (
            hardest(found[name]) for name in ("n_bindings", "n_specific_bindings", "median_gain")
        )
        tested = beside_nulls(one, "", "n_relations_tested")[0].real
        of = f" of {number(tested.mean)}" if tested.n else ""
        subject = "the number of relations between tokens that a matrix binds"
        own = clause("The number of them whose matrix is their own and no mere scaling", specific)
        yield Telling(
            one.title,
            f"{answer(subject, bound, out_of=of)}.",
            [f"{own}.", f"{clause('What a matrix adds to a scaled offset (median gain)', gain)}."],
            [
                comparison_grid([beside for besides in found.values() for beside in besides]),
                *_relations(one, files),
            ],
            notes=notes(one, sweep),
        )


def _relations(one: Studied, files: Files) -> list[Grid]:
    """The relations that gain most in the real rows."""
    real, null = files.tables(one, "relations")
    names = list(dict.fromkeys(line["relation"] for line in real))
    ours, theirs = (
        {name: [line for line in lines if line["relation"] == name] for name in names}
        for lines in (real, null)
    )
    gains = {name: cells(ours[name], "gain") for name in names}
    names = [name for name in names if math.isfinite(gains[name].mean)]
    names.sort(key=lambda name: -gains[name].mean)
    body = [
        [
            name,
            number(cells(ours[name], "n_pairs").mean),
            interval(gains[name]),
            interval_of_nulls(one, cells(theirs[name], "gain")),
            *(
                number(cells(ours[name], column).mean, 3)
                for column in ("gain_over_scales", "cross_relation_gain", "r2_m2", "adjusted_p")
            ),
            counted(line["verdict"] for line in ours[name]),
        ]
        for name in names[:MOST_RELATIONS]
    ]
    columns = ["relation", "pairs", "gain", "null's", "over scales", "another's matrix"]
    columns += ["r2 of the offset", "adjusted p", "real trials"]
    title = f"The relations that gain most, {len(body)} of {len(names)}"
    return [Grid(columns, body, title)] if body else []
