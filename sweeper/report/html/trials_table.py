"""The tables of trials and of settings, for the page's script."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
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
    """Every trial with its varied fields, its state and the metrics that one of them has."""
    fields = [
        Column(field_title(kind, name), name, texts=[shown(row.params.get(name)) for row in rows])
        for name in varying_fields(rows, kind)
    ]
    metrics = [
        Column(
            metric_heading(metric),
            metric.name,
            more=metric.name not in key_metrics,
            numbers=np.array([row.metrics.get(metric.name, math.nan) for row in rows]),
        )
        for metric in sorted(kind.metrics, key=lambda metric: metric.name not in key_metrics)
    ]
    return table_json(
        [
            *fields,
            Column("state", texts=[row.state for row in rows]),
            Column("certified", texts=[certified(row) for row in rows]),
            *(c for c in metrics if c.numbers is not None and not np.isnan(c.numbers).all()),
            Column("time (s)", numbers=np.array([row.duration_s for row in rows])),
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
