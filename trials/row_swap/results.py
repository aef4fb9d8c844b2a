"""From the damage of each token to metrics, tables and a figure."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from trials.api import Table
from trials.inputs.corpora import TokenisedCorpus
from trials.kernels.statistics import standardised_regression
from trials.row_swap.damage import Damage, Original
from trials.row_swap.kind import RowSwapConfig
from trials.row_swap.metrics import MEASURED, SIDES, undefined
from trials.row_swap.rows import Drawn
from trials.row_swap.text import Exposure

_FIELD = {
    "damage_overall": "overall",
    "damage_as_input": "as_input",
    "damage_as_target": "as_target",
    "kl": "kl",
}
_N_RESAMPLES = 2000

DamageByStep = dict[int, dict[str, Damage]]
"""Damage of every token after each measured step, by side."""


class Measured(NamedTuple):
    """What was measured for every token.

    Attributes:
        text: by side.
        before: the model as it was, by side.
        start: damage before anything is trained, by side.
        damage_by_step: empty if nothing is trained.
        cosines: between the rows at the end and the original ones.
    """

    text: dict[str, Exposure]
    before: dict[str, Original]
    start: dict[str, Damage]
    damage_by_step: DamageByStep
    cosines: np.ndarray

    @property
    def last(self) -> dict[str, Damage]:
        """Damage at the end, by side."""
        return self.damage_by_step[max(self.damage_by_step)] if self.damage_by_step else self.start


def row_cosines(rows: np.ndarray, old: np.ndarray) -> np.ndarray:
    """Mean over the matrices of the cosine between a token's row and its old row."""
    lengths = np.linalg.norm(rows, axis=2) * np.linalg.norm(old, axis=2)
    products = (rows * old).sum(axis=2)
    cosines: np.ndarray = np.divide(
        products, lengths, out=np.zeros(lengths.shape), where=lengths > 0
    )
    mean: np.ndarray = cosines.mean(axis=1)
    return mean


def all_metrics(measured: Measured) -> dict[str, float]:
    """Every metric except the time and the importance. Those of mode cumulative are NaN."""
    text, start, damage_by_step = measured.text, measured.start, measured.damage_by_step
    metrics = undefined()
    for side in SIDES:
        for name in MEASURED:
            values = getattr(start[side], _FIELD[name])
            if np.isfinite(values).any():
                metrics[f"{name}_{side}"] = float(np.nanmean(values))
        if damage_by_step:
            metrics[f"recovered_frac_{side}"] = _recovered(
                start[side].overall, measured.last[side].overall
            )
    held_out, stratum = start["held_out"].overall, text["held_out"].stratum
    draws = np.random.default_rng(0).integers(len(held_out), size=(_N_RESAMPLES, len(held_out)))
    low, high = np.quantile(held_out[draws].mean(axis=1), [0.025, 0.975])
    return metrics | {
        "damage_overall_held_out_low": float(low),
        "damage_overall_held_out_high": float(high),
        "damage_overall_frequent_held_out": float(held_out[stratum == stratum.min()].mean()),
        "damage_overall_rare_held_out": float(held_out[stratum == stratum.max()].mean()),
        "steps_to_90": _steps_to_90(start["validation"].overall, damage_by_step),
        "row_cosine": float(measured.cosines.mean()),
        "loss_before": _mean_loss(measured.before["validation"], text["validation"]),
        "n_tokens_tried": float(len(measured.cosines)),
    }


def _recovered(start: np.ndarray, now: np.ndarray) -> float:
    """0 if nothing was learned, whatever the signs; NaN if there was no damage."""
    total = float(start.sum())
    return 1 - float(now.sum()) / total if total > 0 else float("nan")


def _steps_to_90(start: np.ndarray, damage_by_step: DamageByStep) -> float:
    for step in sorted(damage_by_step):
        if step and _recovered(start, damage_by_step[step]["validation"].overall) >= 0.9:
            return float(step)
    return float("nan")


def _mean_loss(before: Original, text: Exposure) -> float:
    """Over the sequences of the tokens, each with its own weight in all text."""
    with torch.no_grad():
        losses = [
            float(-before.head.logits(h).log_softmax(-1).gather(-1, torch.from_numpy(s)).mean())
            for h, s in zip(before.hidden, (s[:, 1:, None] for s in text.sequences), strict=True)
        ]
    return float(np.mean(losses))


