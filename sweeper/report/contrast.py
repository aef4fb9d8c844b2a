"""Real vs. null at equal x.

Comparing real and null at the same penalty or size would be unfair: the same setting gives them
different x (`Comparison.at`). So the null's curve of `Comparison.of` over `Comparison.at` is
interpolated at the x of each real trial. Nothing is extrapolated: outside the null's range the
result is NaN.

The study has two functions that look alike and decide other things: `read_curve` demands a
positive x and leaves out points that are not on its axes, `mean_interval` is unbounded for a single
value. Here a single x, or a single replicate, has no curve and no interval.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from sweeper.records import SEED, Scalar, TrialRow
from sweeper.report.summary import is_trusted
from sweeper.report.words import control_name, natural
from sweeper.store.versions import INPUTS, Version, newest_comparable, version_of
from trials.api import Comparison, Control


@dataclass(frozen=True)
class MatchedPair:
    """One real trial, and the null's value at the same x.

    Attributes:
        run_id: of the real trial.
        setting: its config without the seed and the control field, sorted by name.
        version: of the kind and of the inputs.
        null: the name of the null or of the positive control (`words.control_name`).
        at: the real trial's x.
        real: its value.
        null_value: the null's at the same x; NaN outside the null's range.
        effect: real over null (NaN unless both are positive) or real minus null, as the comparison
            is shown.
    """

    run_id: str
    setting: tuple[tuple[str, Scalar], ...]
    version: Version
    seed: Scalar
    null: Scalar
    at: float
    real: float
    null_value: float
    effect: float


@dataclass(frozen=True)
class Spread:
    """Statistics of the replicates of one number, without NaN; an interval needs two.

    `mean` is the geometric mean for a ratio. `low` to `high` is the 95 % Student t interval of the
    mean (of its logarithm for a ratio), NaN with fewer than two replicates.
    """

    n: int
    mean: float
    min: float
    max: float
    low: float
    high: float


@dataclass(frozen=True)
class Contrast:
    """Real vs. one null in one setting, over seeds; a ratio or a difference, as declared."""

    setting: tuple[tuple[str, Scalar], ...]
    null: Scalar
    at: Spread
    real: Spread
    null_value: Spread
    effect: Spread


@dataclass(frozen=True)
class Overall:
    """Real vs. one null over all settings: averaged within each seed, then over seeds.

    `inputs` names the version of the inputs where several are shown separately. `n_outside` of the
    `n_pairs` have no null value: their x lies outside the null's range. `effect_min` and
    `effect_max` are over single pairs.
    """

    null: Scalar
    inputs: Scalar
    n_pairs: int
    n_outside: int
    effect: Spread
    effect_min: float
    effect_max: float


def matched_pairs(
    rows: Sequence[TrialRow], control: Control, comparison: Comparison
) -> list[MatchedPair]:
    """Pair every trusted real trial with each null of the same seed and `Control.within`.

    Both have the same version of the kind, and agree in every input that both read.
    """
    nulls: dict[tuple[Hashable, Scalar], list[TrialRow]] = defaultdict(list)
    real: list[TrialRow] = []
    for row in filter(is_trusted, rows):
        if not all(map(math.isfinite, _point(row, comparison))):
            continue
        if row.is_control:
            nulls[_group(row, control), control_name(row.params, control)].append(row)
        else:
            real.append(row)
    curves: dict[tuple[Hashable, Scalar, Version], list[tuple[float, float]]] = {}
    names = sorted({null for _, null in nulls}, key=natural)
    pairs = []
    for row in real:
        group, version = _group(row, control), version_of(row)
        x, y = _point(row, comparison)
        for null in names:
            if (group, null, version) not in curves:
                found = newest_comparable(nulls.get((group, null), []), version)
                curves[group, null, version] = [_point(row, comparison) for row in found]
            null_value = interpolate(curves[group, null, version], x)
            pairs.append(
                MatchedPair(
                    run_id=row.run_id,
                    setting=_setting(row, control),
                    version=version,
                    seed=row.params.get(SEED),
                    null=null,
                    at=x,
                    real=y,
                    null_value=null_value,
                    effect=_effect(comparison, y, null_value),
                )
            )
    return sorted(pairs, key=_order)


def contrasts(pairs: Iterable[MatchedPair], comparison: Comparison) -> list[Contrast]:
    """Summarise pairs of equal setting, version and null over their seeds."""
    cells: dict[Any, list[MatchedPair]] = defaultdict(list)
    for pair in pairs:
        cells[pair.setting, pair.null, pair.version].append(pair)
    return [
        Contrast(
            setting=setting,
            null=null,
            at=spread(p.at for p in cell),
            real=spread(p.real for p in cell),
            null_value=spread(p.null_value for p in cell),
            effect=_spread_of(cell, comparison),
        )
        for (setting, null, _), cell in cells.items()
    ]


def overall(pairs: Iterable[MatchedPair], comparison: Comparison) -> list[Overall]:
    """One result per null. Only pairs inside the null's range count towards the means."""
    by_null: dict[tuple[Scalar, Scalar], list[MatchedPair]] = defaultdict(list)
    for pair in pairs:
        by_null[pair.null, dict(pair.setting).get(INPUTS)].append(pair)
    found = []
    for (null, inputs), cell in by_null.items():
        by_seed: dict[Scalar, list[MatchedPair]] = defaultdict(list)
        for pair in cell:
            by_seed[pair.seed].append(pair)
        single = _spread_of(cell, comparison)
        in_seeds = (
            _spread_of(pairs_of_seed, comparison).mean for pairs_of_seed in by_seed.values()
        )
        found.append(
            Overall(
                null=null,
                inputs=inputs,
                n_pairs=len(cell),
                n_outside=sum(math.isnan(p.null_value) for p in cell),
                effect=spread(in_seeds, geometric=comparison.shown == "ratio"),
                effect_min=single.min,
                effect_max=single.max,
            )
        )
    return found


