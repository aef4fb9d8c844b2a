from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE, Unigram, WordPiece
from tokenizers.pre_tokenizers import ByteLevel, Metaspace
from tokenizers.trainers import BpeTrainer

from trials.api import TrialError
from trials.inputs.sources.vocabulary import from_pieces, from_tokenizer_json, named_rows

TEXT = ["the cat sat on the mat, the cat; 1 2 3", "über den Fluss, über die Brücke", "naïve 日本"]


def byte_level_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=330,
        special_tokens=["<|end|>"],
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


def none_special(n: int) -> np.ndarray:
    return np.zeros(n, dtype=bool)


@given(st.text(min_size=1))
def test_byte_level_pieces_are_decoded_to_the_text_they_stand_for(text: str) -> None:
    pieces = ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)
    piece = "".join(piece for piece, _ in pieces)
    decoded = from_pieces([piece], alphabet="bytes", special=none_special(1)).tokens
    assert decoded == (text,)


def test_a_trained_tokenizer_is_read_with_its_texts_special_rows_and_merge_order() -> None:
    tokenizer = byte_level_tokenizer()
    vocabulary = from_tokenizer_json(tokenizer.to_str())
    n_vocab = tokenizer.get_vocab_size()
    assert len(vocabulary.tokens) == n_vocab
    assert np.flatnonzero(vocabulary.special).tolist() == [tokenizer.token_to_id("<|end|>")]
    assert " the" in vocabulary.tokens
    assert "\\xff" in vocabulary.tokens
    assert sorted(vocabulary.merge_rank) == list(range(n_vocab))
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    made = [vocabulary.merge_rank[tokenizer.token_to_id("".join(merge))] for merge in merges]
    assert made == sorted(made)
    assert vocabulary.merge_rank[0] == n_vocab - 1, "special rows come last"


def test_a_character_stands_before_the_first_merge_that_needs_it() -> None:
    pieces = ["z", "e", "h", "t", "he", "the", "5"]
    merges = [("h", "e"), ("t", "he")]
    ranks = from_pieces(pieces, alphabet="bytes", special=none_special(7), merges=merges).merge_rank
    by_rank = [pieces[row] for row in np.argsort(ranks)]
    # "z" and "5" are visible ASCII that never merges: at the median of e, h and t, which is e.
    assert by_rank == ["h", "z", "e", "5", "he", "t", "the"]


def test_bytes_that_no_merge_uses_come_after_all_merges() -> None:
    pieces = ["Ā", "a", "b", "ab"]  # "Ā" stands for the byte 0
    vocabulary = from_pieces(pieces, alphabet="bytes", special=none_special(4), merges=[("a", "b")])
    assert vocabulary.tokens[0] == "\x00"
    assert vocabulary.merge_rank[0] == 3


def test_both_spellings_of_merges_are_read_alike() -> None:
    document = json.loads(byte_level_tokenizer().to_str())
    pairs = from_tokenizer_json(json.dumps(document))
    document["model"]["merges"] = [" ".join(merge) for merge in document["model"]["merges"]]
    joined = from_tokenizer_json(json.dumps(document))
    assert np.array_equal(pairs.merge_rank, joined.merge_rank)


def test_unigram_pieces_are_ranked_by_score_with_byte_pieces_last() -> None:
    tokenizer = Tokenizer(
        Unigram([("<unk>", 0.0), ("<0x41>", 0.0), ("▁a", -3.0), ("▁the", -1.0)], 0, True)
    )
    tokenizer.pre_tokenizer = Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(["<unk>"])
    vocabulary = from_tokenizer_json(tokenizer.to_str())
    assert vocabulary.tokens == ("<unk>", "A", " a", " the")
    assert vocabulary.merge_rank.tolist() == [3, 2, 1, 0]
    assert vocabulary.rank_from == "scores"


def test_wordpiece_keeps_its_texts_and_its_unused_rows_are_special() -> None:
    vocab = {"[PAD]": 0, "[unused1]": 1, "the": 2, "##ing": 3}
    tokenizer = Tokenizer(WordPiece(vocab, unk_token="[PAD]"))
    tokenizer.add_special_tokens(["[PAD]"])
    vocabulary = from_tokenizer_json(tokenizer.to_str())
    assert vocabulary.tokens == ("[PAD]", "[unused1]", "the", "##ing")
    assert vocabulary.special.tolist() == [True, True, False, False]
    assert vocabulary.rank_from == "row order"


def test_rows_beyond_the_vocabulary_are_special_and_ranked_last() -> None:
    vocabulary = named_rows(["a", "b"]).padded(4)
    assert vocabulary.special.tolist() == [False, False, True, True]
    assert vocabulary.merge_rank.tolist() == [0, 1, 2, 3]
    assert len(vocabulary.tokens) == 4


def test_a_vocabulary_longer_than_the_matrix_is_cut_and_still_ranked_densely() -> None:
    pieces = ["the", "t", "he", "h", "e"]
    merges = [("h", "e"), ("t", "he")]
    vocabulary = from_pieces(pieces, alphabet="bytes", special=none_special(5), merges=merges)
    assert vocabulary.padded(3).merge_rank.tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"model": {"vocab": 3}}',
        '{"model": {"vocab": {"a": -1}}}',
        '{"model": {"vocab": {"a": 4000000000}}}',
        '{"model": {"vocab": {}}}',
    ],
)
def test_what_is_no_tokenizer_file_is_refused(text: str) -> None:
    with pytest.raises(TrialError, match=r"not a readable tokenizer\.json"):
        from_tokenizer_json(text)
