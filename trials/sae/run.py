"""Runs a trial of the kind `sae`."""

from __future__ import annotations

from collections.abc import Mapping

from trials.api import Context, TrialResult
from trials.inputs.rows import TokenRows, load_rows
from trials.kernels.dictionaries import Autoencoder
from trials.pursuit.artifacts import atom_table
from trials.pursuit.measure import uncertified
from trials.sae.kind import SaeConfig
from trials.sae.metrics import CERTIFIED
from trials.sae.results import arrays, figures, measure, training_curve
from trials.sae.solutions import Solution, encoded, exact, greedy, pursued, sparsities
from trials.sae.train import train
from trials.training import checkpoint

_DENSEST = 0.5
"""Mean atoms per token, relative to d_model, above which no sparse code is searched for."""


def run(config: SaeConfig, context: Context) -> TrialResult:
    """Load the rows, then `compare`."""
    return compare(config, load_rows(config, fetch_artifact=context.fetch_artifact), context)


def compare(config: SaeConfig, data: TokenRows, context: Context) -> TrialResult:
    """Train an autoencoder, compute all solutions at its sparsity, measure."""
    trained = train(data, config, context)
    solutions = _solutions(config, data, trained.autoencoder, context)
    metrics = measure(data, trained, solutions)
    result = TrialResult(
        metrics=metrics,
        arrays=arrays(data, trained, solutions),
        tables={
            "atoms": atom_table(data, solutions["sae"].coded),
            "training_curve": training_curve(trained),
        },
        figures=figures(trained, metrics),
        facts=data.facts
        | {f"l1_penalty_{name}": f"{metrics[f'l1_penalty_{name}']:.6g}" for name in CERTIFIED},
        uncertified=_uncertified(config, data, metrics, solutions),
    )
    checkpoint.forget(context.checkpoint_dir)
    return result


def _solutions(
    config: SaeConfig, data: TokenRows, autoencoder: Autoencoder, context: Context
) -> dict[str, Solution]:
    sae = encoded(data, autoencoder, context)
    l0 = sparsities(sae)
    if max(l0.values()) > _DENSEST * data.rows.shape[1]:
        return {"sae": sae}
    on_decoder = exact(sae, config, context)
    return {
        "sae": sae,
        "exact": on_decoder,
        "omp": greedy(sae, context),
        "pursuit": pursued(data, l0, on_decoder.l1_penalty, config, context),
    }


def _uncertified(
    config: SaeConfig,
    data: TokenRows,
    metrics: Mapping[str, float],
    solutions: Mapping[str, Solution],
) -> str:
    if "exact" not in solutions:
        return (
            f"the encoder uses {metrics['l0_sae_train']:.0f} atoms per token, more than half of "
            f"d_model {data.rows.shape[1]}: no sparse code to compare with"
        )
    lines = {
        name: uncertified(data, solutions[name].coded.gap, config.tolerance) for name in CERTIFIED
    }
    return "; ".join(f"{name}: {line}" for name, line in lines.items() if line)
