"""What the MLflow UI shows of a sweep: a description and a saved view with columns and charts.

Without a view, every run looks like the others under a folded parent, and every metric gets a bar
chart of its own. The UI keeps saved views in tags of the experiment, as deflated JSON.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from sweeper.records import SEED, TrialRow
from trials.api import TrialKind

VIEW_KEY = "sweep"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW_KEY}"
WRITTEN_NOTE_TAG = "mlflow.sweeper.note"
"""The description as we last wrote it. If the UI shows another, somebody has edited it."""

_SECTION = "sweep-charts"
# The UI adds bar charts of all other metrics to these sections, so fold them.
_FOLDED_SECTIONS = ("Model metrics", "System metrics")
_NAME_COLUMN, _CREATED_COLUMN = "attributes.`Run Name`", "runDateAndNestInfo"
_RUN_NAME_PX, _GROUP_NAME_PX, _CREATED_PX = 230, 380, 140
_PX_PER_LETTER, _PX_PADDING = 8, 36


def saved_view(kind: TrialKind, rows: Sequence[TrialRow]) -> str:
    """The value of `VIEW_TAG` for a sweep with these trials.

    Columns: the fields that differ, then the metrics that the kind compares, best first. Charts:
    the kind's own, and the error vs. each varied number. With several seeds there is one row per
    setting, averaged over seeds, whose name begins with the control.
    """
    fields = [n for n in rows[0].params if len({row.params.get(n) for row in rows}) > 1]
    control = [n for n in fields if kind.control and n == kind.control.field]
    # The UI averages a group's numbers and shows texts only in its name: put them first.
    texts = [n for n in fields if _n_values(n, rows) == 0]
    settings = [n for n in dict.fromkeys([*control, *texts, *fields]) if n != SEED]
    shown = [kind.objective, *(kind.control.metrics if kind.control else ())]
    params = {name: f"params.`{name}`" for name in settings}
    metrics = {name: f"metrics.`{name}`" for name in shown}
    columns = [*params.values(), *metrics.values(), "tags.`certified`"]
    widths = {column: len(name) * _PX_PER_LETTER + _PX_PADDING for name, column in metrics.items()}
    widths[_NAME_COLUMN] = _GROUP_NAME_PX if SEED in fields else _RUN_NAME_PX
    widths[_CREATED_COLUMN] = _CREATED_PX
    state = {
        "searchFilter": "tags.role = 'trial'",
        # Ordered by time, the UI would add the submissions, as a group or as folded parents.
        "orderByKey": metrics[kind.objective],
        "orderByAsc": kind.metric(kind.objective).direction == "minimise",
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": [_NAME_COLUMN, _CREATED_COLUMN, *columns],
        "columnWidths": widths,
        "groupBy": _by_setting(settings) if SEED in fields else None,
        "runsHiddenMode": "SHOWALL",
        "hideEmptyCharts": True,
        "compareRunCharts": [
            *_charts(kind, rows, settings),
            *map(_suppressed_chart, _swept_metrics(rows)),
        ],
        "compareRunSections": [
            {"uuid": _SECTION, "name": "The sweep", "display": True, "columns": 2},
            *({"uuid": name, "name": name, "display": False} for name in _FOLDED_SECTIONS),
        ],
        "isAccordionReordered": True,
    }
    deflated = base64.b64encode(zlib.compress(json.dumps(state).encode(), 9)).decode()
    view = {"name": "The sweep", "createdAt": 0, "updatedAt": 0, "state": f"deflate;{deflated}"}
    return json.dumps(view)


def sweep_note(experiment: str, description: str, *, has_view: bool) -> str:
    """The description of a sweep's experiment, in Markdown, with a link to its view."""
    # Relative, to work under any host and path of the UI.
    page = f"#/experiments/{experiment}/runs"
    query = f"viewStateShareKey={VIEW_KEY}&workflowType=machine_learning"
    link = f"[Open the sweep's view]({page}?{query})" if has_view else ""
    return f"{description} {link}".strip()


def _by_setting(settings: Sequence[str]) -> dict[str, Any]:
    return {
        "aggregateFunction": "average",
        "groupByKeys": [
            *({"mode": "param", "groupByData": name} for name in settings),
            {"mode": "tag", "groupByData": "setting"},  # not across replaced inputs
        ],
    }


def _charts(
    kind: TrialKind, rows: Sequence[TrialRow], settings: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """The kind's own, then the error by each field that varies; none along one value."""
    error = kind.control.comparisons[0].of if kind.control else kind.objective
    pairs = [(chart.x, chart.y) for chart in kind.charts] + [(name, error) for name in settings]
    for x, y in dict.fromkeys(pairs):
        if min(_n_values(x, rows), _n_values(y, rows)) > 1:
            yield _scatter(x, y, kind)


def _n_values(name: str, rows: Sequence[TrialRow]) -> int:
    """How many different numbers the trials have on an axis (0 if the values are texts)."""
    values = {row.metrics.get(name, row.params.get(name)) for row in rows}
    return len({v for v in values if isinstance(v, int | float) and math.isfinite(v)})


def _swept_metrics(rows: Sequence[TrialRow]) -> list[str]:
    """Metrics that duplicate a param so that it can be filtered by range."""
    return [f"swept/{name}" for name in dict.fromkeys(name for row in rows for name in row.varied)]


def _scatter(x: str, y: str, kind: TrialKind) -> dict[str, Any]:
    return {
        **_chart("SCATTER", f"{y} by {x}"),
        "runsCountToCompare": 500,
        "isGenerated": False,
        "xaxis": _axis(x, kind),
        "yaxis": _axis(y, kind),
    }


def _suppressed_chart(metric: str) -> dict[str, Any]:
    """Keeps the UI from adding a chart for a metric: a generated chart that was deleted."""
    return {**_chart("BAR", metric), "isGenerated": True, "metricKey": metric, "deleted": True}


def _chart(form: str, uuid: str) -> dict[str, Any]:
    return {"uuid": uuid, "type": form, "metricSectionId": _SECTION, "deleted": False}


def _axis(name: str, kind: TrialKind) -> dict[str, str]:
    return {"key": name, "type": "METRIC" if name in kind.metric_names else "PARAM"}
