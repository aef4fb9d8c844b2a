"""The kind `sae`: a sparse autoencoder, and what a solver makes of the same tokens beside it.

Three errors at one sparsity: the autoencoder's, that of exact codes on its decoder, and that of a
dictionary learned by full pursuit. The first two differ by what the encoder costs, the last two by
what the dictionary does. Tokens are drawn for training in proportion to
`p_i^frequency_exponent`.
"""

from __future__ import annotations

from trials.api import Chart, Comparison, Control, TrialKind
from trials.inputs.rows import ROWS_FIELDS, rows_digests
from trials.sae.config import SaeConfig
from trials.sae.metrics import METRICS

KIND = TrialKind(
    name="sae",
    version=6,
    summary="A sparse autoencoder beside exact codes on its decoder and beside full pursuit.",
    config=SaeConfig,
    metrics=METRICS,
    # Bits weigh error against sparsity, so that neither more atoms a token nor more atoms win by
    # themselves; it is also the objective of pursuit.
    objective="excess_bits_sae_validation",
    run="trials.sae.run:run",
    input_digests=rows_digests,
    control=Control(
        field="null",
        real="none",
        comparisons=(
            Comparison("fvu_sae_held_out", at="l0_sae_held_out"),
            Comparison("fvu_debiased_exact_held_out", at="l0_exact_held_out"),
            Comparison("fvu_debiased_pursuit_held_out", at="l0_pursuit_held_out"),
            Comparison(
                "bits_per_token_sae_held_out",
                at="fvu_rounded_sae_held_out",
                shown="difference",
            ),
        ),
        within=(*ROWS_FIELDS, "architecture", "n_atoms", "nonnegative"),
    ),
    reports=("fvu_sae_validation", "l0_sae_validation"),
    charts=(
        Chart(
            title="The autoencoder's error against sparsity",
            x="l0_sae_held_out",
            y="fvu_sae_held_out",
            colour="architecture",
            dash="null",
            log_x=True,
            caption="Held-out tokens, one point a trial; dashed: the same learner on a null.",
        ),
        Chart(
            title="Error of exact codes on the autoencoder's decoder",
            x="l0_exact_held_out",
            y="fvu_debiased_exact_held_out",
            colour="architecture",
            dash="null",
            log_x=True,
            caption="Certified LASSO codes with as many atoms a token, least squares on the "
            "supports.",
        ),
        Chart(
            title="Error of full pursuit",
            x="l0_pursuit_held_out",
            y="fvu_debiased_pursuit_held_out",
            colour="architecture",
            dash="null",
            log_x=True,
            caption="A dictionary of as many atoms, learned and coded at the autoencoder's "
            "sparsity.",
        ),
        Chart(
            title="What the encoder costs",
            x="l0_sae_held_out",
            y="amortisation_gap_held_out",
            colour="architecture",
            dash="null",
            log_x=True,
            caption="Error of the encoder's codes minus that of exact codes on the same decoder.",
        ),
    ),
)
