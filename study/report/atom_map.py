"""Do the atoms form clusters of meaning? Tests beside the null; the maps are only to look at."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from study.report.null_comparison import (
    Value,
    answer,
    beside_nulls,
    clause,
    hardest,
    interval,
    interval_of_nulls,
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
from sweeper.report.words import MISSING, number, shown, spaced
from trials.api import TrialKind

_NUMBERS = {
    "n_labellings_found": "labellings that neighbours share",
    "purity_excess": "purity less that of shuffled atoms",
    "clustering": "clustering coefficient",
    "hopkins": "Hopkins statistic",
    "clustered_frac": "share of atoms in a cluster",
}
_OWN = ("clustering", "hopkins")
"""Numbers that have a reference of their own: directions with the atoms' second moments."""


def tell_atom_map(
    rows: Sequence[TrialRow], kind: TrialKind, files: Files, sweep: str
) -> Iterator[Telling]:
    """One telling a matrix and setting."""
    for one in studied(rows, kind):
        found = {name: beside_nulls(one, words, name) for name, words in _NUMBERS.items()}
        for name in _OWN:
            words = f"{_NUMBERS[name]} less its reference"
            found[f"{name}_excess"] = beside_nulls(one, words, _excess(name))
        purity, graph, gaps = (
            hardest(found[name])
            for name in ("purity_excess", "clustering_excess", "hopkins_excess")
        )
        labels = found["n_labellings_found"][0].real
        tried = beside_nulls(one, "", "n_labellings")[0].real
        subject = "what tokens of neighbouring atoms have in common (purity less that of shuffles)"
        yield Telling(
            one.title,
            f"{answer(subject, purity)}; it shows in "
            f"{number(labels.mean, 3)} of {number(tried.mean)} labellings.",
            [
                f"{clause('The clustering coefficient less its reference', graph)}.",
                f"{clause('The Hopkins statistic (gaps between atoms) less its own', gaps)}.",
            ],
            [
                comparison_grid([beside for besides in found.values() for beside in besides]),
                *_labels(one, files),
                _trials(one, files),
            ],
            _pictures(one, files),
            notes=notes(one, sweep),
        )


def _excess(name: str) -> Value:
    def value(row: TrialRow) -> float:
        return row.metrics.get(name, math.nan) - row.metrics.get(f"{name}_reference", math.nan)

    return value


def _labels(one: Studied, files: Files) -> list[Grid]:
    """One row a labelling."""
    real, null = files.tables(one, "labels")
    body = []
    for name in dict.fromkeys(line["labelling"] for line in [*real, *null]):
        ours = [line for line in real if line["labelling"] == name]
        theirs = [line for line in null if line["labelling"] == name]
        body.append(
            [
                spaced(name),
                interval(cells(ours, "purity")),
                interval(cells(ours, "null")),
                interval_of_nulls(one, cells(theirs, "purity")),
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
    return [Grid(columns, body, title)] if body else []


def _trials(one: Studied, files: Files) -> Grid:
    """One row a trial: its own finding, and its map."""
    sides = [("real", one.real), *one.nulls.items()]
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
        "What each trial found beside its own references",
    )


def _pictures(one: Studied, files: Files) -> list[Picture]:
    for row in one.real[:1]:
        if address := files.picture(row, "map"):
            caption = (
                f"UMAPs of the real atoms, seed {row.params.get('seed')}, by the labels of their "
                "tokens. A UMAP shows clusters of anything: the tests above are the evidence."
            )
            return [Picture(address, caption)]
    return []
