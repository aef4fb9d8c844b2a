"""The metrics of the kind `residual`: shape, stability, predictability, labels of neighbours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trials.api import Table
from trials.inputs.lexicon.labels import token_labels
from trials.inputs.rows import TokenRows
from trials.inputs.splits import frequency_deciles, word_families
from trials.kernels.sparse_coding import reconstruct
from trials.kernels.statistics import benjamini_hochberg, permutation_p_value
from trials.kernels.structure import (
    label_purity,
    leading_subspace,
    linear_predictability,
    neighbours_of_other_groups,
    participation_ratio,
    subspace_overlap,
)
from trials.pursuit.code import Coded
from trials.residual.kind import CHECKED, ResidualConfig

_MORE_NEIGHBOURS = 8


class Purities(NamedTuple):
    """How often neighbours share labels.

    Attributes:
        table: one row per labelling.
        excess: mean over labellings of purity minus the mean of its null.
        n_found: labellings whose purity exceeds the null (false discovery rate of 5 %).
    """

    table: Table
    excess: float
    n_found: int


def residuals(data: TokenRows, coded: Coded) -> np.ndarray:
    """Residuals after least squares on each support, float32, (n_tokens, d_model)."""
    return np.asarray(data.rows - reconstruct(coded.debiased, coded.atoms), dtype=np.float32)


def shape_metrics(
    config: ResidualConfig, data: TokenRows, left: np.ndarray, others: np.ndarray
) -> dict[str, float]:
    """Dimensions of the residuals, and their overlap with those of another dictionary.

    `left` and `others` are the residuals of two dictionaries.
    """
    n = min(config.n_dimensions, left.shape[1])
    metrics = {"subspace_chance": n / left.shape[1]}
    for side in CHECKED:
        tokens = getattr(data.split, side)
        rng = np.random.default_rng([config.seed, 12])
        metrics |= {
            f"participation_ratio_{side}": participation_ratio(left[tokens], rng),
            f"participation_ratio_of_rows_{side}": participation_ratio(data.rows[tokens], rng),
            f"subspace_overlap_{side}": subspace_overlap(
                # Different tokens, so that the two do not share noise.
                leading_subspace(left[tokens[::2]], n),
                leading_subspace(others[tokens[1::2]], n),
            ),
        }
    return metrics


def predictability(data: TokenRows, left: np.ndarray) -> dict[str, float]:
    """How well a linear map of the rows predicts the residuals, and their norms."""
    sides = (data.split.train, *(getattr(data.split, side) for side in CHECKED))
    signals = tuple(data.rows[tokens] for tokens in sides)
    lengths = np.linalg.norm(left, axis=1, keepdims=True)
    vector = linear_predictability(signals, tuple(left[tokens] for tokens in sides))
    length = linear_predictability(signals, tuple(lengths[tokens] for tokens in sides))
    return {
        "r2_residual_validation": vector.r2_validation,
        "r2_residual_held_out": vector.r2_held_out,
        "r2_length_validation": length.r2_validation,
        "r2_length_held_out": length.r2_held_out,
    }


def purities(config: ResidualConfig, data: TokenRows, of: np.ndarray, side: str) -> Purities:
    """Do a token and its neighbours in `of` share labels more than tokens of equal frequency do?

    Tokens of one word family are excluded as neighbours, because their rows are nearly equal.
    """
    tokens = getattr(data.split, side)
    names = [data.names[i] for i in tokens]
    neighbours = neighbours_of_other_groups(
        of[tokens],
        word_families(names),
        config.n_neighbours,
        n_asked=config.n_neighbours + _MORE_NEIGHBOURS,
    )
    strata = frequency_deciles(data.probabilities[tokens])
    rng = np.random.default_rng([config.seed, 13])
    rows: dict[str, list[float | str]] = {"labelling": [], "purity": [], "null": [], "p": []}
    for labelling, labels in token_labels(names).items():
        purity_and_null = label_purity(
            neighbours, labels, n_permutations=config.n_permutations, rng=rng, strata=strata
        )
        rows["labelling"].append(labelling)
        rows["purity"].append(purity_and_null.purity)
        rows["null"].append(float(purity_and_null.null.mean()))
        rows["p"].append(permutation_p_value(purity_and_null.purity, purity_and_null.null))
    adjusted = benjamini_hochberg(np.array(rows["p"], dtype=float))
    purity, null = (np.array(rows[name], dtype=float) for name in ("purity", "null"))
    table = {**rows, "adjusted_p": adjusted.adjusted.tolist()}
    return Purities(table, float((purity - null).mean()), int(adjusted.rejected.sum()))
