"""Folders of models as they lie on disks: in one file or in shards, and in the hub's cache."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from tests.trials.inputs.sources.formats.test_shards import TOKENS, write_gguf
from tests.trials.inputs.sources.hub_server import HubServer
from trials.api import TrialError
from trials.inputs.sources import load_tokenizer, open_source, source_digest

ROWS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
POSITIONS = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
STATE = {"wte.weight": ROWS, "wpe.weight": POSITIONS, "lm_head.weight": ROWS + 1}


def write_model(folder: Path, form: str) -> Path:
    """A model of `STATE` in that form, with a tokenizer and a config."""
    folder.mkdir(exist_ok=True)
    tensors = {name: torch.from_numpy(array) for name, array in STATE.items()}
    match form:
        case "safetensors":
            save_file(STATE, folder / "model.safetensors")
        case "other name":
            save_file(STATE, folder / "rinna.safetensors")
        case "torch":
            torch.save(tensors, folder / "pytorch_model.bin")
            (folder / "training_args.bin").write_bytes(b"not weights")
        case "pth":
            torch.save(tensors, folder / "consolidated.00.pth")
        case "npz":
            np.savez(folder / "weights.npz", **STATE)
        case "packed npz":
            np.savez_compressed(folder / "weights.npz", **STATE)
        case _:
            suffix, stem = (
                ("bin", "pytorch_model")
                if form == "torch shards"
                else (
                    "safetensors",
                    "model",
                )
            )
            shard_of = {}
            for number, name in enumerate(STATE, start=1):
                path = folder / f"{stem}-{number:05d}-of-00003.{suffix}"
                shard_of[name] = path.name
                if suffix == "bin":
                    torch.save({name: tensors[name]}, path)
                else:
                    save_file({name: STATE[name]}, path)
            index = json.dumps({"weight_map": shard_of})
            (folder / f"{stem}.{suffix}.index.json").write_text(index)
    words = {f"t{i}": i for i in range(6)}
    Tokenizer(WordLevel(words, unk_token="t0")).save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"vocab_size": 6, "_name": "x"}))
    return folder


FORMS = ["safetensors", "other name", "torch", "pth", "npz", "packed npz", "shards", "torch shards"]


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_of_any_form_gives_every_matrix_by_what_it_is(tmp_path: Path, form: str) -> None:
    uri = f"dir:{write_model(tmp_path / 'm', form)}"
    matrix = open_source(uri)
    assert np.array_equal(matrix.rows, ROWS)
    assert matrix.tokens == tuple(f"t{i}" for i in range(6))
    assert matrix.facts["tied"] == "no"
    assert matrix.digest == source_digest(uri)
    assert load_tokenizer(uri).get_vocab_size() == 6
    for role, tensor, rows in (
        ("input", "wte.weight", ROWS),
        ("output", "lm_head.weight", ROWS + 1),
        ("positions", "wpe.weight", POSITIONS),
    ):
        by_role, by_name = open_source(f"{uri}#{role}"), open_source(f"{uri}#{tensor}")
        assert np.array_equal(by_role.rows, rows)
        assert np.array_equal(by_name.rows, rows)
        assert by_role.facts["tensor"] == by_name.facts["tensor"] == tensor
    assert open_source(f"{uri}#positions").tokens == ("#0", "#1", "#2", "#3", "#4")
    digests = {source_digest(f"{uri}{tensor}") for tensor in ("", "#output", "#positions")}
    assert len(digests) == 3


@pytest.mark.parametrize("split", [{}, {"split_max_tensors": 1}])
def test_a_folder_of_a_gguf_model_has_its_tokens(tmp_path: Path, split: dict[str, Any]) -> None:
    shards = write_gguf(tmp_path / "m.gguf", **split)
    matrix = open_source(f"dir:{tmp_path}")
    assert np.array_equal(matrix.rows, open_source(f"gguf:{shards[-1]}").rows)
    assert matrix.tokens == tuple(TOKENS)
    assert np.array_equal(open_source(f"dir:{tmp_path}#output").rows, matrix.rows + 1)
    assert load_tokenizer(f"dir:{tmp_path}").encode("abd").ids == [4, 5]


def test_the_config_says_whether_the_matrices_are_tied_and_is_part_of_the_digest(
    tmp_path: Path,
) -> None:
    folder = write_model(tmp_path / "m", "safetensors")
    before = source_digest(f"dir:{folder}")
    (folder / "config.json").write_text('{"tie_word_embeddings": true}')
    assert open_source(f"dir:{folder}").facts["tied"] == "yes"
    assert source_digest(f"dir:{folder}") != before


def test_the_config_names_the_matrix_by_its_rows(tmp_path: Path) -> None:
    odd = {"lookup": ROWS, "other": POSITIONS}
    save_file(odd, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"vocab_size": 6}')
    assert np.array_equal(open_source(f"dir:{tmp_path}").rows, ROWS)


def test_a_folder_named_like_a_path_with_a_sharp_sign_is_found(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "a#1.bin", "safetensors")
    assert np.array_equal(open_source(f"dir:{folder}").rows, ROWS)
    assert np.array_equal(open_source(f"dir:{folder}#lm_head.weight").rows, ROWS + 1)


def test_the_hubs_cache_is_a_folder_of_a_model(model: HubServer, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        huggingface_hub.hf_hub_download("own/model", name, endpoint=model.url)
    folder = tmp_path / "hub" / "models--own--model"
    n_requests = len(model.requests)
    matrix = open_source(f"dir:{folder}")
    assert len(model.requests) == n_requests
    commit = model.commits["own/model", "main"]
    assert np.array_equal(open_source(f"dir:{folder}/snapshots/{commit}").rows, matrix.rows)
    assert np.array_equal(open_source("hub:own/model").rows, matrix.rows)
    shutil.copytree(folder / "snapshots" / commit, folder / "snapshots" / "other")
    assert source_digest(f"dir:{folder}") == matrix.digest
    (folder / "refs" / "main").write_text("../../elsewhere")
    with pytest.raises(TrialError, match="holds 2 revisions and none of them is main"):
        open_source(f"dir:{folder}")


def put(*names: str) -> Callable[[Path], None]:
    def into(folder: Path) -> None:
        for name in names:
            save_file(STATE, folder / name)

    return into


def config(text: str) -> Callable[[Path], None]:
    def into(folder: Path) -> None:
        put("m.safetensors")(folder)
        (folder / "config.json").write_text(text)

    return into


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda folder: folder.rmdir(), "no such folder"),
        (lambda folder: (folder.rmdir(), folder.write_text("x")), "is no folder"),
        (lambda folder: None, "holds no weights: none of its files ends in .gguf, .safetensors"),
        (put("a.safetensors", "b.safetensors"), "several files of weights (a.safetensors, b.saf"),
        (put("model-00001-of-00002.safetensors"), "model-00002-of-00002.safetensors is missing"),
        (
            config("["),
            "config.json is not JSON",
        ),
        (
            lambda folder: (
                put("m.safetensors")(folder),
                (folder / "config.json").write_text("[]"),
            ),
            "config.json is no JSON object",
        ),
        (lambda folder: (folder / "snapshots").mkdir(), "holds 0 revisions"),
    ],
)
def test_what_is_no_folder_of_one_model_is_one_line(
    tmp_path: Path, make: Callable[[Path], object], problem: str
) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    make(folder)
    for door in (open_source, source_digest):
        with pytest.raises(TrialError) as caught:
            door(f"dir:{folder}")
        assert str(caught.value).startswith(f"dir:{folder}: ")
        assert problem in str(caught.value)
        assert "\n" not in str(caught.value)


LENS = {
    "embed.W_E": ROWS,
    "pos_embed.W_pos": POSITIONS,
    "unembed.W_U": np.ascontiguousarray((ROWS + 1).T),
    "unembed.b_U": np.zeros(6, np.float32),
    "blocks.0.attn.W_Q": np.zeros((2, 4, 2), np.float32),
}


@pytest.mark.parametrize("suffix", ["pt", "npz", "safetensors"])
def test_transformerlens_names_are_known_and_its_output_has_a_row_per_token(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"m.{suffix}"
    if suffix == "pt":
        torch.save({name: torch.from_numpy(array) for name, array in LENS.items()}, path)
    elif suffix == "npz":
        np.savez(path, **LENS)
    else:
        save_file(LENS, path)
    (tmp_path / "tokens.json").write_text(json.dumps(TOKENS))
    for tensor, rows in (
        ("", ROWS),
        ("#input", ROWS),
        ("#output", ROWS + 1),
        ("#unembed.W_U", ROWS + 1),
        ("#positions", POSITIONS),
    ):
        matrix = open_source(f"file:{path}{tensor}")
        assert np.array_equal(matrix.rows, rows), tensor
        assert matrix.facts["tied"] == "no"
        assert (matrix.tokens == tuple(TOKENS)) == (tensor != "#positions")


def test_the_output_of_a_tied_model_is_its_input(tmp_path: Path) -> None:
    save_file({"wte.weight": ROWS}, tmp_path / "m.safetensors")
    matrix = open_source(f"file:{tmp_path}/m.safetensors#output")
    assert np.array_equal(matrix.rows, ROWS)
    assert (matrix.facts["tensor"], matrix.facts["tied"]) == ("wte.weight", "yes")
    with pytest.raises(TrialError, match="no matrix of positions: they are computed"):
        open_source(f"file:{tmp_path}/m.safetensors#positions")


def test_a_tensor_that_bears_the_name_of_a_role_is_that_tensor(tmp_path: Path) -> None:
    save_file({"wte.weight": ROWS, "output": ROWS + 2}, tmp_path / "m.safetensors")
    assert np.array_equal(open_source(f"file:{tmp_path}/m.safetensors#output").rows, ROWS + 2)


def test_roles_work_on_a_hub_as_in_a_folder(
    server: HubServer, safetensors_bytes: Callable[..., bytes]
) -> None:
    file = safetensors_bytes({name: ("F32", array) for name, array in STATE.items()})
    tokenizer = Tokenizer(WordLevel({f"t{i}": i for i in range(6)}, unk_token="t0"))
    files = {"model.safetensors": file, "tokenizer.json": tokenizer.to_str().encode()}
    server.add("own/m", files)
    assert np.array_equal(open_source("hub:own/m#output").rows, ROWS + 1)
    positions = open_source("hub:own/m#positions")
    assert np.array_equal(positions.rows, POSITIONS)
    assert positions.tokens[0] == "#0"
    assert open_source("hub:own/m#wpe.weight").tokens[0] == "#0"
    assert open_source("hub:own/m#input").tokens[0] == "t0"


def test_arrays_of_an_npz_that_are_no_floats_or_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", W_E=np.arange(6).reshape(3, 2))
    with pytest.raises(TrialError, match="'W_E' holds int64"):
        open_source(f"file:{tmp_path}/a.npz")
    np.savez(tmp_path / "a.npz", W_E=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(TrialError, match="Python objects, which are never loaded"):
        open_source(f"file:{tmp_path}/a.npz")


def test_a_single_array_of_any_name_is_the_matrix(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", ROWS)
    assert np.array_equal(open_source(f"file:{tmp_path}/a.npz").rows, ROWS)
