"""Real trials and their nulls, paired at equal x.

Comparing real and null at the same penalty or size would be unfair: the same setting gives them
different x (`Comparison.at`). So the null's curve of `Comparison.of` over `Comparison.at` is
interpolated at the x of each real trial. Nothing is extrapolated: outside the null's range the
result is NaN. A comparison by several methods (`Comparison.also`, `across`) takes the lowest value
of each side at that x, over the methods that have a value of both.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sweeper.records import SEED, Scalar, TrialRow
from sweeper.report.summary import is_trusted
from sweeper.report.words import control_name, natural, short_name, shown, spaced
from sweeper.store.versions import Version, newest_comparable, version_of
from trials.api import Comparison, Control


@dataclass(frozen=True)
class MatchedPair:
    """One real trial, and the null's value at the same x.

    Where a comparison has several methods, `real` and `null_value` are the lowest over the methods
    that have a value of both at this x.

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
        by_method: the effect of each method, with the same one for real and null.
        real_method, null_method: whose values `real` and `null_value` are.
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
    by_method: tuple[tuple[str, float], ...] = ()
    real_method: str = ""
    null_method: str = ""


def matched_pairs(
    rows: Sequence[TrialRow], control: Control, comparison: Comparison
) -> list[MatchedPair]:
    """Pair every trusted real trial with each null of the same seed and `Control.within`.

    Both have the same version of the kind, and agree in every input that both read.
    """
    nulls: dict[tuple[Hashable, Scalar], list[TrialRow]] = defaultdict(list)
    real: dict[Hashable, list[TrialRow]] = defaultdict(list)
    for row in filter(is_trusted, rows):
        if row.is_control:
            nulls[_group(row, control), control_name(row.params, control)].append(row)
        elif all(map(math.isfinite, _point(row, (comparison.of, comparison.at)))):
            real[_group(row, control)].append(row)
    names = sorted({null for _, null in nulls}, key=natural)
    curves: dict[tuple[Hashable, Scalar, Version], _Curves] = {}
    pairs = []
    for group, of_group in real.items():
        for row in of_group:
            version = version_of(row)
            if (group, control.real, version) not in curves:
                found = newest_comparable(of_group, version) if comparison.is_best_of else []
                curves[group, control.real, version] = _curves(found, comparison)
            for null in names:
                if (group, null, version) not in curves:
                    found = newest_comparable(nulls.get((group, null), []), version)
                    curves[group, null, version] = _curves(found, comparison)
                pairs.append(
                    _pair(
                        row,
                        curves[group, control.real, version],
                        curves[group, null, version],
                        null,
                        control,
                        comparison,
                    )
                )
    return sorted(pairs, key=_order)


class Curve:
    """The curve through points (x, y), prepared once and read at many x.

    Linear in log x where every x is positive, and in log y where every y is. The values of equal x
    are averaged: points at a single x have a value there and nowhere else.
    """

    def __init__(self, points: Sequence[tuple[float, float]]) -> None:
        table = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        x, y = table[:, 0], table[:, 1]
        self._low = float(x.min()) if len(x) else math.inf
        self._high = float(x.max()) if len(x) else -math.inf
        self._log_x, self._log_y = self._low > 0, bool(len(y)) and y.min() > 0
        self._knots, group = np.unique(np.log(x) if self._log_x else x, return_inverse=True)
        weights = np.log(y) if self._log_y else y
        self._heights = np.bincount(group, weights=weights) / np.bincount(group)

    def at(self, x: float) -> float:
        """The value at `x`; NaN outside the range."""
        if not self._low <= x <= self._high:  # before logarithms, in which equal numbers may differ
            return math.nan
        place = math.log(x) if self._log_x else x
        value = float(np.interp(place, self._knots, self._heights))
        return math.exp(value) if self._log_y else value


def interpolate(points: Sequence[tuple[float, float]], at: float) -> float:
    """`Curve` at one x."""
    return Curve(points).at(at)


_Method = tuple[tuple[str, str], tuple[Scalar, ...]]
"""A pair of metrics (`of`, `at`), and the values of the fields `Comparison.across`."""
_Curves = dict[_Method, Curve]


def _curves(rows: Iterable[TrialRow], comparison: Comparison) -> _Curves:
    """The curve of each method."""
    points: dict[_Method, list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        for pair in comparison.pairs:
            if all(map(math.isfinite, point := _point(row, pair))):
                points[pair, _across(row, comparison)].append(point)
    return {method: Curve(of_method) for method, of_method in points.items()}


def _pair(
    row: TrialRow,
    real: _Curves,
    null: _Curves,
    null_name: Scalar,
    control: Control,
    comparison: Comparison,
) -> MatchedPair:
    own = (comparison.of, comparison.at), _across(row, comparison)
    x, y = _point(row, own[0])
    of_real = {own: y} | {m: curve.at(x) for m, curve in real.items() if m != own}
    of_null = {m: null[m].at(x) if m in null else math.nan for m in of_real}
    # Real and null are offered the same methods: one that only one of them has would favour it.
    both = [m for m in of_real if math.isfinite(of_real[m]) and math.isfinite(of_null[m])]
    best_real = min(both, key=of_real.__getitem__, default=own)
    best_null = min(both, key=of_null.__getitem__, default=own)
    values = of_real[best_real], of_null[best_null]
    by_method = tuple(
        (_method_name(m, comparison), _effect(comparison, of_real[m], of_null[m])) for m in both
    )
    return MatchedPair(
        run_id=row.run_id,
        setting=_setting(row, control),
        version=version_of(row),
        seed=row.params.get(SEED),
        null=null_name,
        at=x,
        real=values[0],
        null_value=values[1],
        effect=_effect(comparison, *values),
        by_method=by_method if comparison.is_best_of else (),
        real_method=_method_name(best_real, comparison) if both else "",
        null_method=_method_name(best_null, comparison) if both else "",
    )


def _across(row: TrialRow, comparison: Comparison) -> tuple[Scalar, ...]:
    return tuple(row.params.get(name) for name in comparison.across)


def _method_name(method: _Method, comparison: Comparison) -> str:
    """`fvu omp, learner lasso`: the metric without the side, and the fields `across`."""
    (of, _), values = method
    fields = (f"{spaced(n)} {shown(v)}" for n, v in zip(comparison.across, values, strict=True))
    return ", ".join(
        [short_name(of, *(name for pair in comparison.pairs for name in pair)), *fields]
    )


def _point(row: TrialRow, pair: tuple[str, str]) -> tuple[float, float]:
    of, at = pair
    x, y = (row.metrics.get(name, math.nan) for name in (at, of))
    return x, y


def _effect(comparison: Comparison, real: float, null: float) -> float:
    if comparison.shown == "difference":
        return real - null
    return real / null if real > 0 and null > 0 else math.nan


def _group(row: TrialRow, control: Control) -> tuple[Scalar, ...]:
    return tuple(row.params.get(name) for name in (*control.within, SEED))


def _setting(row: TrialRow, control: Control) -> tuple[tuple[str, Scalar], ...]:
    apart = (SEED, control.field, *control.variants)
    return tuple(sorted((k, v) for k, v in row.params.items() if k not in apart))


def _order(pair: MatchedPair) -> tuple[Any, ...]:
    return [natural(value) for _, value in pair.setting], natural(pair.null), natural(pair.seed)
