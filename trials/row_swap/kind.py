"""The kind `row_swap`: what does one row cost a trained model when it becomes something else?

Rows of a sample of tokens are changed one at a time, and the loss is measured where the token is
read, where it is predicted, and over all text. Then the model may be trained on: the row alone, all
but the row, or everything. Whether a row that was lost is found again, and where, tells how much of
its place is the token's own.
"""

from __future__ import annotations

from trials.api import Chart, TrialKind
from trials.row_swap.config import RowSwapConfig
from trials.row_swap.metrics import METRICS
from trials.row_swap.subject import input_digests

KIND = TrialKind(
    name="row_swap",
    version=7,
    summary="One row of a trained model set to something else: damage, and whether it recovers.",
    config=RowSwapConfig,
    metrics=METRICS,
    objective="damage_overall_validation",
    run="trials.row_swap.run:run",
    input_digests=input_digests,
    charts=(
        Chart(
            title="What a changed row costs where it is read and where it is predicted",
            x="draw",
            y="damage_as_input_held_out",
            colour="scope",
            caption="Rise of the loss right after the token, mean over the tokens tried.",
        ),
        Chart(
            title="What a changed row costs where it is what comes",
            x="draw",
            y="damage_as_target_held_out",
            colour="scope",
            caption="Rise of the loss where the token is the target.",
        ),
        Chart(
            title="How much comes back",
            x="n_steps",
            y="recovered_frac_held_out",
            colour="regime",
            dash="draw",
            caption="Share of the damage that further training undoes.",
        ),
    ),
)
