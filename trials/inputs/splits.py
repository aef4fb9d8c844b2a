"""Which tokens the dictionary may see: training, validation and held-out tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_STRATUM = 20
"""Families of similar frequency that are shuffled together before they are dealt to the sides."""

_WEIGHT_UNIT, _TOKENS_UNIT = 0.001, 4.0
"""A side that lags by 0.1 % of all weight is as urgent as one that lags by 4 tokens. So weight
decides where heavy tokens go, and the number of tokens for the many that weigh next to nothing."""

_MAX_IMAGINARY = 100

WEIGHT_TOLERANCE = 0.02
"""A side has its share of the weight if it is off by no more than this share of all weight."""


class Split(NamedTuple):
    """Positions of the tokens of each side, ascending; together all, none twice."""

    train: np.ndarray
    validation: np.ndarray
    held_out: np.ndarray


def split_tokens(
    tokens: Sequence[str],
    frequencies: np.ndarray,
    weights: np.ndarray,
    *,
    held_out_frac: float,
    validation_frac: float,
    rng: np.random.Generator,
) -> Split:
    """Deal word families to the three sides, evenly along the order of frequency.

    The variants of a word have nearly equal rows. Split between sides, they would make held-out
    tokens look predictable. In every stretch of the frequency order each side has its share of
    the families of each size, to within a few, and of all weight each side has its share too: a
    few tokens may have most of it. Sizes are dealt apart because the side furthest behind is most
    often the largest when many tokens come at once: held-out tokens would be words without
    variants. `weights` are not negative; with equal ones only numbers count.
    """
    families = _families_by_frequency(tokens, frequencies)
    shares = np.array([1 - held_out_frac - validation_frac, validation_frac, held_out_frac])
    unit = _WEIGHT_UNIT * weights.sum() if np.ptp(weights) else np.inf
    weight_dealt = np.zeros(3)
    dealt = {size: size * _begun(shares, rng) for size in sorted({len(f) for f in families})}
    side = np.empty(len(tokens), dtype=np.int8)
    for start in range(0, len(families), _STRATUM):
        stratum = families[start : start + _STRATUM]
        for which in rng.permutation(len(stratum)):
            members = stratum[which]
            weight, size = float(weights[members].sum()), len(members)
            # The choice that leaves the least sum of squares of what the sides are off, in units.
            gain = weight * _behind(weight_dealt, weight, shares) / unit**2
            gain += size * _behind(dealt[size], size, shares) / _TOKENS_UNIT**2
            gain = np.round(gain, 6)  # ties stay ties
            chosen = int(np.argmax(np.where(shares > 0, gain, -np.inf)))
            weight_dealt[chosen] += weight
            dealt[size][chosen] += size
            side[members] = chosen
    train, validation, held_out = (np.flatnonzero(side == which) for which in range(3))
    return Split(train, validation, held_out)


def _behind(dealt: np.ndarray, amount: float | int, shares: np.ndarray) -> np.ndarray:
    """What each side lacks of its share if `amount` more is dealt."""
    return shares * (dealt.sum() + amount) - dealt


def _begun(shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A few imaginary families, dealt: so that the first of each size is not always training's."""
    dealt = np.zeros(3)
    for _ in range(rng.integers(_MAX_IMAGINARY)):
        dealt[np.argmax(np.round(_behind(dealt, 1.0, shares), 6))] += 1  # ties as above
    return dealt


def described_shares(split: Split, weights: np.ndarray, shares: tuple[float, float]) -> str:
    """Each side's share of the weight, and which are off; `shares`: of validation and held-out."""
    found = [weights[side].sum() / weights.sum() for side in split]
    named = list(zip(("training", "validation", "held-out"), found, strict=True))
    told = ", ".join(f"{name} {share:.1%}" for name, share in named)
    wanted = (1 - sum(shares), *shares)
    off = [
        f"{name} should have {share:.0%}"
        for (name, has), share in zip(named, wanted, strict=True)
        if abs(has - share) > WEIGHT_TOLERANCE
    ]
    return "; ".join([told, *off]) + (": a few tokens weigh too much" if off else "")


def word_family(token: str) -> str:
    """What the case, space and plural variants of a word share. It errs on the side of merging.

    >>> {word_family(t) for t in (" Boxes", "box", "BOX")}
    {'box'}
    """
    word = token.strip().casefold()
    if not word or "\ufffd" in word:
        return token
    if len(word) <= 3 or not word.isalpha() or word.endswith("ss"):
        return word
    for ending, singular in (("ies", "y"), ("xes", "x"), ("ches", "ch"), ("shes", "sh")):
        if word.endswith(ending):
            return word.removesuffix(ending) + singular
    return word.removesuffix("s")


def word_families(tokens: Sequence[str]) -> np.ndarray:
    """One integer per token, equal within a word family: int64, (n_tokens,)."""
    return np.unique([word_family(token) for token in tokens], return_inverse=True)[1]


def stratified_sample(frequencies: np.ndarray, n_rows: int, rng: np.random.Generator) -> np.ndarray:
    """`n_rows` positions, ascending: one from each of as many equal strata of frequency."""
    order = np.argsort(-frequencies, kind="stable")
    edges = np.linspace(0, len(order), n_rows + 1).astype(np.int64)
    return np.sort(order[rng.integers(edges[:-1], edges[1:])])


def frequency_deciles(frequencies: np.ndarray) -> np.ndarray:
    """The tenth of the tokens, by falling frequency, in which each lies: 0 the most frequent."""
    deciles = np.empty(len(frequencies), dtype=np.int64)
    order = np.argsort(-frequencies, kind="stable")
    deciles[order] = np.arange(len(order)) * 10 // max(1, len(order))
    return deciles


def _families_by_frequency(tokens: Sequence[str], frequencies: np.ndarray) -> list[list[int]]:
    """Positions of each family's tokens, families in falling order of their commonest member."""
    members: dict[str, list[int]] = {}
    for position in np.argsort(-frequencies, kind="stable"):
        text = tokens[position]
        # Tokens of bare bytes decode alike without being related: each is its own family.
        family = f"{text}\0{position}" if "\ufffd" in text else word_family(text)
        members.setdefault(family, []).append(int(position))
    return list(members.values())
