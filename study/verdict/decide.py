"""From arms and curves to one of five values for each hypothesis, and what follows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean
from typing import NamedTuple

from study.verdict.arms import KIND as TRAINING
from study.verdict.arms import Contrast
from study.verdict.cost import KIND as REPLACED
from study.verdict.cost import cost_of_codes
from study.verdict.curves import Models, followed
from study.verdict.ends import Ends, decide_ends
from study.verdict.points import FOLLOWING
from study.verdict.points import KIND as PURSUIT
from study.verdict.rule import Rule, RuleFile
from study.verdict.trials_of import complete, newest
from study.verdict.worse import Worse, contrast_by_rule, decide_worse
from sweeper.records import TrialRow
from sweeper.report.artifact_table import Fetch
from sweeper.report.words import seconds

_SHOWN_APART = "'sweeper report --inputs all' shows them apart"
_TIMES = 4
# Trials a model of `checkpoints`: real and null, penalties, kept steps.
_PURSUITS_A_MODEL = 2 * 4 * 14


class Missing(NamedTuple):
    """What to run before a hypothesis can be decided: a sweep, why, and its cost."""

    sweep: str
    why: str
    cost: str


class Verdict(NamedTuple):
    """All that is decided and told.

    Attributes:
        rule: the rule, with its digest.
        worse, ends: the two hypotheses.
        consequence: what the two mean together.
        others: title and contrast of what is told beside them.
        curves: every group of models with pursuits of their checkpoints.
        missing: sweeps that would decide more.
        is_indicative: decided on fewer seeds than make it firm.
        left_out: trials that were not read since newer ones stand in their place.
    """

    rule: Rule
    worse: Worse
    ends: Ends
    consequence: str
    others: tuple[tuple[str, Contrast], ...]
    curves: tuple[Models, ...]
    missing: tuple[Missing, ...]
    is_indicative: bool
    left_out: tuple[str, ...] = ()

    @property
    def followed(self) -> tuple[Models, ...]:
        """The groups with a curve: one step of other sizes stands in `ends.sizes`."""
        return tuple(models for models in self.curves if len(models.steps) != 1)


CONSEQUENCES = {
    ("worse", "offset"): "Structure outside superposition: random rows cost the model, and sparse "
    "codes leave an error that training does not remove. Next: which structure (circles, "
    "bindings, the residual).",
    ("worse", "zero"): "Superposition suffices: the rows matter, and sparse codes come to "
    "describe them wholly.",
    ("not worse", "offset"): "Sparse codes leave an error, but the input side does not need what "
    "is in it: look at the output rows.",
    ("not worse", "zero"): "The matrix is a sparse code, or the input side does not need it.",
}


def decide(rows: Sequence[TrialRow], rule: Rule, fetch: Fetch) -> Verdict:
    """Apply the rule to every trial of the database."""
    values = rule.values
    trainings = complete(rows, TRAINING)
    worse = decide_worse(trainings, values, fetch)
    by_run = {row.reused_from or row.run_id: row for row in trainings}
    curves = followed(rows, by_run, values.error, fetch)
    ends = decide_ends(curves, values, lambda m: cost_of_codes(m, rows, by_run, values.error))
    others = [
        (other.title, found)
        for other in values.others
        if (found := contrast_by_rule(trainings, other.arm, other.reference, values, fetch))
    ]
    both = (worse.value, ends.value)
    consequence = CONSEQUENCES.get(both, _open(worse.value, ends.value))
    n_seeds = [worse.gap.n_seeds if worse.gap else 0, len(ends.models.models) if ends.models else 0]
    return Verdict(
        rule,
        worse,
        ends,
        consequence,
        tuple(others),
        tuple(curves),
        tuple(_missing(rows, worse, ends, values)),
        min(n_seeds) < values.seeds_firm,
        tuple(newest(rows, TRAINING, PURSUIT, FOLLOWING, REPLACED).notes(_SHOWN_APART)),
    )


def _open(worse: str, ends: str) -> str:
    parts = [f"H1 is {worse}", f"H2 is {ends}"]
    return f"Open: {' and '.join(parts)}, so nothing follows for the structure of the matrix."


def _missing(rows: Sequence[TrialRow], worse: Worse, ends: Ends, rule: RuleFile) -> list[Missing]:
    needed = []
    have = worse.gap.n_seeds if worse.gap else 0
    if worse.value in ("invalid", "undecided") or have < rule.seeds_firm:
        wanted = max(rule.seeds_firm, have + (worse.value == "undecided") * rule.seeds_firm)
        n = 2 * (wanted - have)
        why = f"arm and reference on {wanted} seeds, {have} are there"
        needed.append(Missing(f"frozen --set seeds={wanted}", why, _cost(rows, TRAINING, n)))
    models = len(ends.models.models) if ends.models else 0
    if models < rule.seeds_firm:
        why = f"checkpoints of {rule.seeds_firm} models with nulls, {models} are there"
        cost = _cost(rows, PURSUIT, (rule.seeds_firm - models) * _PURSUITS_A_MODEL)
        needed.append(Missing(f"checkpoints --set after.set.seeds={rule.seeds_firm}", why, cost))
    elif ends.value not in ("offset", "zero"):
        needed.append(_longer(rows, models))
    return needed + _missing_floors(rows, ends)


def _longer(rows: Sequence[TrialRow], n_models: int) -> Missing:
    """Trainings of four times the longest there is."""
    longest = max(
        (int(row.params.get("n_tokens") or 0) for row in rows if row.kind == TRAINING), default=0
    )
    option = f" --set n_tokens={_TIMES * longest}" if longest else " --set size=small"
    why = "longer trainings: no form of curve is ruled in by these steps"
    cost = _cost(rows, TRAINING, 2 * n_models, times=_TIMES)
    return Missing(f"checkpoints --set after.set.seeds={n_models}{option}", why, cost)


def _missing_floors(rows: Sequence[TrialRow], ends: Ends) -> list[Missing]:
    """What the error must exceed, where that is not known."""
    needed: list[Missing] = []
    models = ends.models
    if models is None or ends.value == "invalid":
        return needed
    are_ours = models.sources[0].startswith("run:")
    if not math.isfinite(ends.cost[0]):
        sweep = (
            f"checkpoints-residual --set after.set.seeds={len(models.models)}"
            if are_ours
            else f"residual --set fixed.source={models.sources[0]} --set fixed.model=source"
        )
        why = "what the error is worth to each model"
        needed.append(Missing(sweep, why, _cost(rows, REPLACED, 4 * len(models.models))))
    if not math.isfinite(ends.floor):
        sweep = "checkpoints-warm" if are_ours else "polypythias-warm"
        why = "how much late rows still move, which no trial has measured"
        needed.append(Missing(sweep, why, _cost(rows, FOLLOWING, 8 * len(models.models))))
    return needed


def _cost(rows: Sequence[TrialRow], kind: str, n_trials: int, times: int = 1) -> str:
    """Of trials that take so many times as long as those of the database."""
    spent = [row.duration_s for row in rows if row.kind == kind and row.duration_s > 0]
    count = f"{n_trials} trials of kind {kind}"
    if not spent:
        return f"{count}, time unknown"
    return f"{count}, about {seconds(times * mean(spent) * n_trials)}"