def cumulative_metrics(table: Table) -> dict[str, float]:
    """Every metric except the time. Those of mode single are NaN."""
    return undefined() | {
        "rows_to_half": _rows_to_half(table),
        "damage_of_all_rows": float(table["damage"][-1]),
        "loss_before": float(table["loss"][0]),
        "n_tokens_tried": float(table["n_rows"][-1]),
    }


def _rows_to_half(table: Table) -> float:
    """Changed rows at which half of the damage of all is done, between counts by the logarithm."""
    damage, counts = np.array(table["damage"]), np.array(table["n_rows"], dtype=float)
    there = np.flatnonzero(damage >= damage[-1] / 2)
    if damage[-1] <= 0 or not len(there) or there[0] <= 1:
        return float("nan")
    i = int(there[0])
    share = (damage[-1] / 2 - damage[i - 1]) / (damage[i] - damage[i - 1])
    return float(np.exp(np.log(counts[i - 1]) * (1 - share) + np.log(counts[i]) * share))


LEAST_TOKENS = 20
IN_METRICS = ("ln_p", "ln_norm")
_COLUMNS = ("text", "term", "coefficient", "low", "high", "r2", "n_tokens")

Predictors = dict[str, np.ndarray]
"""Values per token by term: `ln_p`, `ln_norm`; for coded draws also `residual_frac`, `l0`."""


def predictors(probability: np.ndarray, old: np.ndarray, drawn: Drawn) -> Predictors:
    """From the tokens' probabilities and their old rows, (n_tokens, n_matrices, d_model).

    With several matrices, the mean counts; for norms, the geometric mean.
    """
    with np.errstate(divide="ignore"):
        of_tokens = {
            "ln_p": np.log(probability),
            "ln_norm": np.log(np.linalg.norm(old.astype(np.float64), axis=2)).mean(axis=1),
        }
    if drawn.residual_frac is not None and drawn.l0 is not None:
        of_tokens |= {"residual_frac": drawn.residual_frac, "l0": drawn.l0}
    return of_tokens


def importance(
    start: dict[str, Damage], of_tokens: Predictors
) -> tuple[dict[str, list[Any]], dict[str, float]]:
    """Regression of ln(damage / p) on the predictors: a table by side and term, and metrics.

    Importance is the damage of a changed row over all text, divided by the token's probability p.
    If the damage does not depend on how frequent the token is, the slope in ln p is -1; if the
    damage grows in proportion to p, the slope is 0.

    The fit uses tokens with positive damage and finite predictors.
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


def token_table(measured: Measured, corpus: TokenisedCorpus) -> dict[str, list[Any]]:
    """One row per token, held-out text."""
    text = measured.text["held_out"]
    return {
        "token": [corpus.vocabulary.tokens[t] for t in text.tokens],
        "token_id": text.tokens.tolist(),
        "stratum": text.stratum.tolist(),
        "count": corpus.counts[text.tokens].tolist(),
        **{name: values.tolist() for name, values in measured.start["held_out"]._asdict().items()},
        "overall_last": measured.last["held_out"].overall.tolist(),
        "row_cosine": measured.cosines.tolist(),
    }


def damage_by_step_table(damage_by_step: DamageByStep) -> dict[str, Table]:
    """The table `course`: one row per measured training step; empty without training."""
    if not damage_by_step:
        return {}
    steps = sorted(damage_by_step)
    damages = {
        f"damage_{side}": [float(damage_by_step[s][side].overall.mean()) for s in steps]
        for side in SIDES
    }
    return {"course": {"step": steps, **damages}}


def facts(config: RowSwapConfig, corpus: TokenisedCorpus) -> dict[str, str]:
    """Model and text."""
    return {
        "model": config.model,
        "corpus": config.corpus,
        "corpus_digest": corpus.digest,
        "tokenizer": config.tokenizer,
    }


def damage_figure(measured: Measured) -> Figure:
    """Damage of every token by frequency stratum, held-out text."""
    text, damage = measured.text["held_out"], measured.start["held_out"]
    figure = Figure(figsize=(5.5, 3.5), layout="constrained")
    axes = figure.add_subplot(
        title="One row changed, held-out text",
        xlabel="stratum, 0 the most frequent",
        ylabel="rise of the loss (nats)",
    )
    for shift, (name, values) in enumerate(
        (("as input", damage.as_input), ("as target", damage.as_target))
    ):
        axes.plot(text.stratum + 0.16 * (shift - 0.5), values, "o", alpha=0.6, label=name)
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.legend()
    return figure
