"""Sets of words with a known order, such as days or years: on a circle, a curve, or neither?"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from trials.circles.kind import CIRCLE_SHARES, CirclesConfig
from trials.circles.nuisances import nuisance_directions, polysemous, without_words
from trials.inputs.lexicon.ordered_sets import OrderedTokens, find_ordered_sets
from trials.inputs.rows import TokenRows
from trials.kernels.statistics import Discoveries, benjamini_hochberg
from trials.kernels.structure import Circularity, circle_power, circularity

MIN_WORDS = 6
"""Fewest words of a set that is tested: with 5 words, the smallest p-value is 1/12."""
CIRCULANT_SHARE = 0.6
CLOSURE = 0.3
"""A circle must exceed it at every cut. Lines and arcs cut anywhere, random walks and short-memory
chains of 7 to 26 labels do so in less than one of twenty: see `make calibration`."""
_POWER_DRAWS = 100
_POWER_PERMUTATIONS = 999


class Labelled(NamedTuple):
    """The tested sets, the result of each, and the sets with too few tokens.

    Attributes:
        rows: float32, (n_tokens, d_model), without the directions that count as nuisances.
    """

    sets: tuple[OrderedTokens, ...]
    results: tuple[Circularity, ...]
    too_few: tuple[OrderedTokens, ...]
    rows: np.ndarray


def labelled_sets(config: CirclesConfig, data: TokenRows, nuisances: str) -> Labelled:
    """`circularity` of every ordered set with enough tokens, without `nuisances`."""
    directions = nuisance_directions(data, nuisances)
    rows = data.rows - (data.rows @ directions) @ directions.T
    dropped = polysemous(config) if nuisances in {"words", "all"} else frozenset()
    tested, results, too_few = [], [], []
    for i, found in enumerate(find_ordered_sets(data.names)):
        tokens = without_words(found, dropped)
        if len(tokens.words) < MIN_WORDS:
            too_few.append(tokens)
            continue
        tested.append(tokens)
        results.append(
            circularity(
                rows[list(tokens.positions)],
                np.array(tokens.places),
                tokens.period,
                n_permutations=config.n_permutations,
                rng=np.random.default_rng([config.seed, 41, i]),
            )
        )
    return Labelled(tuple(tested), tuple(results), tuple(too_few), rows)


def power_columns(config: CirclesConfig, labelled: Labelled) -> dict[str, list[float]]:
    """Per set: how often a circle of each of `CIRCLE_SHARES` would be found, by column.

    The circle has as many labels as the set and stands in rows of random tokens of the same matrix.
    Its p-value must pass the level that Benjamini and Hochberg's procedure asks of one more
    discovery.
    """
    around, _ = order_discoveries(labelled)
    n_tests = max(1, len(labelled.results))
    level = LEVEL * min(n_tests, 1 + int(around.rejected.sum())) / n_tests
    columns: dict[str, list[float]] = {f"power_{share:.1f}": [] for share in CIRCLE_SHARES}
    for i, tokens in enumerate(labelled.sets):
        rng = np.random.default_rng([config.seed, 67, i])
        n = len(tokens.positions)
        drawn = np.stack(
            [rng.choice(len(labelled.rows), n, replace=False) for _ in range(_POWER_DRAWS)]
        )
        for share, column in zip(CIRCLE_SHARES, columns.values(), strict=True):
            column.append(
                circle_power(
                    labelled.rows[drawn],
                    np.array(tokens.places),
                    tokens.period,
                    share=share,
                    level=level,
                    least_closure=CLOSURE,
                    n_permutations=_POWER_PERMUTATIONS,
                    rng=rng,
                )
            )
    return columns


LEVEL = 0.05
"""False discovery rate of each of the two order tests."""


def order_discoveries(labelled: Labelled) -> tuple[Discoveries, Discoveries]:
    """The sets whose order a circle explains, and those whose order a curve explains."""
    around, along = (
        benjamini_hochberg(
            np.array([getattr(one, p) for one in labelled.results], dtype=float), level=LEVEL
        )
        for p in ("p", "p_curve")
    )
    return around, along


def set_table(labelled: Labelled) -> dict[str, list[Any]]:
    """One row per set."""
    around, along = order_discoveries(labelled)
    rows = []
    for i, (tokens, one) in enumerate(zip(labelled.sets, labelled.results, strict=True)):
        rows.append(
            {
                "set": tokens.name,
                "comes_round": tokens.comes_round,
                "n_tokens": len(tokens.words),
                "form": tokens.form,
                "missing": " ".join(tokens.missing),
                "fourier_share": one.fourier_share,
                "expected_share": 2 / (len(tokens.words) - 1),
                "curve_share": one.curve_share,
                "p": one.p,
                "adjusted_p": float(around.adjusted[i]),
                "p_curve": one.p_curve,
                "adjusted_p_curve": float(along.adjusted[i]),
                "exact": one.exact,
                "circulant_share": one.circulant_share,
                "closure": one.closure,
                "wrap_gap": one.wrap_gap,
                "strongest_frequency": 1 + int(np.argmax(one.spectrum)),
                "verdict": verdict(
                    one, around=bool(around.rejected[i]), along=bool(along.rejected[i])
                ),
            }
        )
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


def verdict(one: Circularity, *, around: bool, along: bool) -> str:
    """none (no order beyond chance), circle, curve (open), or order (undecided which).

    `around` and `along`: the share of a circle, or of a curve, exceeds that of permuted labels. A
    circle is closed at every cut; a curve is open, and its ends are the first and the last label.
    """
    if not around and not along:
        return "none"
    if around and one.closure > CLOSURE:
        return "circle"
    if along and one.circulant_share <= CIRCULANT_SHARE and one.closure <= 0:
        return "curve"
    return "order"
