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
    the tokens, to within a few families, and of all weight each side has its share too: a few
    tokens may have most of it. `weights` are not negative; with equal ones only numbers count.
    """
    families = _families_by_frequency(tokens, frequencies)
    shares = np.array([1 - held_out_frac - validation_frac, validation_frac, held_out_frac])
    units = np.array([_WEIGHT_UNIT * weights.sum(), _TOKENS_UNIT])[:, None]
    dealt = np.zeros((2, 3))  # weight and number of tokens of each side
    side = np.empty(len(tokens), dtype=np.int8)
    for start in range(0, len(families), _STRATUM):
        stratum = families[start : start + _STRATUM]
        for which in rng.permutation(len(stratum)):
            members = stratum[which]
            family = np.array([weights[members].sum(), len(members)])[:, None]
            # The choice that leaves the least sum of squares of what the sides are off, in units.
            behind = shares * (dealt.sum(axis=1, keepdims=True) + family) - dealt
            gain = np.round((family * behind / units**2).sum(axis=0), 6)  # ties stay ties
            chosen = int(np.argmax(np.where(shares > 0, gain, -np.inf)))
            dealt[:, chosen] += family[:, 0]
            side[members] = chosen
    train, validation, held_out = (np.flatnonzero(side == which) for which in range(3))
    return Split(train, validation, held_out)


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
