"""The kind as a whole, on planted rows where the truth is known."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml
from pydantic import ValidationError
from scipy.sparse import csr_array

import trials
from trials.api import Context, TrialResult
from trials.inputs.frequencies import token_frequencies
from trials.inputs.rows import prepare_rows
from trials.inputs.sources import EmbeddingMatrix
from trials.kernels.dictionaries import Autoencoder, encode, mean_max_cosine
from trials.sae.kind import KIND, SaeConfig
from trials.sae.metrics import CODED
from trials.sae.run import compare

SMALL = {
    "source": "file:planted.npy",
    "architecture": "topk",
    "n_atoms": 48,
    "k": 3,
    "n_steps": 200,
    "batch_size": 128,
    "max_passes": 10,
}
OTHERS: dict[str, dict[str, Any]] = {
    "batch_topk": {"architecture": "batch_topk"},
    "relu": {"architecture": "relu", "k": None, "l1_coefficient": 0.6},
    "jumprelu": {
        "architecture": "jumprelu",
        "k": None,
        "l0_coefficient": 0.05,
        "bandwidth": 0.3,
    },
}


class Interrupted(Exception):
    """What a killed worker looks like from inside."""


def no_artifact(run_id: str, path: str) -> Path:
    raise AssertionError("no artifact is needed")


def a_context(folder: Path) -> Context:
    return Context("cpu", 1, folder, folder, lambda step, metrics: None, no_artifact)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return a_context(tmp_path)


def planted(n_tokens: int = 1000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of three of 32 atoms each, with positive coefficients; and the atoms."""
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((32, 16))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    which = rng.random((n_tokens, 32)).argpartition(3, axis=1)[:, :3]
    rows = np.einsum("is,isd->id", rng.uniform(0.5, 1.5, which.shape), atoms[which])
    rows += 0.02 * rng.standard_normal(rows.shape)
    return rows.astype(np.float32), atoms.astype(np.float32)


def trial(context: Context, rows: np.ndarray | None = None, **fields: Any) -> TrialResult:
    rows = planted()[0] if rows is None else rows
    config = SaeConfig(**(SMALL | fields))
    matrix = EmbeddingMatrix(
        rows=rows,
        tokens=tuple(f"w{i}" for i in range(len(rows))),
        special=np.zeros(len(rows), dtype=bool),
        merge_rank=np.arange(len(rows)),
        digest="0" * 64,
        uri="file:planted.npy",
        facts={},
    )
    table = token_frequencies("zipf", matrix.merge_rank, lambda: None)
    return compare(config, prepare_rows(config, matrix, table), context)


def numbers(result: TrialResult) -> dict[str, float]:
    """All metrics but those that a clock gives; NaN as text, so that it equals itself."""
    timed = {metric.name for metric in KIND.metrics if metric.timing}
    return {
        name: value if value == value else "NaN"
        for name, value in result.metrics.items()
        if name not in timed
    }


