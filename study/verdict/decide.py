"""Apply the rule: one of five values for each hypothesis, and what follows from both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean
from typing import NamedTuple

from study.verdict import arms, cost, points
from study.verdict.arms import KIND as TRAINING
from study.verdict.arms import ArmContrast
from study.verdict.cost import KIND as REPLACED
from study.verdict.cost import cost_of_codes
from study.verdict.curves import ModelGroup, model_groups
from study.verdict.h1 import H1, contrast_by_rule, decide_h1
from study.verdict.h2 import H2, decide_h2
from study.verdict.points import FOLLOWING
from study.verdict.points import KIND as PURSUIT
from study.verdict.rule import Rule, RuleFile
from study.verdict.selection import complete_trials, newest_trials
from sweeper.records import TrialRow
from sweeper.report.artifact_table import Fetch
from sweeper.report.words import seconds

_SHOWN_APART = "'sweeper report --inputs all' shows them apart"
_TIMES = 4
# Trials per model of `checkpoints`: real and null, penalties, kept steps.
_PURSUITS_PER_MODEL = 2 * 4 * 14


class MissingSweep(NamedTuple):
    """A sweep to run before a hypothesis can be decided: why, and what it costs."""

    sweep: str
    why: str
    cost: str


class Verdict(NamedTuple):
    """The two decisions and everything that is reported with them.

    Attributes:
        rule: the rule, with its digest.
        h1, h2: the two hypotheses.
        consequence: what the two mean together.
        others: title and contrast of the arms that are reported and decide nothing.
        groups: every group of models with pursuits of their checkpoints.
        missing: sweeps that would decide more.
        is_indicative: decided on fewer seeds than make it firm.
        left_out: how many trials were not read because newer ones replace them.
    """

    rule: Rule
    h1: H1
    h2: H2
    consequence: str
    others: tuple[tuple[str, ArmContrast], ...]
    groups: tuple[ModelGroup, ...]
    missing: tuple[MissingSweep, ...]
    is_indicative: bool
    left_out: tuple[str, ...] = ()

    @property
    def groups_with_curve(self) -> tuple[ModelGroup, ...]:
        """The groups that are more than one step at another size, which `h2.sizes` holds."""
        return tuple(models for models in self.groups if len(models.steps) != 1)


CONSEQUENCES = {
    ("worse", "offset"): "Structure outside superposition: random rows cost the model, and sparse "
    "codes leave an error that training does not remove. Next: which structure (circles, "
    "bindings, the residual).",
    ("worse", "zero"): "Superposition suffices: the rows matter, and sparse codes come to "
    "describe them completely.",
    ("not worse", "offset"): "Sparse codes leave an error, but the input side does not need what "
    "is in it: look at the output rows.",
    ("not worse", "zero"): "The matrix is a sparse code, or the input side does not need it.",
}


KINDS = (TRAINING, PURSUIT, FOLLOWING, REPLACED)
"""The kinds of the trials that `decide` reads."""


def metrics_read(rule: Rule) -> list[str]:
    """Names of the metrics that `decide` reads of a trial."""
    return [
        rule.values.error.fvu,
        rule.values.error.l0,
        *arms.METRICS,
        *cost.METRICS,
        *points.METRICS,
    ]


def decide(rows: Sequence[TrialRow], rule: Rule, fetch: Fetch) -> Verdict:
    """Apply the rule to the trials of the database; only those of `KINDS` count."""
    values = rule.values
    trainings = complete_trials(rows, TRAINING)
    h1 = decide_h1(trainings, values, fetch)
    by_run = {row.reused_from or row.run_id: row for row in trainings}
    groups = model_groups(rows, by_run, values.error, fetch)
    h2 = decide_h2(groups, values, lambda m: cost_of_codes(m, rows, by_run, values.error))
    others = [
        (other.title, found)
        for other in values.others
        if (found := contrast_by_rule(trainings, other.arm, other.reference, values, fetch))
    ]
    both = (h1.value, h2.value)
    consequence = CONSEQUENCES.get(both, _open(h1.value, h2.value))
    n_seeds = [h1.gap.n_seeds if h1.gap else 0, len(h2.models.models) if h2.models else 0]
    return Verdict(
        rule,
        h1,
        h2,
        consequence,
        tuple(others),
        tuple(groups),
        tuple(_missing(rows, h1, h2, values)),
        min(n_seeds) < values.seeds_firm,
        tuple(newest_trials(rows, TRAINING, PURSUIT, FOLLOWING, REPLACED).notes(_SHOWN_APART)),
    )


def _open(h1: str, h2: str) -> str:
    parts = [f"H1 is {h1}", f"H2 is {h2}"]
    return f"Open: {' and '.join(parts)}, so nothing follows for the structure of the matrix."


def _missing(rows: Sequence[TrialRow], h1: H1, h2: H2, rule: RuleFile) -> list[MissingSweep]:
    needed = []
    have = h1.gap.n_seeds if h1.gap else 0
    if h1.value in ("invalid", "undecided") or have < rule.seeds_firm:
        wanted = max(rule.seeds_firm, have + (h1.value == "undecided") * rule.seeds_firm)
        n = 2 * (wanted - have)
        why = f"arm and reference on {wanted} seeds; the store has {have}"
        needed.append(MissingSweep(f"frozen --set seeds={wanted}", why, _cost(rows, TRAINING, n)))
    models = len(h2.models.models) if h2.models else 0
    if models < rule.seeds_firm:
        why = f"checkpoints of {rule.seeds_firm} models with nulls; the store has {models}"
        cost = _cost(rows, PURSUIT, (rule.seeds_firm - models) * _PURSUITS_PER_MODEL)
        needed.append(
            MissingSweep(f"checkpoints --set after.set.seeds={rule.seeds_firm}", why, cost)
        )
    elif h2.value not in ("offset", "zero"):
        needed.append(_longer(rows, models))
    return needed + _missing_floors(rows, h2)


def _longer(rows: Sequence[TrialRow], n_models: int) -> MissingSweep:
    """Trainings four times as long as the longest in the store."""
    longest = max(
        (int(row.params.get("n_tokens") or 0) for row in rows if row.kind == TRAINING), default=0
    )
    option = f" --set n_tokens={_TIMES * longest}" if longest else " --set size=small"
    why = "longer trainings: these steps do not settle which form of curve holds"
    cost = _cost(rows, TRAINING, 2 * n_models, times=_TIMES)
    return MissingSweep(f"checkpoints --set after.set.seeds={n_models}{option}", why, cost)


def _missing_floors(rows: Sequence[TrialRow], h2: H2) -> list[MissingSweep]:
    """Sweeps that measure what the error must exceed, where that is unknown."""
    needed: list[MissingSweep] = []
    models = h2.models
    if models is None or h2.value == "invalid":
        return needed
    are_ours = models.sources[0].startswith("run:")
    if not math.isfinite(h2.cost[0]):
        sweep = (
            f"checkpoints-residual --set after.set.seeds={len(models.models)}"
            if are_ours
            else f"residual --set fixed.source={models.sources[0]} --set fixed.model=source"
        )
        why = "what the error costs each model"
        needed.append(MissingSweep(sweep, why, _cost(rows, REPLACED, 4 * len(models.models))))
    if not math.isfinite(h2.floor):
        sweep = "checkpoints-warm" if are_ours else "polypythias-warm"
        why = "how much rows still change late in training; no trial has measured it"
        needed.append(MissingSweep(sweep, why, _cost(rows, FOLLOWING, 8 * len(models.models))))
    return needed


def _cost(rows: Sequence[TrialRow], kind: str, n_trials: int, times: int = 1) -> str:
    """The cost of trials that take `times` as long as the mean trial in the store."""
    spent = [row.duration_s for row in rows if row.kind == kind and row.duration_s > 0]
    count = f"{n_trials} trials of kind {kind}"
    if not spent:
        return f"{count}, time unknown"
    return f"{count}, about {seconds(times * mean(spent) * n_trials)}"
