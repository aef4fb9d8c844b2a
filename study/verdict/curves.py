"""Error over training: pursuits of checkpoints, read at a fixed number of atoms per token."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from study.verdict.noise import row_changes
from study.verdict.points import PursuitPoint, pursuit_points
from study.verdict.rule import H2Rule
from sweeper.records import Scalar, TrialRow
from sweeper.report.artifact_table import Fetch
from trials.kernels.statistics import read_curve


class ModelGroup(NamedTuple):
    """Models whose checkpoints are compared together: replicates of one training.

    Attributes:
        title: the family, the size of the dictionary, and how it was learned.
        family: architecture and arm of the training.
        models: run id or repository of each.
        sources: the last checkpoint of each.
        size, n_atoms: number of atoms, as given and resolved.
        is_warm: whether each dictionary started from that of the checkpoint before.
        kind_version: of the kind of the pursuits; other versions are another group.
        steps: training steps at which every model has a real and a null error, ascending.
        real, null: errors, (n_models, n_steps).
        row_change: of each model, half the mean squared change of its rows between its last two
            checkpoints over their variance, (n_models,); NaN where that is unknown.
        runs: ids of the pursuits.
        uncertified: why pursuits must not count; "" if all count.
        missing_nulls: checkpoints with a real error and no null at the same number of atoms.
        are_learned: whether training could change the rows; frozen ones are a control.
    """

    title: str
    family: str
    models: tuple[str, ...]
    sources: tuple[str, ...]
    size: str
    n_atoms: float
    is_warm: bool
    kind_version: int
    steps: np.ndarray
    real: np.ndarray
    null: np.ndarray
    row_change: np.ndarray
    runs: tuple[str, ...]
    uncertified: str
    missing_nulls: int
    are_learned: bool


def model_groups(
    rows: Sequence[TrialRow], by_run: Mapping[str, TrialRow], rule: H2Rule, fetch: Fetch
) -> list[ModelGroup]:
    """Every group of models: learned rows before frozen, then most models, then most steps."""
    groups: dict[tuple[str, int], list[PursuitPoint]] = defaultdict(list)
    for point in pursuit_points(rows, by_run, rule, fetch):
        groups[point.title, point.kind_version].append(point)
    found = [_models(group, rule) for group in groups.values()]
    measured = {
        (p.origin, p.step): p.row_change
        for group in groups.values()
        for p in group
        if p.null == "none" and math.isfinite(p.row_change)
    }
    origins = {p.source: p.origin for group in groups.values() for p in group}
    return sorted(
        (
            models._replace(
                row_change=row_changes(models.sources, models.steps, origins, measured, fetch)
            )
            for models in found
            if models.models
        ),
        key=_rank,
    )


def _rank(group: ModelGroup) -> tuple[bool, int, int, str, int]:
    n_models, n_steps = len(group.models), len(group.steps)
    return not group.are_learned, -n_models, -n_steps, group.title, -group.kind_version


def _models(group: Sequence[PursuitPoint], rule: H2Rule) -> ModelGroup:
    by_place: dict[tuple[str, str, float], list[PursuitPoint]] = defaultdict(list)
    for point in group:
        if point.null in ("none", rule.null):
            by_place[point.origin.model, point.null, point.step].append(point)
    values = {key: _read(found, rule) for key, found in by_place.items()}
    # A model that cannot be read, for example because it has a single penalty, must not remove the
    # steps of the others.
    readable = {m for (m, null, _), value in values.items() if null == "none" and value > 0}
    names = sorted(readable or {model for model, _, _ in values})
    steps = sorted({step for _, _, step in values})
    missing = sum(
        math.isfinite(values[m, "none", s]) and not _has(values, m, rule.null, s)
        for m, null, s in values
        if null == "none"
    )
    full = [
        s for s in steps if all(_has(values, m, n, s) for m in names for n in ("none", rule.null))
    ]
    table = {
        null: np.array([[values[m, null, s] for s in full] for m in names]).reshape(len(names), -1)
        for null in ("none", rule.null)
    }
    doubts = {point.uncertified for point in group if point.uncertified}
    last = {p.origin.model: p.source for p in sorted(group, key=lambda p: p.step)}
    return ModelGroup(
        group[0].title,
        group[0].origin.family,
        tuple(names),
        tuple(last[name] for name in names),
        group[0].size,
        group[0].n_atoms,
        group[0].is_warm,
        group[0].kind_version,
        np.array(full),
        table["none"],
        table[rule.null],
        np.full(len(names), np.nan),
        tuple(dict.fromkeys(point.run_id for point in group)),
        "; ".join(sorted(doubts)[:2]),
        missing,
        all(point.origin.is_learned for point in group),
    )


def _has(values: dict[tuple[str, str, float], float], model: str, null: str, step: float) -> bool:
    return math.isfinite(values.get((model, null, step), math.nan))


def _read(group: Sequence[PursuitPoint], rule: H2Rule) -> float:
    """The error at the wanted number of atoms."""
    return read_over_seeds([(p.seed, p.l0, p.fvu) for p in group], rule.atoms_a_token)


def read_over_seeds(
    measured: Sequence[tuple[Scalar, float, float]], at: float, *, log_y: bool = True
) -> float:
    """Interpolate each seed's curve of its (seed, x, y) at `at`, and average over the seeds.

    NaN where one seed cannot be read there, or nothing was measured.
    """
    by_seed: dict[Scalar, list[tuple[float, float]]] = defaultdict(list)
    for seed, x, y in measured:
        by_seed[seed].append((x, y))
    read = [
        read_curve([x for x, _ in curve], [y for _, y in curve], at, log_y=log_y)
        for curve in by_seed.values()
    ]
    return float(np.mean(read)) if read else math.nan
