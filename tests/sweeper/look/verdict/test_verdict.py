"""Every value that a hypothesis can end in, from rows of a database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from sweeper.cli import cli
from sweeper.errors import UserError
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


def value(rows: list[TrialRow]) -> tuple[str, str]:
    decided = decide(rows, load_rule(), no_artifacts)
    return decided.worse.value, decided.ends.value


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


def test_a_gap_without_lost_tokens_is_not_worse_by_the_rule() -> None:
    assert value(trainings(0.2))[0] == "undecided"


@pytest.mark.parametrize(
    ("rows", "expected", "why"),
    [
        (pursuits(lambda t: 0.3 + 0.5 * t**-0.5), "offset", "at the last step"),
        (pursuits(lambda t: 0.9 / (1 + 0.4 * np.log1p(t))), "not identified", "at the last step"),
        (pursuits(lambda t: 0.3 + 0.5 * t**-0.5, n_models=2), "invalid", "2 models"),
        (pursuits(lambda t: 0.3, nulls=("none",)), "invalid", "without a null"),
        (pursuits(lambda t: 0.3, uncertified="gap 1e-2"), "invalid", "uncertified: gap 1e-2"),
        ([], "invalid", "no pursuit of checkpoints"),
    ],
    ids=["offset", "log decay", "two models", "no null", "uncertified", "none"],
)
def test_the_second_hypothesis_ends_in_its_values(
    rows: list[TrialRow], expected: str, why: str
) -> None:
    ends = decide([*trainings(0.2), *rows], load_rule(), no_artifacts).ends
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


def test_both_hypotheses_together_have_a_consequence_and_open_ones_have_none(
    lenient: str,
) -> None:
    offset = pursuits(lambda t: 0.3 + 0.5 * t**-0.5)
    decided = decide([*trainings(0.2), *offset], load_rule(lenient), no_artifacts)
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


def test_the_page_and_the_json_name_values_runs_and_rule(lenient: str) -> None:
    rows = [*trainings(0.2), *pursuits(lambda t: 0.3 + 0.5 * t**-0.5)]
    decided = decide(rows, load_rule(lenient), no_artifacts)
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
    assert ends.value == "offset"
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
    assert ends.value == "offset"
