"""A path of penalties on planted rows, interrupted and not."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

import trials
from trials.api import Context, TrialResult
from trials.inputs.controls.planted import Planted, planted_rows
from trials.kernels.dictionaries import mean_max_cosine
from trials.pursuit.kind import KIND as PURSUIT
from trials.pursuit.kind import PursuitConfig
from trials.pursuit.run import run as pursue
from trials.pursuit_path.kind import KIND, PursuitPathConfig
from trials.pursuit_path.run import run

SMALL = {
    "source": "file:rows.npy",
    "n_atoms": "2x",
    "n_penalties": 5,
    "highest_penalty": 0.6,
    "lowest_penalty": 0.1,
    "max_passes": 10,
}
SHARED = {"dictionary": "shared", "shared_penalty": 0.3}


class Reports:
    """Collects what is reported; the process dies after some of it."""

    def __init__(self, dies_after: int = 10**9) -> None:
        self.seen: list[tuple[int, Mapping[str, float]]] = []
        self.dies_after = dies_after

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        self.seen.append((step, metrics))
        if len(self.seen) == self.dies_after:
            raise KeyboardInterrupt


def a_context(folder: Path, reports: Reports | None = None) -> Context:
    def no_artifact(run_id: str, path: str) -> Path:
        raise AssertionError("no artifact is needed")

    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    return Context("cpu", 1, folder, checkpoints, reports or Reports(), no_artifact)


@pytest.fixture(scope="module")
def planted() -> Planted:
    rng = np.random.default_rng(0)
    return planted_rows(1500, 24, n_atoms=48, sparsity=3, snr_db=20.0, rng=rng)


def trial(
    planted: Planted, folder: Path, reports: Reports | None = None, **config: Any
) -> TrialResult:
    np.save("rows.npy", planted.rows)
    return run(PursuitPathConfig.model_validate(SMALL | config), a_context(folder, reports))


class Whole(NamedTuple):
    """A trial that nothing disturbed, and what it reported."""

    result: TrialResult
    reports: list[tuple[int, Mapping[str, float]]]


def undisturbed(
    planted: Planted, factory: pytest.TempPathFactory, config: Mapping[str, Any]
) -> Whole:
    folder, reports = factory.mktemp("whole"), Reports()
    source = folder / "rows.npy"
    np.save(source, planted.rows)
    parsed = PursuitPathConfig.model_validate({**SMALL, **config, "source": f"file:{source}"})
    return Whole(run(parsed, a_context(folder, reports)), reports.seen)


@pytest.fixture(scope="module")
def each_penalty(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A dictionary for each penalty."""
    return undisturbed(planted, tmp_path_factory, {})


