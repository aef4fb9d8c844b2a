"""A small study with known answers: rows of a database, artifacts, and what is decided of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from study.verdict.arms import Fetch
from study.verdict.decide import decide
from study.verdict.rule import load_rule
from sweeper.errors import UserError
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


OFFSET = pursuits(lambda t: 0.3 + 0.5 * t**-0.5)


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
    return decided.h1.value, decided.h2.value
