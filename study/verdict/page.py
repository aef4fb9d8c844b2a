"""A verdict as text for a terminal and as JSON."""

from __future__ import annotations

import json
import math
from typing import Any

from study.verdict.arms import ArmContrast
from study.verdict.curves import ModelGroup
from study.verdict.decide import Verdict
from sweeper.report.tables import Grid, page
from sweeper.report.words import number, plural

QUESTION_1 = "H1  Does a model train worse when its input rows are random and frozen?"
QUESTION_2 = "H2  Does the error of a sparse overbasis stay above zero over training?"
_SHOWN_RUNS = 3


def verdict_page(verdict: Verdict) -> str:
    """The verdict in words and tables; each number names the runs behind it."""
    h1, h2 = verdict.h1, verdict.h2
    parts: list[Grid | str] = [
        f"{QUESTION_1}\n    {h1.value.upper()}: {h1.why}",
        f"{QUESTION_2}\n    {h2.value.upper()}: {h2.why}",
        verdict.consequence + (" Indicative: few seeds." if verdict.is_indicative else ""),
        "",
    ]
    contrasts = list(verdict.others)
    if h1.gap is not None:
        contrasts.insert(0, (f"H1: input rows frozen ({h1.rows_distribution})", h1.gap))
    if contrasts:
        columns = ["arm minus reference", "nats", "interval", "tokens ratio", "seeds", "runs"]
        rows = [contrast_cells(title, found) for title, found in contrasts]
        parts.append(Grid(columns, rows, right=columns[1:5]))
    if verdict.groups_with_curve:
        columns = ["error over training", "models", "steps", "first", "last", "over null", "runs"]
        rows = [curve_cells(models) for models in verdict.groups_with_curve]
        parts.append(Grid(columns, rows, right=columns[1:6]))
    if h2.fitted is not None:
        columns = ["form", "chi2 / dof", "prediction", "accepted", "end", "interval"]
        rows = fit_cells(verdict)
        parts.append(Grid(columns, rows, right=columns[1:]))
    if len(h2.sizes) > 1:
        columns = ["size of the dictionary", "models", "error", "over null", "runs"]
        parts.append(Grid(columns, size_cells(verdict), right=columns[:4]))
    parts += [*closing_sentences(verdict), *floor_sentences(verdict)]
    for missing in verdict.missing:
        parts.append(
            f"to decide more, run: sweeper run {missing.sweep}  ({missing.why}; {missing.cost})"
        )
    parts += verdict.left_out
    parts.append(f"rule: {verdict.rule.values.name}, SHA-256 {verdict.rule.digest[:16]}…")
    return page(*parts)


def contrast_cells(title: str, found: ArmContrast) -> list[str]:
    """A row of the table of arms."""
    ratio = (
        f"≥ {number(-found.tokens_ratio, 3)}"
        if found.tokens_ratio < 0
        else number(found.tokens_ratio, 3)
    )
    if found.n_row_sources:
        title += f" (rows of {plural(found.n_row_sources, 'trained model')})"
    return [
        title,
        number(found.mean, 3),
        f"[{number(found.low, 3)}, {number(found.high, 3)}] {found.method}",
        ratio,
        str(found.n_seeds),
        _runs((*found.arm_runs, *found.reference_runs)),
    ]


def curve_cells(models: ModelGroup) -> list[str]:
    """A row of the table of error over training."""
    if not len(models.steps):
        return [models.title, str(len(models.models)), "0", "–", "–", "–", _runs(models.runs)]
    real, null = models.real.mean(axis=0), models.null.mean(axis=0)
    return [
        models.title,
        str(len(models.models)),
        f"{number(models.steps[0])} to {number(models.steps[-1])}",
        number(real[0], 3),
        number(real[-1], 3),
        f"{number(real[0] / null[0], 3)} to {number(real[-1] / null[-1], 3)}",
        _runs(models.runs),
    ]


def fit_cells(verdict: Verdict) -> list[list[str]]:
    """The rows of the table of fitted forms."""
    assert verdict.h2.fitted is not None
    return [
        [
            fit.name,
            number(fit.chi2_per_dof, 3),
            number(fit.prediction, 3),
            "yes" if fit.accepted else "no",
            number(fit.end, 3),
            f"[{number(fit.low, 3)}, {number(fit.high, 3)}]" if fit.accepted else "–",
        ]
        for fit in verdict.h2.fitted.fits
    ]


