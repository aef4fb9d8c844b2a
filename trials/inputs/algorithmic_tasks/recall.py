"""Looking up: a value in the sequence by its key, and values that have to be remembered."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from trials.inputs.algorithmic_tasks.task import Sequences, last_token_scored


class Needle(NamedTuple):
    """`k v k v ... q v`: pairs of key and value, then a key asked for. Scored: its value.

    Values are tokens 0 to n_values - 1, uniform; then come a token for each key (each is there
    once, in any order) and a token for each key as it is asked for.
    """

    n_pairs: int
    n_values: int
    generalises: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """Values, keys, and keys asked for."""
        n = {"value": self.n_values, "key": self.n_pairs, "asked": self.n_pairs}
        return tuple(f"{what} {i}" for what in n for i in range(n[what]))

    @property
    def length(self) -> int:
        """The pairs, the question, the answer."""
        return 2 * self.n_pairs + 2

    def draw(self, n: int, rng: np.random.Generator) -> Sequences:
        """Haystacks, each with one needle."""
        keys = rng.permuted(np.tile(np.arange(self.n_pairs), (n, 1)), axis=1)
        values = rng.integers(self.n_values, size=(n, self.n_pairs))
        asked = rng.integers(self.n_pairs, size=(n, 1))
        tokens = np.empty((n, self.length), np.int64)
        tokens[:, 0:-2:2], tokens[:, 1:-2:2] = self.n_values + keys, values
        key = np.take_along_axis(keys, asked, axis=1)
        tokens[:, -2:-1] = self.n_values + self.n_pairs + key
        tokens[:, -1:] = np.take_along_axis(values, asked, axis=1)
        return last_token_scored(tokens)

    def shortcut(self, tokens: np.ndarray) -> float:
        """Any of the values in the sequence, whatever the key."""
        return float((tokens[:, 1:-2:2] == tokens[:, -1:]).mean())


class Memorisation(NamedTuple):
    """`a b v`: a table of random values for all pairs of keys. Scored: v.

    Attributes:
        table: int64, (n_keys, n_keys); uniform values.
        n_values: keys and values share their tokens.
    """

    table: np.ndarray
    n_values: int
    generalises: bool = False

    @classmethod
    def random(cls, n_keys: int, n_values: int, rng: np.random.Generator) -> Memorisation:
        """A table to remember."""
        return cls(rng.integers(n_values, size=(n_keys, n_keys)), n_values)

    @property
    def names(self) -> tuple[str, ...]:
        """Keys or values, whichever are more."""
        return tuple(map(str, range(max(len(self.table), self.n_values))))

    @property
    def length(self) -> int:
        """Two keys and the value."""
        return 3

    @property
    def n_bits(self) -> float:
        """Bits that the table holds."""
        return self.table.size * math.log2(self.n_values)

    def draw(self, n: int, rng: np.random.Generator) -> Sequences:
        """Uniform entries of the table."""
        keys = rng.integers(len(self.table), size=(n, 2))
        values = self.table[keys[:, 0], keys[:, 1]]
        return last_token_scored(np.hstack([keys, values[:, None]]))

    def shortcut(self, tokens: np.ndarray) -> float:
        """NaN: random values have no rule."""
        return math.nan
