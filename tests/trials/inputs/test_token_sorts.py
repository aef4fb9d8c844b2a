"""Tokens that can be written and rows that training changed, on planted vocabularies and rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

from trials.api import TrialError
from trials.inputs.rows import RowsConfig, load_rows
from trials.inputs.sources import EmbeddingMatrix
from trials.inputs.sources.loaded import NoTokenizer
from trials.inputs.token_sorts import (
    known_unused,
    like_unused,
    reachable_tokens,
    token_sorts,
    unchanged_rows,
)

BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
N_UNUSED = 13
"""Bytes that UTF-8 never has."""


def byte_level(extra: list[str], merges: list[tuple[str, str]]) -> Tokenizer:
    vocabulary = {piece: i for i, piece in enumerate([*BYTES, *extra])}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def reached(tokenizer: Tokenizer, pieces: list[str]) -> list[bool]:
    found = reachable_tokens(tokenizer, tokenizer.get_vocab_size() + 3)
    assert not found[-3:].any()
    return [bool(found[tokenizer.token_to_id(piece)]) for piece in pieces]


def test_a_token_that_no_merge_makes_is_not_reachable() -> None:
    tokenizer = byte_level(["ab", "abc", "xyz"], [("a", "b"), ("ab", "c")])
    assert reached(tokenizer, ["a", "ab", "abc", "xyz"]) == [True, True, True, False]
    part_of_a_character = BYTES[BYTES.index("Ã")]
    assert reached(tokenizer, [part_of_a_character]) == [False]


def test_a_token_that_normalisation_changes_is_not_reachable() -> None:
    tokenizer = byte_level(["ab"], [("a", "b")])
    tokenizer.normalizer = normalizers.Lowercase()
    assert reached(tokenizer, ["a", "A", "ab"]) == [True, False, True]


def test_tokens_with_and_without_the_space_before_a_text_are_reachable() -> None:
    """Decoding strips the first space of metaspace tokenizers, and encoding adds one."""
    pieces = [("<unk>", 0.0), ("▁", -1.0), ("\n", -1.0), ("the", -2.0), ("▁the", -2.0), ("x", -9.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    assert reached(tokenizer, ["the", "▁the"]) == [True, True]


def test_added_tokens_are_reachable() -> None:
    tokenizer = byte_level([], [])
    tokenizer.add_special_tokens([AddedToken("<|end|>", special=True)])
    assert reached(tokenizer, ["<|end|>", "a"]) == [True, True]


def test_unused_rows_are_padding_reserved_rows_and_bytes_that_utf8_never_has() -> None:
    tokens = ("a", "\\xc0", "\\xff", "\\xc3", "<padding 4>", "<|end|>", "<unused7>", "<no token 7>")
    tokens += ("<|reserved_special_token_5|>", "<padding 4>")
    special = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 0], dtype=bool)
    assert known_unused(tokens, special).tolist() == [1, 2, 4, 6, 7, 8]


def planted(kind: str, seed: int, n: int = 2000, d: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Rows of which the first 60 were never trained, in the ways that models leave such rows."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, d)) * rng.uniform(0.7, 1.3, size=(n, 1)) + 0.3
    untrained = np.arange(60)
    if kind == "tied":  # all are pushed along one direction
        rows[untrained] = rng.normal(size=d) * 0.6 + 0.1 * rng.normal(size=(60, d))
    elif kind == "decayed":
        rows[untrained] = 1e-3 * rng.normal(size=(60, d))
    elif kind == "small start":  # as at initialisation, and training grew the others
        rows[untrained] = 0.2 * rng.normal(size=(60, d))
    else:
        rows[untrained] = 0.0
    return rows.astype(np.float32), untrained


@pytest.mark.parametrize("kind", ["tied", "decayed", "small start", "zero"])
def test_rows_that_were_never_trained_are_told_from_few_that_are_known(kind: str) -> None:
    n_told = n_wrong = 0
    for seed in range(10):
        rows, untrained = planted(kind, seed)
        found = np.flatnonzero(like_unused(rows, untrained[:N_UNUSED]))
        n_told += np.isin(untrained[N_UNUSED:], found).sum()
        n_wrong += (~np.isin(found, untrained)).sum()
    # (n - 1) / (n + 1) of the 47 others, over 10 draws of the 13 that are known.
    assert n_told >= 0.8 * 10 * 47
    assert n_wrong == 0


def test_short_rows_in_other_directions_are_not_taken_for_unused_ones() -> None:
    """They are near the mean of unused rows by distance; their direction tells them apart."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2000, 64))
    rows[:60] = 2 * np.eye(64)[0] + 0.375 * rng.normal(size=(60, 64))
    rows[60:200] *= 0.06
    found = np.flatnonzero(like_unused(rows.astype(np.float32), np.arange(N_UNUSED)))
    assert (found < 60).sum() > 40
    assert (found >= 60).sum() < 3


