"""Both hypotheses together: what follows from them, and what is missing for an answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from study.verdict.decide import CONSEQUENCES, KINDS, decide, metrics_read
from study.verdict.page import verdict_json
from study.verdict.rule import load_rule
from tests.study.verdict.small_study import (
    OFFSET,
    costs,
    kept,
    no_artifacts,
    pursuits,
    trainings,
)


def test_both_hypotheses_together_have_a_consequence_and_open_ones_have_none(
    lenient: str, tmp_path: Path
) -> None:
    offset = [*OFFSET, *costs(0.5)]
    decided = decide([*trainings(0.2), *offset], load_rule(lenient), kept(tmp_path, 0.02))
    assert decided.consequence == CONSEQUENCES["worse", "offset"]
    assert decided.is_indicative
    assert decided.h2.over_null[0] == pytest.approx(1 / 1.2, rel=0.05)
    open_one = decide([*trainings(0.03), *offset], load_rule(lenient), no_artifacts)
    assert open_one.consequence.startswith("Open: H1 is undecided")


def test_what_is_missing_is_named_with_its_cost() -> None:
    decided = decide(trainings(0.2, n_seeds=2), load_rule(), no_artifacts)
    frozen, checkpoints = decided.missing
    assert frozen.sweep == "frozen --set seeds=5"
    assert frozen.cost == "6 trials of kind pretrain, about 12s"
    assert checkpoints.sweep == "checkpoints --set after.set.seeds=5"
    assert "time unknown" in checkpoints.cost


def test_where_the_models_are_enough_longer_trainings_are_asked_for() -> None:
    rows = [*trainings(0.2, n_seeds=5), *pursuits(lambda t: 1 / (1 + np.log1p(t)), n_models=5)]
    sweeps = {missing.sweep: missing for missing in decide(rows, load_rule(), no_artifacts).missing}
    longer = sweeps["checkpoints --set after.set.seeds=5 --set n_tokens=4000"]
    assert longer.cost == "10 trials of kind pretrain, about 1m20s"


def test_a_verdict_needs_no_more_than_the_metrics_and_kinds_that_it_names(
    lenient: str, tmp_path: Path
) -> None:
    rule, fetch = load_rule(lenient), kept(tmp_path, 0.02)
    rows = [*trainings(0.2), *OFFSET, *costs(0.5)]
    read = set(metrics_read(rule))
    other = rows[0].model_copy(update={"kind": "circles", "key": "circle", "params": {}})
    light = [
        row.model_copy(
            update={
                "metrics": {name: x for name, x in row.metrics.items() if name in read},
                "facts": {},
                "artifacts": (),
            }
        )
        for row in rows
        if row.kind in KINDS
    ]
    whole, part = decide([*rows, other], rule, fetch), decide(light, rule, fetch)
    assert verdict_json(part) == verdict_json(whole)
    assert whole.h2.cost[0] == pytest.approx(0.5)
