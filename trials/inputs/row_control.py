"""How kinds on a matrix compare real rows with nulls and with the positive control."""

from __future__ import annotations

from trials.api import Comparison, Control
from trials.inputs.rows import PLANTED, PLANTED_DEFAULTS

REDRAWN = (
    "the split of the tokens (unless split_seed is set), the null and the start of learning, of "
    "one model"
)
"""What differs between the seeds of a setting."""

ROWS_FIELDS = (
    "source",
    "tokens",
    "n_rows",
    "frequencies",
    "frequency_exponent",
    "centre",
    "scale",
    "split_seed",
)
"""Fields in which two trials must agree for their tokens to be comparable."""


def null_control(*comparisons: Comparison, within: tuple[str, ...] = ()) -> Control:
    """Real rows vs. nulls and the positive control of the same rows.

    Trials are compared that agree in `ROWS_FIELDS` and `within`.
    """
    return Control(
        field="null",
        real="none",
        comparisons=comparisons,
        within=(*ROWS_FIELDS, *within),
        positive=(PLANTED,),
        claim="superposition true",
        variants=tuple(PLANTED_DEFAULTS),
        redrawn=REDRAWN,
    )