def test_without_training_every_row_is_like_unused_rows() -> None:
    rows = np.random.default_rng(0).normal(size=(2000, 64)).astype(np.float32)
    assert like_unused(rows, np.arange(N_UNUSED)).mean() > 0.8


def test_rows_that_training_moved_are_not_unchanged_however_little_decay_left() -> None:
    rng = np.random.default_rng(0)
    initial = rng.normal(size=(5000, 32)).astype(np.float32)
    rows = 0.37 * initial
    rows[:2500] += 0.37 * 0.05 * rng.normal(size=(2500, 32))
    rows[-1], initial[-2] = 0, 0
    half = rows.astype(np.float16).astype(np.float32)
    for stored in (rows, half):
        unchanged = unchanged_rows(stored, initial)
        assert not unchanged[:2500].any()
        assert unchanged[2500:-2].all()
        assert unchanged[-2:].tolist() == [False, True]


def matrix_of(rows: np.ndarray, tokens: tuple[str, ...], digest: str) -> EmbeddingMatrix:
    special = np.zeros(len(rows), dtype=bool)
    return EmbeddingMatrix(rows, tokens, special, np.arange(len(rows)), digest, "file:x.npy", {})


def no_tokenizer() -> Any:
    raise NoTokenizer("none")


def test_what_cannot_be_told_is_said_and_refused_only_when_it_is_asked_for() -> None:
    rows = np.ones((3, 2), np.float32)
    sorts = token_sorts(matrix_of(rows, ("a", "b", "\\xc0"), "few"), no_tokenizer)
    assert sorts.counts(np.arange(3)) == {
        "tokens_reachable": "unknown: the source has no tokenizer",
        "tokens_trained": "unknown: 1 rows are known to be unused, and 8 are needed",
    }
    with pytest.raises(TrialError, match=r"tokens: trained cannot be told: 1 rows are known"):
        sorts.of("trained")
    with pytest.raises(TrialError, match=r"tokens: reachable cannot be told.*use tokens: all"):
        sorts.of("reachable")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A byte-level model whose bytes that UTF-8 never has, and two more rows, were not trained."""
    words = [f"w{chr(97 + i)}{chr(97 + j)}" for i in range(20) for j in range(20)]
    tokenizer = byte_level([*words, "xyz", "zyx"], [])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    n = tokenizer.get_vocab_size()
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(n, 16)).astype(np.float32)
    impossible = [0xC0, 0xC1, *range(0xF5, 0x100)]
    byte_of = {piece: i for i, piece in enumerate(BYTES)}
    pieces = [byte_of[chr(byte)] for byte in impossible]  # printable Latin-1 stands for itself
    rows[[*pieces, n - 2, n - 1]] = 0
    np.save(tmp_path / "rows.npy", rows)
    return tmp_path


def config(folder: Path, **fields: Any) -> RowsConfig:
    given = {"source": f"file:{folder}/rows.npy", "frequencies": "zipf"}
    return RowsConfig.model_validate(given | fields)


def test_the_sort_of_tokens_is_chosen_and_every_result_tells_the_counts(folder: Path) -> None:
    everything = load_rows(config(folder))
    n = len(everything.ids)
    assert everything.facts["tokens_trained"].startswith(f"{n - 15} of {n}, others lie as close")
    n_reachable = int(everything.facts["tokens_reachable"].split(" of ")[0])
    for sort, n_chosen in (("reachable", n_reachable), ("trained", n - 15)):
        chosen = load_rows(config(folder, tokens=sort))
        assert len(chosen.ids) == n_chosen < n
        assert set(chosen.names) < set(everything.names)
        for fact in ("tokens_reachable", "tokens_trained"):
            assert chosen.facts[fact] == everything.facts[fact]
    trained = load_rows(config(folder, tokens="trained"))
    assert not {"xyz", "zyx"} & set(trained.names)


def test_all_tokens_are_the_default_and_give_what_they_gave(folder: Path) -> None:
    assert RowsConfig(source="hub:gpt2").tokens == "all"
    data = load_rows(config(folder))
    assert data.ids.tolist() == list(range(len(data.ids)))


def test_a_tokenizer_that_cannot_be_read_fails_only_what_needs_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "rows.npy", rng.normal(size=(40, 4)))
    (tmp_path / "rows.tokens.json").write_text(json.dumps([f"t{i}" for i in range(40)]))
    (tmp_path / "tokenizer.json").write_text("{}")
    assert "unknown: " in load_rows(config(tmp_path)).facts["tokens_reachable"]
    with pytest.raises(TrialError, match="tokens: reachable cannot be told"):
        load_rows(config(tmp_path, tokens="reachable"))
