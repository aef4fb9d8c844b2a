"""A named view of a sweep for the MLflow UI: its columns and charts, as the UI itself saves them.

Without it every run is a row that looks like the others under a folded parent, and every metric a
bar chart of its own. The UI keeps saved views in tags of the experiment: JSON, deflated.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any

from sweeper.records import Scalar
from trials.api import TrialKind

VIEW_KEY = "sweep"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW_KEY}"
_SECTION = "sweep-charts"


def saved_view(kind: TrialKind, varied: Mapping[str, Scalar]) -> str:
    """The value of `VIEW_TAG` for a sweep that varies those fields (an example value each).

    A row for each setting, its seeds averaged and the control first in its name, with what the
    kind compares as columns; as charts, each varied number against the error, and the kind's own.
    """
    settings = sorted(varied.keys() - {"seed"}, key=lambda name: not _is_control(name, kind))
    numbers = [name for name in settings if isinstance(varied[name], int | float)]
    control = kind.control
    shown = list(dict.fromkeys([kind.objective, *(control.metrics if control else ())]))
    against = control.comparisons[0].of if control else kind.objective
    pairs = [(f"swept/{name}", against) for name in numbers]
    pairs += [(chart.x, chart.y) for chart in kind.charts]
    state = {
        "searchFilter": "tags.role = 'trial'",
        "orderByKey": "attributes.start_time",
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [
            *(f"params.`{name}`" for name in varied),
            *(f"metrics.`{name}`" for name in shown),
            "tags.`certified`",
        ],
        "groupBy": {
            "aggregateFunction": "average",
            "groupByKeys": [
                *({"mode": "param", "groupByData": name} for name in settings),
                {"mode": "tag", "groupByData": "setting"},  # not across replaced inputs
            ],
        },
        "runsHiddenMode": "SHOWALL",
        "compareRunCharts": [_scatter(x, y, kind) for x, y in dict.fromkeys(pairs)],
        "compareRunSections": [{"uuid": _SECTION, "name": "The sweep", "display": True}],
    }
    deflated = base64.b64encode(zlib.compress(json.dumps(state).encode(), 9)).decode()
    view = {"name": "The sweep", "createdAt": 0, "updatedAt": 0, "state": f"deflate;{deflated}"}
    return json.dumps(view)


def _is_control(name: str, kind: TrialKind) -> bool:
    return kind.control is not None and name == kind.control.field


def _scatter(x: str, y: str, kind: TrialKind) -> dict[str, Any]:
    title = f"{y} against {x}"
    return {
        "uuid": title,
        "type": "SCATTER",
        "displayName": title,
        "runsCountToCompare": 500,
        "metricSectionId": _SECTION,
        "deleted": False,
        "isGenerated": False,
        "xaxis": _axis(x, kind),
        "yaxis": _axis(y, kind),
    }


def _axis(name: str, kind: TrialKind) -> dict[str, str]:
    is_metric = name in kind.metric_names or name.startswith("swept/")
    return {"key": name, "type": "METRIC" if is_metric else "PARAM"}
