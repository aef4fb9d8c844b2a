"""Balanced or not: strings of brackets, many of them nearly balanced."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trials.inputs.algorithmic_tasks.task import Sequences, last_token_scored

OPEN, CLOSE, UNBALANCED, BALANCED = range(4)

_MUTATED_FRAC = 0.8
"""Of the strings; more than half of them are no longer balanced, so that about half of all are."""
_MOST_MUTATIONS = 4
_SWAPPED_FRAC = 0.8
"""Of the mutations; others turn a bracket round."""


class Brackets(NamedTuple):
    """A string of `n_brackets` brackets, and whether it is balanced. Scored: that.

    Balanced strings are uniform among those of their length. Most are then mutated: up to four
    times two brackets change places or, less often, one is turned round. So it is not enough to
    count them.
    """

    n_brackets: int
    generalises: bool = True

    @property
    def length(self) -> int:
        """The string and its verdict."""
        return self.n_brackets + 1

    @property
    def names(self) -> tuple[str, ...]:
        """What the tokens are called."""
        return ("(", ")", "unbalanced", "balanced")

    def draw(self, n: int, rng: np.random.Generator) -> Sequences:
        """Strings and verdicts."""
        strings = balanced_strings(n, self.n_brackets, rng)
        _mutate(strings, rng)
        verdicts = np.where(is_balanced(strings), BALANCED, UNBALANCED)
        return last_token_scored(np.hstack([strings, verdicts[:, None]]))

    def shortcut(self, tokens: np.ndarray) -> float:
        """Balanced if there are as many of one bracket as of the other."""
        as_many = (tokens[:, :-1] == OPEN).mean(axis=1) == 0.5
        return float((as_many == (tokens[:, -1] == BALANCED)).mean())


def balanced_strings(n: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """Uniform balanced strings, int64, (n, length).

    The next bracket opens with probability (r - h) (h + 2) / (2 r (h + 1)), where h are open and r
    brackets are left: the share of the completions that open (Arnold and Sleep, 1980).
    """
    strings = np.empty((n, length), np.int64)
    height = np.zeros(n, np.int64)
    for place in range(length):
        left = length - place
        opens = rng.random(n) * (2 * left * (height + 1)) < (left - height) * (height + 2)
        strings[:, place] = np.where(opens, OPEN, CLOSE)
        height += np.where(opens, 1, -1)
    return strings


def is_balanced(strings: np.ndarray) -> np.ndarray:
    """Whether each string (n, length) closes all that it opens and never more; bool, (n,)."""
    heights = np.where(strings == OPEN, 1, -1).cumsum(axis=1)
    balanced: np.ndarray = (heights.min(axis=1) >= 0) & (heights[:, -1] == 0)
    return balanced


def _mutate(strings: np.ndarray, rng: np.random.Generator) -> None:
    n, length = strings.shape
    rows = np.arange(n)
    is_mutated = rng.random(n) < _MUTATED_FRAC
    n_mutations = is_mutated * rng.integers(1, _MOST_MUTATIONS + 1, size=n)
    for done in range(_MOST_MUTATIONS):
        here, there = rng.integers(length, size=n), rng.integers(length, size=n)
        one, other = strings[rows, here], strings[rows, there]
        mutates, swaps = n_mutations > done, rng.random(n) < _SWAPPED_FRAC
        changed = np.where(swaps, other, OPEN + CLOSE - one)
        strings[rows, here] = np.where(mutates, changed, one)
        strings[rows, there] = np.where(mutates & swaps, one, strings[rows, there])
