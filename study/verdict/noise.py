"""Training noise: how much the rows still change between the last two checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from study.verdict.points import Origin
from sweeper.errors import UserError
from sweeper.report.artifact_table import Fetch
from trials.inputs.sources.schemes.run import INPUT_EMBEDDING
from trials.kernels.sparse_coding import fvu, token_errors


def row_changes(
    sources: Sequence[str],
    steps: np.ndarray,
    origins: Mapping[str, Origin],
    measured: Mapping[tuple[Origin, float], float],
    fetch: Fetch,
) -> np.ndarray:
    """The change of each model's rows at the last step, from a trial or else from its run.

    Args:
        sources: the last checkpoint of each model.
        steps: training steps at which the models were measured, ascending.
        origins: the model that each source belongs to.
        measured: changes that trials measured, by embedding and step.

    Returns:
        float64, (n_models,), as in `row_change`; NaN where neither is known.
    """
    changes = np.full(len(sources), np.nan)
    if len(steps) < 2:
        return changes
    before, last = steps[-2:]
    for n, source in enumerate(sources):
        origin = origins[source]
        known = measured.get((origin, last), math.nan)
        changes[n] = known if math.isfinite(known) else _of_run(source, origin, before, last, fetch)
    return changes


def row_change(before: np.ndarray, after: np.ndarray) -> float:
    """sum |x - x'|^2 / (2 sum |x - mu|^2) over the rows, each (n_rows, d_model).

    Independent noise of equal variance at both times contributes twice its variance, which the
    factor of two removes. What the rows still learn in between adds to it.
    """
    return fvu(token_errors(after, before, after.mean(axis=0)), np.ones(len(after))) / 2


def _of_run(source: str, origin: Origin, before: float, last: float, fetch: Fetch) -> float:
    def rows(step: float) -> np.ndarray:
        path: Path = fetch(origin.model, f"step-{int(step):06d}.safetensors")
        tensor = origin.tensor.removeprefix("#") or INPUT_EMBEDDING
        return np.asarray(load_file(path)[tensor], dtype=np.float64)

    if not source.startswith("run:"):
        return math.nan
    try:
        return row_change(rows(before), rows(last))
    except (UserError, OSError, LookupError):
        return math.nan
