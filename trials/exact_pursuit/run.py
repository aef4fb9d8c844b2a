"""Runs a trial of the kind `exact_pursuit`."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from trials.api import (
    Context,
    Table,
    TrialResult,
)
from trials.exact_pursuit.kind import LEARNING_METRICS, SIZE_METRICS, ExactPursuitConfig
from trials.inputs.rows import TokenRows, load_rows
from trials.inputs.samples import sample_tokens
from trials.inputs.sources.precision import rounding_error
from trials.kernels.dictionaries import (
    Sharpened,
    WithinError,
    codes_within,
    sharpen_dictionary,
)
from trials.kernels.sparse_coding import (
    CodeSizes,
    ExactCodes,
    code_sizes,
    exact_codes,
    without_negligible,
)
from trials.pursuit.learn import learn
from trials.pursuit.sides import SIDES


def run(config: ExactPursuitConfig, context: Context) -> TrialResult:
    """Learn and sharpen on all training rows, code a sample of each side, measure."""
    everything = load_rows(config, fetch_artifact=context.fetch_artifact)
    # Seeds redraw the tokens too, unless split_seed is set, so intervals over them cover tokens.
    drawing = np.random.default_rng([config.tokens_seed, 1])
    data = sample_tokens(everything, config.n_sampled, SIDES, drawing)
    learned = learn(everything, config, context.n_threads, device=context.device)
    sharpened = _sharpened(everything, learned.atoms, config, context.n_threads)
    atoms = sharpened.atoms
    rounding = mean_and_largest_rounding(data)
    within = codes_within(
        data.rows.astype(np.float64),
        atoms.astype(np.float64),
        max_error=rounding[1],
        n_threads=context.n_threads,
    )
    exact = exact_codes(
        data.rows,
        atoms,
        nonnegative=config.nonnegative,
        tolerance=config.tolerance,
        n_threads=context.n_threads,
    )
    norms = np.linalg.norm(data.rows.astype(np.float64), axis=1)
    sizes = code_sizes(without_negligible(exact.codes, norms))
    l1 = np.divide(sizes.l1, norms, out=np.zeros_like(norms), where=norms > 0)
    metrics = {name: float(getattr(learned, field)) for name, field in LEARNING_METRICS.items()}
    for side, tokens in data.split._asdict().items():
        of_side = _side_metrics(data, exact, sizes, l1, tokens)
        of_side |= _rounding_metrics(data, within, rounding[0], tokens)
        metrics |= {f"{name}_{side}": value for name, value in of_side.items()}
        metrics[f"n_{side}_tokens"] = float(len(tokens))
    metrics |= _certificates(exact) | {
        "n_atoms_resolved": float(len(atoms)),
        "sharpening_rounds": float(sharpened.n_rounds),
        "n_renewed_atoms": float(sharpened.n_renewed),
    }
    l0 = np.diff(within.codes.indptr)
    return TrialResult(
        metrics=metrics,
        arrays={"dictionary": {"atoms": atoms, "offset": data.offset}},
        tables={"tokens": _table(data, exact, l0, sizes.l0, l1)},
        figures={"l0_histogram": _figure(data, l0)},
        facts=data.facts | {"l1_penalty_absolute": f"{learned.l1_penalty:.6g}"},
        uncertified=_uncertified(data, exact, config.tolerance),
    )


def mean_and_largest_rounding(data: TokenRows) -> tuple[np.ndarray, np.ndarray]:
    """Squared error of each token's rounding, in the units of `data.rows`: mean, and 3 sd above.

    Raises TrialError where the rounding of the source's type of numbers is not known.
    """
    raw = (data.rows * data.divisor[:, None] + data.offset).astype(np.float32)
    mean, deviation = rounding_error(raw, data.facts["precision"])
    return mean / data.divisor**2, (mean + 3 * deviation) / data.divisor**2


def _sharpened(
    data: TokenRows, atoms: np.ndarray, config: ExactPursuitConfig, n_threads: int
) -> Sharpened:
    """The dictionary fitted to the error of rounding, unless it is random by design."""
    if config.null == "random_dictionary":
        return Sharpened(atoms, 0, 0)
    train = data.split.train
    allowed = mean_and_largest_rounding(data)[1][train]
    return sharpen_dictionary(data.rows[train], atoms, max_error=allowed, n_threads=n_threads)


def _rounding_metrics(
    data: TokenRows, within: WithinError, rounding: np.ndarray, tokens: np.ndarray
) -> dict[str, float]:
    sizes = code_sizes(within.codes[tokens])
    weights = data.weights[tokens]
    energies = np.square(data.rows[tokens].astype(np.float64)).sum(axis=1)
    share = np.divide(rounding[tokens], energies, out=np.zeros_like(energies), where=energies > 0)
    return _l0_metrics("l0_at_rounding", sizes.l0, weights, data.rows.shape[1]) | {
        "participation_at_rounding": float(np.average(sizes.participation, weights=weights)),
        "rounding_of_energy": float(np.average(share, weights=weights)),
        "beyond_rounding_frac": float(1 - within.reached[tokens].mean()),
    }


def _l0_metrics(name: str, l0: np.ndarray, weights: np.ndarray, d_model: int) -> dict[str, float]:
    p10, p50, p90 = np.quantile(l0, [0.1, 0.5, 0.9])
    mean = float(np.average(l0, weights=weights))
    return {
        name: mean,
        f"{name}_of_d_model": mean / d_model,
        f"{name}_p10": float(p10),
        f"{name}_median": float(p50),
        f"{name}_p90": float(p90),
    }


def _side_metrics(
    data: TokenRows, exact: ExactCodes, sizes: CodeSizes, l1: np.ndarray, tokens: np.ndarray
) -> dict[str, float]:
    """Sizes of the exact codes of some tokens; tokens without one are excluded and counted."""
    coded = tokens[exact.feasible[tokens]]
    d_model, nothing = data.rows.shape[1], float("nan")
    metrics = {"infeasible_frac": 1 - len(coded) / len(tokens)}
    if not len(coded):
        return metrics | dict.fromkeys(SIZE_METRICS, nothing)
    weights, n_active = data.weights[coded], sizes.l0[coded]
    return (
        metrics
        | _l0_metrics("l0_exact", n_active, weights, d_model)
        | {
            "below_d_model_frac": float((n_active < d_model).mean()),
            "below_half_d_model_frac": float((n_active < d_model / 2).mean()),
            "l1_exact": float(np.average(l1[coded], weights=weights)),
            "participation_exact": float(np.average(sizes.participation[coded], weights=weights)),
        }
    )


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


def _table(
    data: TokenRows, exact: ExactCodes, l0: np.ndarray, l0_exact: np.ndarray, l1: np.ndarray
) -> Table:
    """One row per coded token, fewest atoms at the error of rounding first."""
    order = np.lexsort((l1, l0_exact, l0))
    return {
        "token_id": data.ids[order].tolist(),
        "token": [data.names[i] for i in order],
        "side": [SIDES[side] for side in data.side()[order]],
        "l0_at_rounding": l0[order].astype(int).tolist(),
        "l0_exact": l0_exact[order].astype(int).tolist(),
        "l1": l1[order].tolist(),
        "feasible": exact.feasible[order].tolist(),
        "residual": exact.residual[order].tolist(),
        "gap": exact.gap[order].tolist(),
    }


def _figure(data: TokenRows, l0: np.ndarray) -> Figure:
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.add_subplot(
        title="Atoms at the error of rounding",
        xlabel="atoms (l0), relative to d_model",
        ylabel="tokens",
    )
    for side, tokens in data.split._asdict().items():
        share = l0[tokens] / data.rows.shape[1]
        axes.hist(share, bins=np.linspace(0, 1.02, 52).tolist(), histtype="step", label=side)
    axes.legend()
    return figure
