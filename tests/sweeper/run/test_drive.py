"""Idempotence: the same command makes the database hold what the file declares, and no more."""

from __future__ import annotations

from collections.abc import Callable

from sweeper.run.driver.drive import SweepRun
from sweeper.run.plan import Retry
from sweeper.store.tracking import Tracking
from tests.sweeper.run.bowls import FIVE


def test_widening_a_space_runs_only_the_new_points(run: Callable[..., SweepRun]) -> None:
    assert run("kind: bowl\nspace: {x: [0.0, 1.0]}\n").n_run == 2
    assert run(FIVE).n_run == 3


def test_another_sweep_reuses_trials_and_names_their_run(
    run: Callable[..., SweepRun], tracking: Tracking
) -> None:
    first = {row.key: row.run_id for row in run(FIVE).rows}
    other = run("kind: bowl\nspace: {x: [0.0, 0.25, 1.0]}\n", name="others")
    assert other.n_run == 1
    linked = {
        row.key: row.reused_from for row in tracking.results.rows(["others"]) if row.reused_from
    }
    assert len(linked) == 2
    assert linked == {key: first[key] for key in linked}


def test_a_failed_trial_runs_again_only_when_asked(
    run: Callable[..., SweepRun], tracking: Tracking
) -> None:
    text = "kind: bowl\nspace: {fate: [well, raise]}\n"
    assert run(text).n_run == 2
    assert run(text).n_run == 0
    assert run(text, retry=Retry(failed=True)).n_run == 1
    assert len(tracking.results.rows()) == 2


def test_a_stopped_trial_stands_only_where_trials_are_stopped(run: Callable[..., SweepRun]) -> None:
    text = "kind: bowl\nfixed: {n_steps: 4}\nspace: {x: [0.0, 0.1, 0.2, 1.0, 2.0]}\n"
    stopping = text + "early_stopping: {method: asha, metric: loss_validation, reduction: 2}\n"
    states = [row.state for row in run(stopping).rows]
    n_stopped = states.count("PRUNED")
    assert n_stopped > 0
    assert run(stopping).n_run == 0
    elsewhere = run(text, name="others")
    assert elsewhere.n_run == n_stopped
    assert {row.state for row in elsewhere.rows} == {"COMPLETE"}
    # Where nothing stops trials any more, those that were stopped are taken from where they ended.
    again = run(text)
    assert again.n_run == 0
    assert {row.state for row in again.rows} == {"COMPLETE"}


def test_a_forced_run_gives_the_same_runs_the_new_numbers(
    run: Callable[..., SweepRun], tracking: Tracking
) -> None:
    run(FIVE)
    before = {row.key: row for row in tracking.results.rows()}
    assert run(FIVE, retry=Retry(everything=True)).n_run == 5
    after = {row.key: row for row in tracking.results.rows()}
    assert {k: row.run_id for k, row in after.items()} == {k: r.run_id for k, r in before.items()}
    for key, row in after.items():
        assert row.started_ms > before[key].started_ms
        assert row.metrics["system/wall_s"] != before[key].metrics["system/wall_s"]
        assert row.metrics["loss_validation"] == before[key].metrics["loss_validation"]


def test_nulls_never_count_as_best_and_are_marked(
    run: Callable[..., SweepRun], tracking: Tracking
) -> None:
    run('kind: bowl\nspace: {"null": [none, flat]}\n')
    assert {row.params["null"]: row.is_control for row in tracking.results.rows()} == {
        "none": False,
        "flat": True,
    }
