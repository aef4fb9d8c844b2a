"""One contract, every kind: a new kind is tested the moment it is in the table."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trials.tiny_training import train
from trials import kind_names, load_kind
from trials.api import Context, Finished, TrialError, TrialKind, TrialResult
from trials.inputs.controls.planted import planted_rows

# The smallest config of each kind that exercises all of it.
SMALL: Mapping[str, Mapping[str, Any]] = {
    "atom_map": {
        "source": "file:named.npy",
        "n_atoms": "2x",
        "l1_penalty": 0.3,
        "max_passes": 2,
        "map_neighbours": [5],
        "n_maps": 2,
        "n_permutations": 19,
        "n_references": 19,
    },
    "bowl": {"x": 0.5},
    "circles": {
        "source": "file:named.npy",
        "n_atoms": "2x",
        "l1_penalty": 0.3,
        "max_passes": 2,
        "n_permutations": 99,
        "n_candidates": 10,
        "n_points": 12,
        "n_null": 9,
    },
    "dictionary_match": {"first": "file:rows.npy", "second": "file:atoms.npy", "n_nulls": 3},
    "pursuit": {
        "source": "file:rows.npy",
        "n_atoms": "2x",
        "l1_penalty": 0.3,
        "max_passes": 2,
    },
    "row_swap": {
        "model": "run:tiny/model",
        "corpus_bytes": 150_000,
        "validation_frac": 0.1,
        "held_out_frac": 0.1,
        "n_vocab": 300,
        "n_strata": 2,
        "tokens_a_stratum": 3,
        "base_sequences": 4,
        "context": 12,
        "n_steps": 2,
        "batch_size": 4,
    },
    "sae": {
        "source": "file:rows.npy",
        "architecture": "topk",
        "n_atoms": "2x",
        "k": 3,
        "n_steps": 60,
        "batch_size": 64,
        "max_passes": 2,
    },
    "embedding_only": {
        "task": "needle",
        "n_pairs": 3,
        "n_values": 5,
        "n_layers": 1,
        "d_model": 32,
        "batch_size": 16,
        "n_steps": 30,
        "warm_up_steps": 5,
        "n_test": 400,
        "n_evaluations": 2,
    },
    "exact_pursuit": {
        "source": "file:rows.npy",
        "n_atoms": "2x",
        "l1_penalty": 0.3,
        "max_passes": 2,
        "n_sampled": 15,
    },
    "matrix_binding": {
        "source": "file:named.npy",
        "n_pairs_max": 40,
        "n_folds": 3,
        "n_permutations": 19,
    },
    "pretrain": {
        "tying": "untied",
        "output_embedding": "frozen_random",
        "corpus_bytes": 150_000,
        "validation_frac": 0.1,
        "held_out_frac": 0.1,
        "n_vocab": 300,
        "n_layers": 1,
        "n_heads": 2,
        "d_model": 32,
        "context": 16,
        "n_tokens": 2048,
        "batch_size": 8,
        "warm_up_steps": 4,
        "n_evaluations": 2,
        "evaluation_tokens": 2000,
    },
    "pursuit_checkpoints": {
        "source": "run:tiny/step-000016",
        "earlier_steps": [0],
        "n_atoms": "2x",
        "l1_penalty": 0.3,
        "max_passes": 2,
    },
    "pursuit_path": {
        "source": "file:rows.npy",
        "n_atoms": "2x",
        "n_penalties": 3,
        "max_passes": 2,
    },
    "residual": {
        "source": "file:rows.npy",
        "n_atoms": "2x",
        "l1_penalty": 0.3,
        "max_passes": 2,
        "second_atoms": 16,
        "n_permutations": 19,
    },
    "stepper": {"x": 0.5, "n_steps": 4, "checkpoint_every": 2},
    "self_pursuit": {
        "source": "file:rows.npy",
        "l1_penalty": 0.3,
        "n_dictionary_rows": 64,
        "n_signals": 40,
    },
}


@pytest.fixture(params=kind_names(), scope="module")
def kind(request: pytest.FixtureRequest) -> TrialKind:
    return load_kind(request.param)


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a trial of kind pretrain leaves of a model that it trained a little."""
    folder = tmp_path_factory.mktemp("tiny")
    train(folder, **SMALL["pretrain"] | {"output_embedding": "learned"})
    return folder


@pytest.fixture(scope="module")
def firsts() -> dict[str, TrialResult]:
    """What `first_run` has run already, by kind."""
    return {}


@pytest.fixture
def context(tmp_path: Path, request: pytest.FixtureRequest) -> Context:
    def of_the_tiny_model(run_id: str, path: str) -> Path:
        assert run_id == "tiny", f"asked for {path} of {run_id}"
        folder: Path = request.getfixturevalue("tiny_model")
        return folder / path

    work_dir, checkpoint_dir = tmp_path / "work", tmp_path / "checkpoints"
    work_dir.mkdir()
    checkpoint_dir.mkdir()
    places = work_dir, checkpoint_dir
    return Context("cpu", 1, *places, lambda step, metrics: None, of_the_tiny_model)


