from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np
import pytest

from tests.trials.interrupted import Killed, assert_same
from trials.row_swap import finetune
from trials.row_swap import run as run_module
from trials.row_swap.kind import KIND

UNTRAINED = {"tokens_a_stratum": 40, "n_strata": 1}
EIGHT = {"tokens_a_stratum": 8, "n_strata": 1}
MODES: dict[str, dict[str, Any]] = {
    "untrained": {"draw": "gaussian", **UNTRAINED},
    "cumulative": {"mode": "cumulative", "draw": "norm_matched"},
    "row": {"draw": "norm_matched", "n_steps": 3, "rows_together": 3, **EIGHT},
    "body": {"draw": "zero", "regime": "body", "n_steps": 2},
}


@pytest.mark.parametrize("mode", MODES)
def test_a_trial_that_is_killed_after_every_part_ends_bit_for_bit_the_same(
    place: Any, mode: str
) -> None:
    config = place.config(**MODES[mode])
    undisturbed = KIND.execute(config, place.context("undisturbed"))
    reports: list[int] = []

    def dies(step: int, metrics: Mapping[str, float]) -> None:
        reports.append(step)
        raise Killed

    context = place.context("killed")._replace(report=dies)
    result = None
    while result is None:
        try:
            result = KIND.execute(config, context)
        except Killed:
            assert len(reports) < 20
    assert_same(KIND, result, undisturbed)
    assert reports == list(range(1, len(reports) + 1)), "no part is found twice"
    assert len(reports) >= 3
    assert list(context.checkpoint_dir.iterdir()) == []


def test_a_kill_within_a_part_repeats_that_part_alone(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = place.config(**MODES["row"])
    undisturbed = KIND.execute(config, place.context("undisturbed"))
    trained: list[list[int]] = []
    train = finetune.train

    def dies(opened: Any, config: Any, tokens: np.ndarray, *rest: Any) -> Any:
        trained.append(tokens.tolist())
        for step in train(opened, config, tokens, *rest):
            if len(trained) == 2 and step == 1:
                raise Killed
            yield step

    monkeypatch.setattr(finetune, "train", dies)
    with pytest.raises(Killed):
        KIND.execute(config, place.context("killed"))
    assert_same(KIND, KIND.execute(config, place.context("killed")), undisturbed)
    assert trained[0] == trained[1] == trained[2], "the null, the part that died, the same again"
    assert trained[3::2] == trained[4::2]
    assert [*chain(*trained[2::2])] == undisturbed.tables["rows"]["token_id"]


def test_an_interrupted_trial_reports_what_is_saved_and_goes_on_from_there(place: Any) -> None:
    config = place.config(**MODES["row"])
    undisturbed = KIND.execute(config, place.context("undisturbed"))
    reports: list[tuple[int, float]] = []
    asked: list[bool] = []

    def interrupted() -> bool:
        asked.append(len(asked) == 10)  # before a step of the second group
        return asked[-1]

    def report(step: int, metrics: Mapping[str, float]) -> None:
        reports.append((step, metrics["n_tokens_tried"]))
        if asked[-1]:
            raise Killed

    context = place.context("interrupted")._replace(report=report, interrupted=interrupted)
    with pytest.raises(Killed):
        KIND.execute(config, context)
    assert reports == [(1, 8.0), (2, 0.0), (3, 3.0), (3, 3.0)]
    assert_same(KIND, KIND.execute(config, context), undisturbed)
    assert reports[4:] == [(4, 3.0), (5, 6.0), (6, 6.0), (7, 8.0)]


def test_an_interrupted_trial_begins_no_further_block_of_rows(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = place.config(**MODES["untrained"])
    undisturbed = KIND.execute(config, place.context("undisturbed"))
    measured: list[int] = []
    damage = run_module.damage

    def counted(*given: Any) -> Any:
        measured.extend(given[-1].tolist())
        return damage(*given)

    def report(step: int, metrics: Mapping[str, float]) -> None:
        if context.interrupted():
            raise Killed

    monkeypatch.setattr(run_module, "damage", counted)
    context = place.context("interrupted")._replace(
        report=report, interrupted=lambda: len(measured) == 32
    )
    with pytest.raises(Killed):
        KIND.execute(config, context)
    assert_same(KIND, KIND.execute(config, context._replace(interrupted=bool)), undisturbed)
    n_tokens = len(undisturbed.tables["rows"]["token_id"])
    assert sorted(measured) == sorted([*range(n_tokens)] * 2), "each once on either side"


def test_parts_of_another_trial_are_not_used(place: Any) -> None:
    def die(step: int, metrics: Mapping[str, float]) -> None:
        if step == 2:
            raise Killed

    changes = {"draw": "norm_matched", **UNTRAINED}
    with pytest.raises(Killed):
        KIND.execute(place.config(seed=1, **changes), place.context("other")._replace(report=die))
    config = place.config(seed=2, **changes)
    assert_same(
        KIND,
        KIND.execute(config, place.context("other")),
        KIND.execute(config, place.context("undisturbed")),
    )


def test_time_of_earlier_tries_counts(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    config = place.config(draw="zero", n_steps=2, rows_together=1)
    clock = iter(range(1000))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(clock)))
    whole = KIND.execute(config, place.context("undisturbed")).metrics["spent_s"]

    def die(step: int, metrics: Mapping[str, float]) -> None:
        raise Killed

    context = place.context("killed")
    with pytest.raises(Killed):
        KIND.execute(config, context._replace(report=die))
    assert KIND.execute(config, context).metrics["spent_s"] == pytest.approx(whole, abs=2)
