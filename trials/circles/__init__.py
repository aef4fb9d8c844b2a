"""The kind `circles`: do tokens lie on circles, those of known words and those that nobody named?

Words whose order is known are held against all orders of the same rows, and a line is told from a
circle by whether its ends meet. Neighbourhoods of tokens and groups of atoms are searched for loops
by persistent homology, each beside Gaussian clouds of its own covariance.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from trials.api import Chart, Comparison, Context, Control, TrialKind, TrialResult
from trials.circles.config import CirclesConfig
from trials.circles.metrics import METRICS, SORTS
from trials.inputs.rows import ROWS_FIELDS, load_rows, rows_digests

if TYPE_CHECKING:
    from trials.circles.labelled import Labelled
    from trials.circles.search import Searched

_SALTS = {"neighbourhoods": 53, "groups": 59}


def run(config: CirclesConfig, context: Context) -> TrialResult:
    """Test the ordered sets, learn a dictionary, search neighbourhoods and groups of atoms."""
    from trials.circles.figures import loops_figure, sets_figure
    from trials.circles.labelled import labelled_sets, set_table
    from trials.circles.search import (
        atom_groups,
        neighbourhoods,
        search,
        search_metrics,
        search_table,
    )
    from trials.inputs.splits import word_families
    from trials.kernels.threads import one_blas_thread
    from trials.pursuit.learn_and_code import learn_and_code
    from trials.pursuit.measure import side_metrics, uncertified

    data = load_rows(config, fetch_artifact=context.fetch_artifact)
    with one_blas_thread():
        labelled = labelled_sets(config, data)
        sets = set_table(labelled)
        learned, coded = learn_and_code(data, config, context)
        started = time.perf_counter()
        families = word_families(data.names)
        candidates = {
            "neighbourhoods": neighbourhoods(config, data, families),
            "groups": atom_groups(config, families, coded),
        }
        searched = {sort: search(config, candidates[sort], _SALTS[sort]) for sort in SORTS}
    metrics = _set_metrics(labelled, sets) | _index_metrics(searched["groups"])
    for sort in SORTS:
        metrics |= search_metrics(searched[sort], sort)
    found = side_metrics(data, coded, data.split.validation)
    metrics |= {
        "fvu_debiased_validation": found["fvu_debiased"],
        "l0_validation": found["l0"],
        "gap_max": float(coded.gap.max()),
        "search_s": time.perf_counter() - started,
    }
    missing = "; ".join(f"{s.name}: {' '.join(s.missing)}" for s in labelled.too_few)
    return TrialResult(
        metrics=metrics,
        arrays={"dictionary": {"atoms": learned.atoms, "offset": data.offset}},
        tables={"sets": sets} | {sort: search_table(data, searched[sort]) for sort in SORTS},
        figures={"sets": sets_figure(data, labelled, sets.get("verdict", []))}
        | {sort: loops_figure(data, searched[sort]) for sort in SORTS},
        facts=data.facts | {"sets_without_tokens": missing or "none"},
        uncertified=uncertified(data, coded.gap, config.tolerance),
    )


def _set_metrics(labelled: Labelled, table: dict[str, list[object]]) -> dict[str, float]:
    verdicts = np.array(table.get("verdict", []), dtype=str)
    comes_round = np.array(table.get("comes_round", []), dtype=bool)
    excess = np.array(table.get("fourier_share", []), dtype=float) - np.array(
        table.get("expected_share", []), dtype=float
    )
    return {
        "n_sets_tested": float(len(verdicts)),
        "n_sets_too_few": float(len(labelled.too_few)),
        "n_ordered": float((verdicts != "none").sum()),
        "n_circles": float((verdicts == "circle").sum()),
        "n_curves": float((verdicts == "curve").sum()),
        "n_round_sets_tested": float(comes_round.sum()),
        "n_round_circles": float((verdicts[comes_round] == "circle").sum()),
        "fourier_excess": float(excess[comes_round].mean()) if comes_round.any() else float("nan"),
    }


def _index_metrics(groups: Searched) -> dict[str, float]:
    indices = np.array([(c.mixture, c.separability) for c in groups.candidates]).reshape(-1, 2)
    large = indices[~np.isnan(indices[:, 0])]
    middle = np.median(large, axis=0) if len(large) else np.full(2, np.nan)
    return {
        "n_large_groups": float(len(large)),
        "median_mixture_index": float(middle[0]),
        "median_separability": float(middle[1]),
    }


KIND = TrialKind(
    name="circles",
    version=6,
    summary="Circles of tokens: ordered sets of words, and loops in neighbourhoods and atoms.",
    config=CirclesConfig,
    metrics=METRICS,
    objective="loop_excess_neighbourhoods",
    run=run,
    input_digests=rows_digests,
    control=Control(
        field="null",
        real="none",
        comparisons=(
            Comparison("n_circles", at="n_sets_tested", shown="difference"),
            Comparison("fourier_excess", at="n_round_sets_tested", shown="difference"),
            Comparison("loops_per_thousand_neighbourhoods", at="n_sets_tested", shown="difference"),
            Comparison("loops_per_thousand_groups", at="n_sets_tested", shown="difference"),
        ),
        within=(*ROWS_FIELDS, "n_atoms", "nonnegative", "l1_penalty"),
    ),
    charts=(
        Chart(
            title="Sets of words in a circle",
            x="n_ordered",
            y="n_circles",
            colour="null",
            caption="Ordered beyond chance at a false discovery rate of 5 %; of these, closed.",
        ),
        Chart(
            title="Loops a thousand candidates",
            x="loops_per_thousand_groups",
            y="loops_per_thousand_neighbourhoods",
            colour="null",
            caption="Groups of atoms, and neighbourhoods of tokens, that outlive their null.",
        ),
    ),
)
