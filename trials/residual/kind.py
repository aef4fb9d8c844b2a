"""The kind `residual`: is what sparse codes leave of the rows noise, or does it have structure?

Residuals are those of least squares on each support: the shrinkage of the penalty would look like
structure. A Gaussian null leaves residuals too, which are neither white nor unforeseeable, so
every number is to be read beside its own.
"""

from __future__ import annotations

from trials.api import Chart, Comparison, Control, TrialKind
from trials.inputs.rows import ROWS_FIELDS, rows_digests
from trials.residual.config import ResidualConfig
from trials.residual.metrics import METRICS


def input_digests(config: ResidualConfig) -> dict[str, str]:
    """Digests of the rows, and of the model and its text where there is one."""
    digests = rows_digests(config)
    if config.model_uri is not None and config.null == "none":
        from trials.inputs.corpora import corpus_digests
        from trials.inputs.sources import source_digest

        digests["model"] = source_digest(config.model_uri)
        if config.text is not None:
            digests["corpus"] = corpus_digests(config.text)["corpus"]
    return digests


KIND = TrialKind(
    name="residual",
    version=7,
    summary="What sparse codes leave of the rows: its dimensions, what foretells it, its cost.",
    config=ResidualConfig,
    metrics=METRICS,
    objective="second_fvu_validation",
    run="trials.residual.run:run",
    input_digests=input_digests,
    control=Control(
        field="null",
        real="none",
        comparisons=(
            Comparison("participation_ratio_held_out", at="l0_held_out"),
            Comparison("r2_residual_held_out", at="l0_held_out", shown="difference"),
            Comparison("subspace_overlap_held_out", at="l0_held_out", shown="difference"),
            Comparison("second_fvu_held_out", at="second_l0_held_out"),
        ),
        within=(*ROWS_FIELDS, "n_atoms", "nonnegative"),
    ),
    charts=(
        Chart(
            title="Dimensions that residuals fill",
            x="l0_held_out",
            y="participation_ratio_held_out",
            colour="n_atoms",
            dash="null",
            caption="Held-out tokens; dashed: the same on a null. Few dimensions: what is left "
            "lies along common directions.",
        ),
        Chart(
            title="Residuals that rows foretell",
            x="l0_held_out",
            y="r2_residual_held_out",
            colour="n_atoms",
            dash="null",
            caption="Share of the residual that a linear map of the row predicts, held-out tokens.",
        ),
        Chart(
            title="What the residual is worth to the model",
            x="l0_held_out",
            y="cost_both_reconstruction_held_out",
            colour="n_atoms",
            caption="Loss with every row replaced by its reconstruction, less the model's own.",
        ),
    ),
)
