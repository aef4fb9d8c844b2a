"""Real vs. null at equal x, over seeds: `matched` pairs the trials, this module summarises them.

The study has two functions that look alike and decide other things: `read_curve` demands a
positive x and leaves out points that are not on its axes, `mean_interval` is unbounded for a single
value. Here a single x, or a single replicate, has no curve and no interval.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from sweeper.records import Scalar
from sweeper.report.matched import MatchedPair
from sweeper.store.versions import INPUTS
from trials.api import Comparison


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
class Methods:
    """The methods of a comparison, averaged over pairs of real and null.

    Attributes:
        names: all methods that have a value of both.
        low, high: least and largest effect of a single method, the same for real and null. The
            effect of the best methods lies between them.
        real, null: the methods that gave the lowest values, most frequent first.
    """

    names: tuple[str, ...]
    low: float
    high: float
    real: tuple[str, ...]
    null: tuple[str, ...]


@dataclass(frozen=True)
class Contrast:
    """Real vs. one null in one setting, over seeds; a ratio or a difference, as declared.

    `methods` compares the methods, where there are several.
    """

    setting: tuple[tuple[str, Scalar], ...]
    null: Scalar
    at: Spread
    real: Spread
    null_value: Spread
    effect: Spread
    methods: Methods | None = None


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
    methods: Methods | None = None


def _methods(pairs: Sequence[MatchedPair], comparison: Comparison) -> Methods | None:
    told = [pair for pair in pairs if pair.by_method]
    if not told:
        return None
    geometric = comparison.shown == "ratio"
    low, high = (
        spread((end(v for _, v in p.by_method) for p in told), geometric=geometric).mean
        for end in (min, max)
    )
    real, null = (
        tuple(name for name, _ in Counter(names).most_common())
        for names in ((p.real_method for p in told), (p.null_method for p in told))
    )
    names = dict.fromkeys(name for pair in told for name, _ in pair.by_method)
    return Methods(tuple(names), low, high, real, null)


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
            methods=_methods(cell, comparison),
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
                methods=_methods(cell, comparison),
            )
        )
    return found


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


def _spread_of(pairs: Iterable[MatchedPair], comparison: Comparison) -> Spread:
    return spread((pair.effect for pair in pairs), geometric=comparison.shown == "ratio")