class Whole(NamedTuple):
    """A trial that nothing disturbed, and what it reported."""

    result: TrialResult
    reports: list[tuple[int, Mapping[str, float]]]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The config `SMALL` on the planted rows."""
    seen: list[tuple[int, Mapping[str, float]]] = []
    context = a_context(tmp_path_factory.mktemp("small"))
    result = trial(context._replace(report=lambda *progress: seen.append(progress)))
    return Whole(result, seen)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrialResult:
    """Long enough to find the atoms."""
    context = a_context(tmp_path_factory.mktemp("trained"))
    config = {"n_steps": 1000, "learning_rate": 1e-2, "centre": "none", "max_passes": 40}
    return trial(context, planted(3000)[0], **config)


def test_planted_atoms_are_recovered(trained: TrialResult) -> None:
    truth = planted(3000)[1]
    assert mean_max_cosine(trained.arrays["dictionary"]["atoms"], truth) > 0.9
    assert mean_max_cosine(trained.arrays["pursuit_dictionary"]["atoms"], truth) > 0.9
    assert trained.metrics["mmcs_sae_pursuit"] > 0.8
    assert trained.metrics["fvu_sae_held_out"] < 0.15
    assert trained.uncertified == ""


def test_exact_codes_on_the_decoder_do_no_worse_than_its_encoder(trained: TrialResult) -> None:
    for side in ("train", "validation", "held_out"):
        assert trained.metrics[f"amortisation_gap_{side}"] > 0
        assert trained.metrics[f"amortisation_gap_omp_{side}"] > 0
    assert trained.metrics["fvu_debiased_sae_train"] < trained.metrics["fvu_sae_train"]


@pytest.mark.parametrize("architecture", ["topk", *OTHERS])
def test_every_solution_has_as_many_atoms_a_token_on_each_side(
    architecture: str, context: Context
) -> None:
    config = OTHERS.get(architecture, {}) | {"n_steps": 300, "learning_rate": 1e-2}
    metrics = trial(context, **config).metrics
    for side, rel in (("train", 0.01), ("validation", 0.02), ("held_out", 0.02)):
        wanted = metrics[f"l0_sae_{side}"]
        assert wanted > 1
        for name in ("omp", "exact", "pursuit"):
            assert metrics[f"l0_{name}_{side}"] == pytest.approx(wanted, rel=rel), name
    assert all(math.isfinite(value) for value in metrics.values())
    assert metrics["fvu_sae_train"] < 0.6


def test_the_gaps_add_up(trained: TrialResult) -> None:
    for side in ("train", "validation", "held_out"):
        of = {name: trained.metrics[f"{name}_{side}"] for name in ("fvu_sae", "amortisation_gap")}
        left = of["fvu_sae"] - trained.metrics[f"fvu_debiased_pursuit_{side}"]
        gap = trained.metrics[f"dictionary_gap_{side}"]
        assert of["amortisation_gap"] + gap == pytest.approx(left)


def test_codes_of_the_encoder_are_never_negative_and_exact_ones_only_when_asked(
    context: Context, small: Whole
) -> None:
    nonnegative, signed = small.result, trial(context, nonnegative=False)
    assert (nonnegative.arrays["codes"]["data"] > 0).all()
    for name, value in nonnegative.metrics.items():
        if "_sae_" in name:  # what is compared with does not change it
            assert signed.metrics[name] == value or name.startswith("mmcs"), name
    assert signed.metrics["fvu_exact_train"] != nonnegative.metrics["fvu_exact_train"]


def test_the_metrics_are_exactly_the_declared_ones_and_the_sealed_ones_are_marked(
    small: Whole,
) -> None:
    assert set(small.result.metrics) == set(KIND.metric_names)
    sealed = {metric.name for metric in KIND.metrics if metric.held_out}
    assert sealed == {n for n in KIND.metric_names if n.endswith("_held_out")}
    assert not KIND.metric(KIND.objective).held_out
    for name in CODED:
        assert KIND.metric(f"fvu_{name}_held_out").definition.count("[") == 1


def test_reports_are_declared_metrics_of_the_validation_tokens(small: Whole) -> None:
    result, seen = small
    assert [step for step, _ in seen] == list(range(10, 201, 10))
    for _, metrics in seen:
        assert tuple(metrics) == KIND.reports
    assert set(KIND.reports) <= set(KIND.metric_names)
    last = seen[-1][1]
    assert last["fvu_sae_validation"] < seen[0][1]["fvu_sae_validation"]
    for name, value in last.items():
        assert result.metrics[name] == pytest.approx(value, rel=1e-5)
    assert list(result.tables["training_curve"]["step"]) == [step for step, _ in seen]


@pytest.mark.parametrize("architecture", ["topk", "jumprelu"])
def test_an_interrupted_trial_goes_on_and_ends_bit_for_bit_the_same(
    tmp_path: Path, architecture: str, small: Whole
) -> None:
    folders = tmp_path / "whole", tmp_path / "torn"
    for folder in folders:
        folder.mkdir()
    whole = small.result
    if architecture != "topk":
        whole = trial(a_context(folders[0]), **OTHERS[architecture])
    steps: list[int] = []

    def stop_at(last: int) -> Context:
        def report(step: int, metrics: Mapping[str, float]) -> None:
            steps.append(step)
            if step == last:
                raise Interrupted

        return a_context(folders[1])._replace(report=report)

    with pytest.raises(Interrupted):
        trial(stop_at(90), **OTHERS.get(architecture, {}))
    torn = trial(stop_at(1000), **OTHERS.get(architecture, {}))
    assert steps == list(range(10, 201, 10)), "no step is taken twice"
    assert numbers(torn) == numbers(whole)
    assert torn.tables["training_curve"] == whole.tables["training_curve"]
    for stem, tensors in whole.arrays.items():
        for name, array in tensors.items():
            np.testing.assert_array_equal(array, torn.arrays[stem][name], err_msg=name)


def test_a_checkpoint_of_another_config_is_left_alone(context: Context, small: Whole) -> None:
    def interrupt(step: int, metrics: Mapping[str, float]) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        trial(context._replace(report=interrupt), seed=1)
    assert list(context.checkpoint_dir.iterdir())
    after = numbers(trial(context))
    assert not list(context.checkpoint_dir.iterdir()), "a trial that is done needs none"
    assert numbers(small.result) == after


def test_the_artifacts_reconstruct_the_embedding(context: Context) -> None:
    rows = planted()[0] + 3
    result = trial(context, rows, scale="unit_rows", centre="none")
    parts, tokens, found = (result.arrays[n] for n in ("codes", "tokens", "dictionary"))
    seen = (rows[tokens["token_id"]] - found["offset"]) / tokens["divisor"][:, None]
    autoencoder = Autoencoder(
        *(found[name] for name in ("atoms", "encoder", "encoder_bias", "decoder_bias")),
        threshold=found["threshold"],
        k=3,
    )
    codes = csr_array((parts["data"], parts["indices"], parts["indptr"]), shape=parts["shape"])
    again = encode(autoencoder, seen.astype(np.float32))
    assert abs(codes - again).max() < 1e-5
    left = ((seen - codes @ found["atoms"] - found["decoder_bias"]) ** 2).sum(axis=1)
    np.testing.assert_allclose(left, tokens["squared_error"], rtol=1e-3, atol=1e-6)
    for name in ("exact", "omp", "pursuit"):
        assert np.isfinite(tokens[f"{name}_debiased_squared_error"]).all()
    assert result.arrays["pursuit_dictionary"]["atoms"].shape == (48, 16)


def test_origin_and_length_of_the_rows_do_not_matter(context: Context) -> None:
    rows = planted()[0]
    here = numbers(trial(context, rows, centre="none", scale="none"))
    there = numbers(trial(context, 4 * rows + 2, centre="none", scale="none"))
    for name in CODED:
        wanted = here[f"fvu_{name}_held_out"]
        # Learning has many optima: rounding alone can lead it to another one as good.
        assert there[f"fvu_{name}_held_out"] == pytest.approx(wanted, rel=0.1)


def test_tokens_are_trained_on_as_their_weights_say(context: Context, small: Whole) -> None:
    flat = small.result
    steep = trial(context, frequency_exponent=1.0)
    common = np.flatnonzero(steep.arrays["tokens"]["weight"] > 10)

    def errors(result: TrialResult) -> np.ndarray:
        tokens = result.arrays["tokens"]
        return tokens["squared_error"][common][tokens["side"][common] == 0]

    assert len(errors(steep)) > 3
    assert errors(steep).mean() < 0.5 * errors(flat).mean()
    assert steep.metrics["effective_sample_size"] < 200


def test_an_autoencoder_that_is_not_sparse_is_compared_with_nothing(context: Context) -> None:
    result = trial(context, **OTHERS["relu"] | {"l1_coefficient": 1e-6}, n_steps=20)
    assert "more than half of d_model 16: no sparse code to compare with" in result.uncertified
    assert math.isfinite(result.metrics["fvu_sae_held_out"])
    assert math.isnan(result.metrics["fvu_exact_held_out"])
    assert math.isnan(result.metrics["amortisation_gap_held_out"])
    assert set(result.metrics) == set(KIND.metric_names)


def test_an_autoencoder_that_uses_no_atom_is_still_measured(context: Context) -> None:
    result = trial(context, **OTHERS["relu"] | {"l1_coefficient": 1e3}, n_steps=400)
    assert result.metrics["l0_sae_train"] == 0
    assert result.metrics["fvu_pursuit_train"] == pytest.approx(1)
    bias_alone = result.metrics["fvu_sae_train"]
    for name in ("exact", "omp"):
        assert result.metrics[f"fvu_{name}_train"] == pytest.approx(bias_alone)


def test_a_gap_above_the_tolerance_is_named_and_not_certified(context: Context) -> None:
    result = trial(context, tolerance=1e-12)
    assert result.uncertified.startswith("exact: duality gap")
    assert "; pursuit: duality gap" in result.uncertified


def test_a_null_is_a_control(context: Context) -> None:
    real, null = (
        trial(context, planted()[0], null=null, n_steps=400).metrics
        for null in ("none", "gaussian_spectrum")
    )
    assert null["fvu_debiased_pursuit_held_out"] > 1.5 * real["fvu_debiased_pursuit_held_out"]
    assert KIND.is_control({"null": "gaussian_spectrum"})


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"k": None}, "architecture topk needs k"),
    ({"architecture": "relu", "k": None}, "architecture relu needs l1_coefficient"),
    ({"architecture": "relu", "l1_coefficient": 0.1}, "k is 3, and architecture relu has none; "),
    ({"l1_coefficient": 0.1}, "architecture topk has none; it belongs to relu"),
    (
        {"architecture": "jumprelu", "k": None, "l0_coefficient": 0.1},
        "architecture jumprelu needs bandwidth",
    ),
    ({"bandwidth": 0.1}, "it belongs to jumprelu"),
    (OTHERS["relu"] | {"k": 2}, "it belongs to topk and batch_topk"),
    ({"architecture": "gated"}, "batch_topk"),
    ({"k": 0}, "greater than or equal to 1"),
    ({"warm_up_frac": 0.6, "decay_frac": 0.5}, "must be at most 1 together"),
    ({"null": "random_dictionary"}, "null random_dictionary is for kinds that learn by pursuit"),
    ({"n_atoms": "4y"}, "'4y' must be a number above 0"),
    ({"learning_rate": 0.0}, "greater than 0"),
    ({"n_step": 5}, "n_step"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda part: str(part)[:40])
def test_a_bad_field_is_refused_with_the_rule(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SaeConfig(**(SMALL | fields))
    assert message in str(caught.value)


def test_a_resolved_config_is_valid_again() -> None:
    for fields in ({}, *OTHERS.values()):
        config = SaeConfig(**(SMALL | fields))
        assert SaeConfig.model_validate(config.model_dump()) == config


def test_every_field_is_described() -> None:
    assert all(field.description for field in SaeConfig.model_fields.values())


def test_the_ready_made_sweep_gives_valid_configs() -> None:
    path = Path(trials.__file__).parent / "sweeps" / "sae.yaml"
    sweep = yaml.safe_load(path.read_text())
    assert sweep["kind"] == KIND.name
    for point in itertools.product(*sweep["space"].values()):
        SaeConfig(**sweep["fixed"], **dict(zip(sweep["space"], point, strict=True)))


def test_reading_the_kind_imports_no_heavy_package() -> None:
    heavy = ("torch", "numba", "scipy", "matplotlib", "pandas", "ray", "mlflow")
    code = f"import sys, trials.sae; print([m for m in {heavy} if m in sys.modules])"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout.strip() == "[]"
