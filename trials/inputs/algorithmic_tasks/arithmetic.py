"""Sums: of two numbers modulo a third, and of two long decimal numbers."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from trials.inputs.algorithmic_tasks.task import Sequences, last_token_scored

_SECOND, _SUM, _STOP = 10, 20, 30


class ModularAddition(NamedTuple):
    """`a b c` with c = (a + b) mod modulus; a and b uniform. Scored: c."""

    modulus: int
    generalises: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The residues."""
        return tuple(map(str, range(self.modulus)))

    @property
    def length(self) -> int:
        """Two summands and the sum."""
        return 3

    def draw(self, n: int, rng: np.random.Generator) -> Sequences:
        """Uniform pairs and their sums."""
        pairs = rng.integers(self.modulus, size=(n, 2))
        sums = pairs.sum(axis=1, keepdims=True) % self.modulus
        return last_token_scored(np.hstack([pairs, sums]))

    def shortcut(self, tokens: np.ndarray) -> float:
        """NaN: no rule short of addition is known."""
        return math.nan


class DecimalAddition(NamedTuple):
    """Two numbers of `n_digits` digits and their sum, all with the last digit first.

    Digits of the first number are tokens 0 to 9, of the second 10 to 19, of the sum 20 to 29; 30
    stops. The first digit of a number as it is written is not 0. Scored: the sum and one stop; a
    sum without a carry at its end has one more stop, which fills the sequence and is not scored.
    """

    n_digits: int
    generalises: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """Three alphabets of digits and the stop."""
        return (*(f"{place}{digit}" for place in "ab=" for digit in range(10)), "stop")

    @property
    def length(self) -> int:
        """Two numbers, a sum that may have a digit more, and the stop."""
        return 3 * self.n_digits + 2

    def draw(self, n: int, rng: np.random.Generator) -> Sequences:
        """Uniform numbers of that many digits."""
        summands = rng.integers(10, size=(2, n, self.n_digits))
        summands[:, :, -1] = rng.integers(1, 10, size=(2, n))
        tokens = np.full((n, self.length), _STOP)
        tokens[:, : self.n_digits] = summands[0]
        tokens[:, self.n_digits : 2 * self.n_digits] = summands[1] + _SECOND
        answer = tokens[:, 2 * self.n_digits :]
        carry = np.zeros(n, np.int64)
        for place in range(self.n_digits):
            carry, digit = np.divmod(summands[0, :, place] + summands[1, :, place] + carry, 10)
            answer[:, place] = digit + _SUM
        answer[carry == 1, self.n_digits] = 1 + _SUM
        scored = np.zeros((n, self.length - 1), bool)
        scored[:, 2 * self.n_digits - 1 : -1] = True
        scored[:, -1] = carry == 1
        return Sequences(tokens, scored)

    def shortcut(self, tokens: np.ndarray) -> float:
        """Every digit by itself, as if nothing were carried, then a stop."""
        first, second, answer = np.split(tokens, (self.n_digits, 2 * self.n_digits), axis=1)
        digits = (first + second - _SECOND) % 10 + _SUM
        guesses = np.hstack([digits, np.full((len(tokens), 2), _STOP)])
        scored = np.ones_like(answer, bool)
        scored[:, -1] = answer[:, -2] != _STOP
        return float((guesses == answer)[scored].mean())
