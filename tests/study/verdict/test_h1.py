"""H1: every value that the gap between two arms of a training can end in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from study.verdict.decide import decide
from study.verdict.page import contrast_cells, verdict_page
from study.verdict.rule import load_rule
from sweeper.records import TrialRow
from tests.study.verdict.small_study import no_artifacts, trainings


@pytest.mark.parametrize(
    ("rows", "expected", "why"),
    [
        (trainings(0.2), "worse", "lies above 0.05"),
        (trainings(0.0), "not worse", "lies below 0.02"),
        (trainings(0.03), "undecided", "allows both"),
        (trainings(0.2, spread=0.3), "undecided", "allows both"),
        (trainings(float("nan")), "not identified", "not finite"),
        (trainings(0.2, n_seeds=2), "invalid", "2 seeds; the rule asks for 3"),
        (trainings(0.2, uncertified="diverged"), "invalid", "uncertified: diverged"),
        ([], "invalid", "no training has both arms"),
    ],
    ids=["worse", "equal", "between", "noisy", "nan", "two seeds", "uncertified", "none"],
)
def test_the_first_hypothesis_ends_in_each_of_its_values(
    rows: list[TrialRow], expected: str, why: str, lenient: str
) -> None:
    h1 = decide(rows, load_rule(lenient), no_artifacts).h1
    assert h1.value == expected
    assert why in h1.why


def test_a_gap_that_closes_is_reported_as_a_difference_in_speed(tmp_path: Path) -> None:
    tokens = np.geomspace(1e4, 1e6, 21)

    def fetch(run_id: str, path: str) -> Path:
        if path != "loss_curve.csv":
            return no_artifacts(run_id, path)
        gap = 0.2 * (tokens / 1e6) ** -0.5 if run_id.startswith("frozen") else 0 * tokens
        wobble = 1 + 0.01 * int(run_id[-1]) * np.log(tokens / 1e6)
        lines = [f"{t},{loss}" for t, loss in zip(tokens, 3 + gap * wobble, strict=True)]
        (tmp_path / run_id).write_text("\n".join(["n_tokens,loss_validation", *lines]))
        return tmp_path / run_id

    decided = decide(trainings(0.2), load_rule(), fetch)
    assert decided.h1.gap is not None
    assert decided.h1.gap.closing[0] == pytest.approx(0.5, abs=0.05)
    assert decided.h1.gap.closing[1] > 0
    assert "a difference in speed" in verdict_page(decided)
    assert "a difference in speed" not in verdict_page(
        decide(trainings(0.2), load_rule(), no_artifacts)
    )


def test_the_trained_models_that_frozen_rows_come_from_are_counted() -> None:
    def told(source: str | None) -> str:
        rows = [
            row.model_copy(update={"params": row.params | {"input_rows_from": source}})
            for row in trainings(0.2)
        ]
        gap = decide(rows, load_rule(), no_artifacts).h1.gap
        assert gap is not None
        return contrast_cells("arm", gap)[0]

    assert told("run:a/last") == "arm (rows of 1 trained model)"
    assert told("run:a/last run:b/last") == "arm (rows of 2 trained models)"
    assert told(None) == "arm"


def test_a_gap_without_lost_tokens_is_not_worse_by_the_rule() -> None:
    h1 = decide(trainings(0.2), load_rule(), no_artifacts).h1
    assert h1.value == "undecided"
    assert "lies above 0.05, but the smallest tokens ratio over seeds is 1" in h1.why


def test_a_gap_within_the_deviations_of_seeds_says_so(lenient: str) -> None:
    rows = trainings(0.3, n_seeds=10, spread=0.15)
    h1 = decide(rows, load_rule(lenient), no_artifacts).h1
    assert h1.value == "undecided"
    assert "lies above 0.05, but 3 standard deviations over seeds are" in h1.why


def test_too_few_seeds_of_the_first_law_of_rows_are_counted_where_the_second_has_none() -> None:
    rows = trainings(0.2, n_seeds=2)
    for each in rows:
        each.params["rows_distribution"] = "norm_matched"
    h1 = decide(rows, load_rule(), no_artifacts).h1
    assert (h1.value, h1.rows_distribution) == ("invalid", "norm_matched")
    assert h1.why == "2 seeds; the rule asks for 3"


def on_corpus(rows: list[TrialRow], digest: str, at: int, **changes: object) -> list[TrialRow]:
    """The trainings on another text under the same name."""
    changes |= {"provenance": {"input.corpus": digest}, "started_ms": at}
    return [
        row.model_copy(
            update=changes | {"run_id": f"{row.run_id}{digest}", "key": row.key + digest}
        )
        for row in rows
    ]


def test_of_two_texts_under_one_name_the_newest_is_read_and_the_other_is_told(lenient: str) -> None:
    rows = [*on_corpus(trainings(0.0), "new", 2), *on_corpus(trainings(0.2), "old", 1)]
    decided = decide(rows, load_rule(lenient), no_artifacts)
    assert decided.h1.value == "not worse"
    assert decided.h1.gap is not None
    assert decided.h1.gap.n_seeds == 3
    line = "6 trials of an earlier input left out; 'sweeper report --inputs all' shows them apart"
    assert line in " ".join(verdict_page(decided).split())


def test_arms_on_two_texts_or_of_two_versions_are_not_compared(lenient: str) -> None:
    learned, frozen = trainings(0.2)[:3], trainings(0.2)[3:]
    for other in (on_corpus(frozen, "new", 2), on_corpus(frozen, "old", 2, kind_version=2)):
        rows = [*on_corpus(learned, "old", 1), *other]
        h1 = decide(rows, load_rule(lenient), no_artifacts).h1
        assert (h1.value, h1.why) == ("invalid", "no training has both arms")
    whole = on_corpus([*learned, *frozen], "old", 1)
    assert decide(whole, load_rule(lenient), no_artifacts).h1.value == "worse"
