"""Runs a trial of the kind `pursuit_checkpoints`: each checkpoint in turn."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from trials.api import Context, TrialError, TrialResult
from trials.inputs.rows import TokenRows, load_rows
from trials.kernels.sparse_coding import fvu, token_errors
from trials.pursuit.artifacts import arrays, atom_table
from trials.pursuit.code import code_with, learn_and_code
from trials.pursuit.learn import Learned
from trials.pursuit.measure import measure, training_spectrum, uncertified
from trials.pursuit.metrics import METRICS as PURSUIT_METRICS
from trials.pursuit_checkpoints.kind import (
    REPORTS,
    SUMMED,
    PursuitCheckpointsConfig,
)
from trials.pursuit_path.progress import Point, Progress, forget, resume, save
from trials.pursuit_path.run import path_table


def run(config: PursuitCheckpointsConfig, context: Context) -> TrialResult:
    """Follow the checkpoints, then code every token of the last one again for the artifacts."""
    points, data, learned = follow(config, context)
    coded = code_with(config, data, learned, context)
    forget(context.checkpoint_dir)
    return TrialResult(
        metrics=checkpoint_metrics(points),
        arrays=arrays(data, coded),
        tables={"checkpoints": path_table(points), "atoms": atom_table(data, coded)},
        figures=figures(points),
        facts=data.facts,
        uncertified=next(
            (f"step {p['training_step']}: {p['uncertified']}" for p in points if p["uncertified"]),
            "",
        ),
    )


class Followed(NamedTuple):
    """The points of all checkpoints, and rows and dictionary of the last one."""

    points: tuple[Point, ...]
    data: TokenRows
    learned: Learned


def follow(config: PursuitCheckpointsConfig, context: Context) -> Followed:
    """Every checkpoint that is not done yet, from the first to the last.

    Each is saved before it is reported, so that a retry neither repeats nor skips one. The result
    does not depend on where an attempt was interrupted. All checkpoints have the same held-out
    tokens: no dictionary on the path has seen them.
    """
    identity = config.model_dump_json()
    points, last, _ = resume(context.checkpoint_dir, identity)
    data = _rows(config, config.steps[len(points) - 1], context) if points else None
    for n, step in list(enumerate(config.steps))[len(points) :]:
        before, data = data, _rows(config, step, context)
        if before is not None:
            _check_tokens(before, data, step)
        point, last = _at_checkpoint(config, n, data, before, last, context)
        points = (*points, point)
        save(context.checkpoint_dir, identity, Progress(points, last))
        context.report(len(points), {name: point[name] for name in REPORTS})
    assert data is not None
    assert last is not None
    return Followed(points, data, last)


def _at_checkpoint(
    config: PursuitCheckpointsConfig,
    n: int,
    data: TokenRows,
    before: TokenRows | None,
    last: Learned | None,
    context: Context,
) -> tuple[Point, Learned]:
    """The point of checkpoint `n`, and its dictionary, which starts from that of the last one.

    A cold start is only measured. The path continues from the warm start, whichever is better.
    """
    at = config.at(config.steps[n])
    spectrum = training_spectrum(data)
    learned, coded = learn_and_code(data, at, context, start=last.atoms if last else None)
    point: Point = {
        "training_step": config.steps[n],
        "started": "warm" if last else "cold",
        **measure(
            data,
            learned,
            coded,
            n_threads=context.n_threads,
            device=context.device,
            spectrum=spectrum,
        ),
        "passes": _passes(learned),
        "row_change_held_out": _row_change(data, before) if before else float("nan"),
        **dict.fromkeys(("cold_minus_warm", "cold_minus_warm_l0", "cold_passes"), float("nan")),
        "certified_frac": float((coded.gap <= config.tolerance).mean()),
        "uncertified": uncertified(data, coded.gap, config.tolerance),
        "rows_sha256": hashlib.sha256(data.rows.tobytes()).hexdigest(),
    }
    if config.has_cold_start(n):
        anew, coded = learn_and_code(data, at, context)
        cold = measure(
            data, anew, coded, n_threads=context.n_threads, device=context.device, spectrum=spectrum
        )
        point |= {
            "cold_minus_warm": cold["fvu_held_out"] - point["fvu_held_out"],
            "cold_minus_warm_l0": cold["l0_held_out"] - point["l0_held_out"],
            "cold_passes": _passes(anew),
        }
    return point, learned


def _passes(learned: Learned) -> float:
    return learned.n_passes + learned.n_warm_up_passes


def _rows(config: PursuitCheckpointsConfig, step: int, context: Context) -> TokenRows:
    return load_rows(config.at(step), fetch_artifact=context.fetch_artifact)


def _check_tokens(before: TokenRows, data: TokenRows, step: int) -> None:
    if data.names != before.names or not np.array_equal(data.side(), before.side()):
        raise TrialError(
            f"step {step} has other tokens than the checkpoint before it, so that its held-out "
            "tokens may have been learned from"
        )


def _row_change(data: TokenRows, before: TokenRows) -> float:
    """Half the mean squared change of held-out rows, over their variance."""
    tokens = data.split.held_out
    change = token_errors(data.rows[tokens], before.rows[tokens], data.mean)
    return fvu(change, data.weights[tokens]) / 2


def checkpoint_metrics(points: Sequence[Point]) -> dict[str, float]:
    """Every metric of the kind."""
    first, last = points[0], points[-1]
    checked = [point for point in points if np.isfinite(point["cold_passes"])]
    differences = [point["cold_minus_warm"] for point in checked]
    return {
        **{name: float(last[name]) for name in (m.name for m in PURSUIT_METRICS)},
        **{name: sum(point[name] for point in points) for name in SUMMED},
        "fvu_held_out_first": first["fvu_held_out"],
        "fvu_debiased_held_out_first": first["fvu_debiased_held_out"],
        "row_change_held_out": last["row_change_held_out"],
        "fvu_debiased_over_change_held_out": last["fvu_debiased_held_out"]
        - last["row_change_held_out"],
        "cold_minus_warm_held_out": differences[-1],
        "cold_minus_warm_held_out_mean": float(np.mean(differences)),
        "cold_minus_warm_held_out_largest": float(max(differences, key=abs)),
        "warm_passes": float(np.mean([point["passes"] for point in checked])),
        "cold_passes": float(np.mean([point["cold_passes"] for point in checked])),
        "certified_frac": float(np.mean([point["certified_frac"] for point in points])),
        "converged_frac": float(np.mean([point["learning_converged"] for point in points])),
        "n_checkpoints": float(len(points)),
        "n_distinct_checkpoints": float(len({point["rows_sha256"] for point in points})),
    }


def figures(points: Sequence[Point]) -> dict[str, Figure]:
    """Held-out error over training, with the change of the rows and the cold starts."""
    steps = [point["training_step"] for point in points]
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.add_subplot(
        title="Error over training, held-out tokens", xlabel="training step", ylabel="FVU"
    )
    for name, label in (
        ("fvu_held_out", "penalised codes"),
        ("fvu_debiased_held_out", "least squares on their supports"),
        ("row_change_held_out", "change of the rows"),
    ):
        axes.plot(steps, [point[name] for point in points], "o-", label=label, markersize=3)
    cold = [point["fvu_held_out"] + point["cold_minus_warm"] for point in points]
    axes.plot(steps, cold, "x", label="penalised codes, cold start")
    axes.set_xscale("symlog", linthresh=1)
    axes.legend()
    return {"error_over_training": figure}
