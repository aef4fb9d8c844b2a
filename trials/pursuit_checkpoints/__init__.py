"""The kind `pursuit_checkpoints`: a pursuit along one training, each dictionary from the last one.

A dictionary that starts from that of the checkpoint before needs fewer passes, and its atoms keep
their places, so that one can be followed through training. What is found may then depend on the
path: some checkpoints are learned from a cold start too, and the difference is reported.
"""

from __future__ import annotations

from trials import pursuit
from trials.api import Chart, Context, TrialKind, TrialResult
from trials.inputs.rows import rows_digests
from trials.inputs.sources.uri import uri_at_step
from trials.pursuit_checkpoints.config import PursuitCheckpointsConfig
from trials.pursuit_checkpoints.metrics import METRICS, REPORTS, checkpoint_metrics


def run(config: PursuitCheckpointsConfig, context: Context) -> TrialResult:
    """Follow the checkpoints, then code every token of the last once more."""
    from trials.kernels.threads import one_blas_thread
    from trials.pursuit.artifacts import arrays, atom_table
    from trials.pursuit.learn_and_code import codes
    from trials.pursuit_checkpoints.artifacts import figures
    from trials.pursuit_checkpoints.follow import follow
    from trials.pursuit_path.artifacts import path_table
    from trials.pursuit_path.checkpoint import forget

    with one_blas_thread():
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


def digests(config: PursuitCheckpointsConfig) -> dict[str, str]:
    """Digests of every checkpoint's matrix and of what the frequencies are counted from."""
    from trials.inputs.sources import source_digest

    earlier = {
        f"source_step_{step}": source_digest(uri_at_step(config.source, step))
        for step in config.earlier_steps
    }
    return rows_digests(config) | earlier


KIND = TrialKind(
    name="pursuit_checkpoints",
    version=6,
    summary="Pursuit along the checkpoints of a training, each dictionary from the last one.",
    config=PursuitCheckpointsConfig,
    metrics=METRICS,
    objective="excess_bits_validation",
    run=run,
    input_digests=digests,
    control=pursuit.KIND.control,
    reports=REPORTS,
    charts=(
        Chart(
            title="Error against sparsity, last checkpoint",
            x="l0_held_out",
            y="fvu_held_out",
            colour="source",
            dash="null",
            log_x=True,
            caption="Held-out tokens, one point a trial; dashed: the same learner on a null.",
        ),
        Chart(
            title="What the path leaves: cold start minus warm start",
            x="l0_held_out",
            y="cold_minus_warm_held_out",
            colour="source",
            dash="null",
            log_x=True,
            caption="Error of held-out tokens of the last checkpoint; above 0, the dictionary that "
            "came along the checkpoints is better than one learned anew.",
        ),
    ),
)
