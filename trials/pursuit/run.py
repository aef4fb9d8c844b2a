"""Runs a trial of the kind `pursuit`."""

from __future__ import annotations

from trials.api import Context, TrialResult
from trials.inputs.rows import TokenRows, load_rows
from trials.inputs.sources.training_steps import training_step
from trials.pursuit.artifacts import arrays, atom_table, figures
from trials.pursuit.code import learn_and_code
from trials.pursuit.kind import PursuitConfig
from trials.pursuit.measure import measure, pays_for_itself, uncertified


def run(config: PursuitConfig, context: Context) -> TrialResult:
    """Load the rows, then `pursue`."""
    return pursue(config, load_rows(config, fetch_artifact=context.fetch_artifact), context)


def pursue(config: PursuitConfig, data: TokenRows, context: Context) -> TrialResult:
    """Learn a dictionary for the rows, code every token, measure."""
    learned, coded = learn_and_code(data, config, context)
    metrics = measure(data, learned, coded, n_threads=context.n_threads) | {
        "training_step": training_step(config.source)
    }
    return TrialResult(
        metrics=metrics,
        arrays=arrays(data, coded),
        tables={"atoms": atom_table(data, coded)},
        figures=figures(data, coded),
        facts=data.facts
        | {
            "l1_penalty_absolute": f"{learned.l1_penalty:.6g}",
            "dictionary": pays_for_itself(
                metrics["net_bits_held_out"], metrics["net_bits_omp_held_out"]
            ),
        },
        uncertified=uncertified(data, coded.gap, config.tolerance),
    )
