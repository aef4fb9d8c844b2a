"""The tests of each relation, their table, and the metrics."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from trials.inputs.lexicon.relations import Relation
from trials.inputs.rows import TokenRows
from trials.kernels.statistics import benjamini_hochberg, permutation_p_value
from trials.kernels.structure import Binding, binding_gain, transferred_gain
from trials.matrix_binding.kind import MatrixBindingConfig

NAMES = {
    "identity": "m0",
    "offset": "m1",
    "scaled_offset": "m2",
    "low_rank": "m3",
    "matrix": "m4",
    "component_scales": "scales",
}
"""Model of the kernel -> its name in metrics and tables."""
_RESAMPLES = 1000


class Tested(NamedTuple):
    """One relation: its pairs, the result of the kernel, the directions that Delta may read."""

    relation: Relation
    binding: Binding
    basis: np.ndarray


def principal_directions(data: TokenRows) -> np.ndarray:
    """(d_model, d_model) float64, columns by falling variance over the training tokens."""
    train = data.split.train
    centred = data.rows[train] - data.mean.astype(np.float32)
    return np.asarray(np.linalg.eigh((centred.T @ centred).astype(np.float64))[1][:, ::-1])


def n_inputs(n_pairs: int, d_model: int) -> int:
    """All dimensions with at least 1.5 pairs per dimension; else a quarter of the pairs at most."""
    return d_model if 2 * n_pairs >= 3 * d_model else min(d_model, n_pairs // 4)


def tested_relations(
    config: MatrixBindingConfig, data: TokenRows, relations: tuple[Relation, ...]
) -> list[Tested]:
    """`binding_gain` of every relation."""
    directions = principal_directions(data)
    tested = []
    for i, relation in enumerate(relations):
        basis = directions[:, : n_inputs(len(relation.pairs), data.rows.shape[1])]
        binding = binding_gain(
            *_ends(data, relation),
            basis,
            n_folds=config.n_folds,
            n_permutations=config.n_permutations,
            rank=config.rank,
            rng=np.random.default_rng([config.seed, 17, i]),
        )
        tested.append(Tested(relation, binding, basis))
    return tested


def relation_table(
    config: MatrixBindingConfig, data: TokenRows, tested: list[Tested]
) -> dict[str, list[Any]]:
    """One row per relation."""
    rows = [_row(config, data, one) for one in tested]
    for row, one in zip(rows, tested, strict=True):
        row |= _cross_relation(config, data, one, tested)
    adjusted = benjamini_hochberg(np.array([row["p"] for row in rows], dtype=float))
    for row, p, rejected in zip(rows, adjusted.adjusted, adjusted.rejected, strict=True):
        row["adjusted_p"] = float(p)
        row["verdict"] = _verdict(row, is_binding=bool(rejected) and row["gain"] > 0)
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


def _ends(data: TokenRows, relation: Relation) -> tuple[np.ndarray, np.ndarray]:
    return data.rows[relation.pairs[:, 0]], data.rows[relation.pairs[:, 1]]


def _row(config: MatrixBindingConfig, data: TokenRows, one: Tested) -> dict[str, Any]:
    binding = one.binding
    rng = np.random.default_rng([config.seed, 19])
    again = rng.integers(len(binding.energy), size=(_RESAMPLES, len(binding.energy)))
    m0, m1, m2, m4 = (
        binding.errors[model][again].sum(axis=1)
        for model in ("identity", "offset", "scaled_offset", "matrix")
    )
    energy = binding.energy[again].sum(axis=1)
    low, high = np.quantile(1 - m4 / m2, [0.025, 0.975])
    errors = {NAMES[model]: float(errors.sum()) for model, errors in binding.errors.items()}
    total = float(binding.energy.sum())
    best = int(np.argmax(binding.gain_of_rank))
    return {
        "relation": one.relation.name,
        "n_pairs": len(one.relation.pairs),
        "n_found": one.relation.n_found,
        "n_components": one.basis.shape[1],
        "g": binding.scale,
        **{f"r2_{name}": 1 - error / total for name, error in errors.items()},
        "gain": binding.gain,
        "gain_low": float(low),
        "gain_high": float(high),
        "null_mean": float(binding.null.mean()),
        "null_high": float(np.quantile(binding.null, 0.95)),
        "shuffled_gain": float(binding.shuffled.mean()),
        "p": permutation_p_value(binding.gain, binding.null),
        "gain_over_scales": 1 - errors["m4"] / errors["scales"],
        "best_rank": binding.ranks[best],
        "gain_at_best_rank": float(binding.gain_of_rank[best]),
        **_retrieval(config, data, one),
        "r2_m2_low": float(np.quantile(1 - m2 / energy, 0.025)),
        "offset_low": float(np.quantile(1 - m1 / m0, 0.025)),
    }


def _retrieval(config: MatrixBindingConfig, data: TokenRows, one: Tested) -> dict[str, float]:
    """hits@1 and mean reciprocal rank by cosine among all tokens except the first of the pair."""
    pairs = one.relation.pairs
    rng = np.random.default_rng([config.seed, 23])
    asked = rng.permutation(len(pairs))[: config.n_retrieved]
    lengths = np.linalg.norm(data.rows, axis=1)
    lengths = np.maximum(lengths, np.finfo(np.float32).tiny)
    metrics: dict[str, float] = {}
    for model, name in NAMES.items():
        alike = one.binding.predicted[model][asked].astype(np.float32) @ data.rows.T / lengths
        which = np.arange(len(asked))
        alike[which, pairs[asked, 0]] = -np.inf
        rank = 1 + (alike > alike[which, pairs[asked, 1]][:, None]).sum(axis=1)
        metrics[f"hits_{name}"] = float((rank == 1).mean())
        metrics[f"mrr_{name}"] = float((1 / rank).mean())
    return metrics


def _cross_relation(
    config: MatrixBindingConfig, data: TokenRows, one: Tested, tested: list[Tested]
) -> dict[str, Any]:
    """The other relation whose matrix gains most on this one, and its gain."""
    best: dict[str, Any] = {"cross_relation_gain": float("nan"), "cross_relation": ""}
    for other in tested:
        if other is one:
            continue
        gain = transferred_gain(
            *_ends(data, one.relation),
            other.basis @ other.binding.delta,
            n_folds=config.n_folds,
            rng=np.random.default_rng([config.seed, 29]),
        )
        if not gain <= best["cross_relation_gain"]:
            best = {"cross_relation_gain": gain, "cross_relation": other.relation.name}
    return best


def _verdict(row: dict[str, Any], *, is_binding: bool) -> str:
    """binding, offset (it beats the identity), identity (up to a scale), or none."""
    if is_binding:
        return "binding"
    if row["r2_m2_low"] <= 0:
        return "none"
    return "offset" if row["offset_low"] > 0 else "identity"


def summary(table: dict[str, list[Any]], n_too_few: int) -> dict[str, float]:
    """The declared metrics, from the table; NaN if no relation has enough pairs."""

    def column(name: str) -> np.ndarray:
        return np.array(table.get(name, []), dtype=float)

    def of(name: str, statistic: Any = np.mean) -> float:
        values = column(name)
        values = values[~np.isnan(values)]
        return float(statistic(values)) if len(values) else float("nan")

    is_binding = np.array([verdict == "binding" for verdict in table.get("verdict", [])], bool)
    beyond = column("gain_over_scales") > 0
    specific = ~(column("gain") <= column("cross_relation_gain"))
    return {
        "n_relations_tested": float(len(is_binding)),
        "n_relations_too_few": float(n_too_few),
        "n_bindings": float(is_binding.sum()),
        "n_specific_bindings": float((is_binding & beyond & specific).sum()),
        "n_pairs": float(column("n_pairs").sum()),
        "median_gain": of("gain", np.median),
        "largest_gain": of("gain", np.max),
        "median_gain_over_scales": of("gain_over_scales", np.median),
        "cross_relation_gain": of("cross_relation_gain", np.median),
        "shuffled_gain": of("shuffled_gain", np.median),
        "null_gain": of("null_mean", np.median),
        **{f"mean_r2_{name}": of(f"r2_{name}") for name in NAMES.values()},
        **{f"mean_hits_{name}": of(f"hits_{name}") for name in NAMES.values()},
        **{f"mean_mrr_{name}": of(f"mrr_{name}") for name in NAMES.values()},
    }
