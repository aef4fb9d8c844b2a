"""Every value that a hypothesis can end in, from rows of a database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save_file

from sweeper.cli import cli
from sweeper.errors import UserError
from sweeper.look.verdict.arms import Fetch
from sweeper.look.verdict.decide import CONSEQUENCES, decide
from sweeper.look.verdict.page import verdict_json, verdict_page
from sweeper.look.verdict.rule import load_rule
from sweeper.records import TrialRow, TrialState

STEPS = (0, *(int(s) for s in np.unique(np.rint(np.geomspace(1, 6000, 13)))))
WORLD: dict[str, Any] = {"n_vocab": 2000, "d_model": 64, "n_layers": 2, "n_tokens": 1000}


def no_artifacts(run_id: str, path: str) -> Path:
    raise UserError(f"run '{run_id}' has no artifact '{path}'")


def row(
    kind: str, name: str, params: dict[str, Any], metrics: dict[str, float], **more: Any
) -> TrialRow:
    return TrialRow(
        run_id=name,
        sweep=kind,
        submission="",
        kind=kind,
        kind_version=1,
        key=name,
        label=name,
        params=params,
        metrics=metrics,
        **{"state": TrialState.COMPLETE, "started_ms": 0, "ended_ms": 2000, **more},
    )


def training(arm: str, seed: int, loss: float, **more: Any) -> TrialRow:
    params = {
        **WORLD,
        "tying": "untied",
        "input_embedding": arm,
        "output_embedding": "learned",
        "output_bias": False,
        "rows_distribution": "sphere",
        "seed": seed,
        "data_seed": None,
    }
    metrics = {"loss_validation": loss, "loss_held_out": loss}
    return row("pretrain", f"{arm}{seed}", params, metrics, **more)


def trainings(gap: float, n_seeds: int = 3, spread: float = 0.001, **more: Any) -> list[TrialRow]:
    rng = np.random.default_rng(0)
    noise = spread * rng.standard_normal((2, n_seeds))
    arms = (("learned", 0.0), ("frozen_random", gap))
    return [
        training(arm, seed, 3 + shift + noise[which, seed], **more)
        for which, (arm, shift) in enumerate(arms)
        for seed in range(n_seeds)
    ]


def pursuits(
    curve: Any,
    n_models: int = 3,
    nulls: Sequence[str] = ("none", "gaussian_spectrum_norms"),
    **more: Any,
) -> list[TrialRow]:
    rng = np.random.default_rng(1)
    found = []
    for model in range(n_models):
        for step in STEPS:
            error = curve(max(step, 0.5)) * np.exp(0.01 * rng.standard_normal())
            for null in nulls:
                for l0, factor in ((4.0, 1.3), (16.0, 0.8)):
                    scale = factor if null == "none" else 1.2 * factor
                    found.append(
                        row(
                            "pursuit",
                            f"p{model}-{step}-{null}-{l0}",
                            {
                                "source": f"run:learned{model}/step-{step:06d}",
                                "null": null,
                                "n_atoms": "2x",
                                "seed": 0,
                            },
                            {
                                "training_step": float(step),
                                "l0_held_out": l0,
                                "fvu_debiased_held_out": min(0.99, scale * error),
                                "n_atoms_resolved": 128.0,
                                "n_train_tokens": 1600.0,
                                "n_validation_tokens": 200.0,
                                "n_held_out_tokens": 200.0,
                            },
                            **more,
                        )
                    )
    return found


def costs(rise: float, n_models: int = 3, **more: Any) -> list[TrialRow]:
    """What codes in place of the rows cost at the last step, at twice and half the wanted l0."""
    return [
        row(
            "residual",
            f"r{model}-{l0}",
            {
                "source": f"run:learned{model}/step-{STEPS[-1]:06d}",
                "null": "none",
                "n_atoms": "2x",
                "seed": 0,
            },
            {
                "l0_held_out": l0,
                "cost_input_reconstruction_held_out": rise + away,
                "cost_both_reconstruction_held_out": float("nan"),
                "loss_model_held_out": 3 + 0.01 * model,
            },
            **more,
        )
        for model in range(n_models)
        for l0, away in ((4.0, 0.1), (16.0, -0.1))
    ]


def kept(folder: Path, change: float) -> Fetch:
    """Rows of each model at its last two steps; `change` is half their mean squared change."""

    def fetch(run_id: str, path: str) -> Path:
        if path not in (f"step-{step:06d}.safetensors" for step in STEPS[-2:]):
            return no_artifacts(run_id, path)
        rng = np.random.default_rng(len(run_id))
        rows, noise = rng.standard_normal((2, 400, 16))
        late = path.endswith(f"{STEPS[-1]:06d}.safetensors")
        values = rows + np.sqrt(2 * change) * noise * (not late)
        save_file({"input_embedding": values.astype(np.float32)}, folder / path)
        return folder / path

    return fetch


def value(rows: list[TrialRow], fetch: Fetch = no_artifacts) -> tuple[str, str]:
    decided = decide(rows, load_rule(), fetch)
    return decided.worse.value, decided.ends.value


OFFSET = pursuits(lambda t: 0.3 + 0.5 * t**-0.5)


# A training without a curve needs as many tokens for any loss: the rule's ratio is set aside here.
@pytest.fixture
def lenient(tmp_path: Path) -> str:
    text = Path(load_rule().origin).read_text().replace("tokens_ratio: 1.25", "tokens_ratio: 0.5")
    (tmp_path / "lenient.yaml").write_text(text)
    return str(tmp_path / "lenient.yaml")


@pytest.mark.parametrize(
    ("rows", "expected", "why"),
    [
        (trainings(0.2), "worse", "lies above 0.05"),
        (trainings(0.0), "not worse", "lies below 0.02"),
        (trainings(0.03), "undecided", "allows both"),
        (trainings(0.2, spread=0.3), "undecided", "allows both"),
        (trainings(float("nan")), "not identified", "not finite"),
        (trainings(0.2, n_seeds=2), "invalid", "2 seeds; the rule asks for 3"),
        (trainings(0.2, uncertified="diverged"), "invalid", "uncertified: diverged"),
        ([], "invalid", "no training has both arms"),
    ],
    ids=["worse", "equal", "between", "noisy", "nan", "two seeds", "uncertified", "none"],
)
def test_the_first_hypothesis_ends_in_each_of_its_values(
    rows: list[TrialRow], expected: str, why: str, lenient: str
) -> None:
    worse = decide(rows, load_rule(lenient), no_artifacts).worse
    assert worse.value == expected
    assert why in worse.why


def test_a_gap_that_closes_is_told_as_one_of_speed(tmp_path: Path) -> None:
    tokens = np.geomspace(1e4, 1e6, 21)

    def fetch(run_id: str, path: str) -> Path:
        if path != "loss_curve.csv":
            return no_artifacts(run_id, path)
        gap = 0.2 * (tokens / 1e6) ** -0.5 if run_id.startswith("frozen") else 0 * tokens
        wobble = 1 + 0.01 * int(run_id[-1]) * np.log(tokens / 1e6)
        lines = [f"{t},{loss}" for t, loss in zip(tokens, 3 + gap * wobble, strict=True)]
        (tmp_path / run_id).write_text("\n".join(["n_tokens,loss_validation", *lines]))
        return tmp_path / run_id

    decided = decide(trainings(0.2), load_rule(), fetch)
    assert decided.worse.gap is not None
    assert decided.worse.gap.closing[0] == pytest.approx(0.5, abs=0.05)
    assert decided.worse.gap.closing[1] > 0
    assert "one of speed" in verdict_page(decided)
    assert "one of speed" not in verdict_page(decide(trainings(0.2), load_rule(), no_artifacts))


def test_a_gap_without_lost_tokens_is_not_worse_by_the_rule() -> None:
    assert value(trainings(0.2))[0] == "undecided"


@pytest.mark.parametrize(
    ("rows", "expected", "why"),
    [
        ([*OFFSET, *costs(0.5)], "offset", "fit and predict"),
        (OFFSET, "undecided", "worth to the model was not measured"),
        ([*OFFSET, *costs(0.005)], "undecided", "it is worth 0.005 nats"),
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
        "worth less than a seed",
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
    ends = decide([*trainings(0.2), *rows], load_rule(), kept(tmp_path, 0.02)).ends
    assert ends.value == expected
    assert why in ends.why


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
    ends = decide(rows, load_rule(), kept(tmp_path, 0.02)).ends
    assert ends.models is not None
    assert ends.models.row_change == pytest.approx(0.02, rel=0.1)
    assert ends.floor == pytest.approx(0.02, rel=0.1)
    assert ends.cost == pytest.approx((0.5, 0.5, 0.5))
    assert ends.cost_floor == pytest.approx(0.01)
    assert value(rows, kept(tmp_path, 0.001))[1] == "offset"
    assert value(rows, kept(tmp_path, 0.5))[1] == "undecided"
    unknown = decide(rows, load_rule(), no_artifacts)
    assert (unknown.ends.value, unknown.ends.why.split(", but ")[1]) == (
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
    ends = decided.ends
    assert ends.models is not None
    assert ends.models.title.endswith("2x atoms")
    assert [size.n_atoms for size in ends.sizes] == [128.0, 192.0]
    assert ends.sizes[1].error[0] == pytest.approx(0.8 * ends.sizes[0].error[0])
    assert "192 atoms" in verdict_page(decided)
    assert [models.title for models in decided.followed] == [ends.models.title]


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

    cold = decide([*trainings(0.2), *OFFSET], load_rule(), fetch).ends
    warm = decide([*trainings(0.2), *walks], load_rule(), fetch).ends
    assert cold.models is not None
    assert warm.models is not None
    assert warm.models.title == f"{cold.models.title}, each from the one before"
    np.testing.assert_allclose(warm.models.real, cold.models.real)
    assert warm.models.row_change == pytest.approx(0.03)
    assert np.isnan(cold.models.row_change).all()
    both = decide([*trainings(0.2), *OFFSET, *walks], load_rule(), fetch).ends
    assert both.models is not None
    assert both.models.title == cold.models.title
    assert both.models.row_change == pytest.approx(0.03)


def test_both_hypotheses_together_have_a_consequence_and_open_ones_have_none(
    lenient: str, tmp_path: Path
) -> None:
    offset = [*OFFSET, *costs(0.5)]
    decided = decide([*trainings(0.2), *offset], load_rule(lenient), kept(tmp_path, 0.02))
    assert decided.consequence == CONSEQUENCES["worse", "offset"]
    assert decided.is_indicative
    assert decided.ends.over_null[0] == pytest.approx(1 / 1.2, rel=0.05)
    open_one = decide([*trainings(0.03), *offset], load_rule(lenient), no_artifacts)
    assert open_one.consequence.startswith("Open: H1 is undecided")


def test_what_is_missing_is_named_with_its_cost() -> None:
    decided = decide(trainings(0.2, n_seeds=2), load_rule(), no_artifacts)
    frozen, checkpoints = decided.missing
    assert frozen.sweep == "frozen --set seeds=5"
    assert frozen.cost == "6 trials of kind pretrain, about 12s"
    assert checkpoints.sweep == "checkpoints --set first.set.seeds=5"
    assert "time unknown" in checkpoints.cost


def test_where_the_models_are_enough_longer_trainings_are_asked_for() -> None:
    rows = [*trainings(0.2, n_seeds=5), *pursuits(lambda t: 1 / (1 + np.log1p(t)), n_models=5)]
    sweeps = {missing.sweep: missing for missing in decide(rows, load_rule(), no_artifacts).missing}
    longer = sweeps["checkpoints --set first.set.seeds=5 --set n_tokens=4000"]
    assert longer.cost == "10 trials of kind pretrain, about 1m20s"


def test_the_page_and_the_json_name_values_runs_and_rule(lenient: str, tmp_path: Path) -> None:
    rows = [*trainings(0.2), *OFFSET, *costs(0.5)]
    decided = decide(rows, load_rule(lenient), kept(tmp_path, 0.02))
    text = verdict_page(decided)
    for part in ("WORSE", "OFFSET", "E + A (t + t0)^-b", "frozen_r", decided.rule.digest[:16]):
        assert part in text
    values = json.loads(verdict_json(decided))
    assert (values["h1"]["value"], values["h2"]["value"]) == ("worse", "offset")
    assert values["h1"]["gap"]["arm_runs"] == ["frozen_random0", "frozen_random1", "frozen_random2"]
    assert len(values["h2"]["models"]["real"]) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("seeds_min: 3", "seeds_min: 2"), "seeds_min: given 2; must be at least 3"),
        (("gap_nats", "gap_nat"), "unknown key 'gap_nat'; did you mean 'gap_nats'?"),
        (("level: 0.95", "level: 95"), "level: given 95"),
    ],
)
def test_a_mistake_in_a_rule_is_one_line(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(Path(load_rule().origin).read_text().replace(*change))
    with pytest.raises(UserError) as caught:
        load_rule(str(path))
    assert message in str(caught.value)
    with pytest.raises(UserError, match="no such file"):
        load_rule(str(tmp_path / "none.yaml"))


def test_the_command_decides_a_store_and_notes_it_there(
    tmp_path: Path, store_dir: Path, write_sweep: Any
) -> None:
    write_sweep("kind: bowl\nspace: {x: [0.0, 1.0]}\n")
    assert CliRunner().invoke(cli, ["run", "bowls.yaml", "--in-process"]).exit_code == 0
    done = CliRunner().invoke(cli, ["verdict", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["h1"]["value"] == "invalid"
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{store_dir / 'mlflow.db'}")
    tags = client.get_experiment_by_name("bowls").tags
    assert tags["verdict.h1"] == "invalid"
    assert tags["verdict.rule_sha256"] == load_rule().digest


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
    assert both.ends.models is not None
    assert "learned input rows" in both.ends.models.title
    assert both.ends.value != "offset"
    alone = decide([*base, *frozen], load_rule(), no_artifacts)
    assert alone.ends.value == "invalid"
    assert "learned rows" in alone.ends.why


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
    ends = decide(rows, load_rule(), no_artifacts).ends
    assert ends.models is not None
    assert ends.found is not None
    assert ends.found.ending == "offset"
    assert ends.models.title == title
    assert len(ends.models.models) == 4
    assert ends.models.models == tuple(sorted(name.partition("@")[0] for name in names))
    assert ends.models.steps.tolist() == list(STEPS)
    assert ends.models.real.shape == (4, len(STEPS))


def test_the_two_matrices_of_a_model_are_two_curves() -> None:
    curve = pursuits(lambda t: 0.3 + 0.5 * t**-0.5)
    rows = [
        r for tensor in ("", "#embed_out.weight") for r in named_on_a_hub(curve, PYTHIA, tensor)
    ]
    found = decide(rows, load_rule(), no_artifacts).curves
    assert [(models.title, len(models.models)) for models in found] == [
        ("EleutherAI/pythia-70m#embed_out.weight, 2x atoms", 3),
        ("EleutherAI/pythia-70m, 2x atoms", 3),
    ]


def test_a_model_that_cannot_be_read_at_the_wanted_atoms_takes_no_step_from_the_others() -> None:
    rows = named_on_a_hub(pursuits(lambda t: 0.3 + 0.5 * t**-0.5, n_models=4), PYTHIA)
    one_penalty = [r for r in rows if r.run_id[5] != "0" or r.run_id.endswith("-4.0")]
    ends = decide(one_penalty, load_rule(), no_artifacts).ends
    assert ends.models is not None
    assert len(ends.models.models) == 3
    assert ends.models.steps.tolist() == list(STEPS)
    assert ends.found is not None
    assert ends.found.ending == "offset"
