"""Runs a trial of the kind `matrix_binding`."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from trials.api import Context, TrialError, TrialResult
from trials.inputs.lexicon.relations import find_relations
from trials.inputs.rows import load_rows
from trials.matrix_binding.kind import MatrixBindingConfig
from trials.matrix_binding.measure import Tested, relation_table, summary, tested_relations


def run(config: MatrixBindingConfig, context: Context) -> TrialResult:
    """Find the relations, test each, and compare their gains with their nulls."""
    data = load_rows(config, fetch_artifact=context.fetch_artifact)
    relations = find_relations(
        data.names,
        data.probabilities,
        n_pairs_min=config.n_pairs_min,
        n_pairs_max=config.n_pairs_max,
        rng=np.random.default_rng([config.seed, 31]),
    )
    if not relations.found:
        most = max(relations.too_few.items(), key=lambda item: item[1])
        raise TrialError(
            f"{config.source}: no relation has n_pairs_min = {config.n_pairs_min} pairs of tokens; "
            f"the most are {most[1]}, {most[0]}"
        )
    tested = tested_relations(config, data, relations.found)
    table = relation_table(config, data, tested)
    few = ", ".join(f"{name} ({n})" for name, n in relations.too_few.items())
    return TrialResult(
        metrics=summary(table, len(relations.too_few)),
        arrays={
            "gains": {
                "gain": np.array(table["gain"]),
                "null": np.stack([one.binding.null for one in tested]),
            }
        },
        tables={
            "relations": table,
            "too_few": {
                "relation": list(relations.too_few),
                "n_pairs": list(relations.too_few.values()),
            },
        },
        figures={"gains": _gains_figure(table, tested), "ranks": _ranks_figure(tested)},
        facts=data.facts | {"too_few_pairs": few or "none"},
    )


def _gains_figure(table: dict[str, list[Any]], tested: list[Tested]) -> Figure:
    order = np.argsort(table["gain"])
    at = np.arange(len(order))
    figure = Figure(figsize=(7, 1.2 + 0.28 * len(order)), layout="constrained")
    axes = figure.add_subplot(
        title="Gain of a matrix over a scaled offset", xlabel="gain, on pairs of other folds"
    )
    gain, low, high = (np.array(table[n])[order] for n in ("gain", "gain_low", "gain_high"))
    null = np.quantile([tested[i].binding.null for i in order], [0.025, 0.975], axis=1)
    axes.barh(at, null[1] - null[0], left=null[0], color="0.75", label="permuted residuals, 95 %")
    axes.hlines(at, low, high, color="C0")
    axes.plot(gain, at, "o", color="C0", label="gain, 95 % over pairs")
    other = np.array(table["cross_relation_gain"])[order]
    axes.plot(other, at, "x", color="C1", label="best matrix of another relation")
    axes.axvline(0, color="0.4", linewidth=0.8)
    axes.set_yticks(at, [f"{table['relation'][i]} ({table['n_pairs'][i]})" for i in order])
    axes.legend(loc="lower right", fontsize="small")
    return figure


def _ranks_figure(tested: list[Tested]) -> Figure:
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot(
        title="Gain of a matrix cut to a rank", xlabel="rank of Delta", ylabel="gain"
    )
    largest = sorted(tested, key=lambda one: -one.binding.gain)[:8]
    for one in largest:
        axes.plot(one.binding.ranks, one.binding.gain_of_rank, "o-", label=one.relation.name)
    axes.set_xscale("log", base=2)
    axes.axhline(0, color="0.4", linewidth=0.8)
    axes.legend(title="largest gains", fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
