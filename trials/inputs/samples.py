"""A few tokens of each side, where a kind cannot afford all of them."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from trials.inputs.rows import TokenRows
from trials.inputs.splits import Split, stratified_sample


def sample_tokens(
    data: TokenRows, n_tokens: int, sides: Collection[str], rng: np.random.Generator
) -> TokenRows:
    """At most `n_tokens` tokens of each of the `sides`, evenly by frequency, and no others.

    Mean, offset and divisors stay those of the training rows; probabilities and weights are not
    renormalised.
    """
    drawn = {}
    for name, tokens in data.split._asdict().items():
        n_drawn = min(n_tokens, len(tokens)) if name in sides else 0
        drawn[name] = tokens[stratified_sample(data.probabilities[tokens], n_drawn, rng)]
    kept = np.sort(np.concatenate(list(drawn.values())))
    return data._replace(
        ids=data.ids[kept],
        names=tuple(data.names[i] for i in kept),
        probabilities=data.probabilities[kept],
        weights=data.weights[kept],
        split=Split(**{name: np.searchsorted(kept, tokens) for name, tokens in drawn.items()}),
        rows=data.rows[kept],
        divisor=data.divisor[kept],
    )
