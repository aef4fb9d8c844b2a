"""Endless sequences of a task for training, and fixed ones that training never sees."""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple

import numpy as np

from trials.inputs.algorithmic_tasks.task import Sequences, Task

_SETS, _STREAM = 1, 2
"""The streams of a seed."""
_MOST_DRAWS = 1000
"""Rounds of replacing taken sequences before a task counts as too small."""


class FixedSets(NamedTuple):
    """Different sequences of a task; the same ones for every seed of training."""

    validation: Sequences
    held_out: Sequences

    @property
    def rows(self) -> frozenset[bytes]:
        """All of them, each as bytes, for a `Stream` to keep out."""
        return frozenset(_rows(self.validation.tokens)) | set(_rows(self.held_out.tokens))


def fixed_sets(task: Task, n: int) -> FixedSets:
    """Two sets of `n` sequences, all different.

    Raises ValueError if the task has too few different sequences.
    """
    rng = np.random.default_rng([_SETS])
    taken: set[bytes] = set()
    found: list[Sequences] = []
    n_draws = 0
    while len(taken) < 2 * n:
        drawn = task.draw(2 * n, rng)
        first = {row: i for i, row in reversed(list(enumerate(_rows(drawn.tokens))))}
        new = sorted(i for row, i in first.items() if row not in taken)
        taken |= first.keys()
        found.append(Sequences(drawn.tokens[new], drawn.scored[new]))
        if (n_draws := n_draws + 1) > _MOST_DRAWS:
            raise ValueError(f"there are no {2 * n} different sequences; found {len(taken)}")
    tokens, scored = (np.concatenate(parts) for parts in zip(*found, strict=True))
    # Shuffled, since rare sequences are found last.
    order = rng.permutation(2 * n)
    sides = (Sequences(tokens[side], scored[side]) for side in (order[:n], order[n:]))
    return FixedSets(*sides)


def draw_others(task: Task, n: int, rng: np.random.Generator, taken: Set[bytes]) -> Sequences:
    """`n` sequences of the task that are not `taken`; they may repeat.

    Raises ValueError if nearly all are taken.
    """
    drawn = task.draw(n, rng)
    if not taken:
        return drawn
    bad = np.flatnonzero([row in taken for row in _rows(drawn.tokens)])
    for _ in range(_MOST_DRAWS):
        if not len(bad):
            return drawn
        again = task.draw(len(bad), rng)
        drawn.tokens[bad], drawn.scored[bad] = again
        bad = bad[[row in taken for row in _rows(again.tokens)]]
    raise ValueError(f"{len(taken)} sequences are kept out of training, which leaves too few")


class Stream:
    """Training batches, which depend only on `seed` and step."""

    def __init__(self, task: Task, batch_size: int, seed: int, taken: Set[bytes]) -> None:
        self.task, self.batch_size, self.seed, self.taken = task, batch_size, seed, taken

    def __getitem__(self, step: int) -> Sequences:
        """The batch of step 0, 1, ..."""
        rng = np.random.default_rng([self.seed, _STREAM, step])
        return draw_others(self.task, self.batch_size, rng, self.taken)


def _rows(tokens: np.ndarray) -> list[bytes]:
    return [row.tobytes() for row in np.ascontiguousarray(tokens)]
