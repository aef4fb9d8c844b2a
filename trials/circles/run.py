"""Runs a trial of the kind `circles`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from trials.api import Context, TrialResult
from trials.circles.cooccurrence import cooccurrence_columns
from trials.circles.figures import loops_figure, sets_figure
from trials.circles.kind import CIRCLE_SHARES, NUISANCES, SORTS, CirclesConfig, Nuisances
from trials.circles.labelled import Labelled, labelled_sets, power_columns, set_table
from trials.circles.loop_controls import known_orders, loop_power, power_metrics
from trials.circles.search import (
    Searched,
    atom_groups,
    neighbourhoods,
    search,
    search_metrics,
    search_table,
)
from trials.inputs.rows import load_rows
from trials.inputs.splits import word_families
from trials.pursuit.code import learn_and_code
from trials.pursuit.measure import dictionary_quality, uncertified

_SALTS = {"neighbourhoods": 53, "groups": 59}
_WITHOUT: dict[Nuisances, str] = {
    "kept": "nothing",
    "words": "polysemous words",
    "length": "the direction of length",
    "frequency": "the direction of frequency",
    "all": "all of these",
}


def run(config: CirclesConfig, context: Context) -> TrialResult:
    """Test the ordered sets, learn a dictionary, search neighbourhoods and groups of atoms."""
    data = load_rows(config, fetch_artifact=context.fetch_artifact)
    variants = {one: labelled_sets(config, data, one) for one in NUISANCES}
    labelled = variants[config.nuisances]
    sets = set_table(labelled)
    if sets:
        sets |= power_columns(config, labelled) | cooccurrence_columns(config, labelled)
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
        found = search_metrics(searched[sort], sort)
        power = loop_power(config, searched[sort], _SALTS[sort])
        metrics |= found | power_metrics(found, power, sort)
    metrics |= dictionary_quality(data, coded) | {"search_s": time.perf_counter() - started}
    missing = "; ".join(f"{s.name}: {' '.join(s.missing)}" for s in labelled.too_few)
    return TrialResult(
        metrics=metrics,
        arrays={"dictionary": {"atoms": learned.atoms, "offset": data.offset}},
        tables={
            "sets": sets,
            "set_variants": _variants_table(variants),
            "known_orders": known_orders(config, data, families, labelled),
        }
        | {sort: search_table(data, searched[sort], config.n_components) for sort in SORTS},
        figures={"sets": sets_figure(data, labelled, sets.get("verdict", []))}
        | {sort: loops_figure(data, searched[sort]) for sort in SORTS},
        facts=data.facts | {"sets_without_tokens": missing or "none"},
        uncertified=uncertified(data, coded.gap, config.tolerance),
    )


def _variants_table(variants: Mapping[Nuisances, Labelled]) -> dict[str, list[Any]]:
    """One row per set and choice of nuisances: how the answer moves."""
    columns = ("set", "n_tokens", "fourier_share", "p", "closure", "verdict")
    table: dict[str, list[Any]] = {"without": []} | {column: [] for column in columns}
    for nuisances, labelled in variants.items():
        sets = set_table(labelled)
        table["without"] += [_WITHOUT[nuisances]] * len(labelled.sets)
        for column in columns:
            table[column] += sets.get(column, [])
    return table


def _set_metrics(labelled: Labelled, table: dict[str, list[Any]]) -> dict[str, float]:
    verdicts = np.array(table.get("verdict", []), dtype=str)
    comes_round = np.array(table.get("comes_round", []), dtype=bool)
    excess = np.array(table.get("fourier_share", []), dtype=float) - np.array(
        table.get("expected_share", []), dtype=float
    )
    beyond = np.array(table.get("p_beyond_text", []), dtype=float)
    return {
        "n_sets_tested": float(len(verdicts)),
        "n_sets_too_few": float(len(labelled.too_few)),
        "n_ordered": float((verdicts != "none").sum()),
        "n_circles": float((verdicts == "circle").sum()),
        "n_curves": float((verdicts == "curve").sum()),
        **{
            f"circle_power_{round(100 * share)}": _mean(
                np.array(table.get(f"power_{share:.1f}", []), dtype=float)[comes_round]
            )
            for share in CIRCLE_SHARES
        },
        "n_text_sets": float((~np.isnan(beyond)).sum()),
        "n_beyond_text": float((beyond <= 0.05).sum()),
        "n_round_sets_tested": float(comes_round.sum()),
        "n_round_circles": float((verdicts[comes_round] == "circle").sum()),
        "fourier_excess": _mean(excess[comes_round]),
    }


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _index_metrics(groups: Searched) -> dict[str, float]:
    indices = np.array([(c.mixture, c.separability) for c in groups.candidates]).reshape(-1, 2)
    large = indices[~np.isnan(indices[:, 0])]
    middle = np.median(large, axis=0) if len(large) else np.full(2, np.nan)
    return {
        "n_large_groups": float(len(large)),
        "median_mixture_index": float(middle[0]),
        "median_separability": float(middle[1]),
    }
