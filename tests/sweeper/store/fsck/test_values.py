"""A finished trial whose run says something else than the journal: found, and mended."""

from __future__ import annotations

from typing import Any


def test_every_value_that_differs_is_named_and_the_journal_wins(small: Any) -> None:
    run_id, client = small.run_ids["a"], small.tracking._client
    client.log_metric(run_id, "loss", 0.75, step=7)
    client.log_metric(run_id, "gap", 1.0, step=7)
    client.set_tag(run_id, "state", "FAILED")
    client.set_tag(run_id, "error", "no memory")
    problems = {d.problem for d in small.disagreements()}
    assert {d.what for d in small.disagreements()} == {"value"}
    assert problems == {
        "state: COMPLETE in the journal, FAILED in the database",
        "error:  in the journal, no memory in the database",
        "metric loss: 0.25 in the journal, 0.75 in the database",
        "metric gap: nan in the journal, 1.0 in the database",
    }
    small.repaired()
    assert next(r for r in small.tracking.results.rows() if r.key == "a").metrics["loss"] == 0.25


def test_a_run_that_mlflow_shows_in_another_state_is_set_right(small: Any) -> None:
    small.tracking._client.set_terminated(small.run_ids["a"], "FAILED")
    assert small.one().problem == "status: FAILED in MLflow, FINISHED is COMPLETE"
    small.repaired()
