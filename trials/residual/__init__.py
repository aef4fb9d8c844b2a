"""The kind `residual`: is what sparse codes leave of the rows noise, or does it have structure?

Residuals are those of least squares on each support: the shrinkage of the penalty would look like
structure. A Gaussian null leaves residuals too, which are neither white nor unforeseeable, so
every number is to be read beside its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trials.api import Chart, Comparison, Context, Control, TrialKind, TrialResult
from trials.inputs.rows import ROWS_FIELDS, TokenRows, load_rows, rows_digests
from trials.residual.config import ResidualConfig
from trials.residual.metrics import METRICS, OF_PURSUIT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from trials.pursuit.code_rows import Coded
    from trials.pursuit.learn import Learned

_ANOTHER = 1_000_003


def run(config: ResidualConfig, context: Context) -> TrialResult:
    """Learn, code, subtract; then ask of what is left."""
    from trials.kernels.threads import one_blas_thread
    from trials.pursuit.learn_and_code import learn_and_code
    from trials.pursuit.measure import measure, uncertified
    from trials.residual.measure import predictability, purities, residuals, shape_metrics

    data = load_rows(config, fetch_artifact=context.fetch_artifact)
    with one_blas_thread():
        learned, coded = learn_and_code(data, config, context)
        left = residuals(data, coded)
        other = config.model_copy(update={"seed": (config.seed + _ANOTHER) % 2**32})
        _, other_coded = learn_and_code(data, other, context)
        second, second_coded, second_metrics = _second(config, data, left, context)
        whole = measure(data, learned, coded)
        metrics = {name: whole[name] for name in OF_PURSUIT} | second_metrics
        metrics |= shape_metrics(config, data, left, residuals(data, other_coded))
        metrics |= predictability(data, left)
        tables = {}
        for side in ("validation", "held_out"):
            found = purities(config, data, left, side)
            tables[f"labels_{side}"] = found.table
            metrics |= {
                f"purity_excess_{side}": found.excess,
                f"n_labellings_found_{side}": float(found.n_found),
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


def _second(
    config: ResidualConfig, data: TokenRows, left: np.ndarray, context: Context
) -> tuple[Learned, Coded, dict[str, float]]:
    """A dictionary on the residuals, as if they were rows."""
    from trials.inputs.preprocessing import weighted_mean_row
    from trials.pursuit.learn_and_code import learn_and_code
    from trials.pursuit.measure import side_metrics

    train = data.split.train
    mean = weighted_mean_row(left[train], data.weights[train])
    as_rows = data._replace(rows=left, mean=mean)
    smaller = config.model_copy(update={"n_atoms": config.second_atoms})
    learned, coded = learn_and_code(as_rows, smaller, context)
    metrics: dict[str, float] = {}
    for side in ("validation", "held_out"):
        found = side_metrics(as_rows, coded, getattr(data.split, side))
        metrics |= {f"second_fvu_{side}": found["fvu_debiased"], f"second_l0_{side}": found["l0"]}
    return learned, coded, metrics


def _cost(
    config: ResidualConfig, data: TokenRows, reconstruction: np.ndarray, context: Context
) -> dict[str, float]:
    from trials.residual.functional import functional_cost

    if config.model is not None and config.null == "none":
        return functional_cost(config, data, reconstruction, context)
    names = [m.name for m in METRICS if m.name.startswith(("cost_", "loss_model", "covered_"))]
    return dict.fromkeys(names, float("nan"))


def _figure(data: TokenRows, left: np.ndarray) -> Figure:
    """Share of the variance along each principal component, of rows and of residuals."""
    from matplotlib.figure import Figure

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


KIND = TrialKind(
    name="residual",
    version=7,
    summary="What sparse codes leave of the rows: its dimensions, what foretells it, its cost.",
    config=ResidualConfig,
    metrics=METRICS,
    objective="second_fvu_validation",
    run=run,
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
