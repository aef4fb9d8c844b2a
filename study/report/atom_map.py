"""Do the atoms form clusters of meaning? Tests vs. the null; the maps are only illustrations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from study.report.null_comparison import (
    Value,
    answer,
    clause,
    compare_with_nulls,
    interval,
    interval_of_nulls,
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
from sweeper.report.tables import Grid
from sweeper.report.words import MISSING, number, shown, spaced
from trials.api import TrialKind

_NUMBERS = {
    "n_labellings_found": "labellings that neighbours share",
    "purity_excess": "purity minus that of shuffled atoms",
    "clustering": "clustering coefficient",
    "hopkins": "Hopkins statistic",
    "clustered_frac": "share of atoms in a cluster",
}
_OWN = ("clustering", "hopkins")
"""Numbers with a reference of their own: directions with the atoms' second moments."""


def describe_atom_map(
    rows: Sequence[TrialRow], kind: TrialKind, files: TrialFiles, sweep: str
) -> Iterator[Section]:
    """One section per matrix and setting."""
    for group in group_trials(rows, kind):
        found = {name: compare_with_nulls(group, words, name) for name, words in _NUMBERS.items()}
        for name in _OWN:
            words = f"{_NUMBERS[name]} minus its reference"
            found[f"{name}_excess"] = compare_with_nulls(group, words, _excess(name))
        purity, graph, gaps = (
            most_conservative(found[name])
            for name in ("purity_excess", "clustering_excess", "hopkins_excess")
        )
        labels = found["n_labellings_found"][0].real
        tried = compare_with_nulls(group, "", "n_labellings")[0].real
        subject = "what tokens of neighbouring atoms share (purity minus that of shuffled atoms)"
        yield Section(
            group.title,
            f"{answer(subject, purity)}; it shows in "
            f"{number(labels.mean, 3)} of {number(tried.mean)} labellings.",
            [
                f"{clause('The clustering coefficient minus its reference', graph)}.",
                f"{clause('The Hopkins statistic (gaps) minus its reference', gaps)}.",
            ],
            [
                comparison_grid([c for comparisons in found.values() for c in comparisons]),
                *_labels(group, files),
                _trials(group, files),
            ],
            _pictures(group, files),
            notes=notes(group, sweep),
        )


def _excess(name: str) -> Value:
    def value(row: TrialRow) -> float:
        return row.metrics.get(name, math.nan) - row.metrics.get(f"{name}_reference", math.nan)

    return value


def _labels(group: TrialGroup, files: TrialFiles) -> list[Grid]:
    """One row per labelling."""
    real, null = files.tables(group, "labels")
    body = []
    for name in dict.fromkeys(line["labelling"] for line in [*real, *null]):
        ours = [line for line in real if line["labelling"] == name]
        theirs = [line for line in null if line["labelling"] == name]
        body.append(
            [
                spaced(name),
                interval(cells(ours, "purity")),
                interval(cells(ours, "null")),
                interval_of_nulls(group, cells(theirs, "purity")),
                number(cells(ours, "adjusted_p").mean, 3),
                *(
                    counted("found" if line["is_found"] == "True" else "not found" for line in of)
                    for of in (ours, theirs)
                ),
            ]
        )
    columns = ["labelling", "purity", "of shuffled atoms", "null's purity", "adjusted p"]
    columns += ["real trials", "null trials"]
    title = "Labels that the tokens of neighbouring atoms share"
    return [Grid(columns, body, title=title)] if body else []


def _trials(group: TrialGroup, files: TrialFiles) -> Grid:
    """One row per trial: its own finding, and its map."""
    sides = [("real", group.real), *group.nulls.items()]
    body = [
        [
            side,
            shown(row.params.get("seed")),
            number(row.metrics.get("n_atoms_mapped")),
            row.facts.get("finding", MISSING),
            files.link(row, "map.html"),
        ]
        for side, rows in sides
        for row in rows
    ]
    return Grid(
        ["rows", "seed", "atoms", "finding", "map"],
        body,
        title="What each trial found compared with its own references",
    )


def _pictures(group: TrialGroup, files: TrialFiles) -> list[Picture]:
    for row in group.real[:1]:
        if address := files.picture(row, "map"):
            caption = (
                f"UMAPs of the real atoms, seed {row.params.get('seed')}, by the labels of their "
                "tokens. A UMAP shows clusters of anything: the tests above are the evidence."
            )
            return [Picture(address, caption)]
    return []
