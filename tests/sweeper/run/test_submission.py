"""The parent run of one `sweeper run`, and what it leaves for the UI."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable

from sweeper.run.drive import SweepRun
from sweeper.store.saved_view import VIEW_TAG
from sweeper.store.tracking import Tracking
from tests.sweeper.run.bowls import FIVE


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
    assert grouped == ["null", "x", "setting"], "another input is another row"
    axes = [(c["xaxis"]["key"], c["yaxis"]["key"]) for c in state["compareRunCharts"]]
    assert ("swept/x", "loss_held_out") in axes
    logged = tracking._client.get_run(tracking.rows()[0].run_id).data
    assert logged.tags["setting"] == tracking.rows()[0].setting
    for chart in state["compareRunCharts"]:
        for axis in (chart["xaxis"], chart["yaxis"]):
            assert axis["key"] in (logged.metrics if axis["type"] == "METRIC" else logged.params)
