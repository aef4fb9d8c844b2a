from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from tokenizers import Tokenizer

from trials.api import TrialError
from trials.inputs import word_frequencies
from trials.inputs.corpora.local_text import library_prose
from trials.inputs.corpora.tokenizers import train_bpe
from trials.inputs.frequencies import frequency_digest, token_frequencies
from trials.inputs.sources.loaded import NoTokenizer
from trials.inputs.sources.vocabulary import from_tokenizer_json
from trials.inputs.token_counts import count_tokens, described_distance, distance_from_counts
from trials.inputs.word_frequencies import english_words, tokens_of_words

PROPER = {"london", "john", "england", "george"}


@pytest.fixture
def common_words(monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], np.ndarray]:
    """The 3000 commonest English words, in place of all 330,000."""
    words, frequency = english_words()
    common = np.argsort(-frequency, kind="stable")[:3000]
    found = [words[i] for i in common], frequency[common] / frequency[common].sum()
    monkeypatch.setattr(word_frequencies, "english_words", lambda: found)
    return found


def prose(words: list[str], frequency: np.ndarray, n_words: int, seed: int) -> Iterator[str]:
    """Sentences of words drawn independently, with capitals, commas, stops and quotes."""
    rng = np.random.default_rng(seed)
    drawn = iter(rng.choice(len(words), size=n_words, p=frequency))
    while sentence := [words[i] for i in itertools.islice(drawn, int(rng.integers(5, 25)))]:
        written = ["I" if w == "i" else w.title() if w in PROPER else w for w in sentence]
        written[0] = written[0][:1].upper() + written[0][1:]
        written = [w + "," if rng.random() < 0.06 else w for w in written]
        yield rng.choice(['"{}" ', "{}\n"], p=[0.2, 0.8]).format(" ".join(written) + ".")


def learned(words: list[str], frequency: np.ndarray, n_vocab: int = 3000) -> Tokenizer:
    return train_bpe(prose(words, frequency, 200_000, seed=1), n_vocab)


def test_counts_of_prose_are_predicted_from_its_words(
    common_words: tuple[list[str], np.ndarray],
) -> None:
    tokenizer = learned(*common_words)
    counts = count_tokens(prose(*common_words, 200_000, seed=2), tokenizer, 3000)
    rank = from_tokenizer_json(tokenizer.to_str()).merge_rank
    used = np.flatnonzero(counts)
    spearman, variation = distance_from_counts(tokens_of_words(tokenizer, rank), counts, used)
    assert spearman > 0.8
    assert variation < 0.15
    by_rank = distance_from_counts(1 / (rank + 1.0), counts, used)
    assert by_rank[0] < spearman - 0.2
    assert by_rank[1] > variation + 0.3


def test_less_weight_is_wrong_for_real_prose_than_by_merge_rank(
    common_words: tuple[list[str], np.ndarray],
) -> None:
    text = list(itertools.islice(library_prose(), 60))
    tokenizer = learned(*common_words, n_vocab=1500)
    counts = count_tokens(text, tokenizer, 1500)
    rank = from_tokenizer_json(tokenizer.to_str()).merge_rank
    everything = np.arange(1500)
    _, words = distance_from_counts(tokens_of_words(tokenizer, rank), counts, everything)
    _, by_rank = distance_from_counts(1 / (rank + 1.0), counts, everything)
    assert words < by_rank - 0.05


def test_a_case_that_the_tokenizer_has_whole_gets_the_frequency(
    common_words: tuple[list[str], np.ndarray],
) -> None:
    tokenizer = learned(*common_words)
    rank = from_tokenizer_json(tokenizer.to_str()).merge_rank
    table = tokens_of_words(tokenizer, rank)
    words = dict(zip(*common_words, strict=True))

    def one_token(text: str) -> float:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert len(ids) == 1
        return float(table[ids[0]])

    for text in (" London", " John", " about"):
        assert one_token(text) > 0.4 * words[text.strip().lower()]
    assert one_token(" I") > 20 * one_token(" i")
    assert one_token(" the") > one_token("The") > 0.01 * one_token(" the")
    assert one_token(",") > one_token("?")


def test_a_piece_gets_the_sum_over_the_words_that_contain_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokenizer = train_bpe(iter(["un" * 3000]), 258)
    rank = from_tokenizer_json(tokenizer.to_str()).merge_rank
    piece = tokenizer.token_to_id("un")

    def weight(**frequency: float) -> float:
        found = list(frequency), np.array(list(frequency.values()))
        monkeypatch.setattr(word_frequencies, "english_words", lambda: found)
        table = tokens_of_words(tokenizer, rank)
        return float(table[piece] / table[tokenizer.token_to_id(".")])

    both = weight(undo=0.3, zuno=0.2, other=0.5)
    assert both == pytest.approx(weight(undo=0.3, other=0.7) + weight(zuno=0.2, other=0.8), rel=0.1)


def test_numbers_and_contractions_are_words() -> None:
    words, frequency = english_words()
    of = dict(zip(words, frequency, strict=True))
    assert frequency.sum() == pytest.approx(1)
    assert len(of) == len(words)
    assert of["7"] > of["77"] > 0
    assert of["2019"] > of["2719"] > 0
    assert of["don't"] > 1e-4


def test_auto_takes_what_the_source_counted_then_words_then_the_merge_rank(
    common_words: tuple[list[str], np.ndarray],
) -> None:
    tokenizer = learned(*common_words, n_vocab=400)
    rank = from_tokenizer_json(tokenizer.to_str()).merge_rank

    def no_tokenizer() -> None:
        raise NoTokenizer("none")

    def broken() -> None:
        raise TrialError("no answer from the hub")

    counted = token_frequencies("auto", rank, broken, np.arange(400))
    assert counted.name == "counts + 1 of the training text"
    words = token_frequencies("auto", rank, lambda: tokenizer)
    np.testing.assert_array_equal(words.probabilities, tokens_of_words(tokenizer, rank))
    assert "wordfreq" in words.name
    by_rank = token_frequencies("auto", rank, no_tokenizer)
    zipf = token_frequencies("zipf", rank, no_tokenizer)
    np.testing.assert_array_equal(by_rank.probabilities, zipf.probabilities)
    assert by_rank.name.endswith("the source has no tokenizer")
    with pytest.raises(TrialError, match="no answer"):
        token_frequencies("auto", rank, broken)
    with pytest.raises(NoTokenizer):
        token_frequencies("words", rank, no_tokenizer)
    assert frequency_digest("auto") == frequency_digest("words") != ""


def test_a_table_is_made_once_for_each_tokenizer(
    common_words: tuple[list[str], np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = learned(*common_words, n_vocab=300)
    rank = np.arange(300)
    first = token_frequencies("words", rank, lambda: tokenizer).probabilities
    monkeypatch.setattr("trials.inputs.frequencies.tokens_of_words", None)
    again = token_frequencies("words", rank, lambda: tokenizer).probabilities
    np.testing.assert_array_equal(first, again)


def test_the_distance_from_counts_of_the_source_is_told() -> None:
    def not_needed() -> None:
        raise AssertionError

    told = described_distance(
        np.array([0.5, 0.3, 0.2]), np.arange(3), not_needed, np.array([2, 3, 5])
    )
    assert told == (
        "Spearman -1.00, total variation 0.30 from counts over 10 tokens of the training text of "
        "the matrix"
    )

    def no_tokenizer() -> None:
        raise NoTokenizer("none")

    assert "no tokenizer" in described_distance(np.ones(3) / 3, np.arange(3), no_tokenizer)
