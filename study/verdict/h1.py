"""The first hypothesis: does a model train worse when its input rows are random and frozen?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from study.verdict.arms import ArmContrast, contrast_arms
from study.verdict.rule import Arm, H1Rule, RuleFile
from sweeper.records import TrialRow
from sweeper.report.artifact_table import Fetch
from sweeper.report.words import number, plural

H1Value = Literal["worse", "not worse", "undecided", "not identified", "invalid"]


class H1(NamedTuple):
    """The first hypothesis, decided."""

    value: H1Value
    why: str
    gap: ArmContrast | None
    rows_distribution: str


def decide_h1(trainings: Sequence[TrialRow], rule: RuleFile, fetch: Fetch) -> H1:
    """H1 from every training in the store."""
    wanted = rule.worse
    gap, distribution = None, ""
    for named in wanted.rows_distribution:
        arm: Arm = {**wanted.arm, "rows_distribution": named}
        found = contrast_by_rule(trainings, arm, wanted.reference, rule, fetch)
        if found is not None and (gap is None or gap.n_seeds < found.n_seeds):
            gap, distribution = found, named
        if gap is not None and gap.n_seeds >= rule.seeds_min:
            break
    if gap is None:
        return H1("invalid", "no training has both arms", None, "")
    if gap.n_seeds < rule.seeds_min:
        why = f"{plural(gap.n_seeds, 'seed')}; the rule asks for {rule.seeds_min}"
        return H1("invalid", why, gap, distribution)
    if gap.uncertified:
        return H1("invalid", f"uncertified: {gap.uncertified}", gap, distribution)
    if not all(map(math.isfinite, (gap.mean, gap.low, gap.high))):
        return H1("not identified", "a loss is not finite", gap, distribution)
    interval = f"{number(gap.mean, 3)} nats [{number(gap.low, 3)}, {number(gap.high, 3)}]"
    beyond_seeds = gap.mean >= wanted.seed_sds * gap.seed_sd
    if gap.low > wanted.gap_nats and gap.tokens_ratio_low > wanted.tokens_ratio and beyond_seeds:
        why = (
            f"{interval} lies above {wanted.gap_nats:g}, tokens ratio above {wanted.tokens_ratio:g}"
        )
        return H1("worse", why, gap, distribution)
    if gap.high < wanted.equivalent_nats:
        why = f"{interval} lies below {wanted.equivalent_nats:g}"
        return H1("not worse", why, gap, distribution)
    why = f"{interval} allows both"
    if gap.low > wanted.gap_nats:
        why = f"{interval} lies above {wanted.gap_nats:g}, but {_lacking(gap, wanted)}"
    return H1("undecided", why, gap, distribution)


def _lacking(gap: ArmContrast, wanted: H1Rule) -> str:
    """Which other condition a gap that is large enough fails."""
    if not math.isfinite(gap.tokens_ratio_low):
        return "the tokens ratio is unknown"
    if gap.tokens_ratio_low <= wanted.tokens_ratio:
        return f"the smallest tokens ratio over seeds is {number(gap.tokens_ratio_low, 3)}"
    deviations = number(wanted.seed_sds * gap.seed_sd, 3)
    return f"{wanted.seed_sds:g} standard deviations over seeds are {deviations} nats"


def contrast_by_rule(
    trainings: Sequence[TrialRow], arm: Arm, reference: Arm, rule: RuleFile, fetch: Fetch
) -> ArmContrast | None:
    """The comparison of two arms, at the level and share of the budget that the rule names."""
    share = rule.worse.tokens_share
    return contrast_arms(
        trainings, arm, reference, level=rule.level, tokens_share=share, fetch=fetch
    )
