"""The kind `pursuit`: learn a dictionary for the rows of an embedding matrix, code them exactly.

Tokens are weighted by `p_i^frequency_exponent` as a distribution: the weights enter the dictionary
update, the mean and the reported sums, and the code of a token does not depend on them.
"""

from __future__ import annotations

from trials.api import Bound, Chart, Comparison, Control, TrialKind
from trials.inputs.rows import ROWS_FIELDS, rows_digests
from trials.pursuit.config import PursuitConfig
from trials.pursuit.metrics import METRICS

_AT_EQUAL_SPARSITY = "Held-out tokens, one point a trial; dashed: the same learner on a null."


KIND = TrialKind(
    name="pursuit",
    version=7,
    summary="Sparse codes of an embedding matrix over a learned dictionary, with certificates.",
    config=PursuitConfig,
    metrics=METRICS,
    objective="excess_bits_validation",
    run="trials.pursuit.run:run",
    input_digests=rows_digests,
    control=Control(
        field="null",
        real="none",
        comparisons=(
            Comparison("fvu_held_out", at="l0_held_out"),
            Comparison("fvu_debiased_held_out", at="bits_per_token_held_out"),
            Comparison("bits_per_token_held_out", at="fvu_debiased_held_out", shown="difference"),
        ),
        within=(*ROWS_FIELDS, "n_atoms", "nonnegative"),
    ),
    charts=(
        Chart(
            title="Error against sparsity",
            x="l0_held_out",
            y="fvu_held_out",
            colour="n_atoms",
            dash="null",
            log_x=True,
            caption=_AT_EQUAL_SPARSITY,
        ),
        Chart(
            title="Error against size of the dictionary",
            x="n_atoms_resolved",
            y="fvu_held_out",
            colour="l1_penalty",
            dash="null",
            log_x=True,
            caption="Held-out tokens; at one relative penalty, l0 changes with the size too.",
        ),
        Chart(
            title="Error over training",
            x="training_step",
            y="fvu_held_out",
            colour="l1_penalty",
            dash="null",
            log_x=True,
            caption="Held-out tokens of checkpoints; at one relative penalty, l0 changes too.",
        ),
        Chart(
            title="Error against description length",
            x="code_bits_held_out",
            y="fvu_rounded_held_out",
            colour="n_atoms",
            dash="null",
            caption="Bits of a token's code, the dictionary not counted, and the error of the code "
            "as it is sent. No code of Gaussian rows lies left of the bound.",
            bound=Bound(
                x="gaussian_bits_held_out",
                label="Gaussian of the same spectrum (bound)",
                within=ROWS_FIELDS,
            ),
        ),
        Chart(
            title="Bits beyond a Gaussian code",
            x="l0_held_out",
            y="excess_bits_held_out",
            colour="n_atoms",
            dash="null",
            log_x=True,
            caption="Below 0, the rows are sparser than any code of Gaussian rows can be.",
        ),
    ),
)
