"""What an algorithmic task is: sequences of tokens, some of which are answers."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np


class Sequences(NamedTuple):
    """Sequences of one length, and which of their tokens are asked for.

    Attributes:
        tokens: int64, (n, length).
        scored: bool, (n, length - 1); whether the token at place j + 1 counts, for the loss and for
            the accuracy alike.
    """

    tokens: np.ndarray
    scored: np.ndarray

    @property
    def answers(self) -> np.ndarray:
        """The tokens that count, in the order of the sequences; int64."""
        answers: np.ndarray = self.tokens[:, 1:][self.scored]
        return answers


@runtime_checkable
class Task(Protocol):
    """A distribution over sequences in which the question determines the answer.

    Attributes:
        names: what the tokens are called, one name per token id.
        length: tokens of a sequence.
        generalises: whether sequences that were never seen can be answered: if so, the fixed sets
            are kept out of the training stream.
    """

    @property
    def names(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def length(self) -> int: ...  # noqa: D102

    @property
    def generalises(self) -> bool: ...  # noqa: D102

    def draw(self, n: int, rng: np.random.Generator) -> Sequences:
        """So many independent sequences."""
        ...

    def shortcut(self, tokens: np.ndarray) -> float:
        """Accuracy on these sequences of a simple rule that does not solve the task; NaN if none.

        Args:
            tokens: int64, (n, length).
        """
        ...


def last_token_scored(tokens: np.ndarray) -> Sequences:
    """Sequences whose last token alone is the answer."""
    scored = np.zeros((len(tokens), tokens.shape[1] - 1), bool)
    scored[:, -1] = True
    return Sequences(tokens, scored)
