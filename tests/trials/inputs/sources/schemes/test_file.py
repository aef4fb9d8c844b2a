from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from trials.api import TrialError
from trials.inputs.sources import load_tokenizer, open_source, source_digest


@pytest.fixture
def npy(tmp_path: Path, rows: np.ndarray) -> Path:
    np.save(tmp_path / "e.npy", rows[:3].astype(np.float16))
    return tmp_path / "e.npy"


def test_a_numpy_file_without_texts_has_numbered_rows(npy: Path) -> None:
    matrix = open_source(f"file:{npy}")
    assert matrix.rows.dtype == np.float32
    assert np.array_equal(matrix.rows, np.load(npy))
    assert matrix.tokens == ("#0", "#1", "#2")
    assert matrix.merge_rank.tolist() == [0, 1, 2]
    assert not matrix.special.any()
    assert matrix.digest == source_digest(f"file:{npy}")
    assert matrix.facts["dtype"] == "float16"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("e.tokens.json", json.dumps([" a", "b\n", "\u2028"])),
        ("tokens.json", json.dumps([" a", "b\n", "\u2028"])),
    ],
)
def test_texts_are_read_from_json_beside_the_file(npy: Path, name: str, text: str) -> None:
    npy.with_name(name).write_text(text)
    assert open_source(f"file:{npy}").tokens == (" a", "b\n", "\u2028")


@pytest.mark.parametrize("name", ["e.tokens.txt", "tokens.txt"])
def test_texts_are_read_a_line_each_and_only_newlines_end_a_line(npy: Path, name: str) -> None:
    npy.with_name(name).write_text(" a\nb\x0bc\n\u2028\n", encoding="utf-8")
    assert open_source(f"file:{npy}").tokens == (" a", "b\x0bc", "\u2028")


def test_the_digest_covers_the_texts_too(npy: Path) -> None:
    before = source_digest(f"file:{npy}")
    npy.with_name("tokens.json").write_text('["a", "b", "c"]')
    assert source_digest(f"file:{npy}") != before


def test_the_digest_covers_a_tokenizer_that_does_not_name_the_rows(npy: Path) -> None:
    npy.with_name("tokens.json").write_text('["a", "b", "c"]')
    npy.with_name("e.tokens.json").write_text('["a", "b", "c"]')
    digests = {source_digest(f"file:{npy}")}
    for words in ({"a": 0}, {"b": 0}):
        tokenizer = Tokenizer(WordLevel(words, unk_token="a"))
        tokenizer.save(str(npy.with_name("tokenizer.json")))
        digests.add(source_digest(f"file:{npy}"))
    assert len(digests) == 3


def test_the_digest_names_the_content_and_not_the_path(npy: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "f.npy"
    copy.parent.mkdir()
    copy.write_bytes(npy.read_bytes())
    assert source_digest(f"file:{copy}") == source_digest(f"file:{npy}")


def test_a_safetensors_file_gives_the_named_or_the_usual_tensor(tmp_path: Path) -> None:
    tensors = {"wte.weight": np.ones((4, 2), np.float32), "other": np.zeros((2, 3), np.float32)}
    save_file(tensors, tmp_path / "m.safetensors")
    uri = f"file:{tmp_path}/m.safetensors"
    assert open_source(uri).rows.shape == (4, 2)
    assert open_source(f"{uri}#other").rows.shape == (2, 3)
    assert source_digest(uri) != source_digest(f"{uri}#other")


def test_a_tokenizer_beside_the_file_names_its_rows(npy: Path) -> None:
    tokenizer = Tokenizer(WordLevel({"a": 0, "b": 1}, unk_token="a"))
    tokenizer.save(str(npy.with_name("tokenizer.json")))
    matrix = open_source(f"file:{npy}")
    assert matrix.tokens[:2] == ("a", "b")
    assert matrix.special.tolist() == [False, False, True]
    assert load_tokenizer(f"file:{npy}").get_vocab() == {"a": 0, "b": 1}


def test_without_a_tokenizer_beside_it_a_file_has_none(npy: Path) -> None:
    with pytest.raises(TrialError, match=r"needs a tokenizer\.json beside it"):
        load_tokenizer(f"file:{npy}")


def test_a_pickle_in_a_numpy_file_is_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "e.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(TrialError, match=r"not a readable \.npy file"):
        open_source(f"file:{tmp_path}/e.npy")


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.zeros(3), "holds float64 (3,)"),
        (np.zeros((2, 2), dtype=np.int64), "holds int64 (2, 2)"),
        (np.zeros((0, 2)), "holds float64 (0, 2)"),
        (np.full((2, 2), np.nan), "NaN or infinite"),
        (np.full((2, 2), 1e300), "NaN or infinite"),
    ],
)
def test_what_is_no_matrix_of_finite_floats_is_refused(
    tmp_path: Path, array: np.ndarray, problem: str
) -> None:
    np.save(tmp_path / "e.npy", array)
    with pytest.raises(TrialError) as caught:
        open_source(f"file:{tmp_path}/e.npy")
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("tokens.json", '["a"]', "names 1 tokens, but the matrix has 3 rows"),
        ("tokens.json", '{"a": 1}', "must be a list of strings"),
        ("tokens.json", "[1, 2, 3]", "must be a list of strings"),
        ("tokens.json", "[", "is not JSON"),
        ("tokens.txt", "a\nb\n", "names 2 tokens, but the matrix has 3 rows"),
        ("tokenizer.json", "{}", "not a readable tokenizer.json"),
    ],
)
def test_texts_that_do_not_fit_are_refused(npy: Path, name: str, text: str, problem: str) -> None:
    npy.with_name(name).write_text(text)
    with pytest.raises(TrialError) as caught:
        open_source(f"file:{npy}")
    assert problem in str(caught.value)
    assert str(caught.value).startswith(f"file:{npy}: ")


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("file:nowhere.npy", "no such file"),
        ("file:rows.csv", "ends in .safetensors, .bin, .pt"),
        ("file:e.npy#x", "holds one array"),
        ("gguf:nowhere.gguf", "no such file"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_by_both_doors(uri: str, problem: str) -> None:
    for door in (open_source, source_digest):
        with pytest.raises(TrialError) as caught:
            door(uri)
        assert str(caught.value).startswith(f"{uri}: ")
        assert problem in str(caught.value)
