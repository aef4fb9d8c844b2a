from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trials.inputs.splits import (
    Split,
    described_shares,
    frequency_deciles,
    split_tokens,
    stratified_sample,
    word_family,
)

ZIPF = 1 / np.arange(1, 10_001)


def split(tokens: list[str], seed: int = 0, weight: float = 1.0) -> Split:
    return split_tokens(
        tokens,
        ZIPF[: len(tokens)],
        np.full(len(tokens), weight),
        held_out_frac=0.1,
        validation_frac=0.2,
        rng=np.random.default_rng(seed),
    )


def test_every_token_is_on_exactly_one_side_in_the_wanted_shares() -> None:
    sides = split([f"w{i}" for i in range(10_000)])
    assert sorted(np.concatenate(sides)) == list(range(10_000))
    assert [len(side) for side in sides] == pytest.approx([7000, 2000, 1000], abs=3)


def test_each_stretch_of_the_frequency_order_has_its_share_of_each_side() -> None:
    _, _, held_out = split([f"w{i}" for i in range(10_000)])
    for edge in (100, 300, 1000, 3000):
        inside = (held_out < edge).mean() * len(held_out)
        assert inside == pytest.approx(edge / 10, abs=6)


def test_variants_of_a_word_are_on_one_side() -> None:
    words = [f"{a}{b}" for a in "bcdfgkmnprt" for b in ("alor", "ibun", "oke", "umbri")]
    tokens = [form for word in words for form in (word, f" {word}", word.title(), f" {word}s")]
    sides = split(tokens)
    side_of = {tokens[i]: side for side, members in enumerate(sides) for i in members}
    for word in words:
        assert len({side_of[t] for t in (word, f" {word}", word.title(), f" {word}s")}) == 1


def families_of(sizes: list[int]) -> list[str]:
    """Words with as many variants as their size, at most six."""
    words = [f"{'bcdfghklmn'[i // 100 % 10]}{'aeiou'[i % 5]}x{i}q" for i in range(len(sizes))]
    forms = (str, str.title, str.upper, " {}".format, lambda w: f" {w.title()}", lambda w: f"{w} ")
    return [form(word) for word, size in zip(words, sizes, strict=True) for form in forms[:size]]


def test_held_out_words_have_as_many_variants_as_training_words() -> None:
    sizes = np.random.default_rng(0).choice([1, 2, 3, 6], size=2500, p=[0.5, 0.3, 0.15, 0.05])
    tokens = families_of(sizes.tolist())
    _, counts = np.unique([word_family(token) for token in tokens], return_counts=True)
    assert sorted(counts) == sorted(sizes)
    size_of = np.repeat(sizes, sizes)
    for weights in (np.ones(len(tokens)), ZIPF[: len(tokens)] ** 0.5):
        rng = np.random.default_rng(0)
        sides = split_tokens(
            tokens, ZIPF[: len(tokens)], weights, held_out_frac=0.1, validation_frac=0.2, rng=rng
        )
        for size in (1, 2, 3, 6):
            found = [int((size_of[side] == size).sum()) for side in sides]
            assert found == pytest.approx(sum(found) * np.array([0.7, 0.2, 0.1]), abs=3 * size)


def test_a_size_that_occurs_once_is_on_each_side_as_often_as_it_should() -> None:
    tokens = [f"w{i}" for i in range(200)] + families_of([5])
    found = np.zeros(3)
    for seed in range(300):
        found += [len(tokens) - 1 in side for side in split(tokens, seed)]
    assert found / 300 == pytest.approx([0.7, 0.2, 0.1], abs=0.08)


@pytest.mark.parametrize("exponent", [0.5, 0.75, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_each_side_has_its_share_of_the_weight_and_of_the_tokens(
    exponent: float, seed: int
) -> None:
    weights = ZIPF**exponent
    tokens = [f"w{i}" for i in range(len(ZIPF))]
    rng = np.random.default_rng(seed)
    sides = split_tokens(tokens, ZIPF, weights, held_out_frac=0.1, validation_frac=0.1, rng=rng)
    shares = [weights[side].sum() / weights.sum() for side in sides]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.01)
    assert [len(side) for side in sides] == pytest.approx([8000, 1000, 1000], abs=30)
    assert "should" not in described_shares(sides, weights, (0.1, 0.1))


def test_equal_weights_deal_as_numbers_do() -> None:
    tokens = [f"w{i}" for i in range(2000)]
    by_number, scaled = split(tokens), split(tokens, weight=7.5)
    assert all(map(np.array_equal, by_number, scaled))


def test_a_token_that_outweighs_its_side_is_told() -> None:
    weights = np.ones(100)
    weights[0] = 1000
    sides = Split(np.arange(1, 90), np.arange(90, 100), np.arange(1))
    assert described_shares(sides, weights, (0.1, 0.1)) == (
        "training 8.1%, validation 0.9%, held-out 91.0%; training should have 80%; validation "
        "should have 10%; held-out should have 10%: a few tokens weigh too much"
    )


def test_tokens_of_bare_bytes_are_not_one_family() -> None:
    assert all(len(side) > 0 for side in split(["\ufffd"] * 100))


def test_the_split_depends_on_the_seed_only() -> None:
    tokens = [f"w{i}" for i in range(1000)]
    assert all(map(np.array_equal, split(tokens, 1), split(tokens, 1)))
    assert not np.array_equal(split(tokens, 1).held_out, split(tokens, 2).held_out)


@pytest.mark.parametrize(
    ("token", "family"),
    [
        (" The", "the"),
        ("cities", "city"),
        ("City", "city"),
        (" boxes", "box"),
        ("glass", "glass"),
        ("is", "is"),
        ("!!", "!!"),
        ("  ", "  "),
    ],
)
def test_word_family(token: str, family: str) -> None:
    assert word_family(token) == family


@given(st.integers(1, 500), st.integers(1, 500), st.integers(0, 9))
def test_a_sample_has_the_wanted_size_without_repeats(n: int, n_rows: int, seed: int) -> None:
    n_rows = min(n, n_rows)
    sample = stratified_sample(ZIPF[:n], n_rows, np.random.default_rng(seed))
    assert len(set(sample)) == n_rows
    assert sorted(sample) == sample.tolist()


def test_a_sample_covers_all_frequencies_evenly() -> None:
    frequencies = np.random.default_rng(1).permutation(ZIPF)
    sample = stratified_sample(frequencies, 1000, np.random.default_rng(0))
    ranks = np.sort((-frequencies).argsort().argsort()[sample])
    assert (ranks // 10 == np.arange(1000)).all()


def test_decile_0_holds_the_most_frequent_tenth() -> None:
    frequencies = np.random.default_rng(1).permutation(ZIPF[:95])
    deciles = frequency_deciles(frequencies)
    assert np.bincount(deciles).tolist() == [10, 9, 10, 9, 10, 9, 10, 9, 10, 9]
    assert frequencies[deciles == 0].min() > frequencies[deciles == 1].max()
