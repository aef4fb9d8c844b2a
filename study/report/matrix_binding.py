"""Are words bound by matrices? How many relations are, how strongly, and which most."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from study.report.null_comparison import (
    answer,
    clause,
    compare_with_nulls,
    interval,
    interval_of_nulls,
    most_conservative,
)
from study.report.section import Section, cells, comparison_grid, counted, notes
from study.report.trial_groups import TrialFiles, TrialGroup, group_trials
from sweeper.records import TrialRow
from sweeper.report.tables import Grid
from sweeper.report.words import number
from trials.api import TrialKind

MOST_RELATIONS = 10
"""Relations that are listed one by one."""

_NUMBERS = {
    "n_bindings": "relations that a matrix binds",
    "n_specific_bindings": "of these, by a matrix of their own",
    "median_gain": "median gain over a scaled offset",
    "median_gain_over_scales": "median gain over one scale per component",
    "cross_relation_gain": "median gain of another relation's matrix",
    "mean_r2_m2": "mean r2 of the scaled offset",
}


def describe_bindings(
    rows: Sequence[TrialRow], kind: TrialKind, files: TrialFiles, sweep: str
) -> Iterator[Section]:
    """One section per matrix and setting."""
    for group in group_trials(rows, kind):
        found = {name: compare_with_nulls(group, words, name) for name, words in _NUMBERS.items()}
        bound, specific, gain = (
            most_conservative(found[name])
            for name in ("n_bindings", "n_specific_bindings", "median_gain")
        )
        tested = compare_with_nulls(group, "", "n_relations_tested")[0].real
        of = f" of {number(tested.mean)}" if tested.n else ""
        subject = "the number of relations between tokens that a matrix binds"
        own = clause(
            "The number of them whose matrix is specific to the relation and not just a scaling",
            specific,
        )
        yield Section(
            group.title,
            f"{answer(subject, bound, out_of=of)}.",
            [f"{own}.", f"{clause('What a matrix adds to a scaled offset (median gain)', gain)}."],
            [
                comparison_grid([c for comparisons in found.values() for c in comparisons]),
                *_relations(group, files),
            ],
            notes=notes(group, sweep),
        )


def _relations(group: TrialGroup, files: TrialFiles) -> list[Grid]:
    """The relations with the largest gain in the real rows."""
    real, null = files.tables(group, "relations")
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
            interval_of_nulls(group, cells(theirs[name], "gain")),
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
    title = f"The relations with the largest gain, {len(body)} of {len(names)}"
    return [Grid(columns, body, title=title)] if body else []
