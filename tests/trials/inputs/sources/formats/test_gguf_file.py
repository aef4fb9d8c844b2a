from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFWriter, quantize
from tokenizers import Regex, Tokenizer, decoders
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence, Split
from tokenizers.trainers import BpeTrainer

from trials.api import TrialError
from trials.inputs.sources import load_tokenizer, open_source, source_digest

TEXTS = ["the cat sat on the mat, isn't it? 2024 2025", "I'LL go\n\n  def f(x):\n\treturn 日本"]
LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CUTS = {
    "gpt-2": ByteLevel(add_prefix_space=False),
    "smollm": Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]),
    "llama-bpe": Sequence(
        [Split(Regex(LLAMA_3), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)]
    ),
}


def trained(cut: str = "smollm") -> Tokenizer:
    tokenizer = Tokenizer(BPE(ignore_merges=cut == "llama-bpe"))
    tokenizer.pre_tokenizer = CUTS[cut]
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=320,
        special_tokens=["<|end|>"],
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    return tokenizer


def write_gguf(
    path: Path,
    rows: np.ndarray,
    *,
    kind: GGMLQuantizationType = GGMLQuantizationType.F32,
    tokenizer: Tokenizer | None = None,
    pre: str = "smollm",
    output: bool = False,
) -> Path:
    writer = GGUFWriter(path, "llama")
    writer.add_name("Tiny")
    if tokenizer is not None:
        model = json.loads(tokenizer.to_str())["model"]
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(pre)
        writer.add_token_list(sorted(model["vocab"], key=model["vocab"].get))
        writer.add_token_types([3] + [1] * (len(model["vocab"]) - 1))
        writer.add_token_merges([" ".join(merge) for merge in model["merges"]])
    writer.add_tensor("token_embd.weight", quantize(rows, kind), raw_dtype=kind)
    writer.add_tensor("blk.0.attn.weight", np.zeros((8, 8), np.float32))
    if output:
        writer.add_tensor("output.weight", rows)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def tokenizer() -> Tokenizer:
    return trained()


@pytest.fixture
def matrix(tokenizer: Tokenizer) -> np.ndarray:
    shape = (tokenizer.get_vocab_size() + 2, 64)
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "error"), [("F32", 0.0), ("F16", 2.0**-11), ("BF16", 2.0**-8), ("Q8_0", 1 / 127)]
)
def test_the_embedding_is_read_back_within_the_step_of_its_quantisation(
    tmp_path: Path, matrix: np.ndarray, kind: str, error: float
) -> None:
    path = write_gguf(tmp_path / "m.gguf", matrix, kind=GGMLQuantizationType[kind])
    opened = open_source(f"gguf:{path}")
    scale = np.abs(matrix).max()
    assert opened.rows.dtype == np.float32
    assert np.abs(opened.rows - matrix).max() <= error * scale
    assert opened.facts["dtype"] == kind
    assert opened.facts["model"] == "Tiny"


def test_tokens_special_rows_padding_and_merge_ranks_are_read(
    tmp_path: Path, matrix: np.ndarray, tokenizer: Tokenizer
) -> None:
    path = write_gguf(tmp_path / "m.gguf", matrix, tokenizer=tokenizer)
    opened = open_source(f"gguf:{path}")
    n_vocab = len(matrix)
    assert len(opened.tokens) == n_vocab
    assert " the" in opened.tokens
    assert np.flatnonzero(opened.special).tolist() == [0, n_vocab - 2, n_vocab - 1]
    assert sorted(opened.merge_rank) == list(range(n_vocab))
    first = json.loads(tokenizer.to_str())["model"]["merges"][0]
    assert opened.merge_rank[tokenizer.token_to_id("".join(first))] == 2
    assert opened.facts["rank_from"] == "BPE merges"


def test_a_file_without_vocabulary_has_numbered_rows(tmp_path: Path, matrix: np.ndarray) -> None:
    opened = open_source(f"gguf:{write_gguf(tmp_path / 'm.gguf', matrix)}")
    assert opened.tokens[:2] == ("#0", "#1")


@pytest.mark.parametrize(("output", "tied"), [(True, "no"), (False, "yes")])
def test_an_output_embedding_of_its_own_is_told(
    tmp_path: Path, matrix: np.ndarray, output: bool, tied: str
) -> None:
    path = write_gguf(tmp_path / "m.gguf", matrix, output=output)
    assert open_source(f"gguf:{path}").facts["tied"] == tied


def test_another_tensor_can_be_named_and_has_another_digest(
    tmp_path: Path, matrix: np.ndarray
) -> None:
    uri = f"gguf:{write_gguf(tmp_path / 'm.gguf', matrix)}"
    assert open_source(f"{uri}#blk.0.attn.weight").rows.shape == (8, 8)
    assert source_digest(f"{uri}#blk.0.attn.weight") != source_digest(uri)
    with pytest.raises(TrialError, match=r"did you mean 'blk\.0\.attn\.weight'\?"):
        open_source(f"{uri}#blk.1.attn.weight")


@pytest.mark.parametrize("cut", ["gpt-2", "smollm", "llama-bpe"])
def test_the_tokenizer_built_from_the_file_cuts_text_as_the_original(
    tmp_path: Path, matrix: np.ndarray, cut: str
) -> None:
    original = trained(cut)
    path = write_gguf(tmp_path / "m.gguf", matrix, tokenizer=original, pre=cut)
    for _ in range(2):  # built, then from the cache
        built = load_tokenizer(f"gguf:{path}")
        for text in (*TEXTS, "THE cat'S 12345<|end|>  x\r\n"):
            assert built.encode(text).ids == original.encode(text).ids
            assert built.decode(built.encode(TEXTS[1]).ids) == TEXTS[1]


def test_a_pre_tokenizer_that_is_not_known_is_never_guessed(
    tmp_path: Path, matrix: np.ndarray, tokenizer: Tokenizer
) -> None:
    path = write_gguf(tmp_path / "m.gguf", matrix, tokenizer=tokenizer, pre="smolm")
    with pytest.raises(TrialError, match="'smolm' is not known; did you mean 'smollm'"):
        load_tokenizer(f"gguf:{path}")


def test_a_file_without_byte_level_bpe_gives_no_tokenizer(
    tmp_path: Path, matrix: np.ndarray
) -> None:
    path = write_gguf(tmp_path / "m.gguf", matrix)
    with pytest.raises(TrialError, match="only byte-level BPE"):
        load_tokenizer(f"gguf:{path}")


@pytest.mark.parametrize("n_kept", [0, 3, 40, 2_000, -100])
def test_a_file_that_was_cut_is_refused_in_one_line(
    tmp_path: Path, matrix: np.ndarray, tokenizer: Tokenizer, n_kept: int
) -> None:
    path = write_gguf(tmp_path / "m.gguf", matrix, tokenizer=tokenizer)
    path.write_bytes(path.read_bytes()[:n_kept])
    with pytest.raises(TrialError, match="not a whole GGUF file") as caught:
        open_source(f"gguf:{path}")
    assert "\n" not in str(caught.value)


def test_what_is_no_gguf_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"<html>" * 100)
    with pytest.raises(TrialError, match="not a whole GGUF file"):
        open_source(f"gguf:{tmp_path}/m.gguf")
