"""The kind `pursuit_path`: one size of dictionary, a whole path of penalties in one trial.

A penalty is no fair ground for comparing dictionary sizes, checkpoints or nulls; sparsity and bits
are. The path is walked from the highest penalty down, each dictionary starting from the last, and
its curves are read at fixed sparsity and at fixed bits.
"""

from __future__ import annotations

from trials.api import Chart, Comparison, Control, TrialKind
from trials.inputs.rows import ROWS_FIELDS, rows_digests
from trials.pursuit_path.config import PursuitPathConfig
from trials.pursuit_path.metrics import METRICS

KIND = TrialKind(
    name="pursuit_path",
    version=6,
    summary="Pursuit along a path of penalties, read at fixed sparsity and fixed bits.",
    config=PursuitPathConfig,
    metrics=METRICS,
    objective="excess_bits_validation",
    run="trials.pursuit_path.run:run",
    input_digests=rows_digests,
    control=Control(
        field="null",
        real="none",
        # The size of the dictionary is the same for real and null: the curves are matched already.
        comparisons=(
            Comparison("fvu_held_out_at_l0_16", at="n_atoms_resolved"),
            Comparison("fvu_held_out_at_l0_8", at="n_atoms_resolved"),
            Comparison("fvu_held_out_at_l0_32", at="n_atoms_resolved"),
            Comparison("fvu_rounded_held_out_at_bits_200", at="n_atoms_resolved"),
            Comparison("excess_bits_held_out", at="n_atoms_resolved", shown="difference"),
        ),
        within=(*ROWS_FIELDS, "n_atoms", "nonnegative", "dictionary"),
    ),
    reports=("excess_bits_validation", "fvu_validation_last", "l0_validation_last", "gap_max"),
    charts=(
        Chart(
            title="Error at 16 atoms a token",
            x="n_atoms_resolved",
            y="fvu_held_out_at_l0_16",
            colour="source",
            dash="null",
            log_x=True,
            caption="Held-out tokens, read off each trial's path; dashed: the same on a null.",
        ),
        Chart(
            title="Error at 200 bits a token",
            x="n_atoms_resolved",
            y="fvu_rounded_held_out_at_bits_200",
            colour="source",
            dash="null",
            log_x=True,
            caption="Held-out tokens; bits of the code, the dictionary not counted.",
        ),
        Chart(
            title="Bits beyond a Gaussian code, at the best penalty",
            x="n_atoms_resolved",
            y="excess_bits_held_out",
            colour="source",
            dash="null",
            log_x=True,
            caption="Below 0, the rows are sparser than any code of Gaussian rows can be.",
        ),
    ),
)
