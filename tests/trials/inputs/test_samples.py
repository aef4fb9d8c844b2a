"""A sample of tokens, side by side with the tokens that it is of."""

from __future__ import annotations

import numpy as np

from trials.inputs.rows import TokenRows
from trials.inputs.samples import sample_tokens
from trials.inputs.splits import Split


def tokens(n_tokens: int) -> TokenRows:
    rng = np.random.default_rng(0)
    shuffled = rng.permutation(n_tokens)
    thirds = (np.sort(part) for part in np.array_split(shuffled, 3))
    return TokenRows(
        ids=np.arange(n_tokens) + 1000,
        names=tuple(f"w{i}" for i in range(n_tokens)),
        probabilities=1 / (1 + rng.permutation(n_tokens)),
        weights=rng.random(n_tokens),
        split=Split(*thirds),
        rows=rng.standard_normal((n_tokens, 4), dtype=np.float32),
        mean=np.zeros(4),
        offset=np.zeros(4),
        divisor=rng.random(n_tokens),
        facts={},
    )


def test_a_sample_keeps_what_belongs_to_a_token_together() -> None:
    everything = tokens(300)
    few = sample_tokens(everything, 20, ("train", "held_out"), np.random.default_rng(1))
    assert [len(side) for side in few.split] == [20, 0, 20]
    at = few.ids - 1000
    for name in ("probabilities", "weights", "rows", "divisor"):
        np.testing.assert_array_equal(getattr(few, name), getattr(everything, name)[at])
    assert few.names == tuple(everything.names[i] for i in at)
    for side in ("train", "held_out"):
        drawn = at[getattr(few.split, side)]
        assert np.isin(drawn, getattr(everything.split, side)).all()


def test_a_sample_is_even_along_the_order_of_frequency() -> None:
    everything = tokens(300)
    few = sample_tokens(everything, 10, ("held_out",), np.random.default_rng(1))
    side = everything.split.held_out
    rank = np.argsort(np.argsort(-everything.probabilities[side]))
    drawn = rank[np.searchsorted(side, few.ids - 1000)]
    np.testing.assert_array_equal(np.sort(drawn) // 10, np.arange(10))


def test_a_side_that_is_smaller_than_the_sample_is_taken_whole() -> None:
    everything = tokens(30)
    few = sample_tokens(everything, 1000, ("validation",), np.random.default_rng(1))
    np.testing.assert_array_equal(few.ids - 1000, everything.split.validation)
