"""A small model that was trained on a small text, and trials of its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.trials.tiny_training import TEXT, fetch_from, train
from trials.api import Context, TrialResult
from trials.inputs.models import LanguageModel, open_model
from trials.row_swap.kind import KIND, RowSwapConfig

SMALL = {
    **TEXT,
    "corpus_bytes": 200_000,
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
        train(folder, tying=tying, corpus_bytes=200_000, evaluation_tokens=500)

    def context(self, name: str = "") -> Context:
        places = self.folder / name / "work", self.folder / name / "checkpoints"
        for folder in places:
            folder.mkdir(parents=True, exist_ok=True)
        return Context("cpu", 1, *places, lambda step, metrics: None, fetch_from(self.folder))

    def run(self, **changes: Any) -> TrialResult:
        return KIND.execute(self.config(**changes), self.context())

    def config(self, **changes: Any) -> RowSwapConfig:
        return RowSwapConfig.model_validate({**SMALL, **changes})

    def model(self) -> LanguageModel:
        return open_model("run:tiny/model", fetch_artifact=self.context().fetch_artifact)


@pytest.fixture(scope="package", params=["tied", "untied"])
def place(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Place:
    return Place(tmp_path_factory.mktemp(request.param), request.param)