def size_cells(verdict: Verdict) -> list[list[str]]:
    """The rows of the table of sizes: the error at the last step."""
    return [
        [
            f"{number(size.n_atoms)} atoms",
            str(size.n_models),
            _interval(size.error),
            _interval(size.over_null),
            _runs(size.runs),
        ]
        for size in verdict.h2.sizes
    ]


def closing_sentences(verdict: Verdict) -> list[str]:
    """Does the gap of H1 close as training goes on, so that the arm is only slower?"""
    if verdict.h1.gap is None:
        return []
    closing = verdict.h1.gap.closing
    if not math.isfinite(closing[0]):
        return []
    share = verdict.rule.values.worse.tokens_share
    meaning = (
        "the gap closes, so part of it is a difference in speed"
        if closing[1] > 0
        else "the gap widens"
        if closing[2] < 0
        else "no significant trend"
    )
    return [
        f"Trend: after {share:g} of the budget the gap of H1 scales as tokens^-g with g = "
        f"{_interval(closing)}: {meaning} (the learning rate decays in this range)."
    ]


def floor_sentences(verdict: Verdict) -> list[str]:
    """The two floors of the error at the last step: training noise, and the cost to the model."""
    h2, rule = verdict.h2, verdict.rule.values.error
    if h2.models is None or h2.fitted is None:
        return []
    changes = h2.models.row_change
    noise = (
        f"Noise: the rows change by {number(float(changes.min()), 3)} to "
        f"{number(float(changes.max()), 3)} of their variance between the last two checkpoints "
        f"(half the mean square); an offset must exceed {number(h2.floor, 3)}."
        if math.isfinite(h2.floor)
        else "Noise: unknown; no trial measured how much the rows still change late in training."
    )
    cost = (
        f"Cost: replacing the rows by codes of {rule.atoms_a_token:g} atoms raises a model's loss "
        f"by {_interval(h2.cost)} nats per token; seeds alone differ by "
        f"{number(h2.cost_floor, 3)} (runs {_runs(h2.cost_runs)})."
        if math.isfinite(h2.cost[0])
        else "Cost: not measured; no trial replaced the rows of these models."
    )
    return [noise, cost]


def _interval(found: tuple[float, float, float]) -> str:
    mean, low, high = (number(value, 3) for value in found)
    return f"{mean} [{low}, {high}]"


def verdict_json(verdict: Verdict) -> str:
    """The verdict as one JSON object. Values that are not finite become null."""
    h1, h2 = verdict.h1, verdict.h2
    values = {
        "rule": {"name": verdict.rule.values.name, "sha256": verdict.rule.digest},
        "h1": {
            "value": h1.value,
            "why": h1.why,
            "rows_distribution": h1.rows_distribution,
            "gap": h1.gap and h1.gap._asdict(),
        },
        "h2": {
            "value": h2.value,
            "why": h2.why,
            "over_null": h2.over_null,
            "floor": h2.floor,
            "cost": h2.cost,
            "cost_floor": h2.cost_floor,
            "cost_runs": h2.cost_runs,
            "sizes": [size._asdict() for size in h2.sizes],
            "models": h2.models and _plain(h2.models),
            "slope": h2.fitted and [h2.fitted.slope, h2.fitted.slope_low, h2.fitted.slope_high],
            "fits": [fit._asdict() for fit in h2.fitted.fits] if h2.fitted else [],
        },
        "consequence": verdict.consequence,
        "indicative": verdict.is_indicative,
        "others": [{"title": title, **found._asdict()} for title, found in verdict.others],
        "missing": [missing._asdict() for missing in verdict.missing],
        "left_out": verdict.left_out,
    }
    return json.dumps(_finite(values), indent=2, ensure_ascii=False)


def _plain(models: ModelGroup) -> dict[str, Any]:
    return {k: v.tolist() if hasattr(v, "tolist") else v for k, v in models._asdict().items()}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _runs(ids: tuple[str, ...]) -> str:
    shown = " ".join(run[:8] for run in ids[:_SHOWN_RUNS])
    return shown + (f" … ({plural(len(ids), 'run')})" if len(ids) > _SHOWN_RUNS else "")
