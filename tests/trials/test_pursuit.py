"""The kind as a whole, on planted rows where the truth is known."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.numpy import save_file
from scipy.sparse import csr_array

from trials.api import Context, TrialError, TrialResult
from trials.inputs.controls.planted import Planted, planted_rows
from trials.inputs.frequencies import token_frequencies
from trials.inputs.rows import prepare_rows
from trials.inputs.sources import EmbeddingMatrix
from trials.inputs.sources.loaded import NoTokenizer
from trials.kernels.compiled import cache
from trials.kernels.dictionaries import mean_max_cosine
from trials.kernels.sparse_coding import block_solver, lasso, omp
from trials.pursuit.kind import KIND, PursuitConfig
from trials.pursuit.run import pursue, run

SMALL = {"source": "file:planted.npy", "n_atoms": 48, "l1_penalty": 0.2, "max_passes": 15}


def no_artifact(run_id: str, path: str) -> Path:
    raise AssertionError("no artifact is needed")


def a_context(folder: Path) -> Context:
    return Context("cpu", 1, folder, folder, lambda step, metrics: None, no_artifact)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return a_context(tmp_path)


def as_matrix(rows: np.ndarray) -> EmbeddingMatrix:
    n = len(rows)
    return EmbeddingMatrix(
        rows=rows,
        tokens=tuple(f"w{i}" for i in range(n)),
        special=np.zeros(n, dtype=bool),
        merge_rank=np.arange(n),
        digest="0" * 64,
        uri="file:planted.npy",
        facts={"tensor": "planted"},
    )


def small_rows(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return planted_rows(1000, 16, n_atoms=32, sparsity=2, snr_db=20.0, rng=rng).rows


def trial(rows: np.ndarray, context: Context, **config: Any) -> TrialResult:
    matrix = as_matrix(rows)
    parsed = PursuitConfig(**(SMALL | config))

    def no_tokenizer() -> None:
        raise NoTokenizer("planted rows have none")

    table = token_frequencies(parsed.frequencies, matrix.merge_rank, no_tokenizer)
    return pursue(parsed, prepare_rows(parsed, matrix, table), context)


def numbers(result: TrialResult) -> dict[str, float]:
    """All metrics but those that a clock gives, and the step that the source names."""
    others = {"training_step", *(metric.name for metric in KIND.metrics if metric.timing)}
    return {name: value for name, value in result.metrics.items() if name not in others}


@pytest.mark.parametrize(
    "options", [{}, {"nonnegative": True}, {"learner": "omp"}], ids=["lasso", "nonnegative", "omp"]
)
def test_a_trial_in_torch_ends_near_the_numbers_of_the_compiled_loops(
    context: Context, options: dict[str, Any]
) -> None:
    rows = small_rows()
    here = trial(rows, context, **options)
    there = trial(rows, context._replace(device="cpu:0"), **options)
    assert not there.uncertified
    assert there.metrics["gap_max"] <= 1e-5
    # Rounding leads to another local optimum. Over six seeds the ratios were within 0.96..1.02 for
    # the error, 0.99..1.01 for l1 and 0.94..1.07 for l0, on both sides of 1.
    for name, tolerance in {"fvu_train": 0.08, "l1_train": 0.03, "l0_held_out": 0.12}.items():
        assert there.metrics[name] == pytest.approx(here.metrics[name], rel=tolerance), name
    assert here.facts["device"].startswith("cpu, compiled loops; largest relative duality gap ")
    assert there.facts["device"].startswith("cpu:0, torch; largest relative duality gap ")


def test_every_step_of_a_trial_runs_on_its_device(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compiled(*_: Any) -> None:
        raise AssertionError("a compiled loop in a trial that has a device")

    monkeypatch.setattr(cache, "ensure_compiled", compiled)
    for module in (omp, lasso, block_solver):
        monkeypatch.setattr(module, "ensure_compiled", compiled)
    for learner in ("lasso", "omp"):
        trial(small_rows(), context._replace(device="cpu:0"), learner=learner, max_passes=3)


@pytest.fixture(scope="module")
def planted() -> Planted:
    """256 atoms in 64 dimensions, 4 a token, 20 dB: 4000 training tokens and 1000 others."""
    rng = np.random.default_rng(7)
    return planted_rows(5000, 64, n_atoms=256, sparsity=4, snr_db=20.0, rng=rng)


PLANTED = {"n_atoms": "8x", "l1_penalty": 0.1, "centre": "none", "max_passes": 60}


@pytest.fixture(scope="module")
def on_planted(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> TrialResult:
    return trial(planted.rows, a_context(tmp_path_factory.mktemp("real")), **PLANTED)


@pytest.fixture(scope="module")
def on_null(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> TrialResult:
    """At a penalty that leaves it no fewer atoms a token than the planted rows use."""
    config = PLANTED | {"l1_penalty": 0.5, "null": "gaussian_spectrum"}
    return trial(planted.rows, a_context(tmp_path_factory.mktemp("null")), **config)


def test_a_planted_dictionary_is_recovered(planted: Planted, on_planted: TrialResult) -> None:
    assert mean_max_cosine(on_planted.arrays["dictionary"]["atoms"], planted.atoms) > 0.98
    assert on_planted.metrics["fvu_debiased_held_out"] < 0.02
    assert on_planted.metrics["memorises"] == 0
    assert on_planted.uncertified == ""


def test_a_gaussian_of_the_same_spectrum_has_no_dictionary(
    planted: Planted, on_planted: TrialResult, on_null: TrialResult
) -> None:
    assert on_null.metrics["l0_held_out"] > on_planted.metrics["l0_held_out"]
    assert on_null.metrics["fvu_debiased_held_out"] > 0.3
    assert mean_max_cosine(on_null.arrays["dictionary"]["atoms"], planted.atoms) < 0.7
    assert on_null.metrics["memorises"] == 0


def test_planted_rows_cost_fewer_bits_than_any_gaussian_code(
    on_planted: TrialResult, on_null: TrialResult
) -> None:
    for side in ("validation", "held_out"):
        assert on_planted.metrics[f"excess_bits_{side}"] < -50
        assert on_null.metrics[f"excess_bits_{side}"] > 0


@pytest.mark.parametrize("null", ["none", "gaussian_spectrum"])
def test_as_many_atoms_as_tokens_are_flagged_as_memorising(
    planted: Planted, context: Context, null: str
) -> None:
    config = {"n_atoms": 1500, "l1_penalty": 0.2, "null": null}
    metrics = trial(planted.rows[:1500], context, **config).metrics
    assert metrics["memorises"] == 1
    assert metrics["fvu_debiased_train"] < 1e-3
    assert metrics["fvu_debiased_held_out"] > 0.05


def test_memorising_is_flagged_at_a_penalty_that_leaves_short_rows_without_a_code(
    planted: Planted, context: Context
) -> None:
    metrics = trial(planted.rows[:1500], context, n_atoms=1500, l1_penalty=0.8).metrics
    assert metrics["memorises"] == 1
    assert metrics["l0_train"] < 1


def test_the_metrics_are_exactly_the_declared_ones(context: Context) -> None:
    result = trial(small_rows(), context)
    assert set(result.metrics) == set(KIND.metric_names)
    assert len(set(KIND.metric_names)) == len(KIND.metrics)
    assert all(isinstance(value, float) for value in result.metrics.values())
    sealed = {metric.name for metric in KIND.metrics if metric.held_out}
    assert sealed == {
        name for name in KIND.metric_names if "held_out" in name and not name.startswith("n_")
    }
    assert not KIND.metric(KIND.objective).held_out


def test_the_charts_and_the_control_name_what_exists() -> None:
    known = {*KIND.metric_names, *PursuitConfig.model_fields}
    assert KIND.control
    named = {KIND.control.field, *KIND.control.metrics, *KIND.control.within}
    for chart in KIND.charts:
        named |= {chart.x, chart.y, chart.colour, chart.dash} - {""}
    assert named <= known


def test_the_same_config_gives_the_same_numbers_on_any_number_of_threads(context: Context) -> None:
    first = numbers(trial(small_rows(), context))
    assert numbers(trial(small_rows(), context)) == first
    assert numbers(trial(small_rows(), context._replace(n_threads=2))) == first
    assert numbers(trial(small_rows(), context, seed=1)) != first


def test_a_seed_redraws_the_split_unless_it_is_set(
    context: Context,
) -> None:
    def sides(**config: int) -> np.ndarray:
        return trial(small_rows(), context, **config).arrays["tokens"]["side"]

    assert not np.array_equal(sides(seed=0), sides(seed=1))
    np.testing.assert_array_equal(sides(seed=0), sides(seed=1, split_seed=0))
    assert not np.array_equal(sides(split_seed=0), sides(split_seed=1))


@pytest.mark.parametrize("null", ["gaussian_spectrum", "row_permuted", "planted_sparse"])
def test_real_and_null_of_a_seed_have_the_same_split(null: str) -> None:
    config = SMALL | {"seed": 3, "frequency_exponent": 0.5}
    matrix = as_matrix(small_rows())
    table = token_frequencies("zipf", matrix.merge_rank, lambda: None)
    real, other = (
        prepare_rows(PursuitConfig(**(config | {"null": which})), matrix, table)
        for which in ("none", null)
    )
    assert not np.array_equal(real.rows, other.rows)
    for ours, theirs in zip(real.split, other.split, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_length_and_origin_of_the_rows_do_not_matter(context: Context) -> None:
    rows = small_rows()
    here = numbers(trial(rows, context))
    there = numbers(trial(4 * rows + 1, context))
    for name in ("fvu_held_out", "l0_held_out", "l1_penalty_absolute"):
        assert there[name] == pytest.approx(here[name], rel=0.05)


def test_the_relative_penalty_that_was_asked_for_is_reached(context: Context) -> None:
    metrics = trial(small_rows(), context).metrics
    assert metrics["l1_penalty_reached"] == pytest.approx(0.2, rel=0.1)


def test_a_gap_above_the_tolerance_is_named_and_not_certified(context: Context) -> None:
    result = trial(small_rows(), context, tolerance=1e-12)
    assert result.metrics["gap_max"] > 1e-12
    assert "exceeds the tolerance 1e-12" in result.uncertified
    assert "of token 'w" in result.uncertified


def test_special_rows_are_left_out(context: Context) -> None:
    matrix = as_matrix(small_rows())
    matrix.special[::10] = True
    config = PursuitConfig(**SMALL)
    table = token_frequencies("zipf", matrix.merge_rank, lambda: None)
    result = pursue(config, prepare_rows(config, matrix, table), context)
    ids = result.arrays["tokens"]["token_id"]
    assert len(ids) == 900
    assert list(result.arrays["tokens"]["token"]) == [f"w{i}" for i in ids]
    assert (ids % 10 != 0).all()
    assert (
        sum(result.metrics[f"n_{side}_tokens"] for side in ("train", "validation", "held_out"))
        == 900
    )


def test_more_rows_than_tokens_are_refused(context: Context) -> None:
    with pytest.raises(TrialError, match=r'n_rows is 1001, the matrix has 1000 tokens; "all"'):
        trial(small_rows(), context, n_rows=1001)


def test_weights_change_what_is_learned_and_their_effective_size_is_reported(
    context: Context,
) -> None:
    flat = trial(small_rows(), context).metrics
    steep = trial(small_rows(), context, frequency_exponent=1.0).metrics
    assert flat["effective_sample_size"] == pytest.approx(flat["n_train_tokens"])
    assert steep["effective_sample_size"] < 100
    assert steep["fvu_train"] < steep["fvu_unweighted_train"]
    assert flat["fvu_train"] == pytest.approx(flat["fvu_unweighted_train"])


def test_permuted_rows_are_another_trial_only_under_weights(context: Context) -> None:
    weighted = {"frequency_exponent": 1.0}
    real = numbers(trial(small_rows(), context, **weighted))
    null = numbers(trial(small_rows(), context, **weighted, null="row_permuted"))
    assert real != null
    with pytest.raises(ValidationError, match="row_permuted needs frequency_exponent above 0"):
        PursuitConfig(**SMALL, null="row_permuted")


def test_nonnegative_codes_have_no_negative_coefficient(context: Context) -> None:
    codes = trial(small_rows(), context, nonnegative=True).arrays["codes"]["data"]
    assert len(codes) > 0
    assert (codes > 0).all()


def test_the_artifacts_reconstruct_the_embedding(context: Context) -> None:
    rows = small_rows()
    result = trial(rows, context, scale="unit_rows")
    parts, tokens = result.arrays["codes"], result.arrays["tokens"]
    dictionary = result.arrays["dictionary"]
    for data, errors in (("data", "squared_error"), ("debiased_data", "debiased_squared_error")):
        codes = csr_array(
            (parts[data], parts["indices"], parts["indptr"]), shape=tuple(parts["shape"])
        )
        back = (codes @ dictionary["atoms"]) * tokens["divisor"][:, None] + dictionary["offset"]
        left = ((rows[tokens["token_id"]] - back) ** 2).sum(axis=1) / tokens["divisor"] ** 2
        np.testing.assert_allclose(left, tokens[errors], rtol=1e-3, atol=1e-5)


def test_debiasing_explains_more_of_the_training_tokens(context: Context) -> None:
    metrics = trial(small_rows(), context).metrics
    assert metrics["fvu_debiased_train"] < metrics["fvu_train"]


def test_the_atom_table_lists_the_strongest_tokens_of_each_atom(context: Context) -> None:
    result = trial(small_rows(), context)
    table, codes = result.tables["atoms"], result.arrays["codes"]
    dense = csr_array(
        (codes["data"], codes["indices"], codes["indptr"]), shape=tuple(codes["shape"])
    ).toarray()
    assert sorted(table["atom"]) == list(range(48))
    assert list(table["n_tokens"]) == sorted(table["n_tokens"], reverse=True)
    for atom, n_tokens, top in zip(
        table["atom"], table["n_tokens"], table["top_tokens"], strict=True
    ):
        pairs = json.loads(top)
        assert n_tokens == np.count_nonzero(dense[:, atom])
        assert len(pairs) == min(10, n_tokens)
        strongest = int(np.abs(dense[:, atom]).argmax())
        assert pairs[0] == [f"w{strongest}", pytest.approx(dense[strongest, atom], abs=1e-4)]


def test_the_figures_can_be_saved(context: Context, tmp_path: Path) -> None:
    for stem, figure in trial(small_rows(), context).figures.items():
        figure.savefig(tmp_path / f"{stem}.png")
        assert (tmp_path / f"{stem}.png").read_bytes().startswith(b"\x89PNG")


def test_a_matrix_from_a_file_runs_end_to_end(context: Context, tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", small_rows())
    source = {"source": f"file:{tmp_path}/rows.npy", "frequency_exponent": 0.5}
    config = PursuitConfig(**(SMALL | source))
    result = run(config, context)
    assert "no tokenizer" in result.facts["frequencies_checked"]
    assert result.facts["split_weight"].startswith("training 8")
    assert result.facts["source_digest"] == KIND.input_digests(config)["source"]
    assert "Zipf" in result.facts["frequencies"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"n_atoms": "4y"}, "'4y' must be a number above 0 or a multiple such as \"4x\""),
    ({"n_atoms": "0x"}, "'0x' must be a number above 0"),
    ({"n_atoms": 0}, "0 must be a number above 0"),
    ({"n_atoms": "x"}, "'x' must be a number above 0"),
    ({"n_atoms": "1e3x"}, "'1e3x' must be a number above 0"),
    ({"n_atoms": "16"}, "'16' must be a number above 0"),
    ({"n_atoms": "1000000x"}, "'1000000x' is too many atoms; at most 1024x, or the number 2,0"),
    ({"n_atoms": 1 << 22}, "4194304 is too many atoms; at most 1024x, or the number 2,097,152"),
    ({"source": "file:"}, "file:: nothing after the scheme; for example hub:gpt2 or file:rows.npy"),
    ({"source": "file:rows.csv"}, "file:rows.csv: a file: source ends in .safetensors"),
    ({"source": "rows.npy"}, "'rows.npy' is no embedding source"),
    ({"n_rows": 3}, 'n_rows is 3; it must be "all" or at least 20'),
    ({"n_rows": "most"}, "'all'"),
    ({"frequencies": "counts:x.csv"}, "'counts:x.csv' is no frequency table; allowed: auto"),
    ({"l1_penalty": 1.0}, "less than 1"),
    ({"l1_penalty": float("nan")}, "finite"),
    ({"frequency_exponent": 1.5}, "less than or equal to 1"),
    ({"held_out_frac": 0.0}, "greater than 0"),
    ({"null": "gauss"}, "gaussian_spectrum"),
    ({"n_atom": 5}, "n_atom"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda part: str(part)[:30])
def test_a_bad_field_is_refused_with_the_rule(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        PursuitConfig(**(SMALL | fields))
    assert message in str(caught.value)


@pytest.mark.parametrize(("given", "resolved"), [(7, 7), ("4x", 256), ("0.5x", 32), ("1.01x", 65)])
def test_the_size_of_the_dictionary_is_a_number_or_a_multiple(given: Any, resolved: int) -> None:
    assert PursuitConfig(**(SMALL | {"n_atoms": given})).resolved_atoms(64) == resolved


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("2x", "2x"),
        ("1.5x", "1.5x"),
        ("10x", "10x"),
        ("0.5x", "0.5x"),
        ("1.0x", "1x"),
        ("01x", "1x"),
        ("1.50x", "1.5x"),
        ("00.250x", "0.25x"),
        ("1024.000x", "1024x"),
        (16, 16),
    ],
)
def test_a_size_has_one_spelling(given: Any, normal: Any) -> None:
    config = PursuitConfig(**(SMALL | {"n_atoms": given}))
    assert config.n_atoms == normal
    assert PursuitConfig.model_validate_json(config.model_dump_json()) == config


def test_too_many_atoms_for_a_wide_matrix_are_refused_in_one_line() -> None:
    config = PursuitConfig(**(SMALL | {"n_atoms": "1024x"}))
    assert config.resolved_atoms(2048) == 1 << 21
    with pytest.raises(TrialError, match="n_atoms 1024x of d_model 4096 is 4,194,304 atoms; at mo"):
        config.resolved_atoms(4096)


def test_every_field_is_described() -> None:
    assert all(field.description for field in PursuitConfig.model_fields.values())


def test_reading_the_kind_imports_no_heavy_package() -> None:
    heavy = ("torch", "numba", "scipy", "matplotlib", "pandas", "ray", "mlflow")
    code = f"import sys, trials.pursuit; print([m for m in {heavy} if m in sys.modules])"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout.strip() == "[]"


def test_random_directions_do_worse_than_what_is_learned(
    planted: Planted, on_planted: TrialResult, tmp_path: Path
) -> None:
    config = PLANTED | {"null": "random_dictionary"}
    random = trial(planted.rows, a_context(tmp_path), **config)
    assert random.uncertified == ""
    assert random.metrics["learning_passes"] == 0
    assert random.metrics["fvu_held_out"] > on_planted.metrics["fvu_held_out"]
    assert random.metrics["l0_held_out"] > 3 * on_planted.metrics["l0_held_out"]


def test_the_null_before_training_takes_its_rows_from_step_0(tmp_path: Path) -> None:
    sources = {
        name: tmp_path / name for name in ("step-000000.safetensors", "step-000100.safetensors")
    }
    for seed, path in enumerate(sources.values()):
        save_file({"input_embedding": small_rows(seed)}, path)

    def fetch(run_id: str, path: str) -> Path:
        if not (found := tmp_path / Path(path).name).is_file():
            raise LookupError(path)
        return found

    config = SMALL | {"source": "run:abc/step-000100", "null": "initial"}
    context = a_context(tmp_path)._replace(fetch_artifact=fetch)
    null = run(PursuitConfig(**config), context)
    start = run(
        PursuitConfig(**config | {"source": "run:abc/step-000000", "null": "none"}), context
    )
    assert numbers(null) == numbers(start)
    assert [r.metrics["training_step"] for r in (null, start)] == [100, 0]
    assert set(KIND.input_digests(PursuitConfig(**config))) == {"source", "initial", "frequencies"}


def test_coders_are_compared_at_equal_atoms_per_token(on_planted: TrialResult) -> None:
    metrics = on_planted.metrics
    for side in ("validation", "held_out"):
        assert metrics[f"l0_omp_{side}"] == pytest.approx(metrics[f"l0_{side}"], abs=0.01)
        errors = [metrics[f"{name}_{side}"] for name in ("fvu_omp", "fvu_debiased", "fvu")]
        assert errors == sorted(errors)


def test_the_greedy_learner_serves_greedy_codes_at_the_same_penalty(context: Context) -> None:
    rows = planted_rows(
        2500, 32, n_atoms=64, sparsity=3, snr_db=10.0, rng=np.random.default_rng(1)
    ).rows
    config = {"n_atoms": "2x", "l1_penalty": 0.3, "max_passes": 30}
    lasso = trial(rows, context, **config)
    greedy = trial(rows, context, **config, learner="omp")
    assert greedy.metrics["fvu_omp_held_out"] < lasso.metrics["fvu_omp_held_out"]
    assert greedy.metrics["l1_penalty_reached"] == pytest.approx(0.3)
    assert greedy.metrics["l0_held_out"] == pytest.approx(lasso.metrics["l0_held_out"], rel=0.2)
    assert greedy.uncertified == ""
    assert numbers(trial(rows, context._replace(n_threads=2), **config, learner="omp")) == numbers(
        greedy
    )


def test_signed_greedy_codes_are_not_learned_for_nonnegative_ones() -> None:
    with pytest.raises(ValidationError, match="learner omp has signed codes"):
        PursuitConfig(**SMALL, learner="omp", nonnegative=True)


def test_a_planted_dictionary_pays_for_itself_and_that_of_a_gaussian_does_not(
    on_planted: TrialResult, on_null: TrialResult
) -> None:
    for coder in ("", "_omp"):
        assert (
            on_planted.metrics[f"net_bits{coder}_held_out"]
            < on_null.metrics[f"net_bits{coder}_held_out"]
        )
        assert on_null.metrics[f"net_bits{coder}_held_out"] > 0
    assert on_null.facts["dictionary"].startswith("does not pay for itself: ")
    best = min(on_planted.metrics[f"net_bits{coder}_held_out"] for coder in ("", "_omp"))
    assert on_planted.facts["dictionary"].startswith("pays" if best < 0 else "does not")
