"""What foretells how much a row matters to the model each time its token occurs.

The importance of a token is the damage of its changed row over the whole text, over the token's
probability. As the probability divides it, a row whose damage has nothing to do with how frequent
its token is has a slope of -1 in ln p, and one whose damage grows as its probability a slope of 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trials.kernels.statistics import standardised_regression
from trials.row_swap.damage import Damage
from trials.row_swap.draws import Drawn

LEAST_TOKENS = 20
IN_METRICS = ("ln_p", "ln_norm")
_COLUMNS = ("text", "term", "coefficient", "low", "high", "r2", "n_tokens")

Predictors = dict[str, np.ndarray]
"""Of every token, by term: `ln_p`, `ln_norm`; where the draw is coded, `residual_frac`, `l0`."""


def predictors(probability: np.ndarray, old: np.ndarray, drawn: Drawn) -> Predictors:
    """From the tokens' probabilities and their old rows, (n_tokens, n_matrices, d_model).

    Of several matrices the mean counts: of the lengths the geometric one.
    """
    with np.errstate(divide="ignore"):
        found = {
            "ln_p": np.log(probability),
            "ln_norm": np.log(np.linalg.norm(old.astype(np.float64), axis=2)).mean(axis=1),
        }
    if drawn.residual_frac is not None and drawn.l0 is not None:
        found |= {"residual_frac": drawn.residual_frac, "l0": drawn.l0}
    return found


def importance(
    start: dict[str, Damage], of_tokens: Predictors
) -> tuple[dict[str, list[Any]], dict[str, float]]:
    """A table, one row a side and term, and metrics, of ln(damage / p) on the predictors.

    Tokens count whose damage is positive and whose predictors are finite.
    """
    terms = list(of_tokens)
    everything = np.column_stack([of_tokens[term] for term in terms])
    table: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    metrics: dict[str, float] = {}
    for side, damage in start.items():
        counts = (damage.overall > 0) & np.isfinite(everything).all(axis=1)
        n_tokens = int(counts.sum())
        fitted, r2 = np.full((3, len(terms)), np.nan), float("nan")
        if n_tokens >= LEAST_TOKENS:
            fit = standardised_regression(
                np.log(damage.overall[counts]) - of_tokens["ln_p"][counts],
                everything[counts],
                rng=np.random.default_rng(19),
            )
            fitted, r2 = np.stack([fit.coefficients, fit.low, fit.high]), fit.r2
        for term, values in zip(terms, fitted.T.tolist(), strict=True):
            for name, value in zip(_COLUMNS, (side, term, *values, r2, n_tokens), strict=True):
                table[name].append(value)
        for term in IN_METRICS:
            metrics[f"importance_{term}_{side}"] = float(fitted[0, terms.index(term)])
        metrics[f"importance_r2_{side}"] = r2
        metrics[f"importance_tokens_{side}"] = float(n_tokens)
    return table, metrics


def token_columns(damage: Damage, of_tokens: Predictors) -> dict[str, list[float]]:
    """Columns of the table of the tokens."""
    shown = {"probability": np.exp(of_tokens["ln_p"]), "row_norm": np.exp(of_tokens["ln_norm"])}
    shown |= {name: of_tokens[name] for name in ("residual_frac", "l0") if name in of_tokens}
    with np.errstate(divide="ignore", invalid="ignore"):
        shown["importance"] = damage.overall / shown["probability"]
    return {name: values.tolist() for name, values in shown.items()}
