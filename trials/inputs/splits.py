"""Which tokens the dictionary may see: training, validation and held-out tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_STRATUM = 20
"""Families of similar frequency that are shuffled together before they are dealt to the sides."""


class Split(NamedTuple):
    """Positions of the tokens of each side, ascending; together all, none twice."""

    train: np.ndarray
    validation: np.ndarray
    held_out: np.ndarray


def split_tokens(
    tokens: Sequence[str],
    frequencies: np.ndarray,
    *,
    held_out_frac: float,
    validation_frac: float,
    rng: np.random.Generator,
) -> Split:
    """Deal word families to the three sides, evenly along the order of frequency.

    The variants of a word have nearly equal rows. Split between sides, they would make held-out
    tokens look predictable. In every stretch of the frequency order each side has its share of
    the tokens, to within a few families.
    """
    families = _families_by_frequency(tokens, frequencies)
    shares = np.array([1 - held_out_frac - validation_frac, validation_frac, held_out_frac])
    dealt = np.zeros(3)
    side = np.empty(len(tokens), dtype=np.int8)
    for start in range(0, len(families), _STRATUM):
        stratum = families[start : start + _STRATUM]
        for which in rng.permutation(len(stratum)):
            members = stratum[which]
            # The side furthest behind its share takes the family. A side with no share never does.
            behind = np.where(shares > 0, shares * (dealt.sum() + len(members)) - dealt, -np.inf)
            chosen = int(np.argmax(behind))
            dealt[chosen] += len(members)
            side[members] = chosen
    train, validation, held_out = (np.flatnonzero(side == which) for which in range(3))
    return Split(train, validation, held_out)


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
