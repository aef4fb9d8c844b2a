"""The kind `pursuit_checkpoints`: pursuit along one training, each dictionary from the last one.

A dictionary that starts from that of the previous checkpoint needs fewer passes, and its atoms keep
their indices, so that an atom can be followed through training. The result may then depend on the
path. So some checkpoints are also learned from a cold start, and the difference is reported.
"""

from __future__ import annotations

import math
from itertools import pairwise

from pydantic import Field, field_validator, model_validator

from trials.api import Chart, Metric, TrialKind
from trials.inputs.rows import rows_digests
from trials.inputs.sources import source_digest
from trials.inputs.sources.training_steps import training_step, uri_at_step
from trials.pursuit.kind import KIND as PURSUIT
from trials.pursuit.kind import PursuitConfig
from trials.pursuit.metrics import METRICS as PURSUIT_METRICS


class PursuitCheckpointsConfig(PursuitConfig):
    """One dictionary size along the checkpoints of one training, at one relative penalty."""

    earlier_steps: tuple[int, ...] = Field(
        min_length=1,
        description="training steps of the checkpoints before that of source, ascending; the last "
        "checkpoint is source itself",
    )
    cold_every: int = Field(
        default=5,
        ge=1,
        description="every how many checkpoints, counted back from source, one is also learned "
        "from a cold start",
    )

    @field_validator("earlier_steps", mode="before")
    @classmethod
    def _a_list_is_meant(cls, given: object) -> object:
        return tuple(given) if isinstance(given, list) else given

    @model_validator(mode="after")
    def _in_order(self) -> PursuitCheckpointsConfig:
        last = training_step(self.source)
        if math.isnan(last):
            raise ValueError(
                f"source {self.source!r} names no training step, as hub:NAME@step3000 and "
                "run:RUN_ID/step-001000 do"
            )
        if self.tokens == "trained":
            raise ValueError(
                "tokens trained differ between checkpoints, and a path needs the same tokens at "
                "each: use all or reachable"
            )
        steps = (*self.earlier_steps, last)
        if steps[0] < 0 or any(step >= after for step, after in pairwise(steps)):
            raise ValueError(
                f"earlier_steps {list(self.earlier_steps)} must rise from 0 or more and end before "
                f"{last:.0f}, the step of source"
            )
        return self

    @property
    def steps(self) -> tuple[int, ...]:
        """The training steps, ascending; the last is that of `source`."""
        return (*self.earlier_steps, int(training_step(self.source)))

    def at(self, step: int) -> PursuitConfig:
        """The config of a single pursuit of the checkpoint at that step."""
        shared = {name: getattr(self, name) for name in PursuitConfig.model_fields}
        return PursuitConfig(**shared | {"source": uri_at_step(self.source, step)})

    def has_cold_start(self, n: int) -> bool:
        """Whether checkpoint `n`, counted from 0, is also learned from a cold start."""
        return n > 0 and (len(self.earlier_steps) - n) % self.cold_every == 0


REPORTS = ("excess_bits_validation", "fvu_validation", "l0_validation", "gap_max")
"""The metrics that are reported at each checkpoint."""

SUMMED = ("solver_s", "learning_s")


_COLD = "fvu_held_out of a dictionary that was learned from a cold start minus that of the warm one"

METRICS = (
    *(metric for metric in PURSUIT_METRICS if metric.name not in SUMMED),
    Metric("fvu_held_out_first", "frac", "minimise", "fvu_held_out at the first checkpoint", True),
    Metric(
        "fvu_debiased_held_out_first",
        "frac",
        "minimise",
        "fvu_debiased_held_out at the first checkpoint",
        held_out=True,
    ),
    Metric(
        "row_change_held_out",
        "frac",
        "none",
        "sum_i w_i |x_i - x_i'|^2 / (2 sum_i w_i |x_i - mu|^2) over the held-out tokens, x' the "
        "rows of the checkpoint before the last, each centred and scaled; training noise "
        "if the two are adjacent and late, more if the rows still move",
        held_out=True,
    ),
    Metric(
        "fvu_debiased_over_change_held_out",
        "frac",
        "minimise",
        "fvu_debiased_held_out minus row_change_held_out",
        held_out=True,
    ),
    Metric(
        "cold_minus_warm_held_out",
        "frac",
        "none",
        f"{_COLD}, at the last checkpoint; positive if the warm start is better",
        held_out=True,
        title="held-out error (FVU), cold minus warm start",
    ),
    Metric(
        "cold_minus_warm_held_out_mean",
        "frac",
        "none",
        "the same, mean over the checkpoints that were learned both ways",
        held_out=True,
    ),
    Metric(
        "cold_minus_warm_held_out_largest",
        "frac",
        "none",
        "the same, at the checkpoint where it is furthest from 0",
        held_out=True,
    ),
    Metric(
        "warm_passes",
        "passes",
        "minimise",
        "passes over the training tokens from the warm start, calibration of the penalty included "
        "(those over a sample by its share), mean over the checkpoints learned both ways",
    ),
    Metric("cold_passes", "passes", "none", "the same from the cold start"),
    Metric(
        "certified_frac",
        "frac",
        "maximise",
        "codes with a gap of at most tolerance / codes, mean over the checkpoints",
    ),
    Metric(
        "converged_frac",
        "frac",
        "maximise",
        "checkpoints at which learning converged before max_passes / checkpoints",
    ),
    Metric("n_checkpoints", "checkpoints", "none", "checkpoints on the path"),
    Metric(
        "n_distinct_checkpoints",
        "checkpoints",
        "none",
        "different matrices among them; fewer than n_checkpoints where rows are frozen, or where a "
        "hub holds one checkpoint under the names of several",
    ),
    Metric(
        "solver_s",
        "s",
        "minimise",
        "wall time of coding all tokens, warm starts of all checkpoints",
        timing=True,
    ),
    Metric(
        "learning_s",
        "s",
        "minimise",
        "wall time of learning, warm starts of all checkpoints",
        timing=True,
    ),
)


def input_digests(config: PursuitCheckpointsConfig) -> dict[str, str]:
    """Digests of every checkpoint's matrix and of what the frequencies are counted from."""
    earlier = {
        f"source_step_{step}": source_digest(uri_at_step(config.source, step))
        for step in config.earlier_steps
    }
    return rows_digests(config) | earlier


KIND = TrialKind(
    name="pursuit_checkpoints",
    version=8,
    summary="Pursuit along the checkpoints of a training, each dictionary from the last one.",
    config=PursuitCheckpointsConfig,
    metrics=METRICS,
    objective="excess_bits_validation",
    run="trials.pursuit_checkpoints.run:run",
    input_digests=input_digests,
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
            caption="Held-out tokens, one point per trial; dashed: the same learner on a null.",
        ),
        Chart(
            title="Cold start minus warm start",
            x="l0_held_out",
            y="cold_minus_warm_held_out",
            colour="source",
            dash="null",
            log_x=True,
            caption="Held-out error at the last checkpoint. Positive: the dictionary that followed "
            "the checkpoints is better than one learned from scratch.",
        ),
    ),
)
