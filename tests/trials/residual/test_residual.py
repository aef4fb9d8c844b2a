"""The kind `residual` on rows with and without structure beyond sparse codes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from trials.api import Context, TrialError, TrialResult
from trials.inputs.controls.planted import planted_rows
from trials.inputs.frequencies import token_frequencies
from trials.inputs.models import LanguageModel
from trials.inputs.models.gpt2 import Architecture, new_gpt2
from trials.inputs.rows import TokenRows, load_rows, prepare_rows
from trials.inputs.sources import open_source
from trials.residual.functional import ARMS, SIDES, functional_cost
from trials.residual.kind import KIND, ResidualConfig
from trials.residual.measure import purities

CONFIG = {
    "n_atoms": 40,
    "l1_penalty": 0.3,
    "max_passes": 12,
    "second_atoms": 24,
    "n_permutations": 199,
    "n_dimensions": 2,
    "centre": "none",
}


def a_context(folder: Path) -> Context:
    def nothing(run_id: str, path: str) -> Path:
        raise AssertionError(path)

    return Context("cpu", 1, folder, folder, lambda step, metrics: None, nothing)


def trial(folder: Path, rows: np.ndarray, **config: Any) -> TrialResult:
    np.save(folder / "rows.npy", rows)
    given = {"source": f"file:{folder / 'rows.npy'}", **CONFIG, **config}
    return KIND.execute(KIND.config.model_validate(given), a_context(folder))


@pytest.fixture(scope="module")
def sparse() -> np.ndarray:
    rng = np.random.default_rng(0)
    return planted_rows(1600, 16, n_atoms=30, sparsity=2, snr_db=20.0, rng=rng).rows


def test_residuals_of_sparse_rows_are_noise_and_those_of_their_gaussian_are_not(
    tmp_path: Path, sparse: np.ndarray
) -> None:
    real = trial(tmp_path, sparse)
    null = trial(tmp_path, sparse, null="gaussian_spectrum").metrics
    assert real.uncertified == ""
    assert abs(real.metrics["r2_residual_held_out"]) < 0.1 < null["r2_residual_held_out"]
    assert 10 < real.metrics["participation_ratio_held_out"] < 17
    assert real.metrics["subspace_overlap_held_out"] < 0.5
    assert real.metrics["subspace_chance"] == 2 / 16
    assert np.isnan(real.metrics["loss_model_held_out"])
    kept = real.arrays["residuals"]
    left = kept["residual"] * kept["divisor"][:, None]
    power = (left**2).sum() / (sparse[kept["token_id"]] ** 2).sum()
    assert power == pytest.approx(real.metrics["fvu_debiased_held_out"], rel=0.01)


def test_labels_that_lie_in_the_rows_are_found_and_others_are_not(
    tmp_path: Path, sparse: np.ndarray
) -> None:
    names = tuple(f" {'ABCDEFGH'[i % 8]}{chr(97 + i % 26)}{i}" for i in range(len(sparse)))
    directions = np.random.default_rng(3).standard_normal((8, 16)) / 4
    labelled = sparse + directions[np.arange(len(sparse)) % 8]
    found = {}
    for kind, rows in (("labelled", labelled), ("plain", sparse)):
        np.save(tmp_path / "rows.npy", rows.astype(np.float32))
        config = ResidualConfig.model_validate(
            {"source": f"file:{tmp_path / 'rows.npy'}", **CONFIG}
        )
        matrix = open_source(config.source)._replace(tokens=names)
        table = token_frequencies("zipf", matrix.merge_rank, lambda: None)
        data = prepare_rows(config, matrix, table)
        found[kind] = purities(config, data, data.rows, "held_out")
    assert found["labelled"].n_found >= 1
    assert found["labelled"].excess > 0.02
    assert found["plain"].n_found == 0
    assert abs(found["plain"].excess) < 0.02


SHAPE = Architecture(
    n_vocab=200, n_layers=1, n_heads=2, d_model=16, context=32, tied=1, output_bias=0
)


class Asked(NamedTuple):
    """What the functional cost is asked of: rows that are a model's, and text for the model."""

    config: ResidualConfig
    data: TokenRows
    context: Context
    sides: tuple[str, ...]


@pytest.fixture(params=[1, 0], ids=["tied", "untied"])
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Asked:
    shape = SHAPE._replace(tied=request.param)
    model = new_gpt2(shape, initial_std=0.5, seed=0).eval()
    monkeypatch.setattr(
        "trials.residual.functional.open_model",
        lambda uri, fetch_artifact: LanguageModel(model, uri),
    )
    text = np.random.default_rng(0).integers(0, 200, 2000).astype(np.uint16)
    monkeypatch.setattr(
        "trials.residual.functional.open_corpus",
        lambda config, n_threads: SimpleNamespace(held_out=text),
    )
    np.save(tmp_path / "rows.npy", model.transformer.wte.weight.detach().numpy())
    config = ResidualConfig.model_validate(
        {
            "source": f"file:{tmp_path / 'rows.npy'}",
            **CONFIG,
            "centre": "mean",
            "model": "hub:any",
            "evaluation_tokens": 800,
            "context": 16,
        }
    )
    sides = SIDES if request.param else ("input",)
    return Asked(config, load_rows(config), a_context(tmp_path), sides)


def test_rows_replaced_by_themselves_cost_nothing_and_worse_ones_cost_more(asked: Asked) -> None:
    exact = functional_cost(asked.config, asked.data, asked.data.rows, asked.context)
    assert 0.9 < exact["covered_frac_held_out"] <= 1
    for side in asked.sides:
        for arm in ("reconstruction", "shuffled", "random"):
            assert abs(exact[f"cost_{side}_{arm}_held_out"]) < 1e-5
    rough = functional_cost(asked.config, asked.data, 0.5 * asked.data.rows, asked.context)
    assert rough["loss_model_held_out"] == exact["loss_model_held_out"]
    costs = {name: value for name, value in rough.items() if name.startswith("cost_")}
    assert set(costs) == {f"cost_{side}_{arm}_held_out" for side in SIDES for arm in ARMS}
    for name, value in costs.items():
        assert abs(value) > 1e-4 if name.split("_")[1] in asked.sides else np.isnan(value)


def test_a_model_with_other_rows_is_refused(asked: Asked, tmp_path: Path) -> None:
    other = asked.data._replace(rows=asked.data.rows[::-1])
    with pytest.raises(TrialError, match=r"rows.npy is no embedding of hub:any"):
        functional_cost(asked.config, other, other.rows, asked.context)
