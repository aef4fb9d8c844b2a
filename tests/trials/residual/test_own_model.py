"""Replacing the rows of a model that one of our own trials trained, on the text that it names."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tests.trials.tiny_training import fetch_from, train
from trials.api import Context, TrialError
from trials.inputs.rows import load_rows
from trials.residual.functional import functional_cost
from trials.residual.kind import ResidualConfig

LAST = "run:mine/step-000100"
ATOMS = {"n_atoms": 32, "l1_penalty": 0.3}


class Run:
    """A training's artifacts in a folder, and its text in a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        words = np.random.default_rng(0).choice(
            ["".join(w) for w in product("aeiou", "lmnrst", "aeiou")], 60_000
        )
        self.text = folder / "text.txt"
        self.text.write_text("\n".join(map(" ".join, words.reshape(-1, 10))))
        self.result = train(folder, corpus=f"corpus:{self.text}", d_model=16, n_snapshots=2)

    def context(self) -> Context:
        fetch = fetch_from(self.folder, "mine")
        return Context("cpu", 1, self.folder, self.folder, lambda step, metrics: None, fetch)

    def cost(self, factor: float, **more: Any) -> dict[str, float]:
        """Of rows shrunk by a factor."""
        given = {**ATOMS, "source": LAST, "frequencies": "source", "model": "source"}
        config = ResidualConfig.model_validate(given | {"context": 16} | more)
        context = self.context()
        data = load_rows(config, fetch_artifact=context.fetch_artifact)
        return functional_cost(config, data, np.float32(factor) * data.rows, context)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_the_model_of_the_source_is_measured_on_the_sealed_text_of_its_training(run: Run) -> None:
    own = run.result.metrics["loss_held_out"]
    exact, rough = run.cost(1.0), run.cost(0.2)
    assert exact["loss_model_held_out"] == pytest.approx(own, rel=0.02)
    assert abs(exact["cost_input_reconstruction_held_out"]) < 1e-5
    assert rough["cost_input_reconstruction_held_out"] > 0.01
    assert np.isnan(rough["cost_output_reconstruction_held_out"])
    outside = run.cost(0.2, source=f"{LAST}#output_embedding")
    assert outside["cost_output_reconstruction_held_out"] > 0.01
    assert np.isnan(outside["cost_input_reconstruction_held_out"])


def test_an_earlier_step_is_not_the_model_s(run: Run) -> None:
    with pytest.raises(TrialError, match="is no embedding of run:mine/model"):
        run.cost(1.0, source="run:mine/step-000000")


def test_a_text_that_changed_and_a_run_without_one_are_named(run: Run) -> None:
    run.text.write_text(run.text.read_text().replace("ala", "xyz"))
    with pytest.raises(TrialError, match="is not the text any more that it was trained on"):
        run.cost(1.0)
    (run.folder / "text.csv").unlink()
    with pytest.raises(TrialError, match="run mine does not say what its text was"):
        run.cost(1.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "source", "corpus": "stdlib:"}, "on the sealed part of the text"),
        ({"model": "source", "source": "file:rows.npy"}, "names no model"),
        ({"model": "run:abc/model#tensor"}, "names no model"),
    ],
)
def test_a_mistake_is_one_line(given: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ResidualConfig.model_validate({"source": LAST, **ATOMS, **given})
