"""Runs a trial of the kind `pursuit`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trials.api import Context, TrialResult
from trials.inputs.rows import TokenRows, load_rows
from trials.inputs.sources.training_steps import training_step
from trials.lazy import lazy_module
from trials.pursuit.artifacts import arrays, atom_table, figures
from trials.pursuit.code import learn_and_code
from trials.pursuit.kind import PursuitConfig
from trials.pursuit.measure import measure, pays_for_itself, uncertified

if TYPE_CHECKING:
    import torch
else:
    torch = lazy_module("torch")  # takes a second, and is needed on a device only


def run(config: PursuitConfig, context: Context) -> TrialResult:
    """Load the rows, then `pursue`."""
    return pursue(config, load_rows(config, fetch_artifact=context.fetch_artifact), context)


def pursue(config: PursuitConfig, data: TokenRows, context: Context) -> TrialResult:
    """Learn a dictionary for the rows, code every token, measure."""
    learned, coded = learn_and_code(data, config, context)
    metrics = measure(data, learned, coded, n_threads=context.n_threads, device=context.device) | {
        "training_step": training_step(config.source)
    }
    return TrialResult(
        metrics=metrics,
        arrays=arrays(data, coded),
        tables={"atoms": atom_table(data, coded)},
        figures=figures(data, coded),
        facts=data.facts
        | {
            "device": _device(context.device, metrics["gap_max"]),
            "l1_penalty_absolute": f"{learned.l1_penalty:.6g}",
            "dictionary": pays_for_itself(
                metrics["net_bits_held_out"], metrics["net_bits_omp_held_out"]
            ),
        },
        uncertified=uncertified(data, coded.gap, config.tolerance),
    )


def _device(device: str, gap: float) -> str:
    """Which code computed the result, where, and how exact it is."""
    if device == "cpu":
        path = "cpu, compiled loops"
    else:
        name = f" ({torch.cuda.get_device_name(device)})" if device.startswith("cuda") else ""
        path = f"{device}{name}, torch"
    return f"{path}; largest relative duality gap {gap:.1e}, in float64"
