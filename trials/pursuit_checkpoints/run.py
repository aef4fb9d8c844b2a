"""Runs a trial of the kind `pursuit_checkpoints`."""

from __future__ import annotations

from trials.api import Context, TrialResult
from trials.pursuit.artifacts import arrays, atom_table
from trials.pursuit.learn_and_code import codes
from trials.pursuit_checkpoints.artifacts import figures
from trials.pursuit_checkpoints.config import PursuitCheckpointsConfig
from trials.pursuit_checkpoints.follow import follow
from trials.pursuit_checkpoints.metrics import checkpoint_metrics
from trials.pursuit_path.artifacts import path_table
from trials.pursuit_path.progress import forget


def run(config: PursuitCheckpointsConfig, context: Context) -> TrialResult:
    """Follow the checkpoints, then code every token of the last once more."""
    points, data, learned = follow(config, context)
    coded = codes(config, data, learned, context)
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