def small_run(kind: TrialKind, context: Context, folder: Path, **changes: Any) -> TrialResult:
    rows = folder / "rows.npy"
    if not rows.exists():
        planted = planted_rows(
            600, 16, n_atoms=32, sparsity=3, snr_db=20.0, rng=np.random.default_rng(0)
        )
        np.save(rows, planted.rows)
        np.save(folder / "atoms.npy", planted.atoms)
        np.save(folder / "named.npy", planted.rows)
        words = [f"{a}{b}{c}xo" for a in "bcdfg" for b in "aeiou" for c in "klmnprtvwzjy"]
        names = [form for word in words for form in (word, f" {word}")]
        (folder / "named.tokens.json").write_text(json.dumps(names))
    config = kind.config.model_validate({**SMALL[kind.name], **changes})
    before = config.model_dump()
    kind.input_digests(config)
    result = kind.execute(config, context)
    assert config.model_dump() == before
    return result


def first_run(
    kind: TrialKind, context: Context, folder: Path, firsts: dict[str, TrialResult]
) -> TrialResult:
    """The result of the small config with seed 0, run by the first test that needs it."""
    if kind.name not in firsts:
        firsts[kind.name] = small_run(kind, context, folder, seed=0)
    return firsts[kind.name]


def test_what_a_kind_declares_is_consistent(kind: TrialKind) -> None:
    names, fields = kind.metric_names, kind.config.model_fields
    assert len(set(names)) == len(names)
    assert not set(names) & set(fields), "a name that is both a field and a metric is ambiguous"
    assert all(metric.definition for metric in kind.metrics)
    assert not kind.metric(kind.objective).held_out, "nothing is tuned on what is sealed"
    assert kind.metric(kind.objective).direction != "none"
    known = {*names, *fields}
    for chart in kind.charts:
        assert {chart.x, chart.y, chart.colour, chart.dash} - {""} <= known
        if chart.bound is not None:
            assert chart.bound.x in names
            assert set(chart.bound.within) <= set(fields)
    if kind.control is not None:
        assert {kind.control.field, *kind.control.within} <= set(fields)
        assert kind.control.comparisons
        assert set(kind.control.metrics) <= set(names)
        for comparison in kind.control.comparisons:
            assert {name for pair in comparison.pairs for name in pair} <= set(names)
            assert set(comparison.across) <= set(fields) - {*kind.control.within}
            if comparison.is_best_of:
                # The lowest counts as best.
                assert {kind.metric(of).direction for of, _ in comparison.pairs} == {"minimise"}


def test_a_kind_returns_exactly_what_it_declares_and_leaves_the_world_alone(
    kind: TrialKind,
    context: Context,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    firsts: dict[str, TrialResult],
) -> None:
    np.random.seed(1)
    state = np.random.get_state()[1].tolist()
    result = first_run(kind, context, tmp_path, firsts)
    assert set(result.metrics) == set(kind.metric_names)
    assert all(isinstance(value, float | int) for value in result.metrics.values())
    assert np.random.get_state()[1].tolist() == state
    assert capfd.readouterr().out == ""
    outside = {path.name for path in tmp_path.iterdir()}
    assert outside <= {
        *("rows.npy", "atoms.npy", "named.npy", "named.tokens.json"),
        *("work", "checkpoints", "caches"),
    }


def test_a_kind_with_an_autoencoder_gives_that_of_its_own_trial(
    kind: TrialKind, context: Context, tmp_path: Path, firsts: dict[str, TrialResult]
) -> None:
    config = kind.config.model_validate(SMALL[kind.name]).model_dump(mode="json")
    if kind.autoencoder is None:
        with pytest.raises(TrialError, match="leave no dictionary"):
            kind.exported(Finished(config, {}, {}.__getitem__))
        return
    result = first_run(kind, context, tmp_path, firsts)
    found = kind.exported(Finished(config, result.metrics, result.arrays.__getitem__))
    n_atoms, d_model = found.decoder.shape
    assert found.encoder.shape == (n_atoms, d_model)
    assert found.encoder_bias.shape == found.threshold.shape == (n_atoms,)
    assert found.decoder_bias.shape == (d_model,)
    assert (found.threshold >= 0).all()
    assert found.description.endswith(".")


def test_the_same_config_and_seed_give_the_same_result(
    kind: TrialKind, context: Context, tmp_path: Path, firsts: dict[str, TrialResult]
) -> None:
    timings = {metric.name for metric in kind.metrics if metric.timing}
    first = first_run(kind, context, tmp_path, firsts)
    again = small_run(kind, context, tmp_path, seed=0)
    for name in set(kind.metric_names) - timings:
        a, b = first.metrics[name], again.metrics[name]
        assert a == b or (math.isnan(a) and math.isnan(b)), name
    for stem, tensors in first.arrays.items():
        for name, array in tensors.items():
            np.testing.assert_array_equal(array, again.arrays[stem][name])


def test_another_seed_gives_another_result(
    kind: TrialKind, context: Context, tmp_path: Path, firsts: dict[str, TrialResult]
) -> None:
    first = first_run(kind, context, tmp_path, firsts)
    other = small_run(kind, context, tmp_path, seed=1)
    assert first.metrics[kind.objective] != other.metrics[kind.objective]
