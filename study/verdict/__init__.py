"""Decide the research question by a rule that was written down before the results.

    rule         the rule file and its digest
    selection    which trials count
    arms, h1     H1: paired arms of pretraining, and whether frozen random rows are worse
    points, curves, noise, cost, h2
                 H2: error over training, its two floors, and whether it stays above zero
    decide       both hypotheses, what follows, and which sweeps are missing
    page         the verdict as text and JSON

Data flows from `decide` down: it selects trials, `arms` and `curves` read their artifacts, `h1` and
`h2` compare the numbers with the rule.
"""

from study.verdict.decide import KINDS, Verdict, decide, metrics_read
from study.verdict.page import verdict_json, verdict_page
from study.verdict.rule import Rule, load_rule

__all__ = [
    "KINDS",
    "Rule",
    "Verdict",
    "decide",
    "load_rule",
    "metrics_read",
    "verdict_json",
    "verdict_page",
]
