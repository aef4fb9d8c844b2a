"""The noise of a training: how much late rows still move from one checkpoint to the next."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from study.verdict.points import Origin
from sweeper.errors import UserError
from sweeper.report.artifact_table import Fetch


def row_changes(
    sources: Sequence[str],
    steps: np.ndarray,
    origins: Mapping[str, Origin],
    measured: Mapping[tuple[Origin, float], float],
    fetch: Fetch,
) -> np.ndarray:
    """Of each model the change at the last step: as a trial measured it, else from its run.

    Args:
        sources: the last checkpoint of each model.
        steps: at which the models were looked at, ascending.
        origins: whose embedding each source is.
        measured: changes by embedding and step.

    Returns:
        float64, (n_models,), as in `row_change`; NaN where neither is there.
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

    Rows that carry independent noise of one variance at both times differ by twice that variance;
    what they still learn in between comes on top.
    """
    from trials.kernels.sparse_coding import fvu, token_errors

    return fvu(token_errors(after, before, after.mean(axis=0)), np.ones(len(after))) / 2


def _of_run(source: str, origin: Origin, before: float, last: float, fetch: Fetch) -> float:
    from safetensors.numpy import load_file

    from trials.inputs.sources.schemes.run import INPUT_EMBEDDING

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
