"""Trials with only the metrics that a question reads."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sweeper.records import TrialRow
from sweeper.store.sql.columns import Asked, read_columns, without_collector
from sweeper.store.sql.database import Database

_READ = (
    "run_id",
    "sweep",
    "submission",
    "kind",
    "kind_version",
    "key",
    "state",
    "label",
    "params",
    "provenance",
    "varied",
    "is_control",
    "uncertified",
    "error",
    "reused_from",
    "started_ms",
)


def read_light_rows(
    database: Database,
    metrics: Collection[str],
    *,
    kinds: Collection[str] = (),
    sweeps: Sequence[str] = (),
) -> list[TrialRow]:
    """Trials of some kinds and sweeps, or of all, oldest first.

    They have the named metrics, and no facts, no artifacts and of the provenance only the digests
    of their inputs.

    Raises:
        UserError: the record or the state of a trial is damaged.
    """
    table = read_columns(database, Asked(_READ, metrics=metrics), sweeps=sweeps)
    chosen = [at for at in table.places if not kinds or table.fixed["kind"][at] in kinds]
    start, run_id = table.fixed["started_ms"], table.fixed["run_id"]
    chosen.sort(key=lambda at: (start[at], run_id[at]))
    columns = [
        (name, column.tolist(), table.occurs[name].tolist())
        for name, column in table.metrics.items()
    ]
    attributes = [(name, table.fixed[name]) for name in _READ]
    rows = []
    with without_collector():
        for at in chosen:
            held = {name: values[at] for name, values, occurs in columns if occurs[at]}
            given = {name: column[at] for name, column in attributes}
            # Read from our own records: to check 100,000 of them again takes seconds.
            rows.append(
                TrialRow.model_construct(
                    **given, ended_ms=table.fixed["ended_ms"][at], metrics=held
                )
            )
    return rows
