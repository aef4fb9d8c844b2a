"""A planted dictionary that drifts over training, followed from checkpoint to checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.numpy import save_file

from trials.api import Context, TrialError, TrialResult
from trials.kernels.dictionaries import mean_max_cosine
from trials.pursuit.kind import KIND as PURSUIT
from trials.pursuit.kind import PursuitConfig
from trials.pursuit.run import run as pursue
from trials.pursuit_checkpoints.kind import KIND, PursuitCheckpointsConfig
from trials.pursuit_checkpoints.run import run

STEPS = (0, 10, 20, 40, 80, 160)
SMALL = {
    "source": "run:drift/step-000160",
    "earlier_steps": STEPS[:-1],
    "cold_every": 2,
    "n_atoms": "2x",
    "l1_penalty": 0.15,
}


class Drift(NamedTuple):
    """A training whose rows are sparse combinations of atoms that turn a little at each step."""

    folder: Path
    atoms: dict[int, np.ndarray]
    rows: dict[int, np.ndarray]

    def fetch(self, run_id: str, path: str) -> Path:
        assert run_id == "drift"
        if not (self.folder / path).is_file():
            raise FileNotFoundError(path)
        return self.folder / path


@pytest.fixture(scope="module")
def drift(tmp_path_factory: pytest.TempPathFactory) -> Drift:
    folder = tmp_path_factory.mktemp("drift")
    rng = np.random.default_rng(0)
    n_tokens, d_model, n_atoms, sparsity = 1500, 24, 48, 3
    which = rng.random((n_tokens, n_atoms)).argpartition(sparsity, axis=1)[:, :sparsity]
    codes = np.zeros((n_tokens, n_atoms))
    np.put_along_axis(codes, which, rng.standard_normal(which.shape), axis=1)
    start, turn = rng.standard_normal((2, n_atoms, d_model))
    noise = 0.1 * rng.standard_normal((len(STEPS), n_tokens, d_model)) * math.sqrt(3 / d_model)
    made = Drift(folder, {}, {})
    for n, step in enumerate(STEPS):
        atoms = start + 0.15 * n * turn
        atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
        made.atoms[step] = atoms.astype(np.float32)
        made.rows[step] = (codes @ atoms + noise[n]).astype(np.float32)
        save_file({"input_embedding": made.rows[step]}, folder / f"step-{step:06d}.safetensors")
    return made


class Reports:
    """Collects what is reported; the process dies after some of it."""

    def __init__(self, dies_after: int = 10**9) -> None:
        self.seen: list[tuple[int, Mapping[str, float]]] = []
        self.dies_after = dies_after

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        self.seen.append((step, metrics))
        if len(self.seen) == self.dies_after:
            raise KeyboardInterrupt


def trial(drift: Drift, folder: Path, reports: Reports | None = None, **config: Any) -> TrialResult:
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    context = Context("cpu", 1, folder, checkpoints, reports or Reports(), drift.fetch)
    return run(PursuitCheckpointsConfig.model_validate(SMALL | config), context)


@pytest.fixture(scope="module")
def followed(drift: Drift, tmp_path_factory: pytest.TempPathFactory) -> TrialResult:
    return trial(drift, tmp_path_factory.mktemp("followed"))


TIMED = {metric.name for metric in KIND.metrics if metric.timing}


def numbers(result: TrialResult) -> dict[str, float]:
    return {name: value for name, value in result.metrics.items() if name not in TIMED}


def test_a_dictionary_that_drifts_is_followed_to_where_it_ends(
    drift: Drift, followed: TrialResult
) -> None:
    found = followed.arrays["dictionary"]["atoms"]
    assert followed.uncertified == ""
    assert mean_max_cosine(found, drift.atoms[160]) > 0.95
    assert mean_max_cosine(found, drift.atoms[0]) < 0.9
    table = followed.tables["checkpoints"]
    assert tuple(table["training_step"]) == STEPS
    assert list(table["started"]) == ["cold"] + ["warm"] * 5
    assert max(table["fvu_debiased_held_out"]) < 0.05
    assert followed.metrics["n_distinct_checkpoints"] == followed.metrics["n_checkpoints"] == 6


def test_a_warm_start_takes_fewer_passes_than_a_cold_one_and_ends_as_well(
    followed: TrialResult,
) -> None:
    table, metrics = followed.tables["checkpoints"], followed.metrics
    is_checked = [False, True, False, True, False, True]
    assert [math.isfinite(passes) for passes in table["cold_passes"]] == is_checked
    for n in np.flatnonzero(is_checked):
        assert table["passes"][n] < table["cold_passes"][n] / 1.5
        # Two local optima, compared on 150 held-out tokens.
        assert abs(table["cold_minus_warm"][n]) < 0.2 * table["fvu_held_out"][n]
    assert metrics["warm_passes"] < metrics["cold_passes"]
    assert metrics["cold_minus_warm_held_out"] == table["cold_minus_warm"][-1]
    assert abs(metrics["cold_minus_warm_held_out_largest"]) == np.nanmax(
        np.abs(table["cold_minus_warm"])
    )


def test_a_cold_start_is_the_kind_pursuit_at_that_checkpoint(
    drift: Drift, followed: TrialResult, tmp_path: Path
) -> None:
    table = followed.tables["checkpoints"]
    shared = {k: v for k, v in SMALL.items() if k not in ("earlier_steps", "cold_every")}
    for n in (0, 5):
        source = f"run:drift/step-{STEPS[n]:06d}"
        config = PursuitConfig.model_validate(shared | {"source": source})
        context = Context("cpu", 1, tmp_path, tmp_path, Reports(), drift.fetch)
        alone = pursue(config, context).metrics
        warm = table["fvu_held_out"][n] + (table["cold_minus_warm"][n] if n else 0)
        assert warm == pytest.approx(alone["fvu_held_out"], rel=1e-12)
        passes = (table["cold_passes"] if n else table["passes"])[n]
        assert passes > alone["learning_passes"]
        assert table["training_step"][n] == alone["training_step"]


def test_the_metrics_are_those_of_the_last_checkpoint(followed: TrialResult) -> None:
    table, metrics = followed.tables["checkpoints"], followed.metrics
    for name in set(PURSUIT.metric_names) - TIMED:
        np.testing.assert_equal(metrics[name], float(table[name][-1]))
    assert metrics["fvu_held_out_first"] == table["fvu_held_out"][0]
    assert metrics["learning_s"] == pytest.approx(sum(table["learning_s"]))


def test_the_change_of_the_rows_is_a_floor_beside_the_error(
    drift: Drift, followed: TrialResult
) -> None:
    table, metrics = followed.tables["checkpoints"], followed.metrics
    last, before = (drift.rows[step].astype(float) for step in (160, 80))
    change = ((last - before) ** 2).sum() / 2 / ((last - last.mean(axis=0)) ** 2).sum()
    assert math.isnan(table["row_change_held_out"][0])
    assert metrics["row_change_held_out"] == pytest.approx(change, rel=0.15)
    assert metrics["fvu_debiased_over_change_held_out"] == pytest.approx(
        metrics["fvu_debiased_held_out"] - metrics["row_change_held_out"]
    )


def test_a_null_of_each_checkpoints_spectrum_is_worse_at_each(
    drift: Drift, followed: TrialResult, tmp_path: Path
) -> None:
    null = trial(drift, tmp_path, null="gaussian_spectrum_norms", l1_penalty=0.5)
    assert null.facts["null"] == "gaussian_spectrum_norms"
    ours, theirs = followed.tables["checkpoints"], null.tables["checkpoints"]
    assert len(set(theirs["rows_sha256"])) == len(STEPS)
    for n in range(len(STEPS)):
        assert theirs["fvu_debiased_held_out"][n] > 2 * ours["fvu_debiased_held_out"][n]
        assert theirs["excess_bits_held_out"][n] > ours["excess_bits_held_out"][n]


@pytest.mark.parametrize("dies_after", [1, 3, 6])
def test_a_retry_goes_on_where_the_last_try_died_and_ends_alike(
    drift: Drift, followed: TrialResult, tmp_path: Path, dies_after: int
) -> None:
    first, second = Reports(dies_after), Reports()
    with pytest.raises(KeyboardInterrupt):
        trial(drift, tmp_path, first)
    resumed = trial(drift, tmp_path, second)
    assert [step for step, _ in (*first.seen, *second.seen)] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_equal(numbers(resumed), numbers(followed))
    for name, column in followed.tables["checkpoints"].items():
        if name not in TIMED:
            np.testing.assert_equal(resumed.tables["checkpoints"][name], column)
    for stem, tensors in followed.arrays.items():
        for name, array in tensors.items():
            np.testing.assert_array_equal(array, resumed.arrays[stem][name])
    assert not list((tmp_path / "checkpoints").iterdir()), "a trial that is done leaves none"


def test_each_checkpoint_is_reported(drift: Drift, tmp_path: Path) -> None:
    reports = Reports()
    result = trial(drift, tmp_path, reports, earlier_steps=[0, 10], max_passes=3)
    assert [step for step, _ in reports.seen] == [1, 2, 3]
    assert all(set(metrics) == set(KIND.reports) for _, metrics in reports.seen)
    for name in KIND.reports:
        column = list(result.tables["checkpoints"][name])
        assert [metrics[name] for _, metrics in reports.seen] == column


def test_rows_that_do_not_change_are_counted_once(drift: Drift, tmp_path: Path) -> None:
    frozen = drift._replace(folder=tmp_path)
    for step in (0, 10, 160):
        save_file({"input_embedding": drift.rows[0]}, tmp_path / f"step-{step:06d}.safetensors")
    metrics = trial(frozen, tmp_path, earlier_steps=[0, 10], max_passes=3).metrics
    assert (metrics["n_checkpoints"], metrics["n_distinct_checkpoints"]) == (3, 1)
    assert metrics["row_change_held_out"] == 0


def test_checkpoints_of_other_tokens_are_refused(drift: Drift, tmp_path: Path) -> None:
    for step, n in ((0, 1400), (160, 1500)):
        save_file({"input_embedding": drift.rows[0][:n]}, tmp_path / f"step-{step:06d}.safetensors")
    with pytest.raises(TrialError, match="step 160 has other tokens than the checkpoint before"):
        trial(drift._replace(folder=tmp_path), tmp_path, earlier_steps=[0], max_passes=2)


def test_every_checkpoint_is_an_input() -> None:
    digests = KIND.input_digests(PursuitCheckpointsConfig.model_validate(SMALL))
    assert set(digests) == {
        "source",
        "frequencies",
        *(f"source_step_{step}" for step in STEPS[:-1]),
    }
    assert len(set(digests.values())) == len(STEPS) + 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"source": "file:rows.npy"}, "'file:rows.npy' names no training step"),
        ({"earlier_steps": []}, "at least 1 item"),
        ({"earlier_steps": [0, 10, 10]}, "must rise from 0 or more and end before 160"),
        ({"tokens": "trained"}, "tokens trained differ between checkpoints"),
        ({"earlier_steps": [10, 0]}, "must rise from 0 or more and end before 160"),
        ({"earlier_steps": [-1, 0]}, "must rise from 0 or more and end before 160"),
        ({"earlier_steps": [0, 160]}, "must rise from 0 or more and end before 160"),
        ({"cold_every": 0}, "greater than or equal to 1"),
    ],
)
def test_a_bad_field_is_refused_with_the_rule(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PursuitCheckpointsConfig.model_validate(SMALL | fields)


def test_the_checkpoints_of_a_hub_are_named_as_its_branches() -> None:
    source = "hub:stanford-crfm/alias-gpt2-small-x21@checkpoint-400"
    config = PursuitCheckpointsConfig.model_validate(
        SMALL | {"source": source, "earlier_steps": [10, 200]}
    )
    stem = source.removesuffix("400")
    assert [config.at(step).source for step in config.steps] == [
        f"{stem}10",
        f"{stem}200",
        f"{stem}400",
    ]
