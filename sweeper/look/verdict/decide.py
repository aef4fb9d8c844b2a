"""From arms and curves to one of five values for each hypothesis, and what follows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean
from typing import Literal, NamedTuple

import numpy as np

from sweeper.look.verdict.arms import KIND as TRAINING
from sweeper.look.verdict.arms import Contrast, Fetch, complete, contrast
from sweeper.look.verdict.curves import KIND as PURSUIT
from sweeper.look.verdict.curves import Models, followed
from sweeper.look.verdict.rule import Arm, Rule, RuleFile
from sweeper.look.words import number, plural, seconds
from sweeper.records import TrialRow
from trials.kernels.asymptotes import Asymptote, asymptote

H1 = Literal["worse", "not worse", "undecided", "not identified", "invalid"]
H2 = Literal["offset", "zero", "undecided", "not identified", "invalid"]


class Missing(NamedTuple):
    """What to run before a hypothesis can be decided: a sweep, why, and its cost."""

    sweep: str
    why: str
    cost: str


class Worse(NamedTuple):
    """The first hypothesis, decided."""

    value: H1
    why: str
    gap: Contrast | None
    rows_distribution: str


class Ends(NamedTuple):
    """The second hypothesis, decided; `over_null` is real over null at the last step, by model."""

    value: H2
    why: str
    models: Models | None
    found: Asymptote | None
    over_null: tuple[float, float, float]


class Verdict(NamedTuple):
    """All that is decided and told.

    Attributes:
        rule: the rule, with its digest.
        worse, ends: the two hypotheses.
        consequence: what the two mean together.
        others: title and contrast of what is told beside them.
        curves: every group of models that was followed.
        missing: sweeps that would decide more.
        is_indicative: decided on fewer seeds than make it firm.
    """

    rule: Rule
    worse: Worse
    ends: Ends
    consequence: str
    others: tuple[tuple[str, Contrast], ...]
    curves: tuple[Models, ...]
    missing: tuple[Missing, ...]
    is_indicative: bool


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
    trainings = complete(rows)
    worse = _decide_worse(trainings, values, fetch)
    curves = followed(rows, trainings, values.error)
    ends = _decide_ends(curves, values)
    others = [
        (other.title, found)
        for other in values.others
        if (found := _contrast(trainings, other.arm, other.reference, values, fetch))
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
    )


def _contrast(
    rows: Sequence[TrialRow], arm: Arm, reference: Arm, rule: RuleFile, fetch: Fetch
) -> Contrast | None:
    share = rule.worse.tokens_share
    return contrast(rows, arm, reference, level=rule.level, tokens_share=share, fetch=fetch)


def _open(worse: str, ends: str) -> str:
    parts = [f"H1 is {worse}", f"H2 is {ends}"]
    return f"Open: {' and '.join(parts)}, so nothing follows for the structure of the matrix."


def _decide_worse(trainings: Sequence[TrialRow], rule: RuleFile, fetch: Fetch) -> Worse:
    wanted = rule.worse
    gap, distribution = None, ""
    for distribution in wanted.rows_distribution:
        arm: Arm = {**wanted.arm, "rows_distribution": distribution}
        gap = _contrast(trainings, arm, wanted.reference, rule, fetch)
        if gap is not None and gap.n_seeds >= rule.seeds_min:
            break
    if gap is None:
        return Worse("invalid", "no training has both arms", None, "")
    if gap.n_seeds < rule.seeds_min:
        why = f"{plural(gap.n_seeds, 'seed')}; the rule asks for {rule.seeds_min}"
        return Worse("invalid", why, gap, distribution)
    if gap.uncertified:
        return Worse("invalid", f"uncertified: {gap.uncertified}", gap, distribution)
    if not all(map(math.isfinite, (gap.mean, gap.low, gap.high))):
        return Worse("not identified", "a loss is not finite", gap, distribution)
    interval = f"{number(gap.mean, 3)} nats [{number(gap.low, 3)}, {number(gap.high, 3)}]"
    beyond_seeds = gap.mean >= wanted.seed_sds * gap.seed_sd
    if gap.low > wanted.gap_nats and gap.tokens_ratio_low > wanted.tokens_ratio and beyond_seeds:
        why = (
            f"{interval} lies above {wanted.gap_nats:g}, tokens ratio above {wanted.tokens_ratio:g}"
        )
        return Worse("worse", why, gap, distribution)
    if gap.high < wanted.equivalent_nats:
        why = f"{interval} lies below {wanted.equivalent_nats:g}"
        return Worse("not worse", why, gap, distribution)
    return Worse("undecided", f"{interval} allows both", gap, distribution)


def _decide_ends(curves: Sequence[Models], rule: RuleFile) -> Ends:
    nothing = (math.nan, math.nan, math.nan)
    if not any(models.are_learned for models in curves):
        return Ends("invalid", "no pursuit of checkpoints of learned rows", None, None, nothing)
    models, wanted = curves[0], rule.error
    if len(models.models) < rule.seeds_min:
        why = f"{plural(len(models.models), 'model')}; the rule asks for {rule.seeds_min}"
        return Ends("invalid", why, models, None, nothing)
    if models.uncertified:
        return Ends("invalid", f"uncertified: {models.uncertified}", models, None, nothing)
    if models.missing_nulls:
        why = f"{plural(models.missing_nulls, 'checkpoint')} without a null at the same l0"
        return Ends("invalid", why, models, None, nothing)
    late = models.steps > 0
    if late.sum() < wanted.checkpoints_min:
        why = (
            f"{plural(int(late.sum()), 'checkpoint')} after step 0; {wanted.checkpoints_min} needed"
        )
        return Ends("invalid", why, models, None, nothing)
    over_null = _interval(np.log(models.real[:, -1] / models.null[:, -1]), rule.level)
    ratio = tuple(math.exp(value) for value in over_null)
    last = _interval(models.real[:, -1], rule.level)
    found = asymptote(
        models.steps[late],
        models.real[:, late],
        noise=wanted.counts_as_zero,
        max_chi2_per_dof=wanted.max_chi2_per_dof,
        max_prediction=wanted.max_prediction,
        horizon=wanted.horizon,
    )
    at_last = f"{number(last[0], 3)} [{number(last[1], 3)}, {number(last[2], 3)}] at the last step"
    if last[1] <= wanted.counts_as_zero < last[2]:
        return Ends("undecided", f"{at_last}: zero or not", models, found, ratio)  # type: ignore[arg-type]
    n = sum(fit.accepted for fit in found.fits)
    why = f"{at_last}; {plural(n, 'form')} of {len(found.fits)} fit and predict"
    return Ends(found.ending, why, models, found, ratio)  # type: ignore[arg-type]


def _interval(values: np.ndarray, level: float) -> tuple[float, float, float]:
    """Mean over models and its t interval."""
    from scipy.stats import t as student

    n, centre = len(values), float(np.mean(values))
    if n < 2:
        return centre, -math.inf, math.inf
    half = float(student.ppf(0.5 + level / 2, n - 1) * np.std(values, ddof=1) / math.sqrt(n))
    return centre, centre - half, centre + half


def _missing(rows: Sequence[TrialRow], worse: Worse, ends: Ends, rule: RuleFile) -> list[Missing]:
    needed = []
    have = worse.gap.n_seeds if worse.gap else 0
    if worse.value in ("invalid", "undecided") or have < rule.seeds_firm:
        wanted = max(rule.seeds_firm, have + (worse.value == "undecided") * rule.seeds_firm)
        n = 2 * (wanted - have)
        why = f"arm and reference on {wanted} seeds, {have} are there"
        needed.append(Missing(f"frozen --set seeds={wanted}", why, _cost(rows, TRAINING, n)))
    models = len(ends.models.models) if ends.models else 0
    if (ends.value != "offset" and ends.value != "zero") or models < rule.seeds_firm:
        wanted = max(rule.seeds_firm, models)
        why = (
            f"checkpoints of {wanted} models with nulls, {models} are there"
            if models < wanted
            else "longer trainings, or more checkpoints late: no form is ruled in alone"
        )
        per_model = 2 * 4 * 14
        cost = _cost(rows, PURSUIT, max(1, wanted - models) * per_model)
        needed.append(Missing(f"checkpoints --set first.set.seeds={wanted}", why, cost))
    return needed


def _cost(rows: Sequence[TrialRow], kind: str, n_trials: int) -> str:
    spent = [row.duration_s for row in rows if row.kind == kind and row.duration_s > 0]
    count = f"{n_trials} trials of kind {kind}"
    return (
        f"{count}, about {seconds(mean(spent) * n_trials)}" if spent else f"{count}, time unknown"
    )
