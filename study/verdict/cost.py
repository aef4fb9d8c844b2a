"""What the error costs the model: the rise of its loss when sparse codes replace its rows."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from study.verdict.curves import ModelGroup, read_over_seeds
from study.verdict.points import origin_of
from study.verdict.rule import H2Rule
from study.verdict.selection import complete_trials
from sweeper.records import TrialRow
from trials.inputs.sources.training_steps import training_step

KIND = "residual"
_LOSS = "loss_model_held_out"
_RISES = tuple(f"cost_{side}_reconstruction_held_out" for side in ("both", "input", "output"))
METRICS = (_LOSS, *_RISES)
"""The metrics that this module reads, besides those that the rule names."""


class Cost(NamedTuple):
    """The cost to models whose rows were replaced by their codes at the last step.

    Attributes:
        costs: rise of the loss on held-out text, nats per token, (n_models,), with the rows
            replaced on every side that uses them; NaN where it was not measured at the wanted
            number of atoms.
        seed_sd: standard deviation over the models of the loss with their own rows.
        runs: ids of the trials.
    """

    costs: np.ndarray
    seed_sd: float
    runs: tuple[str, ...]


def cost_of_codes(
    models: ModelGroup, rows: Sequence[TrialRow], by_run: Mapping[str, TrialRow], rule: H2Rule
) -> Cost:
    """The cost for every model, where the store has it for that size of dictionary."""
    # Costs on two texts, or by two versions of the kind, are not replicates.
    measured: dict[Hashable, dict[str, list[TrialRow]]] = defaultdict(lambda: defaultdict(list))
    for row in complete_trials(rows, KIND):
        source = str(row.params.get("source"))
        if (
            not row.uncertified
            and row.params.get("null") == "none"
            and str(row.params.get("n_atoms")) == models.size
            and (origin := origin_of(source, by_run)) is not None
            and origin.family == models.family
            and len(models.steps)
            and training_step(source) == models.steps[-1]
        ):
            alike = row.kind_version, row.inputs.get("corpus")
            measured[alike][origin.model].append(row)
    of_model = max(measured.values(), key=_n_models_and_start, default={})
    found = [of_model.get(model, []) for model in models.models]
    base = [
        float(np.mean([r.metrics.get(_LOSS, math.nan) for r in of_one]))
        for of_one in found
        if of_one
    ]
    return Cost(
        np.array([_cost(of_one, rule) for of_one in found]),
        float(np.std(base, ddof=1)) if len(base) > 1 else math.nan,
        tuple(row.run_id for of_one in found for row in of_one),
    )


def _n_models_and_start(of_model: Mapping[str, Sequence[TrialRow]]) -> tuple[int, int]:
    return len(of_model), max(row.started_ms for rows in of_model.values() for row in rows)


def _cost(rows: Sequence[TrialRow], rule: H2Rule) -> float:
    """The cost at the wanted number of atoms, averaged over the dictionary's seeds."""
    measured = [(r.params.get("seed"), r.metrics.get(rule.l0, math.nan), _rise(r)) for r in rows]
    return read_over_seeds(measured, rule.atoms_a_token, log_y=False)


def _rise(row: TrialRow) -> float:
    rises = (row.metrics.get(name, math.nan) for name in _RISES)
    return next(filter(math.isfinite, rises), math.nan)
