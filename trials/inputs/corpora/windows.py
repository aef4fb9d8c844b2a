"""Windows of a stream of tokens: shuffled for training, evenly spaced for evaluation."""

from __future__ import annotations

import numpy as np

_ORDER = 6
"""The stream of the seed that shuffles the windows."""


class Windows:
    """Stretches of `context + 1` tokens, each starting at the last token of the previous one."""

    def __init__(self, tokens: np.ndarray, context: int) -> None:
        self.tokens, self.context = tokens, context
        self._offsets = np.arange(context + 1)

    def __len__(self) -> int:
        return max(0, len(self.tokens) - 1) // self.context

    def __getitem__(self, which: np.ndarray) -> np.ndarray:
        """The windows of those numbers, int64, (n, context + 1): inputs and, one later, targets."""
        starts = np.asarray(which, np.int64)[:, None] * self.context
        return self.tokens[starts + self._offsets].astype(np.int64)

    def evenly(self, n_tokens: int) -> np.ndarray:
        """Numbers of the windows that hold about `n_tokens` targets, spread over the stream."""
        n = min(len(self), max(1, n_tokens // self.context))
        return np.arange(n) * len(self) // n


class ShuffledBatches:
    """Batches of windows, each window once per epoch; they depend only on `seed` and step."""

    def __init__(self, windows: Windows, batch_size: int, seed: int) -> None:
        self.windows, self.batch_size, self.seed = windows, batch_size, seed
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def __getitem__(self, step: int) -> np.ndarray:
        """The batch of step 0, 1, ...; int64, (batch_size, context + 1)."""
        first = step * self.batch_size
        epochs, places = np.divmod(np.arange(first, first + self.batch_size), len(self.windows))
        which = np.empty(self.batch_size, np.int64)
        for epoch in np.unique(epochs):
            now = epochs == epoch
            which[now] = self._order_of(int(epoch))[places[now]]
        return self.windows[which]

    def _order_of(self, epoch: int) -> np.ndarray:
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, _ORDER, epoch])
            self._epoch, self._order = epoch, rng.permutation(len(self.windows))
        return self._order