@pytest.fixture(scope="module")
def shared_dictionary(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return undisturbed(planted, tmp_path_factory, SHARED)


def numbers(result: TrialResult) -> dict[str, float]:
    timed = {metric.name for metric in KIND.metrics if metric.timing}
    return {name: value for name, value in result.metrics.items() if name not in timed}


def test_the_truth_is_found_on_the_way_down(planted: Planted, each_penalty: Whole) -> None:
    result = each_penalty.result
    assert result.uncertified == ""
    assert result.metrics["certified_frac"] == 1
    assert mean_max_cosine(result.arrays["dictionary"]["atoms"], planted.atoms) > 0.95
    assert result.metrics["excess_bits_held_out"] < -5
    assert result.metrics["fvu_debiased_held_out_at_l0_4"] < 0.1
    path = result.tables["path"]
    assert list(path["penalty"]) == pytest.approx(list(np.geomspace(0.6, 0.1, 5)))
    assert list(path["l0_held_out"]) == sorted(path["l0_held_out"])
    np.testing.assert_allclose(path["l1_penalty_reached"], path["penalty"], rtol=0.1)


def test_a_null_of_the_same_spectrum_is_worse_at_equal_sparsity_and_bits(
    planted: Planted, tmp_path: Path, each_penalty: Whole
) -> None:
    real = each_penalty.result.metrics
    null = trial(planted, tmp_path, null="gaussian_spectrum", highest_penalty=0.85).metrics
    for name in ("fvu_held_out_at_l0_4", "fvu_rounded_held_out_at_bits_25"):
        assert real[name] < 0.8 * null[name]
    assert real["excess_bits_held_out"] < 0 < null["excess_bits_held_out"]
    assert KIND.control is not None
    for comparison in KIND.control.comparisons:
        assert real[comparison.at] == null[comparison.at]


def test_the_metrics_are_read_off_the_path(each_penalty: Whole) -> None:
    result = each_penalty.result
    path, metrics = result.tables["path"], result.metrics
    best = int(np.argmin(path["excess_bits_validation"]))
    assert metrics["excess_bits_validation"] == path["excess_bits_validation"][best]
    assert metrics["excess_bits_held_out"] == path["excess_bits_held_out"][best]
    assert metrics["best_penalty"] == path["penalty"][best]
    assert metrics["gap_max"] == max(path["gap_max"])
    read = metrics["fvu_held_out_at_l0_4"]
    l0, fvu = np.array(path["l0_held_out"]), np.array(path["fvu_held_out"])
    assert fvu[l0 > 4].max() < read < fvu[l0 < 4].min()
    assert math.isnan(metrics["fvu_held_out_at_l0_64"]), "the path ends before"


def test_the_first_point_is_the_kind_pursuit_at_that_penalty(
    planted: Planted, tmp_path: Path, each_penalty: Whole
) -> None:
    np.save("rows.npy", planted.rows)
    path = each_penalty.result.tables["path"]
    shared = {k: v for k, v in SMALL.items() if "penalt" not in k}
    config = PursuitConfig(**shared, l1_penalty=0.6)  # type: ignore[arg-type]
    alone = pursue(config, a_context(tmp_path)).metrics
    timed = {metric.name for metric in PURSUIT.metrics if metric.timing}
    for name in set(PURSUIT.metric_names) - timed - {"training_step"}:
        assert path[name][0] == alone[name] or math.isnan(alone[name]), name


@pytest.mark.parametrize("whole", ["each_penalty", "shared_dictionary"])
@pytest.mark.parametrize("dies_after", [1, 3, 5])
def test_a_retry_goes_on_where_the_last_try_died_and_ends_alike(
    planted: Planted, tmp_path: Path, whole: str, dies_after: int, request: pytest.FixtureRequest
) -> None:
    expected, reported = request.getfixturevalue(whole)
    config = SHARED if whole == "shared_dictionary" else {}
    first, second = Reports(dies_after), Reports()
    with pytest.raises(KeyboardInterrupt):
        trial(planted, tmp_path, first, **config)
    resumed = trial(planted, tmp_path, second, **config)
    assert [*first.seen, *second.seen] == reported
    np.testing.assert_equal(numbers(resumed), numbers(expected))
    for stem, tensors in expected.arrays.items():
        for name, array in tensors.items():
            np.testing.assert_array_equal(array, resumed.arrays[stem][name])
    assert not list((tmp_path / "checkpoints").iterdir()), "a trial that is done leaves none"


def test_another_trials_checkpoint_is_not_gone_on_with(
    planted: Planted, tmp_path: Path, each_penalty: Whole
) -> None:
    with pytest.raises(KeyboardInterrupt):
        trial(planted, tmp_path, Reports(2), seed=1)
    again = trial(planted, tmp_path, seed=0)
    np.testing.assert_equal(numbers(again), numbers(each_penalty.result))


def test_each_penalty_is_reported(each_penalty: Whole) -> None:
    result, reports = each_penalty
    path = result.tables["path"]
    assert [step for step, _ in reports] == [1, 2, 3, 4, 5]
    assert all(set(metrics) == set(KIND.reports) for _, metrics in reports)
    assert [m["l0_validation_last"] for _, m in reports] == list(path["l0_validation"])
    least = [m["excess_bits_validation"] for _, m in reports]
    assert least == sorted(least, reverse=True)
    last = reports[-1][1]
    assert {name: result.metrics[name] for name in last} == last


def test_a_shared_dictionary_is_learned_once(each_penalty: Whole, shared_dictionary: Whole) -> None:
    path = shared_dictionary.result.tables["path"]
    assert len(set(path["mutual_coherence_p50"])) == 1
    assert list(path["learning_s"])[1:] == [0.0] * 4
    assert path["learning_s"][0] > 0
    assert list(path["l1_penalty_reached"]) == list(path["penalty"])
    assert list(path["l0_held_out"]) == sorted(path["l0_held_out"])
    each = each_penalty.result.tables["path"]
    assert len(set(each["mutual_coherence_p50"])) == 5


def test_random_directions_learn_nothing(
    planted: Planted, tmp_path: Path, each_penalty: Whole
) -> None:
    null = trial(planted, tmp_path, null="random_dictionary", highest_penalty=0.85)
    assert null.uncertified == ""
    assert set(null.tables["path"]["learning_passes"]) == {0.0}
    real = each_penalty.result.metrics
    assert real["fvu_held_out_at_l0_4"] < null.metrics["fvu_held_out_at_l0_4"]


def test_a_gap_above_the_tolerance_anywhere_is_not_certified(
    planted: Planted, tmp_path: Path
) -> None:
    short = {"n_penalties": 2, "lowest_penalty": 0.4, "max_passes": 2}
    result = trial(planted, tmp_path, tolerance=1e-12, **short)
    assert "exceeds the tolerance 1e-12" in result.uncertified
    assert result.metrics["certified_frac"] < 1


def test_the_figures_can_be_saved(each_penalty: Whole, tmp_path: Path) -> None:
    for stem, figure in each_penalty.result.figures.items():
        figure.savefig(tmp_path / f"{stem}.png")
        assert (tmp_path / f"{stem}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"highest_penalty": 0.1}, "lowest_penalty 0.1 must be below highest_penalty 0.1"),
        ({"dictionary": "shared"}, "shared needs shared_penalty"),
        ({"shared_penalty": 0.3}, "per_penalty takes none"),
        ({"n_penalties": 1}, "greater than or equal to 2"),
        ({"n_atoms": "4y"}, "'4y' must be a number above 0"),
        ({"l1_penalty": 0.3}, "l1_penalty"),
    ],
)
def test_a_bad_field_is_refused_with_the_rule(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PursuitPathConfig.model_validate(SMALL | fields)


def test_the_ready_made_sweep_gives_valid_configs() -> None:
    path = Path(trials.__file__).parent / "sweeps" / "pursuit-path.yaml"
    sweep = yaml.safe_load(path.read_text())
    assert sweep["kind"] == KIND.name
    for point in itertools.product(*sweep["space"].values()):
        PursuitPathConfig(**sweep["fixed"], **dict(zip(sweep["space"], point, strict=True)))
