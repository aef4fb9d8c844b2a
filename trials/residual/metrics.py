"""The metrics of the kind `residual`, each with its exact definition."""

from __future__ import annotations

from trials.api import Metric
from trials.pursuit.metrics import METRICS as PURSUIT_METRICS
from trials.pursuit.metrics import on_sides
from trials.residual.functional import ARMS, SIDES

_CHECKED = ("validation", "held_out")
OF_PURSUIT = (
    *(f"{name}_{side}" for name in ("fvu_debiased", "l0") for side in _CHECKED),
    "l1_penalty_absolute",
    "n_atoms_resolved",
    "learning_converged",
)
"""Metrics that the first dictionary has as in the kind `pursuit`."""

_STANDS_IN = {
    "reconstruction": "the row's reconstruction",
    "shuffled": "the reconstruction and the residual of another token of the same tenth by "
    "frequency",
    "random": "the row and a random direction as long as its residual",
    "mean": "the mean row",
}
_READ = {
    "input": "where tokens are read",
    "output": "where they are predicted",
    "both": "on both sides",
}

METRICS = (
    *(metric for metric in PURSUIT_METRICS if metric.name in OF_PURSUIT),
    *on_sides(
        "participation_ratio",
        "dimensions",
        "none",
        "tr(C)^2 / tr(C^2) of the covariance of residuals x - xhat, xhat by least squares on the "
        "support; from halves of the tokens",
        _CHECKED,
    ),
    *on_sides(
        "participation_ratio_of_rows", "dimensions", "none", "the same of the rows", _CHECKED
    ),
    *on_sides(
        "subspace_overlap",
        "",
        "none",
        "mean squared cosine of the principal angles between the n_dimensions leading directions "
        "of the residuals of two dictionaries that started differently, each on one half of the "
        "tokens",
        _CHECKED,
    ),
    Metric("subspace_chance", "", "none", "n_dimensions / d_model: the overlap of random ones"),
    *on_sides(
        "r2_residual",
        "",
        "none",
        "1 - sum |r - rhat|^2 / sum |r - mean r|^2, rhat linear in x: ridge on training tokens, "
        "its penalty chosen on validation tokens",
        _CHECKED,
    ),
    *on_sides("r2_length", "", "none", "the same of the length |r|", _CHECKED),
    *on_sides(
        "second_fvu",
        "frac",
        "minimise",
        "fvu_debiased of a dictionary of second_atoms atoms on the residuals, at l1_penalty "
        "relative to their own critical penalty",
        _CHECKED,
    ),
    *on_sides("second_l0", "atoms", "none", "atoms of that dictionary a residual uses", _CHECKED),
    *on_sides(
        "purity_excess",
        "frac",
        "none",
        "share of label agreements between a token and its n_neighbours nearest by cosine of the "
        "residuals, of other words, less the share with labels shuffled within tenths by "
        "frequency; mean over labellings",
        _CHECKED,
    ),
    *on_sides(
        "purity_excess_of_rows", "frac", "none", "the same with neighbours by the rows", _CHECKED
    ),
    *on_sides(
        "n_labellings_found",
        "labellings",
        "none",
        "labellings in which residuals agree more than shuffled labels do, at a false discovery "
        "rate of 5 %",
        _CHECKED,
    ),
    Metric(
        "loss_model_held_out",
        "nats",
        "minimise",
        "mean of -ln p(token | the tokens before it) of the model on held-out text; NaN without "
        "model",
        held_out=True,
    ),
    Metric(
        "covered_frac_held_out",
        "frac",
        "none",
        "tokens of that text whose rows are replaced / tokens; NaN without model",
        held_out=True,
    ),
    *(
        Metric(
            f"cost_{side}_{arm}_held_out",
            "nats",
            "none",
            f"loss of the model with {_STANDS_IN[arm]} in place of the row of every token of the "
            f"trial, training tokens too, {_READ[side]}, less loss_model_held_out; NaN without "
            "model, and where the source is not the matrix of that side",
            held_out=True,
        )
        for side in SIDES
        for arm in ARMS
    ),
    Metric(
        "gap_max",
        "",
        "minimise",
        "maximum over all tokens and all three dictionaries of the relative duality gap, float64",
    ),
    Metric("solver_s", "s", "minimise", "wall time of both codings of all tokens", timing=True),
    Metric("learning_s", "s", "minimise", "wall time of learning all dictionaries", timing=True),
)