def interpolate(points: Sequence[tuple[float, float]], at: float) -> float:
    """The curve through `points` (x, y) at x = `at`; NaN outside the range of x.

    Linear in log x where every x is positive, and in log y where every y is. The values of equal x
    are averaged: points at a single x have a value there and nowhere else.
    """
    if not points:
        return math.nan
    table = np.asarray(points, dtype=np.float64)
    x, y = table[:, 0], table[:, 1]
    if not x.min() <= at <= x.max():  # before taking logarithms, in which equal numbers may differ
        return math.nan
    if x.min() > 0:
        x, at = np.log(x), math.log(at)
    log_y = y.min() > 0
    if log_y:
        y = np.log(y)
    knots, group = np.unique(x, return_inverse=True)
    heights = np.bincount(group, weights=y) / np.bincount(group)
    value = float(np.interp(at, knots, heights))
    return math.exp(value) if log_y else value


def spread(values: Iterable[float], *, geometric: bool = False) -> Spread:
    """Mean, range and 95 % t interval of the finite `values`."""
    kept = np.array([value for value in values if math.isfinite(value)], dtype=np.float64)
    n = len(kept)
    if n == 0:
        return Spread(0, *[math.nan] * 5)
    low = high = math.nan
    scaled = np.log(kept) if geometric else kept
    mean = float(scaled.mean())
    if n > 1:
        half = float(stdtrit(n - 1, 0.975) * scaled.std(ddof=1) / math.sqrt(n))
        low, high = mean - half, mean + half
    ends = np.array([mean, low, high])
    if geometric:
        with np.errstate(over="ignore"):
            ends = np.exp(ends)
    mean, low, high = ends.tolist()
    return Spread(n, mean, float(kept.min()), float(kept.max()), low, high)


def _point(row: TrialRow, comparison: Comparison) -> tuple[float, float]:
    x, y = (row.metrics.get(name, math.nan) for name in (comparison.at, comparison.of))
    return x, y


def _effect(comparison: Comparison, real: float, null: float) -> float:
    if comparison.shown == "difference":
        return real - null
    return real / null if real > 0 and null > 0 else math.nan


def _spread_of(pairs: Iterable[MatchedPair], comparison: Comparison) -> Spread:
    return spread((pair.effect for pair in pairs), geometric=comparison.shown == "ratio")


def _group(row: TrialRow, control: Control) -> tuple[Scalar, ...]:
    return tuple(row.params.get(name) for name in (*control.within, SEED))


def _setting(row: TrialRow, control: Control) -> tuple[tuple[str, Scalar], ...]:
    apart = (SEED, control.field, *control.variants)
    return tuple(sorted((k, v) for k, v in row.params.items() if k not in apart))


def _order(pair: MatchedPair) -> tuple[Any, ...]:
    return [natural(value) for _, value in pair.setting], natural(pair.null), natural(pair.seed)
