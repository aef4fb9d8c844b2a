"""Where real trials lie between a null and a positive control, at equal x."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from sweeper.records import Scalar
from sweeper.report.matched import MatchedPair
from sweeper.report.words import is_positive, shown
from trials.api import Comparison, Control


def placements(pairs: Sequence[MatchedPair], control: Control) -> list[MatchedPair]:
    """(null - real) / (null - positive control) of each real trial, as the effect of a pair.

    0 where real is as the null, 1 where it is as the control in which the claim holds. One pair for
    each null and positive control; the effect is NaN where one of them has no value at that x.
    """
    of_run: dict[str, dict[Scalar, MatchedPair]] = defaultdict(dict)
    for pair in pairs:
        of_run[pair.run_id][pair.null] = pair
    found = []
    for by_name in of_run.values():
        positive = [name for name in by_name if is_positive(name, control)]
        for name, pair in by_name.items():
            for other in positive if name not in positive else ():
                reach = pair.null_value - by_name[other].null_value
                share = (pair.null_value - pair.real) / reach if reach else math.nan
                label = f"{shown(name)} (0) to {shown(other)} (1)"
                found.append(replace(pair, null=label, effect=share))
    return found


def as_difference(comparison: Comparison) -> Comparison:
    """The same comparison with arithmetic means: a share may be negative."""
    return replace(comparison, shown="difference")
