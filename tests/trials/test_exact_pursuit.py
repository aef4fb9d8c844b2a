"""Exact codes of planted rows, where it is known how many atoms each is made of."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import trials
from trials.api import Context, TrialResult
from trials.exact_pursuit.kind import KIND, ExactPursuitConfig
from trials.exact_pursuit.run import run
from trials.inputs.controls.planted import planted_rows
from trials.inputs.sources.precision import rounded

D_MODEL = 24


@pytest.fixture
def context(tmp_path: Path) -> Context:
    def no_artifact(run_id: str, path: str) -> Path:
        raise AssertionError("no artifact is needed")

    return Context("cpu", 1, tmp_path, tmp_path, lambda step, metrics: None, no_artifact)


def trial(context: Context, rows: np.ndarray, **config: Any) -> TrialResult:
    np.save("rows.npy", rows)
    given = {
        "source": "file:rows.npy",
        "n_atoms": "2x",
        "l1_penalty": 0.2,
        "centre": "none",
        "max_passes": 20,
        "n_sampled": 40,
    }
    return run(ExactPursuitConfig.model_validate(given | config), context)


def one_of_few_directions(n_tokens: int = 600) -> np.ndarray:
    """Rows that a dictionary of 48 atoms can hold exactly, one atom each."""
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((40, D_MODEL))
    return (directions[np.arange(n_tokens) % 40] * (1 + rng.random((n_tokens, 1)))).astype("f")


def noisy() -> np.ndarray:
    rng = np.random.default_rng(1)
    return planted_rows(600, D_MODEL, n_atoms=48, sparsity=3, snr_db=20.0, rng=rng).rows


def test_rows_of_a_learnable_dictionary_need_few_atoms(context: Context) -> None:
    real = trial(context, one_of_few_directions())
    null = trial(context, one_of_few_directions(), null="random_dictionary")
    assert real.uncertified == null.uncertified == ""
    assert real.metrics["below_half_d_model_frac_held_out"] > 0.5
    assert null.metrics["l0_exact_held_out"] == pytest.approx(D_MODEL)
    assert null.metrics["below_d_model_frac_held_out"] == 0
    assert real.metrics["l1_exact_held_out"] < null.metrics["l1_exact_held_out"]


def four_of_128(n_tokens: int = 5000) -> np.ndarray:
    """Rows of 4 of 128 atoms in 64 dimensions, in 8-bit blocks."""
    rng = np.random.default_rng(0)
    atoms = rng.standard_normal((128, 64))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    which = rng.random((n_tokens, 128)).argpartition(4, axis=1)[:, :4]
    rows = np.einsum("is,isd->id", rng.standard_normal((n_tokens, 4)), atoms[which])
    return rounded(rows.astype(np.float32), "Q8_0")


def test_the_sparsity_at_the_error_of_rounding_is_what_was_planted(context: Context) -> None:
    result = trial(context, four_of_128())
    assert result.facts["precision"] == "Q8_0"
    assert result.metrics["l0_exact_held_out"] > 60
    assert result.metrics["l0_at_rounding_held_out"] == pytest.approx(4, abs=0.1)
    assert result.metrics["participation_at_rounding_held_out"] < 4
    assert result.metrics["beyond_rounding_frac_held_out"] == 0
    assert result.metrics["sharpening_rounds"] > 0


def test_gaussian_rows_of_the_same_moments_need_most_dimensions(context: Context) -> None:
    result = trial(context, four_of_128(), null="gaussian_spectrum", n_sampled=20)
    assert result.metrics["l0_at_rounding_held_out"] > 30
    assert result.metrics["participation_at_rounding_held_out"] > 15
    assert result.metrics["sharpening_rounds"] == 0


def test_noise_of_full_rank_takes_as_many_atoms_as_dimensions(context: Context) -> None:
    result = trial(context, noisy())
    assert result.metrics["l0_exact_median_held_out"] == D_MODEL
    assert result.metrics["l0_exact_of_d_model_held_out"] == pytest.approx(1, abs=0.02)
    assert result.metrics["residual_max"] < 1e-5
    assert result.metrics["gap_max"] <= 1e-5


def test_the_table_holds_each_sampled_token_with_its_exact_code(context: Context) -> None:
    result = trial(context, noisy(), n_sampled=30)
    table, metrics = result.tables["tokens"], result.metrics
    for name in ("l0_at_rounding", "l0_exact"):
        for side in ("train", "validation", "held_out"):
            l0 = [n for n, of in zip(table[name], table["side"], strict=True) if of == side]
            assert len(l0) == metrics[f"n_{side}_tokens"] == 30
            assert np.mean(l0) == pytest.approx(metrics[f"{name}_{side}"])
    assert list(table["l0_at_rounding"]) == sorted(table["l0_at_rounding"])
    assert all(table["feasible"])
    assert len(set(table["token_id"])) == 90


def test_fewer_atoms_than_dimensions_reconstruct_nothing_exactly(context: Context) -> None:
    result = trial(context, noisy(), n_atoms=8)
    assert result.metrics["infeasible_frac_held_out"] == 1
    assert np.isnan(result.metrics["l0_exact_held_out"])
    assert result.uncertified == "no token has an exact code: the atoms do not span the rows"


def test_tokens_outside_the_cone_of_the_atoms_are_counted(context: Context) -> None:
    config = {"n_atoms": D_MODEL, "l1_penalty": 0.1}
    assert trial(context, noisy(), **config).metrics["infeasible_frac_held_out"] == 0
    nonnegative = trial(context, noisy(), **config, nonnegative=True)
    assert nonnegative.metrics["infeasible_frac_held_out"] > 0.5


def test_seeds_code_the_same_tokens_over_other_dictionaries(context: Context) -> None:
    first, other = (trial(context, noisy(), seed=seed, split_seed=0) for seed in (0, 1))
    assert set(first.tables["tokens"]["token_id"]) == set(other.tables["tokens"]["token_id"])
    assert not np.array_equal(
        first.arrays["dictionary"]["atoms"], other.arrays["dictionary"]["atoms"]
    )


def test_the_ready_made_sweep_gives_valid_configs() -> None:
    path = Path(trials.__file__).parent / "sweeps" / "exact-pursuit.yaml"
    sweep = yaml.safe_load(path.read_text())
    assert sweep["kind"] == KIND.name
    for point in itertools.product(*sweep["space"].values()):
        ExactPursuitConfig(**sweep["fixed"], **dict(zip(sweep["space"], point, strict=True)))
