"""The kind `exact_pursuit`: how many atoms does a token need for all but the rounding of its file?

With at least as many atoms as dimensions the error can always be zero, and the code of least l1
norm then has d_model atoms whenever the rows are rounded or the dictionary is learned: even planted
rows of 4 atoms in 64 dimensions need 64 of 128. What can be answered is how many atoms reach the
error that rounding to the file's precision makes.

Basis pursuit denoising at that error does not answer it either: on such rows in 8-bit blocks it
takes 6.3 atoms over the true dictionary and 45 to 56 over learned ones. Orthogonal matching pursuit
takes 3.98 over the true one and over a learned one once it is sharpened (35 before), and 52 on
Gaussian rows.
"""

from __future__ import annotations

from pydantic import Field

from trials.api import (
    Chart,
    Comparison,
    Direction,
    Metric,
    TrialKind,
)
from trials.inputs.row_control import null_control
from trials.inputs.rows import rows_digests
from trials.pursuit.kind import PursuitConfig
from trials.pursuit.metrics import METRICS as PURSUIT_METRICS
from trials.pursuit.metrics import of_pursuit
from trials.pursuit.sides import SIDES, on_sides


class ExactPursuitConfig(PursuitConfig):
    """A dictionary learned at one penalty, and exact codes of some tokens over it."""

    n_sampled: int = Field(
        default=500, ge=10, description="most tokens per side to code, evenly by frequency"
    )


LEARNING_METRICS = {
    "l1_penalty_absolute": "l1_penalty",
    "l1_penalty_reached": "l1_penalty_reached",
    "learning_passes": "n_passes",
    "learning_converged": "converged",
    "learning_s": "learning_s",
}
"""Metric of the kind `pursuit` -> field of `Learned`."""


ROUNDING_METRICS: dict[str, tuple[str, Direction, str]] = {
    "l0_at_rounding": (
        "atoms",
        "minimise",
        "weighted mean number of atoms of the shortest code found by orthogonal matching pursuit "
        "(signs free) with |x - a D|^2 at most the error of rounding, its mean plus 3 standard "
        "deviations for the numbers of the token; d_model where none reaches it",
    ),
    "l0_at_rounding_of_d_model": ("", "minimise", "l0_at_rounding / d_model"),
    "l0_at_rounding_p10": ("atoms", "minimise", "10th percentile of the atoms of these codes"),
    "l0_at_rounding_median": ("atoms", "minimise", "median of the atoms of these codes"),
    "l0_at_rounding_p90": ("atoms", "minimise", "90th percentile of the atoms of these codes"),
    "participation_at_rounding": (
        "atoms",
        "minimise",
        "weighted mean of (sum_j |a_ij|)^2 / sum_j a_ij^2 of these codes",
    ),
    "rounding_of_energy": (
        "frac",
        "none",
        "weighted mean over tokens of the squared error of rounding / |x|^2",
    ),
    "beyond_rounding_frac": ("frac", "minimise", "share that no code reached within that error"),
}
"""How many atoms leave no more than rounding; over all sampled tokens."""


SIZE_METRICS: dict[str, tuple[str, Direction, str]] = {
    "l0_exact": (
        "atoms",
        "minimise",
        "weighted mean number of coefficients with |a| > 1e-6 |x_i| in the code of least l1 norm "
        "that reconstructs the token exactly (a token in general position needs d_model)",
    ),
    "l0_exact_of_d_model": ("", "minimise", "l0_exact / d_model"),
    "l0_exact_p10": ("atoms", "minimise", "10th percentile of the number of these coefficients"),
    "l0_exact_median": ("atoms", "minimise", "median of the number of these coefficients"),
    "l0_exact_p90": ("atoms", "minimise", "90th percentile of the number of these coefficients"),
    "below_d_model_frac": ("frac", "maximise", "share with fewer such coefficients than d_model"),
    "below_half_d_model_frac": ("frac", "maximise", "share with fewer than d_model / 2"),
    "l1_exact": ("", "minimise", "weighted mean of sum_j |a_ij| / |x_i|"),
    "participation_exact": (
        "atoms",
        "minimise",
        "weighted mean of (sum_j |a_ij|)^2 / sum_j a_ij^2",
    ),
}

