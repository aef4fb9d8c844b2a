import json
import math

import pytest

from sweeper.records import Artifact, Outcome, TrialState
from sweeper.report.rerun_page import Repetition, rerun_json, rerun_page

METRICS = {"loss": 0.25, "l0": 31.0, "bits": math.nan, "score": 0.5, "system/wall_s": 3.0}


@pytest.fixture
def repeated(make_row, kind):
    """`repeated(**changes)` compares a trial with its repetition."""

    def compare(row_changes=(), **changes) -> Repetition:
        row = make_row(metrics=METRICS, provenance={"python": "3.11"}, **dict(row_changes))
        values = {
            "key": row.key,
            "state": TrialState.COMPLETE,
            "metrics": METRICS | {"system/wall_s": 9.0},
            "provenance": {"python": "3.11"},
        }
        return Repetition(row, kind, Outcome(**(values | changes)), rtol=1e-6, atol=1e-9)

    return compare


def last(text: str) -> str:
    return text.splitlines()[-1]


def test_equal_bits_are_called_so_and_measured_times_do_not_count(repeated) -> None:
    found = repeated()
    assert found.agrees
    assert last(rerun_page(found)) == ("repeated in the same environment: 4 metrics bitwise equal")
    assert "wall_s" not in rerun_page(found)


def test_a_small_difference_is_within_the_tolerance_that_is_stated(repeated) -> None:
    found = repeated(metrics=METRICS | {"loss": 0.25 + 1e-9}, provenance={"python": "3.12"})
    assert found.agrees
    assert not found.is_bitwise
    assert last(rerun_page(found)) == (
        "repeated in an environment with 1 difference: 4 metrics equal within relative 1e-06 or "
        "1e-09 absolute"
    )
    assert "python" in rerun_page(found)


@pytest.mark.parametrize("value", [0.26, math.nan, math.inf])
def test_a_large_difference_is_marked(repeated, value: float) -> None:
    found = repeated(metrics=METRICS | {"loss": value})
    assert not found.agrees
    assert [d.name for d in found.disagreeing] == ["loss"]
    assert last(rerun_page(found)).startswith(
        "NOT repeated in the same environment: 1 of 4 metrics"
    )
    [line] = [line for line in rerun_page(found).splitlines() if line.split()[:1] == ["loss"]]
    assert line.endswith("differs")


def test_another_end_is_no_repetition(repeated) -> None:
    found = repeated(state=TrialState.FAILED, metrics={}, error="no memory")
    assert not found.agrees
    assert last(rerun_page(found)) == (
        "NOT repeated in the same environment: stored COMPLETE, repeated FAILED no memory"
    )


def test_artifacts_with_other_bytes_are_named(repeated) -> None:
    before = (Artifact(path="x.csv", sha256="a", n_bytes=1),)
    after = (Artifact(path="x.csv", sha256="b", n_bytes=1),)
    found = repeated({"artifacts": before}, artifacts=after)
    assert "0 of 1 artifact bitwise equal; not x.csv" in rerun_page(found)
    assert found.agrees


def test_json_holds_every_metric(repeated) -> None:
    found = json.loads(rerun_json(repeated(metrics=METRICS | {"loss": 0.5})))
    assert (found["agrees"], found["bitwise"]) == (False, False)
    assert found["metrics"]["loss"] == {
        "stored": 0.25,
        "repeated": 0.5,
        "difference": 0.25,
        "relative": 0.5,
        "agrees": False,
    }
