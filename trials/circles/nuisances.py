"""What may disturb a circle: words with another meaning, length and frequency of tokens."""

from __future__ import annotations

import numpy as np

from trials.circles.kind import CirclesConfig
from trials.inputs.lexicon.ordered_sets import OrderedTokens
from trials.inputs.rows import TokenRows


def polysemous(config: CirclesConfig) -> frozenset[str]:
    """The words of `polysemous_words`, case-folded."""
    return frozenset(config.polysemous_words.casefold().split())


def without_words(tokens: OrderedTokens, dropped: frozenset[str]) -> OrderedTokens:
    """The set without some of its words; the others keep their places."""
    kept = [i for i, word in enumerate(tokens.words) if word.casefold() not in dropped]
    gone = tuple(word for word in tokens.words if word.casefold() in dropped)
    return tokens._replace(
        words=tuple(tokens.words[i] for i in kept),
        places=tuple(tokens.places[i] for i in kept),
        positions=tuple(tokens.positions[i] for i in kept),
        missing=(*tokens.missing, *gone),
    )


def nuisance_directions(data: TokenRows, nuisances: str) -> np.ndarray:
    """Orthonormal directions in which rows vary with a token's length or log frequency.

    Each is the covariance of the rows with that property over all tokens; float32,
    (d_model, n_directions), without columns where `nuisances` names no such property.
    """
    properties = {
        "length": np.array([len(name.strip()) for name in data.names], dtype=float),
        "frequency": np.log(data.probabilities),
    }
    asked = [p for name, p in properties.items() if nuisances in {name, "all"}]
    varying = [p - p.mean() for p in asked if np.ptp(p) > 0]
    if not varying:
        return np.zeros((data.rows.shape[1], 0), dtype=np.float32)
    covariances = np.stack(varying) @ data.rows.astype(np.float64)
    return np.asarray(np.linalg.qr(covariances.T)[0], dtype=np.float32)
