"""Tokens are in the stratum of their count, and a trial says of how many it says nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from trials.api import TrialError
from trials.inputs.corpora import open_corpus
from trials.row_swap.kind import KIND, RowSwapConfig
from trials.row_swap.text import (
    NO_STRATUM,
    Strata,
    frequencies_of,
    frequency_strata,
    strata_of,
    strata_table,
    tried_tokens,
)


def zipf_counts(n: int, rng: np.random.Generator) -> np.ndarray:
    """Counts with many ties and zeros, ids in no order of frequency."""
    return rng.permutation(rng.poisson(2000 / np.arange(1, n + 1)))


def strata_in(config: RowSwapConfig) -> Strata:
    corpus = open_corpus(config)
    return strata_of(config, corpus, frequencies_of(config, corpus).probabilities)


def test_equal_counts_are_in_one_stratum_whatever_their_ids() -> None:
    rng = np.random.default_rng(0)
    counts = zipf_counts(3000, rng)
    found = frequency_strata(counts, counts > 0, 5)
    for count in np.unique(counts):
        assert len(np.unique(found.of_token[counts == count])) == 1
    order = rng.permutation(len(counts))
    again = frequency_strata(counts[order], counts[order] > 0, 5)
    np.testing.assert_array_equal(again.of_token, found.of_token[order])


def test_strata_fall_in_count_and_are_as_equal_in_size_as_ties_allow() -> None:
    counts = np.arange(1, 101)
    found = frequency_strata(counts, counts > 0, 4)
    assert np.bincount(found.of_token).tolist() == [25] * 4
    lows = [counts[found.of_token == s].min() for s in range(4)]
    highs = [counts[found.of_token == s].max() for s in range(4)]
    assert all(low > high for low, high in zip(lows, highs[1:], strict=False))


def test_ties_that_fill_several_strata_leave_fewer_of_them() -> None:
    counts = np.array([9, 8] + [3] * 98)
    found = frequency_strata(counts, counts > 0, 10)
    assert sorted(set(found.of_token.tolist())) == [0, 1]


def test_tokens_that_do_not_occur_have_no_stratum() -> None:
    counts = np.array([0, 5, 0, 7, 2, 0])
    found = frequency_strata(counts, counts > 0, 2)
    assert (found.of_token[counts == 0] == NO_STRATUM).all()
    assert (found.of_token[counts > 0] != NO_STRATUM).all()


def test_counts_of_which_most_tokens_cannot_be_measured_have_no_stratum() -> None:
    """They would be represented by the few that happened to occur more often elsewhere."""
    rng = np.random.default_rng(1)
    rate = 2000 / np.arange(1, 5001)
    counts, *sides = (rng.poisson(rate * share) for share in (1, 1 / 3, 1 / 3))
    measurable = (sides[0] > 0) & (sides[1] > 0)
    found = frequency_strata(counts, measurable, 4)
    least = counts[found.covered].min()
    assert 2 <= least <= 6  # (1 - exp(-c / 3))^2 is half at 3.7
    assert (counts[~found.covered] < least).all()
    for stratum in range(4):
        assert measurable[found.of_token == stratum].mean() >= 0.5


def test_a_text_that_is_too_short_for_every_frequency_is_refused() -> None:
    counts = np.array([4, 3, 2, 2, 1])
    with pytest.raises(TrialError, match="use more text"):
        frequency_strata(counts, np.zeros(5, bool), 2)


def test_the_table_of_strata_holds_every_token_of_the_vocabulary_once() -> None:
    rng = np.random.default_rng(2)
    counts = zipf_counts(3000, rng)
    strata = frequency_strata(counts / counts.sum(), rng.random(3000) < counts / (counts + 3), 3)
    tokens = np.concatenate(
        [np.flatnonzero(strata.measurable & (strata.of_token == s))[:7] for s in range(3)]
    )
    table = strata_table(strata, tokens, counts)
    assert table["stratum"] == ["0", "1", "2", "too rare", "absent"]
    assert sum(table["n_tokens"]) == 3000
    assert table["n_tried"] == [7, 7, 7, 0, 0]
    assert table["n_tokens"][-1] == (counts == 0).sum() > 0
    assert table["per_million_high"][3] < table["per_million_low"][2]
    assert table["per_million_median"] == sorted(table["per_million_median"], reverse=True)
    assert table["per_million_high"][0] == pytest.approx(1e6 * counts.max() / counts.sum())
    assert table["count_median"][-1] == 0


def test_tokens_that_are_tried_can_be_measured_and_seeds_draw_their_own(place: Any) -> None:
    configs = [place.config(seed=seed, tokens_a_stratum=10) for seed in (0, 1)]
    strata = strata_in(configs[0])
    drawn = [tried_tokens(config, strata) for config in configs]
    assert drawn[0].tolist() != drawn[1].tolist()
    for tokens in drawn:
        assert strata.measurable[tokens].all()
        assert np.bincount(strata.of_token[tokens]).tolist() == [10, 10]


def test_a_trial_says_of_how_much_of_the_vocabulary_and_of_the_text_it_speaks(place: Any) -> None:
    result = place.run(draw="zero")
    strata = strata_in(place.config())
    assert result.metrics["covered_frac"] == pytest.approx(strata.covered.mean())
    assert 0.2 < result.metrics["covered_frac"] < 1
    assert result.metrics["covered_frac"] < result.metrics["covered_text_frac"] <= 1
    assert sum(result.tables["strata"]["n_tokens"]) == len(strata.of_token)
    assert set(result.tables["rows"]["stratum"]) == {0, 1}


def test_strata_can_be_made_of_the_counts_of_another_text(place: Any, tmp_path: Path) -> None:
    own = strata_in(place.config())
    counts = open_corpus(place.config()).counts.copy()
    top, rare = int(np.argmax(counts)), int(np.flatnonzero(own.of_token == 1)[0])
    counts[[top, rare]] = counts[[rare, top]]
    np.save(tmp_path / "counts.npy", counts)
    config = place.config(frequencies=f"counts:{tmp_path / 'counts.npy'}")
    other = strata_in(config)
    assert own.of_token[[top, rare]].tolist() == [0, 1]
    assert other.of_token[[top, rare]].tolist() == [1, 0]
    result = KIND.execute(config, place.context())
    assert "counts of counts.npy" in result.facts["frequencies"]
    assert "frequencies" in KIND.input_digests(config)
    assert "frequencies" not in KIND.input_digests(place.config())


@pytest.mark.parametrize("frequencies", ["source", "auto", "word", "counts:x.csv"])
def test_frequencies_that_cannot_be_are_refused(place: Any, frequencies: str) -> None:
    with pytest.raises(ValidationError, match=r"allowed: .*zipf"):
        place.config(frequencies=frequencies)
