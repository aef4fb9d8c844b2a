"""A small model that was trained on a small text, and trials of its rows."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import save_file

from trials.api import Context, TrialResult
from trials.inputs.models import LanguageModel, open_model
from trials.pretrain import KIND as PRETRAIN
from trials.row_swap import KIND
from trials.row_swap.config import RowSwapConfig

TEXT = {"n_vocab": 300, "validation_frac": 0.1, "held_out_frac": 0.1, "corpus_bytes": 200_000}
SMALL = {
    **TEXT,
    "model": "run:tiny/model",
    "n_strata": 2,
    "tokens_a_stratum": 4,
    "context": 16,
    "base_sequences": 8,
}


class Place:
    """A folder with the artifacts of one trained model."""

    def __init__(self, folder: Path, tying: str) -> None:
        self.folder = folder
        config = {
            **TEXT,
            "tying": tying,
            "n_layers": 1,
            "n_heads": 2,
            "d_model": 32,
            "context": 16,
            "n_tokens": 25_600,
            "batch_size": 16,
            "warm_up_steps": 5,
            "learning_rate": 0.01,
            "n_evaluations": 1,
            "evaluation_tokens": 500,
            "keep_model": True,
        }
        result = PRETRAIN.run(PRETRAIN.config.model_validate(config), self.context())
        save_file(dict(result.arrays["model"]), folder / "model.safetensors")
        for stem in ("architecture", "vocabulary"):
            table = result.tables[stem]
            with (folder / f"{stem}.csv").open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([list(table), *zip(*table.values(), strict=True)])

    def context(self, name: str = "") -> Context:
        def fetch(run_id: str, path: str) -> Path:
            if not (self.folder / path).is_file():
                raise FileNotFoundError(path)
            return self.folder / path

        places = self.folder / name / "work", self.folder / name / "checkpoints"
        for folder in places:
            folder.mkdir(parents=True, exist_ok=True)
        return Context("cpu", 1, *places, lambda step, metrics: None, fetch)

    def run(self, **changes: Any) -> TrialResult:
        return KIND.run(self.config(**changes), self.context())

    def config(self, **changes: Any) -> RowSwapConfig:
        return RowSwapConfig.model_validate({**SMALL, **changes})

    def model(self) -> LanguageModel:
        return open_model("run:tiny/model", fetch_artifact=self.context().fetch_artifact)


@pytest.fixture(scope="package", params=["tied", "untied"])
def place(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Place:
    return Place(tmp_path_factory.mktemp(request.param), request.param)
