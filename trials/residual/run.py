"""Runs a trial of the kind `residual`."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from trials.api import Context, TrialResult
from trials.inputs.preprocessing import weighted_mean_row
from trials.inputs.rows import TokenRows, load_rows
from trials.pursuit.code import Coded, learn_and_code
from trials.pursuit.learn import Learned
from trials.pursuit.measure import measure, side_metrics, uncertified
from trials.residual.functional import functional_cost
from trials.residual.kind import METRICS, OF_PURSUIT, ResidualConfig
from trials.residual.measure import predictability, purities, residuals, shape_metrics

_OTHER_SEED = 1_000_003


def run(config: ResidualConfig, context: Context) -> TrialResult:
    """Learn, code and subtract; then test the residuals."""
    data = load_rows(config, fetch_artifact=context.fetch_artifact)
    learned, coded = learn_and_code(data, config, context)
    left = residuals(data, coded)
    other = config.model_copy(update={"seed": (config.seed + _OTHER_SEED) % 2**32})
    _, other_coded = learn_and_code(data, other, context)
    second, second_coded, second_metrics = _second(config, data, left, context)
    whole = measure(data, learned, coded, n_threads=context.n_threads, device=context.device)
    metrics = {name: whole[name] for name in OF_PURSUIT} | second_metrics
    metrics |= shape_metrics(config, data, left, residuals(data, other_coded))
    metrics |= predictability(data, left)
    tables = {}
    for side in ("validation", "held_out"):
        of_side = purities(config, data, left, side)
        tables[f"labels_{side}"] = of_side.table
        metrics |= {
            f"purity_excess_{side}": of_side.excess,
            f"n_labellings_found_{side}": float(of_side.n_found),
            f"purity_excess_of_rows_{side}": purities(config, data, data.rows, side).excess,
        }
    gaps = np.stack([coded.gap, other_coded.gap, second_coded.gap]).max(axis=0)
    metrics |= {
        "gap_max": float(gaps.max()),
        "solver_s": coded.solver_s + other_coded.solver_s,
        "learning_s": learned.learning_s + second.learning_s,
    }
    return TrialResult(
        metrics=metrics | _cost(config, data, data.rows - left, context),
        arrays={
            "dictionary": {"atoms": learned.atoms, "offset": data.offset},
            "residuals": {
                "residual": left[data.split.held_out],
                "token_id": data.ids[data.split.held_out],
                "divisor": data.divisor[data.split.held_out],
            },
            "second_dictionary": {"atoms": second.atoms},
        },
        tables=tables,
        figures={"spectrum": _figure(data, left)},
        facts=data.facts | {"model": config.model_uri or "none"},
        uncertified=uncertified(data, gaps, config.tolerance),
    )


def _second(
    config: ResidualConfig, data: TokenRows, left: np.ndarray, context: Context
) -> tuple[Learned, Coded, dict[str, float]]:
    """A second dictionary, on the residuals."""
    train = data.split.train
    mean = weighted_mean_row(left[train], data.weights[train])
    as_rows = data._replace(rows=left, mean=mean)
    smaller = config.model_copy(update={"n_atoms": config.second_atoms})
    learned, coded = learn_and_code(as_rows, smaller, context)
    metrics: dict[str, float] = {}
    for side in ("validation", "held_out"):
        of_side = side_metrics(as_rows, coded, getattr(data.split, side))
        metrics |= {
            f"second_fvu_{side}": of_side["fvu_debiased"],
            f"second_l0_{side}": of_side["l0"],
        }
    return learned, coded, metrics


def _cost(
    config: ResidualConfig, data: TokenRows, reconstruction: np.ndarray, context: Context
) -> dict[str, float]:
    if config.model is not None and config.null == "none":
        return functional_cost(config, data, reconstruction, context)
    names = [m.name for m in METRICS if m.name.startswith(("cost_", "loss_model", "covered_"))]
    return dict.fromkeys(names, float("nan"))


def _figure(data: TokenRows, left: np.ndarray) -> Figure:
    """Share of the variance along each principal component, of rows and of residuals."""
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.add_subplot(
        title="Held-out tokens", xlabel="principal component", ylabel="share of the variance"
    )
    tokens = data.split.held_out
    for name, rows in (("rows", data.rows), ("residuals", left)):
        centred = rows[tokens] - rows[tokens].mean(axis=0)
        variances = np.linalg.svd(centred, compute_uv=False) ** 2
        axes.plot(1 + np.arange(len(variances)), variances / variances.sum(), label=name)
    axes.set_yscale("log")
    axes.set_ylim(bottom=1e-5)
    axes.legend()
    return figure
