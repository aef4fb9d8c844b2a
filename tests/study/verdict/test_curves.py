"""Which trials make one curve of the error along a training, and whose curve decides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from study.verdict.decide import decide
from study.verdict.rule import load_rule
from sweeper.records import TrialRow
from tests.study.verdict.small_study import OFFSET, STEPS, no_artifacts, pursuits, trainings

PYTHIA = [f"EleutherAI/pythia-70m{seed}@step{{}}" for seed in ("", "-seed1", "-seed2", "-seed3")]
CRFM = [
    f"stanford-crfm/{name}@checkpoint-{{}}"
    for name in (
        "alias-gpt2-small-x21",
        "battlestar-gpt2-small-x49",
        "caprica-gpt2-small-x81",
        "darkmatter-gpt2-small-x343",
    )
]


def named_on_a_hub(rows: list[TrialRow], names: Sequence[str], tensor: str = "") -> list[TrialRow]:
    """The pursuits with the checkpoints of models on a hub in place of our own."""
    return [
        r.model_copy(
            update={
                "run_id": f"hub-{r.run_id}{tensor}",
                "key": f"hub-{r.key}{tensor}",
                "params": r.params
                | {
                    "source": "hub:"
                    + names[int(r.run_id[1])].format(int(r.metrics["training_step"]))
                    + tensor
                },
            }
        )
        for r in rows
    ]


def test_a_walk_along_checkpoints_makes_a_curve_and_tells_the_change_of_the_rows(
    tmp_path: Path,
) -> None:
    walks = []
    for model in range(3):
        for null in ("none", "gaussian_spectrum_norms"):
            for l0, factor in ((4.0, 1.3), (16.0, 0.8)):
                of = [
                    r
                    for r in OFFSET
                    if r.run_id.startswith(f"p{model}-") and r.run_id.endswith(f"-{null}-{l0}")
                ]
                name = f"walk{model}-{null}-{factor}"
                walks.append(
                    of[-1].model_copy(
                        update={"run_id": name, "key": name, "kind": "pursuit_checkpoints"}
                    )
                )
                lines = [
                    f"{r.metrics['training_step']},{r.metrics['l0_held_out']},"
                    f"{r.metrics['fvu_debiased_held_out']},0.03,warm"
                    for r in of
                ]
                head = "training_step,l0_held_out,fvu_debiased_held_out,row_change_held_out,started"
                (tmp_path / f"{name}.csv").write_text("\n".join([head, *lines]))

    def fetch(run_id: str, path: str) -> Path:
        return (
            tmp_path / f"{run_id}.csv" if path == "checkpoints.csv" else no_artifacts(run_id, path)
        )

    cold = decide([*trainings(0.2), *OFFSET], load_rule(), fetch).h2
    warm = decide([*trainings(0.2), *walks], load_rule(), fetch).h2
    assert cold.models is not None
    assert warm.models is not None
    assert warm.models.title == f"{cold.models.title}, each from the one before"
    np.testing.assert_allclose(warm.models.real, cold.models.real)
    assert warm.models.row_change == pytest.approx(0.03)
    assert np.isnan(cold.models.row_change).all()
    both = decide([*trainings(0.2), *OFFSET, *walks], load_rule(), fetch).h2
    assert both.models is not None
    assert both.models.title == cold.models.title
    assert both.models.row_change == pytest.approx(0.03)


def test_rows_that_training_cannot_change_do_not_decide_whether_it_removes_their_error():
    frozen = [
        r.model_copy(
            update={
                "run_id": f"frozen-{r.run_id}",
                "key": f"frozen-{r.key}",
                "params": {
                    **r.params,
                    "source": r.params["source"].replace("learned", "frozen_random"),
                },
            }
        )
        for r in pursuits(lambda t: 0.1 + 0.5 * t**-0.5, n_models=4)
    ]
    learned = pursuits(lambda t: min(0.9, 1 / t))
    base = trainings(0.2, n_seeds=4)
    both = decide([*base, *frozen, *learned], load_rule(), no_artifacts)
    assert both.h2.models is not None
    assert "learned input rows" in both.h2.models.title
    assert both.h2.value != "offset"
    alone = decide([*base, *frozen], load_rule(), no_artifacts)
    assert alone.h2.value == "invalid"
    assert "learned rows" in alone.h2.why


@pytest.mark.parametrize(
    ("names", "title"),
    [
        (PYTHIA, "EleutherAI/pythia-70m, 2x atoms"),
        (CRFM, "stanford-crfm/gpt2-small, 2x atoms"),
    ],
)
def test_models_on_a_hub_that_differ_in_their_seed_are_seeds_of_one_curve(
    names: Sequence[str], title: str
) -> None:
    rows = named_on_a_hub(pursuits(lambda t: 0.3 + 0.5 * t**-0.5, n_models=4), names)
    h2 = decide(rows, load_rule(), no_artifacts).h2
    assert h2.models is not None
    assert h2.fitted is not None
    assert h2.fitted.ending == "offset"
    assert h2.models.title == title
    assert len(h2.models.models) == 4
    assert h2.models.models == tuple(sorted(name.partition("@")[0] for name in names))
    assert h2.models.steps.tolist() == list(STEPS)
    assert h2.models.real.shape == (4, len(STEPS))


def test_the_two_matrices_of_a_model_are_two_curves() -> None:
    curve = pursuits(lambda t: 0.3 + 0.5 * t**-0.5)
    rows = [
        r for tensor in ("", "#embed_out.weight") for r in named_on_a_hub(curve, PYTHIA, tensor)
    ]
    found = decide(rows, load_rule(), no_artifacts).groups
    assert [(models.title, len(models.models)) for models in found] == [
        ("EleutherAI/pythia-70m#embed_out.weight, 2x atoms", 3),
        ("EleutherAI/pythia-70m, 2x atoms", 3),
    ]


def test_a_model_that_cannot_be_read_at_the_wanted_atoms_takes_no_step_from_the_others() -> None:
    rows = named_on_a_hub(pursuits(lambda t: 0.3 + 0.5 * t**-0.5, n_models=4), PYTHIA)
    one_penalty = [r for r in rows if r.run_id[5] != "0" or r.run_id.endswith("-4.0")]
    h2 = decide(one_penalty, load_rule(), no_artifacts).h2
    assert h2.models is not None
    assert len(h2.models.models) == 3
    assert h2.models.steps.tolist() == list(STEPS)
    assert h2.fitted is not None
    assert h2.fitted.ending == "offset"


def test_another_version_or_matrix_makes_no_curve_with_the_others() -> None:
    """Half of the penalties again, by another version or on another matrix, and twice the error."""

    def again(**changes: object) -> list[TrialRow]:
        return [
            r.model_copy(
                update={
                    "run_id": f"again-{r.run_id}",
                    "key": f"again-{r.key}",
                    "params": r.params | {"l1_penalty": 0.1},
                    "metrics": r.metrics
                    | {"fvu_debiased_held_out": 2 * r.metrics["fvu_debiased_held_out"]},
                    **changes,
                }
            )
            for r in OFFSET
            if r.metrics["l0_held_out"] == 4.0
        ]

    def real(rows: list[TrialRow]) -> np.ndarray:
        models = decide([*trainings(0.2), *rows], load_rule(), no_artifacts).h2.models
        assert models is not None
        return models.real

    alone = real(OFFSET)
    np.testing.assert_array_equal(real([*OFFSET, *again(kind_version=2)]), alone)
    first = [r.model_copy(update={"provenance": {"input.source": "first"}}) for r in OFFSET]
    earlier = again(provenance={"input.source": "zeroth"}, started_ms=-1)
    np.testing.assert_array_equal(real([*first, *earlier]), alone)
    assert (real([*OFFSET, *again()]) != alone).any()