_TITLES = {
    "l0_at_rounding": "atoms per token for all but rounding",
    "l0_at_rounding_of_d_model": "atoms for all but rounding / dimensions",
    "participation_at_rounding": "participation ratio of the codes, in atoms",
    "rounding_of_energy": "share of energy due to rounding",
    "l0_exact": "atoms per token of the exact code",
    "l0_exact_of_d_model": "atoms of the exact code / dimensions",
    "l1_exact": "L1 norm of the exact code",
    "participation_exact": "participation ratio of the exact code, in atoms",
}


METRICS = (
    *(
        metric
        for name, (unit, direction, definition) in ROUNDING_METRICS.items()
        for metric in on_sides(
            name,
            unit,
            direction,
            f"{definition}; over a sample that is even by frequency",
            title=_TITLES.get(name, ""),
        )
    ),
    *(
        metric
        for name, (unit, direction, definition) in SIZE_METRICS.items()
        for metric in on_sides(
            name,
            unit,
            direction,
            f"{definition}; over the feasible tokens of a sample that is even by frequency",
            title=_TITLES.get(name, ""),
        )
    ),
    *on_sides(
        "infeasible_frac",
        "frac",
        "minimise",
        "share without an exact code (outside the span of the atoms, or their cone if nonnegative)",
    ),
    *(
        Metric(
            f"gap_{which}",
            "",
            "minimise",
            f"{definition} over the exact codes of (|a|_1 - <x, nu>) / |a|_1, float64, with "
            "multipliers |<d_j, nu>| <= 1",
        )
        for which, definition in (
            ("max", "maximum"),
            ("p99", "99th percentile"),
            ("median", "median"),
        )
    ),
    Metric("residual_max", "", "minimise", "maximum over the exact codes of |x - a D| / |x|"),
    Metric(
        "sharpening_rounds",
        "rounds",
        "none",
        "rounds in which the learned dictionary was fitted to the error of rounding; 0 where more "
        "than half of the training tokens need over d_model / 4 atoms for 97 % of their energy",
    ),
    Metric("n_renewed_atoms", "atoms", "none", "atoms that these rounds replaced"),
    *of_pursuit("n_atoms_resolved"),
    *(Metric(f"n_{side}_tokens", "tokens", "none", f"{side} tokens coded") for side in SIDES),
    *(metric for metric in PURSUIT_METRICS if metric.name in LEARNING_METRICS),
)


KIND = TrialKind(
    name="exact_pursuit",
    version=8,
    summary="Atoms per token for all but the rounding of the file, and codes of least l1 norm.",
    config=ExactPursuitConfig,
    metrics=METRICS,
    # For rows in general position the number of atoms is d_model whatever was learned; how evenly
    # they are used still differs.
    objective="participation_at_rounding_validation",
    run="trials.exact_pursuit.run:run",
    input_digests=rows_digests,
    control=null_control(
        Comparison("l0_at_rounding_held_out", at="n_atoms_resolved"),
        Comparison("participation_at_rounding_held_out", at="n_atoms_resolved"),
        Comparison("l1_exact_held_out", at="n_atoms_resolved"),
        within=("n_atoms", "l1_penalty", "nonnegative"),
    ),
    charts=(
        Chart(
            title="Atoms for all but rounding",
            x="n_atoms_resolved",
            y="l0_at_rounding_of_d_model_held_out",
            colour="l1_penalty",
            dash="null",
            log_x=True,
            caption="Held-out tokens; 1: as many as rows in general position need.",
        ),
        Chart(
            title="Participation ratio of these codes",
            x="n_atoms_resolved",
            y="participation_at_rounding_held_out",
            colour="l1_penalty",
            dash="null",
            log_x=True,
            caption="Held-out tokens; the number of atoms of an equally spread code.",
        ),
    ),
)
