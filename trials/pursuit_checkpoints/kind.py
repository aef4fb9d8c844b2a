"""The kind `pursuit_checkpoints`: a pursuit along one training, each dictionary from the last one.

A dictionary that starts from that of the checkpoint before needs fewer passes, and its atoms keep
their places, so that one can be followed through training. What is found may then depend on the
path: some checkpoints are learned from a cold start too, and the difference is reported.
"""

from __future__ import annotations

from trials.api import Chart, TrialKind
from trials.inputs.rows import rows_digests
from trials.inputs.sources.uri import uri_at_step
from trials.pursuit.kind import KIND as PURSUIT
from trials.pursuit_checkpoints.config import PursuitCheckpointsConfig
from trials.pursuit_checkpoints.metrics import METRICS, REPORTS


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
    run="trials.pursuit_checkpoints.run:run",
    input_digests=digests,
    control=PURSUIT.control,
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
