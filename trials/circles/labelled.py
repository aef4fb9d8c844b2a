"""Sets of words with a known order, such as days or years: on a circle, a curve, or neither?"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from trials.circles.kind import CirclesConfig
from trials.inputs.lexicon.ordered_sets import OrderedTokens, find_ordered_sets
from trials.inputs.rows import TokenRows
from trials.kernels.statistics import benjamini_hochberg
from trials.kernels.structure import Circularity, circularity

MIN_WORDS = 6
"""Fewest words of a set that is tested: with 5 words, the smallest p-value is 1/12."""
CIRCULANT_SHARE = 0.6
CLOSURE = 0.5
"""A circle must exceed both. Lines, arcs, random walks and short-memory chains stay below one of
them: see `make calibration`."""


class Labelled(NamedTuple):
    """The tested sets, the result of each, and the sets with too few tokens."""

    sets: tuple[OrderedTokens, ...]
    results: tuple[Circularity, ...]
    too_few: tuple[OrderedTokens, ...]


def labelled_sets(config: CirclesConfig, data: TokenRows) -> Labelled:
    """`circularity` of every ordered set with enough tokens."""
    tested, results, too_few = [], [], []
    for i, tokens in enumerate(find_ordered_sets(data.names)):
        if len(tokens.words) < MIN_WORDS:
            too_few.append(tokens)
            continue
        tested.append(tokens)
        results.append(
            circularity(
                data.rows[list(tokens.positions)],
                np.array(tokens.places),
                tokens.period,
                n_permutations=config.n_permutations,
                rng=np.random.default_rng([config.seed, 41, i]),
            )
        )
    return Labelled(tuple(tested), tuple(results), tuple(too_few))


def set_table(labelled: Labelled) -> dict[str, list[Any]]:
    """One row per set."""
    around, along = (
        benjamini_hochberg(np.array([getattr(one, p) for one in labelled.results], dtype=float))
        for p in ("p", "p_curve")
    )
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

    `around` and `along`: the share of a circle, or of a curve, exceeds that of permuted labels.
    """
    if not around and not along:
        return "none"
    if around and one.circulant_share > CIRCULANT_SHARE and one.closure > CLOSURE:
        return "circle"
    if along and one.circulant_share <= CIRCULANT_SHARE and one.closure <= 0:
        return "curve"
    return "order"
