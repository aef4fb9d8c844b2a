from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from trials.api import NoSuchArtifact, TrialError
from trials.inputs.sources import load_tokenizer, open_source, source_digest

URI = "run:0a1b2c/step-001000"


class Artifacts:
    """The artifacts of run 0a1b2c, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fetch(self, run_id: str, path: str) -> Path:
        if run_id != "0a1b2c" or not (self.folder / path).is_file():
            raise FileNotFoundError(f"{run_id}/{path}")
        return self.folder / path


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    tensors = {"input_embedding": np.ones((3, 4), np.float32), "output_embedding": np.zeros((3, 4))}
    save_file(tensors, tmp_path / "step-001000.safetensors")
    with (tmp_path / "vocabulary.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [
                ("token", "special", "merge_rank", "count"),
                (' a,"\r\n', 0, 1, 7),
                ("<end>", 1, 2, 0),
                ("b\x00é", 0, 0, 9),
            ]
        )
    return Artifacts(tmp_path)


def test_a_checkpoint_of_a_run_is_read_with_its_tokens(artifacts: Artifacts) -> None:
    matrix = open_source(URI, fetch_artifact=artifacts.fetch)
    assert np.array_equal(matrix.rows, np.ones((3, 4)))
    assert matrix.tokens == (' a,"\r\n', "<end>", "b\x00é")
    assert matrix.special.tolist() == [False, True, False]
    assert matrix.merge_rank.tolist() == [1, 2, 0]
    assert matrix.digest == source_digest(URI)
    for name, total in (("output_embedding", 0), ("output", 0), ("input", 12)):
        found = open_source(f"{URI}#{name}", fetch_artifact=artifacts.fetch)
        assert found.rows.sum() == total


def test_whether_a_run_was_tied_is_told_by_its_tensors(artifacts: Artifacts) -> None:
    assert open_source(URI, fetch_artifact=artifacts.fetch).facts["tied"] == "no"
    alone = {"input_embedding": np.ones((3, 4), np.float32)}
    save_file(alone, artifacts.folder / "step-001000.safetensors")
    assert open_source(URI, fetch_artifact=artifacts.fetch).facts["tied"] == "yes"


def test_a_run_that_left_no_tokens_has_numbered_rows(artifacts: Artifacts) -> None:
    (artifacts.folder / "vocabulary.csv").unlink()
    assert open_source(URI, fetch_artifact=artifacts.fetch).tokens == ("#0", "#1", "#2")


def test_a_vocabulary_of_another_size_is_one_line(artifacts: Artifacts) -> None:
    (artifacts.folder / "vocabulary.csv").write_text("token,special,merge_rank\na,0,0\n")
    with pytest.raises(TrialError, match="names 1 tokens, but the matrix has 3 rows"):
        open_source(URI, fetch_artifact=artifacts.fetch)


@pytest.mark.parametrize(
    "table",
    [
        "",
        "token,special\na,0\nb,0\nc,0\n",
        "token,special,merge_rank\na,0,0\nb,0,x\nc,0,2\n",
        "token,special,merge_rank\na,0,0\nb,0,0\nc,0,2\n",
        "token,special,merge_rank\na,2,0\nb,0,1\nc,0,2\n",
        "token,special,merge_rank\na,0,0\nb,0\nc,0,2\n",
        "token,special,merge_rank,count\na,0,0,1\nb,0,1,-1\nc,0,2,1\n",
        "token,special,merge_rank\na,0,99999999999999999999\nb,0,1\nc,0,2\n",
    ],
)
def test_a_damaged_vocabulary_never_passes_for_none(artifacts: Artifacts, table: str) -> None:
    (artifacts.folder / "vocabulary.csv").write_text(table)
    with pytest.raises(TrialError, match=r"^run:0a1b2c/step-001000: vocabulary\.csv") as caught:
        open_source(URI, fetch_artifact=artifacts.fetch)
    assert "\n" not in str(caught.value)


def test_a_vocabulary_that_cannot_be_fetched_never_passes_for_none(artifacts: Artifacts) -> None:
    def fetch(run_id: str, path: str) -> Path:
        if path == "vocabulary.csv":
            raise TrialError("its content is not what was recorded")
        return artifacts.fetch(run_id, path)

    with pytest.raises(TrialError, match="not what was recorded"):
        open_source(URI, fetch_artifact=fetch)


def test_a_run_whose_store_knows_no_vocabulary_has_numbered_rows(artifacts: Artifacts) -> None:
    def fetch(run_id: str, path: str) -> Path:
        if path == "vocabulary.csv":
            raise NoSuchArtifact("run '0a1b2c' has no artifact 'vocabulary.csv'")
        return artifacts.fetch(run_id, path)

    assert open_source(URI, fetch_artifact=fetch).tokens == ("#0", "#1", "#2")


def test_the_digest_tells_runs_steps_and_tensors_apart() -> None:
    uris = (URI, "run:0a1b2d/step-001000", "run:0a1b2c/step-002000", f"{URI}#output_embedding")
    assert len({source_digest(uri) for uri in uris}) == 4


def test_the_input_embedding_is_the_default_tensor() -> None:
    assert source_digest(URI) == source_digest(f"{URI}#input_embedding")


def test_a_step_that_the_run_did_not_keep_is_one_line(artifacts: Artifacts) -> None:
    with pytest.raises(TrialError, match=r"has no artifact step-7\.safetensors"):
        open_source("run:0a1b2c/step-7", fetch_artifact=artifacts.fetch)


def test_a_run_cannot_be_read_without_a_store() -> None:
    with pytest.raises(TrialError, match="only by a trial of a sweep"):
        open_source(URI)


def test_a_run_has_no_tokenizer() -> None:
    with pytest.raises(TrialError, match="no tokenizer"):
        load_tokenizer(URI)
