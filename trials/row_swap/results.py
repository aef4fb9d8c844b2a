"""From the damage of each token to metrics, tables and a figure."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from trials.api import Table
from trials.inputs.corpora import TokenisedCorpus
from trials.kernels.statistics import standardised_regression
from trials.row_swap.damage import Damage, Losses, Original, mean_loss
from trials.row_swap.finetune import FineTuned
from trials.row_swap.metrics import MEASURED, SIDES, undefined
from trials.row_swap.rows import Drawn
from trials.row_swap.text import Exposure, Strata

_RECOVERY_COLUMNS = (
    "step",
    "stratum",
    "n_tokens",
    "damage_validation",
    "damage_held_out",
    "recovered_frac",
    "low",
    "high",
    "null_rise",
)
_N_RESAMPLES = 2000
NO_DAMAGE = 1e-7
"""Mean damage (nats) that rounding in float32 alone can make."""


class Measured(NamedTuple):
    """What was measured for every token.

    Attributes:
        strata: of the vocabulary.
        text: by side.
        before: the model as it was, by side.
        start: damage before anything is trained, by side.
        tuned: None without fine-tuning.
        cosines: between the rows at the end and the original ones.
    """

    strata: Strata
    text: dict[str, Exposure]
    before: dict[str, Original]
    start: dict[str, Damage]
    tuned: FineTuned | None
    cosines: np.ndarray

    @property
    def last(self) -> dict[str, Losses]:
        """Damage at the end, by side."""
        if self.tuned is None:
            return {side: damage.losses for side, damage in self.start.items()}
        return self.tuned.damage[max(self.tuned.damage)]


def all_metrics(measured: Measured, counts: np.ndarray) -> dict[str, float]:
    """Every metric except the time and the importance. Those of mode cumulative are NaN.

    `counts` are the tokens' occurrences on the training side.
    """
    text, start, strata = measured.text, measured.start, measured.strata
    metrics = undefined()
    for side in SIDES:
        for name in MEASURED:
            values = getattr(start[side], name.removeprefix("damage_"))
            if np.isfinite(values).any():
                metrics[f"{name}_{side}"] = float(np.nanmean(values))
    held_out, stratum = start["held_out"].overall, text["held_out"].stratum
    low, high = _interval(held_out[_resampled(stratum)].mean(axis=1))
    if measured.tuned is not None:
        metrics |= _recovery_metrics(measured.tuned, stratum)
    return metrics | {
        "damage_overall_held_out_low": low,
        "damage_overall_held_out_high": high,
        "damage_overall_frequent_held_out": float(held_out[stratum == stratum.min()].mean()),
        "damage_overall_rare_held_out": float(held_out[stratum == stratum.max()].mean()),
        "row_cosine": float(measured.cosines.mean()),
        "loss_before": mean_loss(measured.before["validation"], text["validation"]),
        "n_tokens_tried": float(len(measured.cosines)),
        "covered_frac": float(strata.covered.mean()),
        "covered_text_frac": float(counts[strata.covered].sum() / counts.sum()),
    }


def _recovery_metrics(tuned: FineTuned, stratum: np.ndarray) -> dict[str, float]:
    start, last = tuned.damage[0], tuned.damage[max(tuned.damage)]
    metrics = {}
    for side in SIDES:
        metrics[f"recovered_frac_{side}"] = _recovered(start[side].around, last[side].around)
        rise = tuned.null_rise[max(tuned.null_rise)][side].overall
        metrics[f"null_rise_{side}"] = float(rise.mean())
    for role in ("as_input", "as_target"):
        was, now = (getattr(of["held_out"], role) for of in (start, last))
        metrics[f"recovered_{role}_frac_held_out"] = _recovered(was, now)
    low, high = _recovered_interval(start["held_out"].around, last["held_out"].around, stratum)
    metrics |= {"recovered_frac_held_out_low": low, "recovered_frac_held_out_high": high}
    return metrics | {f"steps_to_{percent}": _steps_to(percent, tuned) for percent in (50, 90)}


def _recovered(start: np.ndarray, now: np.ndarray) -> float:
    """0 if nothing was learned, whatever the signs; NaN if there was no damage."""
    total = float(np.nansum(start))
    return 1 - float(np.nansum(now)) / total if total > NO_DAMAGE * len(start) else float("nan")


def _recovered_interval(
    start: np.ndarray, now: np.ndarray, stratum: np.ndarray
) -> tuple[float, float]:
    """95 % interval of `_recovered` over tokens."""
    if np.isnan(_recovered(start, now)):
        return float("nan"), float("nan")
    drawn = _resampled(stratum)
    return _interval(np.array([_recovered(start[which], now[which]) for which in drawn]))


def _steps_to(percent: int, tuned: FineTuned) -> float:
    start = tuned.damage[0]["validation"].around
    for step in sorted(tuned.damage):
        if step and _recovered(start, tuned.damage[step]["validation"].around) >= percent / 100:
            return float(step)
    return float("nan")


def _resampled(stratum: np.ndarray) -> np.ndarray:
    """Bootstrap samples of positions, drawn within each stratum as the tokens were."""
    rng = np.random.default_rng(0)
    members = [np.flatnonzero(stratum == s) for s in np.unique(stratum)]
    return np.concatenate(
        [here[rng.integers(len(here), size=(_N_RESAMPLES, len(here)))] for here in members], axis=1
    )


def _interval(values: np.ndarray) -> tuple[float, float]:
    if not np.isfinite(values).any():
        return float("nan"), float("nan")
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)


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
        "around_last": measured.last["held_out"].around.tolist(),
        "row_cosine": measured.cosines.tolist(),
    }


def recovery_table(measured: Measured) -> dict[str, Table]:
    """The table `recovery`: per measured step, all strata and each; empty without fine-tuning.

    Its damage is that in sequences that contain the token. Over all text, the damage of a rare
    token (1e-4 nats) is less than what two fine-tuned models differ by in any case (1e-3).
    """
    if measured.tuned is None:
        return {}
    tuned, stratum = measured.tuned, measured.text["held_out"].stratum
    table: dict[str, list[Any]] = {name: [] for name in _RECOVERY_COLUMNS}
    for step in sorted(tuned.damage):
        for name in ("all", *np.unique(stratum).tolist()):
            here = np.ones(len(stratum), bool) if name == "all" else stratum == name
            start, now = (tuned.damage[s]["held_out"].around[here] for s in (0, step))
            row = (
                step,
                str(name),
                int(here.sum()),
                float(tuned.damage[step]["validation"].around[here].mean()),
                float(now.mean()),
                _recovered(start, now),
                *_recovered_interval(start, now, stratum[here]),
                float(tuned.null_rise[step]["held_out"].overall[here].mean()),
            )
            for column, value in zip(_RECOVERY_COLUMNS, row, strict=True):
                table[column].append(value)
    return {"recovery": table}


def recovery_figure(table: Table) -> Figure:
    """The recovered share of the damage by fine-tuning steps, all strata and each."""
    figure = Figure(figsize=(5.5, 3.5), layout="constrained")
    axes = figure.add_subplot(
        title="Damage undone by fine-tuning, held-out text",
        xlabel="fine-tuning steps",
        ylabel="share of the damage recovered",
    )
    names = np.array(table["stratum"])
    for name in dict.fromkeys(table["stratum"]):
        at = np.flatnonzero(names == name)
        steps, share, low, high = (
            np.array(table[column], dtype=float)[at]
            for column in ("step", "recovered_frac", "low", "high")
        )
        if name == "all":
            axes.fill_between(steps, low, high, color="0.85", label="95 %, over tokens")
        axes.plot(steps, share, "o-", label="all" if name == "all" else f"stratum {name}")
    axes.set_xscale("symlog", linthresh=1)
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.axhline(1, color="0.6", linewidth=0.8, linestyle="dotted")
    axes.legend(fontsize="small")
    return figure


def damage_figure(measured: Measured) -> Figure:
    """Damage of every token by frequency stratum, held-out text."""
    text, damage = measured.text["held_out"], measured.start["held_out"]
    figure = Figure(figsize=(5.5, 3.5), layout="constrained")
    axes = figure.add_subplot(
        title="One row changed, held-out text",
        xlabel="stratum of measurable tokens, 0 the most frequent",
        ylabel="rise of the loss (nats)",
    )
    for shift, (name, values) in enumerate(
        (("as input", damage.as_input), ("as target", damage.as_target))
    ):
        axes.plot(text.stratum + 0.16 * (shift - 0.5), values, "o", alpha=0.6, label=name)
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.legend()
    return figure
