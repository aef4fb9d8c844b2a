"""Error over training: pursuits of checkpoints, read at one number of atoms a token."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sweeper.look.verdict.rule import Error
from sweeper.records import TrialRow, TrialState
from trials.inputs.sources.uri import training_family

KIND = "pursuit"
_RUN = re.compile(r"run:([\w-]+)/[\w.-]+?(#.+)?")
_HUB = re.compile(r"hub:([^@#]+)@[^#]+(#.+)?")


class Models(NamedTuple):
    """Models whose checkpoints are followed together: replicates of one training.

    Attributes:
        title: what they are.
        models: name of each (run id or repository).
        steps: training steps at which every model has real and null, ascending.
        real, null: errors, (n_models, n_steps).
        runs: ids of the pursuits.
        uncertified: why pursuits must not count, "" if all do.
        missing_nulls: checkpoints with a real and no null at the same number of atoms.
        are_learned: whether training could change the rows; frozen ones are a control.
    """

    title: str
    models: tuple[str, ...]
    steps: np.ndarray
    real: np.ndarray
    null: np.ndarray
    runs: tuple[str, ...]
    uncertified: str
    missing_nulls: int
    are_learned: bool


def followed(rows: Sequence[TrialRow], trainings: Sequence[TrialRow], rule: Error) -> list[Models]:
    """Every group of models: learned rows before frozen, then the one with most models first."""
    by_run = {row.reused_from or row.run_id: row for row in trainings}
    groups: dict[str, list[TrialRow]] = defaultdict(list)
    for row in {r.key: r for r in rows}.values():
        if row.kind == KIND and row.state is TrialState.COMPLETE and _is_small(row, rule):
            title, model = _named(row, by_run)
            if model:
                groups[title].append(row)
    found = [_models(title, group, by_run, rule) for title, group in groups.items()]
    return sorted((g for g in found if len(g.models)), key=_rank)


def _rank(group: Models) -> tuple[bool, int, str]:
    return not group.are_learned, -len(group.models), group.title


def _is_small(row: TrialRow, rule: Error) -> bool:
    n_tokens = sum(row.metrics.get(f"n_{s}_tokens", 0) for s in ("train", "validation", "held_out"))
    n_atoms = row.metrics.get("n_atoms_resolved", math.inf)
    return n_atoms <= rule.atoms_per_token_of_vocabulary * n_tokens


def _named(row: TrialRow, by_run: dict[str, TrialRow]) -> tuple[str, str]:
    """Title of the group and name of the model; no name where the source is no checkpoint."""
    source = str(row.params.get("source"))
    step = row.metrics.get("training_step", math.nan)
    n_atoms = row.params.get("n_atoms")
    if math.isnan(step):
        return "", ""
    if (run := _RUN.fullmatch(source)) and (training := by_run.get(run[1])):
        side = "output" if run[2] else "input"
        tying = training.params.get("tying")
        arm = training.params.get(f"{side}_embedding")
        shape = f"{training.params.get('n_layers')} layers of {training.params.get('d_model')}"
        return f"GPT-2, {shape}, {tying}, {arm} {side} rows, {n_atoms} atoms", run[1]
    if hub := _HUB.fullmatch(source):
        return f"{training_family(hub[1])}{hub[2] or ''}, {n_atoms} atoms", hub[1]
    return "", ""


def _are_frozen(row: TrialRow, by_run: dict[str, TrialRow]) -> bool:
    run = _RUN.fullmatch(str(row.params.get("source")))
    if run is None:
        return False
    side = "output" if run[2] else "input"
    return str(by_run[run[1]].params.get(f"{side}_embedding")).startswith("frozen")


def _models(
    title: str, rows: Sequence[TrialRow], by_run: dict[str, TrialRow], rule: Error
) -> Models:
    points: dict[tuple[str, str, float], list[TrialRow]] = defaultdict(list)
    for row in rows:
        null = str(row.params.get("null"))
        if null in ("none", rule.null):
            points[_named(row, by_run)[1], null, row.metrics["training_step"]].append(row)
    values = {key: _read(found, rule) for key, found in points.items()}
    # One that was pursued at a single penalty, say, cannot be read and must not take the steps of
    # the others with it.
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
    doubts = {row.uncertified for row in rows if row.uncertified}
    return Models(
        title,
        tuple(names),
        np.array(full),
        table["none"],
        table[rule.null],
        tuple(row.run_id for row in rows),
        "; ".join(sorted(doubts)[:2]),
        missing,
        not any(_are_frozen(row, by_run) for row in rows),
    )


def _has(values: dict[tuple[str, str, float], float], model: str, null: str, step: float) -> bool:
    return math.isfinite(values.get((model, null, step), math.nan))


def _read(rows: Sequence[TrialRow], rule: Error) -> float:
    """The error at the wanted number of atoms, the mean over the dictionary's seeds."""
    from trials.kernels.curves import read_curve

    by_seed: dict[object, list[TrialRow]] = defaultdict(list)
    for row in rows:
        by_seed[row.params.get("seed")].append(row)
    read = [
        read_curve(
            [r.metrics.get(rule.l0, math.nan) for r in found],
            [r.metrics.get(rule.fvu, math.nan) for r in found],
            rule.atoms_a_token,
        )
        for found in by_seed.values()
    ]
    return float(np.mean(read))
