from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from trials.api import TrialError
from trials.inputs.corpora.local_text import corpus_chunks
from trials.inputs.frequencies import (
    FORMS,
    check_form,
    effective_sample_size,
    frequency_digest,
    token_frequencies,
)
from trials.inputs.token_counts import count_tokens


class LetterTokenizer:
    """Token i is the letter with code 97 + i; everything else is not a token."""

    def encode(self, text: str, add_special_tokens: bool) -> SimpleNamespace:
        assert not add_special_tokens
        return SimpleNamespace(ids=[ord(c) - 97 for c in text if c.islower()])


def no_tokenizer() -> None:
    raise AssertionError("this table needs no tokenizer")


def test_the_counts_of_the_source_are_used_where_it_has_some():
    counts = np.array([9, 0, 4])
    table = token_frequencies("source", np.arange(3), no_tokenizer, counts)
    np.testing.assert_allclose(table.probabilities, np.array([10, 1, 5]) / 16)
    with pytest.raises(TrialError, match="needs a source that counted its tokens"):
        token_frequencies("source", np.arange(3), no_tokenizer)


def test_zipf_follows_the_merge_rank_and_not_the_row_number() -> None:
    table = token_frequencies("zipf", np.array([7, 0, 3]), no_tokenizer)
    harmonic = 1 + 1 / 2 + 1 / 3
    np.testing.assert_allclose(table.probabilities, np.array([1 / 3, 1, 1 / 2]) / harmonic)
    assert "Zipf" in table.name


def test_full_zipf_weights_of_fifty_thousand_tokens_are_worth_79_tokens() -> None:
    weights = token_frequencies("zipf", np.arange(50_257), no_tokenizer).probabilities
    assert round(effective_sample_size(weights)) == 79
    assert effective_sample_size(weights**0) == pytest.approx(50_257)


def test_counts_keep_a_weight_for_tokens_that_never_occurred(tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", np.array([8, 0]))
    table = token_frequencies(f"counts:{tmp_path}/c.npy", np.arange(2), no_tokenizer)
    np.testing.assert_allclose(table.probabilities, [0.9, 0.1])


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (np.ones(3), r"has shape \(3,\), one count for each of the 2 tokens is needed"),
        (np.array([1, -1]), "counts must be finite and not negative"),
        (np.array([1, np.nan]), "counts must be finite and not negative"),
    ],
)
def test_counts_that_do_not_fit_are_refused(
    tmp_path: Path, counts: np.ndarray, message: str
) -> None:
    np.save(tmp_path / "c.npy", counts)
    with pytest.raises(TrialError, match=message):
        token_frequencies(f"counts:{tmp_path}/c.npy", np.arange(2), no_tokenizer)


def test_a_pickle_of_counts_is_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(TrialError, match="Python objects, which are never loaded"):
        token_frequencies(f"counts:{tmp_path}/c.npy", np.arange(1), no_tokenizer)


def test_a_folder_is_counted_over_all_its_text_files(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a.txt").write_text("aab\n")
    (tmp_path / "b" / "c.md").write_text("a\nz\n")
    (tmp_path / "picture").write_bytes(b"\xff\xfe aaaa")
    table = token_frequencies(f"corpus:{tmp_path}", np.arange(2), LetterTokenizer)
    np.testing.assert_allclose(table.probabilities, np.array([3 + 1, 1 + 1]) / 6)
    assert "4 tokens" in table.name


def test_ids_past_the_matrix_are_dropped() -> None:
    assert count_tokens(iter(["abz"]), LetterTokenizer(), 2).tolist() == [1, 1]


def test_chunks_join_to_the_text(tmp_path: Path) -> None:
    text = "one line\n" * 200_000
    (tmp_path / "t.txt").write_text(text)
    chunks = list(corpus_chunks(tmp_path / "t.txt"))
    assert len(chunks) > 1
    assert "".join(chunks) == text


def test_the_standard_library_is_a_corpus_without_its_tests() -> None:
    text = next(iter(corpus_chunks(Path(np.__file__).parent / "version.py")))
    assert "version" in text
    assert len(frequency_digest("stdlib:")) == 64


def test_the_digest_follows_content_and_names(tmp_path: Path) -> None:
    def digest(**files: str) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
        return frequency_digest(f"corpus:{folder}")

    assert digest(a="x") == digest(a="x")
    assert len({digest(a="x"), digest(a="y"), digest(b="x"), digest(a="", b="x")}) == 4
    assert frequency_digest("zipf") == ""


@pytest.mark.parametrize("spec", ["counts:/nowhere.npy", "corpus:/nowhere"])
def test_a_missing_file_is_named(spec: str) -> None:
    with pytest.raises(TrialError, match="no such file"):
        frequency_digest(spec)


@pytest.mark.parametrize("spec", ["hub:a/b?n_tokens=7", "hub:a/b/c@main#body", "auto", "words"])
def test_data_sets_and_words_are_tables(spec: str) -> None:
    assert check_form(spec) == spec


@pytest.mark.parametrize(
    "spec",
    [
        *("zipf:", "Zipf", "counts:", "counts:a.csv", "corpus:", "stdlib", "words:", "hub:a"),
        *("hub:", "hub:a/b?n_tokens=0", "hub:a/b?n_tokens=-1", "hub:a/b?tokens=5", "hub:a/b?"),
    ],
)
def test_an_unknown_table_is_refused_with_the_allowed_forms(spec: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"allowed: {', '.join(FORMS)}")):
        check_form(spec)
