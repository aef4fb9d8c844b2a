"""What a driver writes of submissions and trials, and that it comes back as it was."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sweeper.errors import UserError
from sweeper.records import Outcome, TrialState
from sweeper.store.journal import Reported
from sweeper.store.run_format.record import record_tags
from sweeper.store.tracking import Tracking
from tests.sweeper.store.one_trial import SPEC, outcome


def test_a_trial_comes_back_as_it_was_shipped(tracking: Tracking, staged: Path) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    run_id = tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged)
    [row] = tracking.results.rows(["bowls"])
    assert (row.run_id, row.key, row.state, row.submission) == (run_id, "k1", "COMPLETE", parent)
    assert row.params == SPEC.config
    assert row.metrics["loss"] == 0.25
    assert math.isnan(row.metrics["nan"])
    assert row.metrics["inf"] == math.inf
    assert row.facts == {"frequency_table": "zipf"}
    assert row.provenance == {"python": "3.11", "input.source": "abc"}
    assert row.label == "x=0.1 n_atoms=4x on=True"
    assert row.duration_s == 2.5


def test_the_page_of_a_run_shows_no_raw_record_and_no_empty_tag(
    tracking: Tracking, staged: Path
) -> None:
    """MLflow's UI hides the tags that begin with `mlflow.`."""
    parent = tracking.open_submission("bowls", "first", {})
    run_id = tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged)
    run = tracking._client.get_run(run_id)
    shown = {name: text for name, text in run.data.tags.items() if not name.startswith("mlflow.")}
    assert {"state", "trial_key", "kind"} <= shown.keys()
    assert all(text and "{" not in text for text in shown.values()), shown
    assert run.info.run_name == "x0.1 on 4x"


def test_what_an_earlier_attempt_said_is_taken_back(tracking: Tracking, staged: Path) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    failed = outcome(staged, state=TrialState.FAILED, error="no memory", uncertified="gap")
    long = failed.model_copy(update={"facts": {"page": "x" * 9000}})
    tracking.finish_trial("bowls", parent, SPEC, long, None)
    assert tracking.results.rows()[0].error == "no memory"
    tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged)
    [row] = tracking.results.rows()
    assert (row.state, row.error, row.uncertified) == ("COMPLETE", "", "")
    assert row.facts == {"frequency_table": "zipf"}


def test_a_run_of_an_older_store_is_read_and_written_on(tracking: Tracking, staged: Path) -> None:
    """Its record lies in tags of another name, some of them empty, and its name was its label."""
    parent = tracking.open_submission("bowls", "first", {})
    tags = {
        **{n.removeprefix("mlflow."): text for n, text in record_tags(SPEC).items()},
        **{"role": "trial", "trial_key": SPEC.key, "kind": SPEC.kind, "state": "WAITING"},
    }
    made = tracking._client.create_run(
        tracking.writer.experiment_id("bowls"), 1000, tags, SPEC.label
    )
    [row] = tracking.results.rows()
    assert (row.run_id, row.params, row.label) == (made.info.run_id, SPEC.config, SPEC.label)
    assert tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged) == row.run_id
    [row] = tracking.results.rows()
    assert (row.state, row.facts) == ("COMPLETE", {"frequency_table": "zipf"})


def test_shipping_twice_changes_nothing(tracking: Tracking, staged: Path) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    for _ in range(2):
        tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged)
    [row] = tracking.results.rows()
    history = tracking._client.get_metric_history(row.run_id, "loss")
    assert [(m.value, m.timestamp) for m in history] == [(0.25, 3500)]


def test_a_run_left_running_is_continued(tracking: Tracking, staged: Path) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    begun = tracking.start_trial("bowls", parent, SPEC, 1000)
    assert tracking.results.rows()[0].state is TrialState.RUNNING
    assert tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged) == begun
    assert tracking.results.rows()[0].state is TrialState.COMPLETE


def test_numeric_varied_fields_are_metrics_too(tracking: Tracking) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    run_id = tracking.start_trial("bowls", parent, SPEC, 1000)
    metrics = tracking._client.get_run(run_id).data.metrics
    assert metrics == {"swept/x": 0.1}


def test_a_staged_artifact_that_changed_is_never_shipped(tracking: Tracking, staged: Path) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    finished = outcome(staged)
    (staged / "atoms.csv").write_text("cut")
    with pytest.raises(UserError, match="changed or cut short"):
        tracking.finish_trial("bowls", parent, SPEC, finished, staged)


