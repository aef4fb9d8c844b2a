"""Idempotence: the same command makes the database hold what the file declares, and no more."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeper.errors import UserError
from sweeper.run.drive import SweepRun
from sweeper.run.keys import trial_key
from sweeper.store.artifacts import StagingArea
from sweeper.store.journal import Finished, Journal, Shipped, read_journal
from sweeper.store.saved_view import VIEW_TAG
from sweeper.store.tracking import Tracking

FIVE = "kind: bowl\nspace: {x: [-1.0, -0.5, 0.0, 0.5, 1.0]}\n"


def test_widening_a_space_runs_only_the_new_points(run: Callable[..., SweepRun]) -> None:
    assert run("kind: bowl\nspace: {x: [0.0, 1.0]}\n").n_run == 2
    assert run(FIVE).n_run == 3


def test_another_sweep_reuses_trials_and_names_their_run(
    run: Callable[..., SweepRun], tracking: Tracking
) -> None:
    first = {row.key: row.run_id for row in run(FIVE).rows}
    other = run("kind: bowl\nspace: {x: [0.0, 0.25, 1.0]}\n", name="others")
    assert other.n_run == 1
    linked = {row.key: row.reused_from for row in tracking.rows(["others"]) if row.reused_from}
    assert len(linked) == 2
    assert linked == {key: first[key] for key in linked}


def test_a_failed_trial_runs_again_only_when_asked(
    run: Callable[..., SweepRun], tracking: Tracking
) -> None:
    text = "kind: bowl\nspace: {fate: [well, raise]}\n"
    assert run(text).n_run == 2
    assert run(text).n_run == 0
    assert run(text, retry_failed=True).n_run == 1
    assert len(tracking.rows()) == 2


def test_the_content_of_an_input_is_part_of_the_key(
    run: Callable[..., SweepRun], tmp_path: Path
) -> None:
    source = tmp_path / "matrix.bin"
    source.write_bytes(b"one")
    text = f"kind: bowl\nfixed: {{source: {source}}}\n"
    before = run(text).rows[0].key
    source.write_bytes(b"two")
    again = run(text)
    assert again.n_run == 1
    assert again.rows[0].key != before


def test_a_key_hangs_on_everything_that_changes_the_answer() -> None:
    base = trial_key("bowl", 1, {"x": 1.0, "seed": 0}, {"source": "a"})
    assert base == trial_key("bowl", 1, {"seed": 0, "x": 1.0}, {"source": "a"})
    others = {
        trial_key("cup", 1, {"x": 1.0, "seed": 0}, {"source": "a"}),
        trial_key("bowl", 2, {"x": 1.0, "seed": 0}, {"source": "a"}),
        trial_key("bowl", 1, {"x": 1.5, "seed": 0}, {"source": "a"}),
        trial_key("bowl", 1, {"x": 1.0, "seed": 0}, {"source": "b"}),
    }
    assert len({base, *others}) == 5


def test_a_missing_input_is_one_line_before_anything_starts(
    run: Callable[..., SweepRun], store_dir: Path
) -> None:
    with pytest.raises(UserError, match=r"source 'nowhere\.bin' does not exist"):
        run("kind: bowl\nfixed: {source: nowhere.bin}\n")
    assert not (store_dir / "sweeps").exists()


def test_a_sweep_has_one_driver_at_a_time(run: Callable[..., SweepRun], store_dir: Path) -> None:
    journal = Journal(store_dir / "sweeps" / "bowls")
    try:
        with pytest.raises(UserError, match="another driver is running this sweep"):
            run(FIVE)
    finally:
        journal.close()


def test_what_a_dead_driver_had_not_shipped_is_shipped_by_the_next(
    run: Callable[..., SweepRun], store_dir: Path, tracking: Tracking
) -> None:
    run(FIVE)
    folder = store_dir / "sweeps" / "bowls"
    # As a driver leaves it that dies between a trial's end and its shipping: another store, the
    # same journal without its last records, the artifacts still staged.
    events = list(read_journal(folder / "journal.log"))
    finished = [event for event in events if isinstance(event, Finished)]
    last = finished[-1].outcome
    (folder / "journal.log").unlink()
    journal = Journal(folder)
    for event in events:
        if not (isinstance(event, Shipped) and event.key == last.key):
            journal.append(event)
    journal.close()
    row = next(row for row in tracking.rows() if row.key == last.key)
    staging = StagingArea(folder / "staged")
    partial = staging.begin(last.key)
    for artifact in last.artifacts:
        local = tracking.fetch_artifact(row.run_id, artifact.path)
        (partial / artifact.path).write_bytes(local.read_bytes())
    staging.commit(last.key)
    tracking._client.delete_run(row.run_id)
    assert len(tracking.rows()) == 4

    again = run(FIVE)
    assert (again.n_run, again.n_unshipped) == (0, 0)
    stored = {row.key: row for row in tracking.rows()}
    assert len(stored) == 5
    assert stored[last.key].metrics == last.metrics
    assert not staging.folder(last.key).exists()


def test_nulls_never_count_as_best_and_are_marked(
    run: Callable[..., SweepRun], tracking: Tracking
) -> None:
    run('kind: bowl\nspace: {"null": [none, flat]}\n')
    assert {row.params["null"]: row.is_control for row in tracking.rows()} == {
        "none": False,
        "flat": True,
    }


def test_a_submission_holds_its_sweep_file_and_report(
    run: Callable[..., SweepRun], tracking: Tracking
) -> None:
    row = run(FIVE).rows[0]
    stored = next(r for r in tracking.rows() if r.key == row.key)
    names = {file.path for file in tracking._client.list_artifacts(stored.submission)}
    assert names == {"report.html", "bowls.yaml"}
    assert "kind: bowl" in tracking.last_submission("bowls")[0]


def test_a_sweep_leaves_a_view_for_the_ui_that_groups_its_seeds(
    run: Callable[..., SweepRun], tracking: Tracking
) -> None:
    run('kind: bowl\nspace: {x: [0.0, 1.0], "null": [none, flat]}\nseeds: 2\n')
    tags = tracking._client.get_experiment_by_name("bowls").tags
    view = json.loads(tags[VIEW_TAG])
    state = json.loads(zlib.decompress(base64.b64decode(view["state"].removeprefix("deflate;"))))
    grouped = [key["groupByData"] for key in state["groupBy"]["groupByKeys"]]
    assert grouped == ["null", "x"]
    axes = [(c["xaxis"]["key"], c["yaxis"]["key"]) for c in state["compareRunCharts"]]
    assert ("swept/x", "loss_held_out") in axes
    logged = tracking._client.get_run(tracking.rows()[0].run_id).data
    for chart in state["compareRunCharts"]:
        for axis in (chart["xaxis"], chart["yaxis"]):
            assert axis["key"] in (logged.metrics if axis["type"] == "METRIC" else logged.params)
