"""The parent run of one `sweeper run`, and what it leaves for the UI."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from typing import Any

from sweeper.run.driver.drive import SweepRun
from sweeper.store.run_format.lineage import NOTE_TAG
from sweeper.store.run_format.saved_view import VIEW_TAG
from sweeper.store.tracking import Tracking
from tests.sweeper.run.bowls import FIVE


def test_a_submission_holds_its_sweep_file_and_report(
    run: Callable[..., SweepRun], tracking: Tracking
) -> None:
    row = run(FIVE).rows[0]
    stored = next(r for r in tracking.results.rows() if r.key == row.key)
    names = {file.path for file in tracking._client.list_artifacts(stored.submission)}
    assert names == {"report.html", "bowls.yaml"}
    assert "kind: bowl" in tracking.results.last_submission("bowls")[0]


def view_state(tracking: Tracking) -> dict[str, Any]:
    view = json.loads(tracking._client.get_experiment_by_name("bowls").tags[VIEW_TAG])
    state: dict[str, Any] = json.loads(
        zlib.decompress(base64.b64decode(view["state"].removeprefix("deflate;")))
    )
    return state


def test_a_sweep_leaves_a_view_for_the_ui_that_groups_its_seeds(
    run: Callable[..., SweepRun], tracking: Tracking
) -> None:
    run('kind: bowl\nspace: {x: [0.0, 1.0], "null": [none, flat], depth: [2]}\nseeds: 2\n')
    state = view_state(tracking)
    grouped = [key["groupByData"] for key in state["groupBy"]["groupByKeys"]]
    assert grouped == ["null", "x", "setting"], "depth has one value; another input is another row"
    charts = [chart for chart in state["compareRunCharts"] if not chart["deleted"]]
    assert [(c["xaxis"]["key"], c["yaxis"]["key"]) for c in charts] == [("x", "loss_held_out")]
    logged = tracking._client.get_run(tracking.results.rows()[0].run_id).data
    assert logged.tags["setting"] == tracking.results.rows()[0].setting
    for axis in (charts[0]["xaxis"], charts[0]["yaxis"]):
        assert axis["key"] in (logged.metrics if axis["type"] == "METRIC" else logged.params)


def test_the_view_has_parameters_before_metrics_and_no_chart_that_says_nothing(
    run: Callable[..., SweepRun], tracking: Tracking
) -> None:
    run('kind: bowl\nspace: {x: [0.0, 1.0], "null": [none, flat], depth: [2]}\n')
    state = view_state(tracking)
    columns = [name for name in state["columnOrder"] if name in state["selectedColumns"]]
    assert columns == state["selectedColumns"]
    assert columns[:2] == ["params.`null`", "params.`x`"]
    assert columns[2] == "metrics.`loss_validation`" == state["orderByKey"]
    assert state["groupBy"] is None, "there is one seed"
    # The UI adds a chart of every metric that has none to the section of its name.
    logged = tracking._client.get_run(tracking.results.rows()[0].run_id).data.metrics
    deleted = {c["metricKey"] for c in state["compareRunCharts"] if c["deleted"]}
    assert {name for name in logged if name.startswith("swept/")} <= deleted
    folded = {s["name"] for s in state["compareRunSections"] if not s["display"]}
    assert folded == {"Model metrics", "System metrics"}
    assert state["hideEmptyCharts"]


def test_the_description_of_a_sweep_is_the_experiments_until_somebody_edits_it(
    run: Callable[..., SweepRun], tracking: Tracking
) -> None:
    run(f"description: Is it a bowl?\n{FIVE}")
    experiment = tracking._client.get_experiment_by_name("bowls").experiment_id

    def note() -> str:
        return str(tracking._client.get_experiment(experiment).tags[NOTE_TAG])

    link = f"(#/experiments/{experiment}/runs?viewStateShareKey=sweep&"
    assert note().startswith("Is it a bowl? [")
    assert link in note()
    tracking.describe("bowls", "It is.")
    assert note().startswith("It is. [")
    tracking._client.set_experiment_tag(experiment, NOTE_TAG, "Ours: see the wiki.")
    tracking.describe("bowls", "It is not.")
    assert note() == "Ours: see the wiki."


def test_a_submission_counts_what_there_is_to_count(
    run: Callable[..., SweepRun], tracking: Tracking
) -> None:
    row = run(FIVE).rows[0]
    stored = next(r for r in tracking.results.rows() if r.key == row.key)
    counts = tracking._client.get_run(stored.submission).data.metrics
    assert counts == {"n_trials": 5.0, "n_complete": 5.0}, "no chart of zeros"
