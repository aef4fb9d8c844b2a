"""The kind `exact_pursuit`: how many atoms does a token need when nothing may be left over?

With as many atoms as dimensions the error vanishes by itself; what tells features from none is the
number of atoms that the exact code of least l1 norm uses. A row in general position needs d_model
of them; a row that is a sparse combination of the atoms needs as many as it is made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from trials.api import (
    Chart,
    Comparison,
    Context,
    Control,
    Direction,
    Metric,
    Table,
    TrialKind,
    TrialResult,
)
from trials.inputs.rows import ROWS_FIELDS, TokenRows, load_rows, rows_digests
from trials.pursuit.config import PursuitConfig
from trials.pursuit.metrics import METRICS as PURSUIT_METRICS
from trials.pursuit.metrics import SIDES, on_sides

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from trials.kernels.sparse_coding import ExactCodes


class ExactPursuitConfig(PursuitConfig):
    """A dictionary learned at one penalty, and exact codes of some tokens over it."""

    n_sampled: int = Field(
        default=500, ge=10, description="tokens of a side to code, at most, evenly by frequency"
    )


def run(config: ExactPursuitConfig, context: Context) -> TrialResult:
    """Learn on all training rows, code a sample of each side exactly, measure."""
    from trials.inputs.samples import sample_tokens
    from trials.kernels.sparse_coding import code_sizes, exact_codes, without_negligible
    from trials.kernels.threads import one_blas_thread
    from trials.pursuit.learn import learn

    everything = load_rows(config, fetch_artifact=context.fetch_artifact)
    # The tokens to code do not depend on the seed, so that seeds are replicates on the same tokens.
    drawing = np.random.default_rng([config.split_seed, 1])
    data = sample_tokens(everything, config.n_sampled, SIDES, drawing)
    with one_blas_thread():
        learned = learn(everything, config, context.n_threads)
        exact = exact_codes(
            data.rows,
            learned.atoms,
            nonnegative=config.nonnegative,
            tolerance=config.tolerance,
            n_threads=context.n_threads,
        )
    norms = np.linalg.norm(data.rows.astype(np.float64), axis=1)
    sizes = code_sizes(without_negligible(exact.codes, norms))
    l1 = np.divide(sizes.l1, norms, out=np.zeros_like(norms), where=norms > 0)
    metrics = {name: float(getattr(learned, field)) for name, field in _OF_LEARNING.items()}
    for side, tokens in data.split._asdict().items():
        found = _side_metrics(data, exact, sizes.l0, l1, tokens)
        metrics |= {f"{name}_{side}": value for name, value in found.items()}
        metrics[f"n_{side}_tokens"] = float(len(tokens))
    metrics |= _certificates(exact) | {"n_atoms_resolved": float(len(learned.atoms))}
    return TrialResult(
        metrics=metrics,
        arrays={"dictionary": {"atoms": learned.atoms, "offset": data.offset}},
        tables={"tokens": _table(data, exact, sizes.l0, l1)},
        figures={"l0_histogram": _figure(data, exact, sizes.l0)},
        facts=data.facts | {"l1_penalty_absolute": f"{learned.l1_penalty:.6g}"},
        uncertified=_uncertified(data, exact, config.tolerance),
    )


def _side_metrics(
    data: TokenRows, exact: ExactCodes, l0: np.ndarray, l1: np.ndarray, tokens: np.ndarray
) -> dict[str, float]:
    """Sizes of the exact codes of some tokens; those without one are left out and counted."""
    coded = tokens[exact.feasible[tokens]]
    d_model, nothing = data.rows.shape[1], float("nan")
    metrics = {"infeasible_frac": 1 - len(coded) / len(tokens)}
    if not len(coded):
        return metrics | dict.fromkeys(_SIZES, nothing)
    weights, n_active = data.weights[coded], l0[coded]
    p10, p50, p90 = np.quantile(n_active, [0.1, 0.5, 0.9])
    mean = float(np.average(n_active, weights=weights))
    return metrics | {
        "l0_exact": mean,
        "l0_exact_of_d_model": mean / d_model,
        "l0_exact_p10": float(p10),
        "l0_exact_median": float(p50),
        "l0_exact_p90": float(p90),
        "below_d_model_frac": float((n_active < d_model).mean()),
        "below_half_d_model_frac": float((n_active < d_model / 2).mean()),
        "l1_exact": float(np.average(l1[coded], weights=weights)),
    }


def _certificates(exact: ExactCodes) -> dict[str, float]:
    gap, residual = exact.gap[exact.feasible], exact.residual[exact.feasible]
    if not len(gap):
        return dict.fromkeys(("gap_max", "gap_p99", "gap_median", "residual_max"), float("nan"))
    return {
        "gap_max": float(gap.max()),
        "gap_p99": float(np.quantile(gap, 0.99)),
        "gap_median": float(np.median(gap)),
        "residual_max": float(residual.max()),
    }


def _uncertified(data: TokenRows, exact: ExactCodes, tolerance: float) -> str:
    if not exact.feasible.any():
        return "no token has an exact code: the atoms do not span the rows"
    over = exact.feasible & ~(exact.gap <= tolerance)
    if not over.any():
        return ""
    worst = int(np.argmax(np.where(over, exact.gap, -1)))
    return (
        f"duality gap {exact.gap[worst]:.1e} of token {data.names[worst]!r} exceeds the tolerance "
        f"{tolerance:g} ({int(over.sum())} of {int(exact.feasible.sum())} exact codes do)"
    )


def _table(data: TokenRows, exact: ExactCodes, l0: np.ndarray, l1: np.ndarray) -> Table:
    """One row a coded token, fewest atoms first; infeasible ones last."""
    order = np.lexsort((l1, l0, ~exact.feasible))
    return {
        "token_id": data.ids[order].tolist(),
        "token": [data.names[i] for i in order],
        "side": [SIDES[side] for side in data.side()[order]],
        "l0": l0[order].astype(int).tolist(),
        "l1": l1[order].tolist(),
        "feasible": exact.feasible[order].tolist(),
        "residual": exact.residual[order].tolist(),
        "gap": exact.gap[order].tolist(),
    }


def _figure(data: TokenRows, exact: ExactCodes, l0: np.ndarray) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.add_subplot(
        title="Atoms of an exact code", xlabel="atoms (l0), relative to d_model", ylabel="tokens"
    )
    for side, tokens in data.split._asdict().items():
        coded = tokens[exact.feasible[tokens]]
        share = l0[coded] / data.rows.shape[1]
        axes.hist(share, bins=np.linspace(0, 1.02, 52).tolist(), histtype="step", label=side)
    axes.legend()
    return figure


_OF_LEARNING = {
    "l1_penalty_absolute": "l1_penalty",
    "l1_penalty_reached": "l1_penalty_reached",
    "learning_passes": "n_passes",
    "learning_converged": "converged",
    "learning_s": "learning_s",
}
"""Metrics of the kind `pursuit`, and the fields of `Learned` that they are."""

_SIZES: dict[str, tuple[str, Direction, str]] = {
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
}

METRICS = (
    *(
        metric
        for name, (unit, direction, definition) in _SIZES.items()
        for metric in on_sides(
            name,
            unit,
            direction,
            f"{definition}; feasible ones among the sampled tokens, which are taken evenly by "
            "frequency",
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
    Metric("n_atoms_resolved", "atoms", "none", "rows of the dictionary"),
    *(Metric(f"n_{side}_tokens", "tokens", "none", f"{side} tokens coded") for side in SIDES),
    *(metric for metric in PURSUIT_METRICS if metric.name in _OF_LEARNING),
)

KIND = TrialKind(
    name="exact_pursuit",
    version=6,
    summary="Atoms that a token needs for exact reconstruction, each code proved shortest.",
    config=ExactPursuitConfig,
    metrics=METRICS,
    # Where rows are in general position l0 is d_model whatever was learned; the norm still tells.
    objective="l1_exact_validation",
    run=run,
    input_digests=rows_digests,
    control=Control(
        field="null",
        real="none",
        comparisons=(
            Comparison("l0_exact_held_out", at="n_atoms_resolved"),
            Comparison("l1_exact_held_out", at="n_atoms_resolved"),
        ),
        within=(*ROWS_FIELDS, "n_atoms", "l1_penalty", "nonnegative"),
    ),
    charts=(
        Chart(
            title="Atoms for exact reconstruction",
            x="n_atoms_resolved",
            y="l0_exact_of_d_model_held_out",
            colour="l1_penalty",
            dash="null",
            log_x=True,
            caption="Held-out tokens; 1: as many as rows in general position need.",
        ),
    ),
)
