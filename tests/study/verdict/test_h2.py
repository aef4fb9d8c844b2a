"""H2: every value that the error of the codes can end in as training goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from study.verdict.decide import decide
from study.verdict.page import verdict_page
from study.verdict.rule import load_rule
from sweeper.records import TrialRow
from tests.study.verdict.small_study import (
    OFFSET,
    STEPS,
    costs,
    kept,
    no_artifacts,
    pursuits,
    trainings,
    value,
)


@pytest.mark.parametrize(
    ("rows", "expected", "why"),
    [
        ([*OFFSET, *costs(0.5)], "offset", "fit and predict"),
        (OFFSET, "undecided", "costs the model was not measured"),
        ([*OFFSET, *costs(0.005)], "undecided", "it costs the model 0.005 nats"),
        ([*OFFSET, *costs(0.5, uncertified="gap 1e-2")], "undecided", "was not measured"),
        ([*OFFSET, *costs(0.5, n_models=2)], "undecided", "was not measured"),
        (pursuits(lambda t: 0.9 / (1 + 0.4 * np.log1p(t))), "not identified", "at the last step"),
        (pursuits(lambda t: 0.3 + 0.5 * t**-0.5, n_models=2), "invalid", "2 models"),
        (pursuits(lambda t: 0.3, nulls=("none",)), "invalid", "without a null"),
        (pursuits(lambda t: 0.3, uncertified="gap 1e-2"), "invalid", "uncertified: gap 1e-2"),
        ([], "invalid", "no pursuit of checkpoints"),
    ],
    ids=[
        "offset",
        "cost unknown",
        "costs less than a seed",
        "cost uncertified",
        "cost of two",
        "log decay",
        "two models",
        "no null",
        "uncertified",
        "none",
    ],
)
def test_the_second_hypothesis_ends_in_its_values(
    rows: list[TrialRow], expected: str, why: str, tmp_path: Path
) -> None:
    h2 = decide([*trainings(0.2), *rows], load_rule(), kept(tmp_path, 0.02)).h2
    assert h2.value == expected
    assert why in h2.why


def test_an_error_about_the_size_of_noise_is_undecided_and_one_below_it_zero() -> None:
    small = pursuits(lambda t: 0.005 * t**-0.3)
    assert value([*trainings(0.2), *small])[1] == "zero"
    around = [
        r.model_copy(
            update={
                "metrics": r.metrics
                | {
                    "fvu_debiased_held_out": r.metrics["fvu_debiased_held_out"]
                    * (3.0 if r.run_id.startswith("p0") else 1.0)
                }
            }
        )
        for r in pursuits(lambda t: 0.006 + 0 * t)
    ]
    assert value([*trainings(0.2), *around])[1] == "undecided"


def test_an_offset_lies_above_the_noise_of_the_training(tmp_path: Path) -> None:
    rows = [*trainings(0.2), *OFFSET, *costs(0.5)]
    h2 = decide(rows, load_rule(), kept(tmp_path, 0.02)).h2
    assert h2.models is not None
    assert h2.models.row_change == pytest.approx(0.02, rel=0.1)
    assert h2.floor == pytest.approx(0.02, rel=0.1)
    assert h2.cost == pytest.approx((0.5, 0.5, 0.5))
    assert h2.cost_floor == pytest.approx(0.01)
    assert value(rows, kept(tmp_path, 0.001))[1] == "offset"
    assert value(rows, kept(tmp_path, 0.5))[1] == "undecided"
    unknown = decide(rows, load_rule(), no_artifacts)
    assert (unknown.h2.value, unknown.h2.why.split(", but ")[1]) == (
        "undecided",
        "the noise of the training is not known",
    )
    assert "checkpoints-warm" in [missing.sweep for missing in unknown.missing]


def test_noise_that_training_leaves_does_not_make_an_error_zero(tmp_path: Path) -> None:
    falling = [*trainings(0.2), *pursuits(lambda t: 0.03 + 0 * t), *costs(0.5)]
    assert value(falling, kept(tmp_path, 0.5))[1] != "zero"


def test_sizes_of_the_dictionary_stand_beside_each_other(tmp_path: Path) -> None:
    larger = [
        r.model_copy(
            update={
                "run_id": f"larger-{r.run_id}",
                "key": f"larger-{r.key}",
                "params": r.params | {"n_atoms": "3x"},
                "metrics": r.metrics
                | {
                    "n_atoms_resolved": 192.0,
                    "fvu_debiased_held_out": 0.8 * r.metrics["fvu_debiased_held_out"],
                },
            }
        )
        for r in OFFSET
        if r.metrics["training_step"] == STEPS[-1]
    ]
    decided = decide([*trainings(0.2), *OFFSET, *larger], load_rule(), kept(tmp_path, 0.02))
    h2 = decided.h2
    assert h2.models is not None
    assert h2.models.title.endswith("2x atoms")
    assert [size.n_atoms for size in h2.sizes] == [128.0, 192.0]
    assert h2.sizes[1].error[0] == pytest.approx(0.8 * h2.sizes[0].error[0])
    assert "192 atoms" in verdict_page(decided)
    assert [models.title for models in decided.groups_with_curve] == [h2.models.title]
