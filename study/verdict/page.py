"""A verdict as text and as JSON."""

from __future__ import annotations

import json
import math
from typing import Any

from study.verdict.arms import Contrast
from study.verdict.curves import Models
from study.verdict.decide import Verdict
from sweeper.report.tables import Grid, page
from sweeper.report.words import number, plural

QUESTION_1 = "H1  Does a model train worse when its input rows are random and frozen?"
QUESTION_2 = "H2  Does the error of a sparse overbasis stay above zero over training?"
_SHOWN_RUNS = 3


def verdict_page(verdict: Verdict) -> str:
    """The verdict in words, with every number's runs."""
    worse, ends = verdict.worse, verdict.ends
    parts: list[Grid | str] = [
        f"{QUESTION_1}\n    {worse.value.upper()}: {worse.why}",
        f"{QUESTION_2}\n    {ends.value.upper()}: {ends.why}",
        verdict.consequence + (" Indicative: few seeds." if verdict.is_indicative else ""),
        "",
    ]
    contrasts = list(verdict.others)
    if worse.gap is not None:
        contrasts.insert(0, (f"H1: input rows frozen ({worse.rows_distribution})", worse.gap))
    if contrasts:
        columns = ["arm less reference", "nats", "interval", "tokens ratio", "seeds", "runs"]
        rows = [contrast_cells(title, found) for title, found in contrasts]
        parts.append(Grid(columns, rows, right=columns[1:5]))
    if verdict.followed:
        columns = ["error over training", "models", "steps", "first", "last", "over null", "runs"]
        rows = [curve_cells(models) for models in verdict.followed]
        parts.append(Grid(columns, rows, right=columns[1:6]))
    if ends.found is not None:
        columns = ["form", "chi2 / dof", "prediction", "accepted", "end", "interval"]
        rows = fit_cells(verdict)
        parts.append(Grid(columns, rows, right=columns[1:]))
    if len(ends.sizes) > 1:
        columns = ["size of the dictionary", "models", "error", "over null", "runs"]
        parts.append(Grid(columns, size_cells(verdict), right=columns[:4]))
    parts += [*closing_sentences(verdict), *floor_sentences(verdict)]
    for missing in verdict.missing:
        parts.append(
            f"to decide more: sweeper run {missing.sweep}  ({missing.why}; {missing.cost})"
        )
    parts += verdict.left_out
    parts.append(f"rule: {verdict.rule.values.name}, SHA-256 {verdict.rule.digest[:16]}…")
    return page(*parts)


def contrast_cells(title: str, found: Contrast) -> list[str]:
    """A contrast as cells of text."""
    ratio = (
        f"≥ {number(-found.tokens_ratio, 3)}"
        if found.tokens_ratio < 0
        else number(found.tokens_ratio, 3)
    )
    return [
        title,
        number(found.mean, 3),
        f"[{number(found.low, 3)}, {number(found.high, 3)}] {found.method}",
        ratio,
        str(found.n_seeds),
        _runs((*found.arm_runs, *found.reference_runs)),
    ]


def curve_cells(models: Models) -> list[str]:
    """A group of models as cells of text."""
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
    """The forms as cells of text."""
    assert verdict.ends.found is not None
    return [
        [
            fit.name,
            number(fit.chi2_per_dof, 3),
            number(fit.prediction, 3),
            "yes" if fit.accepted else "no",
            number(fit.end, 3),
            f"[{number(fit.low, 3)}, {number(fit.high, 3)}]" if fit.accepted else "–",
        ]
        for fit in verdict.ends.found.fits
    ]


def size_cells(verdict: Verdict) -> list[list[str]]:
    """The error at the last step by size of the dictionary as cells of text."""
    return [
        [
            f"{number(size.n_atoms)} atoms",
            str(size.n_models),
            _interval(size.error),
            _interval(size.over_null),
            _runs(size.runs),
        ]
        for size in verdict.ends.sizes
    ]


def closing_sentences(verdict: Verdict) -> list[str]:
    """Whether the gap of H1 is one of speed: does it close as training goes on?"""
    if verdict.worse.gap is None:
        return []
    closing = verdict.worse.gap.closing
    if not math.isfinite(closing[0]):
        return []
    share = verdict.rule.values.worse.tokens_share
    meaning = (
        "it closes, so that part of it is one of speed"
        if closing[1] > 0
        else "it widens"
        if closing[2] < 0
        else "it neither closes nor widens beyond chance"
    )
    return [
        f"Closing: beyond {share:g} of the budget the gap of H1 goes as tokens to the power "
        f"-g, g {_interval(closing)}: {meaning} (while the learning rate falls)."
    ]


def floor_sentences(verdict: Verdict) -> list[str]:
    """What the error is held against at the last step: noise of the training, and the model."""
    ends, rule = verdict.ends, verdict.rule.values.error
    if ends.models is None or ends.found is None:
        return []
    changes = ends.models.row_change
    noise = (
        f"Noise: rows change by {number(float(changes.min()), 3)} to "
        f"{number(float(changes.max()), 3)} of their variance between the last two checkpoints "
        f"(half the mean square); an offset must lie above {number(ends.floor, 3)}."
        if math.isfinite(ends.floor)
        else "Noise: not known; no trial measured how much late rows still move."
    )
    cost = (
        f"Worth: with codes of {rule.atoms_a_token:g} atoms in place of its rows a model loses "
        f"{_interval(ends.cost)} nats a token; another seed is worth {number(ends.cost_floor, 3)} "
        f"(runs {_runs(ends.cost_runs)})."
        if math.isfinite(ends.cost[0])
        else "Worth: what the error costs the models was not measured."
    )
    return [noise, cost]


def _interval(found: tuple[float, float, float]) -> str:
    mean, low, high = (number(value, 3) for value in found)
    return f"{mean} [{low}, {high}]"


def verdict_json(verdict: Verdict) -> str:
    """The verdict as one JSON object; what is not finite is null."""
    worse, ends = verdict.worse, verdict.ends
    values = {
        "rule": {"name": verdict.rule.values.name, "sha256": verdict.rule.digest},
        "h1": {
            "value": worse.value,
            "why": worse.why,
            "rows_distribution": worse.rows_distribution,
            "gap": worse.gap and worse.gap._asdict(),
        },
        "h2": {
            "value": ends.value,
            "why": ends.why,
            "over_null": ends.over_null,
            "floor": ends.floor,
            "cost": ends.cost,
            "cost_floor": ends.cost_floor,
            "cost_runs": ends.cost_runs,
            "sizes": [size._asdict() for size in ends.sizes],
            "models": ends.models and _plain(ends.models),
            "slope": ends.found and [ends.found.slope, ends.found.slope_low, ends.found.slope_high],
            "fits": [fit._asdict() for fit in ends.found.fits] if ends.found else [],
        },
        "consequence": verdict.consequence,
        "indicative": verdict.is_indicative,
        "others": [{"title": title, **found._asdict()} for title, found in verdict.others],
        "missing": [missing._asdict() for missing in verdict.missing],
        "left_out": verdict.left_out,
    }
    return json.dumps(_finite(values), indent=2, ensure_ascii=False)


def _plain(models: Models) -> dict[str, Any]:
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
