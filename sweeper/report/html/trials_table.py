"""The tables of trials and of settings, for the page's script."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from sweeper.records import TrialRow
from sweeper.report.final_table import SettingsTable
from sweeper.report.html.data_table import Column, table_json
from sweeper.report.listing import certified
from sweeper.report.summary import varying_fields
from sweeper.report.words import field_title, metric_heading, shown
from trials.api import TrialKind

MAX_ROWS = 100
"""Rows of the settings that are written into the page; more are paged by its script."""


def trials_json(rows: Sequence[TrialRow], kind: TrialKind, key_metrics: set[str]) -> Markup:
    """Every trial with its varied fields, its state and all of its metrics."""
    present = {name for row in rows for name in row.metrics}
    metrics = [metric for metric in kind.metrics if metric.name in present]
    metrics.sort(key=lambda metric: metric.name not in key_metrics)
    return table_json(
        [
            *(
                Column(
                    field_title(kind, name), name, texts=[shown(r.params.get(name)) for r in rows]
                )
                for name in varying_fields(rows, kind)
            ),
            Column("state", texts=[row.state for row in rows]),
            Column("certified", texts=[certified(row) for row in rows]),
            *(
                Column(
                    metric_heading(metric),
                    metric.name,
                    more=metric.name not in key_metrics,
                    numbers=[row.metrics.get(metric.name, math.nan) for row in rows],
                )
                for metric in metrics
            ),
            Column("time (s)", numbers=[row.duration_s for row in rows]),
            Column("run id", texts=[row.run_id for row in rows]),
        ]
    )


def settings_json(settings: SettingsTable, kind: TrialKind) -> Markup:
    """The settings for the page's script, which pages them; empty where they are few.

    Where nulls follow their real setting, the order is part of the table.
    """
    if len(settings.rows) <= MAX_ROWS:
        return Markup("")
    texts = list(zip(*settings.rows, strict=True))
    columns = [Column(title, texts=t) for title, t in zip(settings.columns, texts, strict=True)]
    return table_json(columns, sortable=kind.control is None)
