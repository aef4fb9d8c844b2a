"""Models in several files: any shard names the model, and no part passes for the whole."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter
from safetensors.numpy import save_file

from trials.api import TrialError
from trials.inputs.models import open_model
from trials.inputs.sources import EmbeddingMatrix, load_tokenizer, open_source, source_digest

ROWS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
TOKENS = ["<end>", "a", "b", "c", "ab", "d"]


def write_gguf(path: Path, *, output: bool = True, **split: bool | int) -> list[Path]:
    """A model of three tensors and a tokenizer; its files in order."""
    writer = GGUFWriter(path, "llama", **split)  # type: ignore[arg-type]
    writer.add_name("Tiny")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 1, 1, 1, 1, 1])
    writer.add_token_merges(["a b"])
    writer.add_tensor("blk.0.attn.weight", np.zeros((8, 8), np.float32))
    writer.add_tensor("token_embd.weight", ROWS)
    if output:
        writer.add_tensor("output.weight", ROWS + 1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return sorted(path.parent.glob(f"{path.stem}-*-of-*.gguf")) or [path]


def contents(matrix: EmbeddingMatrix) -> tuple[object, ...]:
    return (
        matrix.rows.tobytes(),
        matrix.tokens,
        matrix.special.tolist(),
        matrix.merge_rank.tolist(),
        matrix.facts,
    )


@pytest.mark.parametrize("tensors_in_first", [True, False])
def test_any_gguf_shard_names_the_model(tmp_path: Path, tensors_in_first: bool) -> None:
    [whole] = write_gguf(tmp_path / "whole.gguf")
    shards = write_gguf(
        tmp_path / "m.gguf", split_max_tensors=1, small_first_shard=not tensors_in_first
    )
    assert len(shards) == 4 - tensors_in_first
    expected = contents(open_source(f"gguf:{whole}"))
    assert expected[1:3] == (("<end>", "a", "b", "c", "ab", "d"), [True] + [False] * 5)
    for shard in shards:
        assert contents(open_source(f"gguf:{shard}")) == expected
        assert load_tokenizer(f"gguf:{shard}").encode("abd").ids == [4, 5]
    assert open_source(f"gguf:{shards[0]}").facts["tied"] == "no"
    assert len({source_digest(f"gguf:{shard}") for shard in shards}) == 1


def test_tensors_of_other_gguf_shards_are_found_by_name(tmp_path: Path) -> None:
    shards = write_gguf(tmp_path / "m.gguf", split_max_tensors=1)
    for shard in shards:
        uri = f"gguf:{shard}#output.weight"
        assert np.array_equal(open_source(uri).rows, ROWS + 1)
        assert source_digest(uri) != source_digest(f"gguf:{shard}")
    with pytest.raises(TrialError, match=r"did you mean 'output\.weight'"):
        source_digest(f"gguf:{shards[0]}#output.wieght")


def test_a_gguf_model_in_shards_without_an_output_embedding_is_tied(tmp_path: Path) -> None:
    shards = write_gguf(tmp_path / "m.gguf", output=False, split_max_tensors=1)
    assert open_source(f"gguf:{shards[1]}").facts["tied"] == "yes"


def test_the_digest_of_shards_follows_what_is_used(tmp_path: Path) -> None:
    first, holder, _ = write_gguf(tmp_path / "m.gguf", split_max_tensors=1)
    before = source_digest(f"gguf:{first}")
    for used in (first, holder):
        content = used.read_bytes()
        used.write_bytes(content[:-1] + b"\x01")
        assert source_digest(f"gguf:{first}") != before
        used.write_bytes(content)
    assert source_digest(f"gguf:{first}") == before


def test_a_whole_file_keeps_the_digest_it_always_had(tmp_path: Path) -> None:
    """Keys of stored trials hang on it."""
    [gguf] = write_gguf(tmp_path / "m.gguf")
    save_file({"wte.weight": ROWS}, tmp_path / "m.safetensors")

    def digest(*parts: str) -> str:
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    content = hashlib.sha256(gguf.read_bytes()).hexdigest()
    assert source_digest(f"gguf:{gguf}") == digest("gguf", content, "")
    assert source_digest(f"gguf:{gguf}#output.weight") == digest("gguf", content, "output.weight")
    content = hashlib.sha256((tmp_path / "m.safetensors").read_bytes()).hexdigest()
    assert source_digest(f"file:{tmp_path}/m.safetensors") == digest("file", content, "", "")


@pytest.mark.parametrize("named", [0, 2])
def test_a_missing_gguf_shard_is_named(tmp_path: Path, named: int) -> None:
    shards = write_gguf(tmp_path / "m.gguf", split_max_tensors=1)
    shards[1].unlink()
    for door in (source_digest, open_source):
        with pytest.raises(TrialError, match=r"m-00002-of-00003\.gguf is missing beside it"):
            door(f"gguf:{shards[named]}")


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_renamed_gguf_shard_never_passes_for_the_model(tmp_path: Path, number: int) -> None:
    shard = write_gguf(tmp_path / "m.gguf", split_max_tensors=1)[number]
    alone = shard.rename(tmp_path / "model.gguf")
    for door in (source_digest, open_source, load_tokenizer):
        with pytest.raises(TrialError, match=r"one shard of 3 by its header.*original name"):
            door(f"gguf:{alone}")


def test_swapped_gguf_shards_are_refused(tmp_path: Path) -> None:
    first, second, _ = write_gguf(tmp_path / "m.gguf", split_max_tensors=1)
    first.rename(tmp_path / "x")
    second.rename(first)
    (tmp_path / "x").rename(second)
    with pytest.raises(TrialError, match="is shard 2 of 3 by its header"):
        source_digest(f"gguf:{first}")


def test_gguf_shards_of_another_model_are_refused(tmp_path: Path) -> None:
    shards = write_gguf(tmp_path / "m.gguf", split_max_tensors=1)
    (tmp_path / "other").mkdir()
    others = write_gguf(tmp_path / "other" / "m.gguf", output=False, split_max_tensors=1)
    assert len(others) == 2
    shutil.copy(others[1], shards[1])
    with pytest.raises(TrialError, match="is shard 2 of 2 by its header"):
        source_digest(f"gguf:{shards[0]}")


def test_a_link_to_a_gguf_shard_finds_the_others_where_it_leads(tmp_path: Path) -> None:
    shards = write_gguf(tmp_path / "m.gguf", split_max_tensors=1)
    link = tmp_path / "links" / "model.gguf"
    link.parent.mkdir()
    link.symlink_to(shards[1])
    assert source_digest(f"gguf:{link}") == source_digest(f"gguf:{shards[0]}")


def test_a_gguf_file_that_is_the_only_shard_is_whole(tmp_path: Path) -> None:
    [whole] = write_gguf(tmp_path / "m.gguf")
    only = shutil.copy(whole, tmp_path / "m-00001-of-00001.gguf")
    assert source_digest(f"gguf:{only}") == source_digest(f"gguf:{whole}")


def test_a_whole_model_is_not_opened_from_one_shard(tmp_path: Path) -> None:
    """transformers would fill what it does not find with random numbers."""
    shards = write_gguf(tmp_path / "m.gguf", split_max_tensors=1)
    with pytest.raises(TrialError, match="one of 3 shards: merge them"):
        open_model(f"gguf:{shards[0]}")


def save_shards(folder: Path, *names: str) -> list[Path]:
    """An input embedding in the first file, an output embedding in the second."""
    paths = [folder / name for name in names]
    save_file({"model.embed_tokens.weight": ROWS}, paths[0])
    save_file({"lm_head.weight": ROWS + 1}, paths[1])
    return paths


@pytest.fixture
def numbered(tmp_path: Path) -> list[Path]:
    """Shards by their names."""
    return save_shards(
        tmp_path, "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    )


@pytest.fixture
def indexed(tmp_path: Path) -> list[Path]:
    """Shards by an index."""
    (tmp_path / "indexed").mkdir()
    paths = save_shards(tmp_path / "indexed", "body.safetensors", "head.safetensors")
    weight_map = {
        "model.embed_tokens.weight": "body.safetensors",
        "lm_head.weight": "head.safetensors",
    }
    index = json.dumps({"metadata": {}, "weight_map": weight_map})
    (tmp_path / "indexed" / "model.safetensors.index.json").write_text(index)
    return paths


@pytest.fixture(params=["numbered", "indexed"])
def shards(request: pytest.FixtureRequest) -> list[Path]:
    found: list[Path] = request.getfixturevalue(request.param)
    return found


def test_any_safetensors_shard_names_the_model(shards: list[Path]) -> None:
    shards[0].with_name("tokens.json").write_text(json.dumps(TOKENS))
    opened = [open_source(f"file:{shard}") for shard in shards]
    assert contents(opened[0]) == contents(opened[1])
    assert opened[0].digest == opened[1].digest
    assert np.array_equal(opened[0].rows, ROWS)
    assert opened[0].tokens == tuple(TOKENS)
    assert opened[0].facts["tied"] == "no"
    for shard in shards:
        assert np.array_equal(open_source(f"file:{shard}#lm_head.weight").rows, ROWS + 1)


def test_a_missing_safetensors_shard_is_named(shards: list[Path]) -> None:
    shards[1].unlink()
    for door in (source_digest, open_source):
        with pytest.raises(TrialError, match=f"{shards[1].name} is missing beside it"):
            door(f"file:{shards[0]}")


def test_texts_beside_shards_bear_the_name_of_the_model(numbered: list[Path]) -> None:
    numbered[0].with_name("model.tokens.json").write_text(json.dumps(TOKENS))
    for shard in numbered:
        assert open_source(f"file:{shard}").tokens == tuple(TOKENS)


def test_shards_that_hold_one_tensor_twice_are_refused(numbered: list[Path]) -> None:
    shutil.copy(numbered[0], numbered[1])
    with pytest.raises(TrialError, match=r"both hold 'model\.embed_tokens\.weight'"):
        source_digest(f"file:{numbered[0]}")


@pytest.mark.parametrize("text", ["", "[]", '{"weight_map": 1}', '{"weight_map": {"a": 1}}'])
def test_a_damaged_index_is_one_line(indexed: list[Path], text: str) -> None:
    index = indexed[0].with_name("model.safetensors.index.json")
    index.write_text(text)
    with pytest.raises(
        TrialError, match=r"model\.safetensors\.index\.json beside it does not name"
    ):
        source_digest(f"file:{indexed[0]}")


def test_a_file_that_the_index_does_not_list_is_whole(indexed: list[Path]) -> None:
    whole = indexed[0].with_name("whole.safetensors")
    shutil.copy(indexed[0], whole)
    assert open_source(f"file:{whole}").facts["tied"] == "yes"


def test_a_shard_that_says_all_there_is_to_know_keeps_its_digest(
    tmp_path: Path, numbered: list[Path]
) -> None:
    whole = tmp_path / "whole.safetensors"
    save_file({"b": ROWS}, numbered[1])  # no output embedding: nothing that the first does not say
    shutil.copy(numbered[0], whole)
    assert source_digest(f"file:{numbered[1]}") == source_digest(f"file:{whole}")