def test_a_dead_driver_s_submission_is_ended(tracking: Tracking) -> None:
    left = tracking.open_submission("bowls", "first", {})
    assert tracking.abandon_submissions("bowls") == 1
    assert tracking._client.get_run(left).info.status == "KILLED"
    assert tracking.abandon_submissions("bowls") == 0


def test_a_submission_of_a_dead_driver_of_another_folder_is_ended_too(tracking: Tracking) -> None:
    left = tracking.open_submission("bowls", "first", {"driver_store": "/elsewhere"})
    assert tracking.abandon_submissions("bowls") == 1
    assert tracking._client.get_run(left).info.status == "KILLED"


def test_of_several_attempts_the_last_one_s_numbers_count(tracking: Tracking, staged: Path) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    long = [Reported(key="k1", step=n, metrics={"loss": 9.0, "gap": 1.0}, at_ms=n) for n in (1, 5)]
    begun = tracking.start_trial("bowls", parent, SPEC, 1000)
    tracking.report_progress(begun, long)
    tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged, step=6)
    (staged / "atoms.csv").rename(staged / "codes.csv")
    short = outcome(staged, metrics={"loss": 0.125}, started_ms=5000, ended_ms=6000)
    tracking.start_trial("bowls", parent, SPEC, 5000)
    assert tracking.results.rows()[0].artifacts == ()
    tracking.report_progress(begun, [Reported(key="k1", step=1, metrics={"loss": 3.0}, at_ms=5500)])
    assert tracking.finish_trial("bowls", parent, SPEC, short, staged, step=6) == begun
    [row] = tracking.results.rows()
    assert row.metrics == {"loss": 0.125}
    assert [artifact.path for artifact in row.artifacts] == ["codes.csv"]
    assert (row.started_ms, row.ended_ms) == (5000, 6000)


def test_a_report_in_the_millisecond_of_the_end_does_not_replace_the_outcome(
    tracking: Tracking,
) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    run_id = tracking.start_trial("bowls", parent, SPEC, 1000)
    last = Reported(key="k1", step=5, metrics={"loss": 0.75, "state": 0.5}, at_ms=3500)
    tracking.report_progress(run_id, [last])
    ended = Outcome(
        key="k1",
        state=TrialState.COMPLETE,
        metrics={"loss": 0.25, "state": 0.5},
        started_ms=1000,
        ended_ms=3500,
    )
    for _ in range(2):  # shipping twice changes nothing
        tracking.finish_trial("bowls", parent, SPEC, ended, None, step=6)
        [row] = tracking.results.rows()
        assert row.metrics == {"loss": 0.25, "state": 0.5}
    assert len(tracking._client.get_metric_history(run_id, "loss")) == 2


def test_reports_are_stored_once_with_their_steps_and_times(tracking: Tracking) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    run_id = tracking.start_trial("bowls", parent, SPEC, 1000)
    reports = [
        Reported(key="k1", step=n, metrics={f"m{i}": n + i / 64 for i in range(40)}, at_ms=1000 + n)
        for n in range(30)  # more values than MLflow takes in one call
    ]
    for _ in range(2):
        tracking.report_progress(run_id, reports)
    for i in (0, 39):
        history = tracking._client.get_metric_history(run_id, f"m{i}")
        assert [(m.step, m.timestamp, m.value) for m in history] == [
            (n, 1000 + n, n + i / 64) for n in range(30)
        ]


def test_an_abandoned_trial_waits_and_its_run_is_killed(tracking: Tracking) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    run_id = tracking.start_trial("bowls", parent, SPEC, 1000)
    assert tracking.abandon_trial("bowls", SPEC, "its driver ended before it did", 2000) == run_id
    [row] = tracking.results.rows()
    assert (row.state, row.error) == ("WAITING", "its driver ended before it did")
    assert tracking._client.get_run(run_id).info.status == "KILLED"
    assert tracking.start_trial("bowls", parent, SPEC, 3000) == run_id
    assert (tracking.results.rows()[0].state, tracking.results.rows()[0].error) == ("RUNNING", "")


def test_a_trial_without_a_run_needs_none_to_be_abandoned(tracking: Tracking) -> None:
    assert tracking.abandon_trial("bowls", SPEC, "gone", 2000) == ""


def test_a_trial_that_another_driver_finished_is_not_abandoned(
    tracking: Tracking, staged: Path
) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    run_id = tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged)
    assert tracking.abandon_trial("bowls", SPEC, "gone", 2000) == run_id
    assert tracking.results.rows()[0].state is TrialState.COMPLETE
