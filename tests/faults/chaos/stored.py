"""What the database holds, read by plain SQL: an oracle that shares no code with the product."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Any

from toy_steps import StepperConfig, stepper_metrics, stepper_progress, stepper_states

from chaos.table import Demand
from sweeper.records import TrialRow

_POINTS = """
SELECT experiments.name, tags.value, metrics.key, metrics.step, metrics.value
FROM metrics JOIN runs ON runs.run_uuid = metrics.run_uuid
JOIN experiments ON experiments.experiment_id = runs.experiment_id
JOIN tags ON tags.run_uuid = runs.run_uuid AND tags.key = 'trial_key'
WHERE runs.lifecycle_stage = 'active'
"""
_KEYS = """
SELECT experiments.name, tags.value
FROM runs JOIN experiments ON experiments.experiment_id = runs.experiment_id
JOIN tags ON tags.run_uuid = runs.run_uuid AND tags.key = 'trial_key'
WHERE runs.lifecycle_stage = 'active'
"""
_RUNNING = """
SELECT experiments.name, runs.run_uuid
FROM runs JOIN experiments ON experiments.experiment_id = runs.experiment_id
WHERE runs.status IN ('RUNNING', 'SCHEDULED') AND runs.lifecycle_stage = 'active'
"""


def n_wrong(rows: Sequence[TrialRow]) -> int:
    """Metrics in the final table that trials of kind `stepper` did not return."""
    return sum(
        row.metrics.get(name) != value
        for row in rows
        for name, value in stepper_metrics(StepperConfig.model_validate(row.params)).items()
    )


class Database:
    """What a database, SQLite or PostgreSQL, holds of some sweeps."""

    def __init__(self, uri: str, *sweeps: str) -> None:
        self._uri, self._sweeps = uri, sweeps

    def duplicates(self) -> int:
        """Runs beyond the first of each key in each sweep."""
        return sum(n - 1 for n in Counter(self._ask(_KEYS)).values())

    def orphans(self) -> int:
        """Runs, of trials and of submissions, that are left RUNNING."""
        return len(self._ask(_RUNNING))

    def unlike_emitted(self, rows: Sequence[TrialRow]) -> tuple[int, int, int]:
        """Points that trials of kind `stepper` emitted; of them missing or wrong; and surplus.

        A point is (trial, metric, step, value): each step's progress, once, and each metric of the
        result, once, under the step that the product chose for it.
        """
        emitted: Counter[tuple[str, str, int, float]] = Counter()
        results: Counter[tuple[str, str, float]] = Counter()
        for row in rows:
            config = StepperConfig.model_validate(row.params)
            for step, state in stepper_states(config, 0, config.x):
                for name, value in stepper_progress(step, state).items():
                    emitted[row.key, name, step, value] += 1
            for name, value in stepper_metrics(config).items():
                results[row.key, name, value] += 1
        ours = {name for _, name, _ in results}
        points = (point[1:] for point in self._ask(_POINTS))
        stored = Counter(point for point in points if point[1] in ours)
        missing = emitted - stored
        left: Counter[tuple[str, str, float]] = Counter()
        for (key, name, _, value), n in (stored - emitted).items():
            left[key, name, value] += n
        n_emitted = emitted.total() + results.total()
        return n_emitted, missing.total() + (results - left).total(), (left - results).total()

    def demand_all_stored(
        self, demand: Demand, fault: str, rounds: int, rows: Sequence[TrialRow], n_trials: int
    ) -> None:
        """What trials of kind `stepper` emitted is stored, once, and the final table shows it."""
        demand(fault, rounds, "trials stored", len(rows), equals=n_trials)
        n_emitted, missing, surplus = self.unlike_emitted(rows)
        demand(fault, rounds, f"metric points missing or wrong, of {n_emitted}", missing, equals=0)
        demand(fault, rounds, "metric points that nobody emitted", surplus, equals=0)
        demand(fault, rounds, "values in the table unlike the trial's", n_wrong(rows), equals=0)
        demand(fault, rounds, "duplicate runs", self.duplicates(), equals=0)
        demand(fault, rounds, "RUNNING orphans", self.orphans(), equals=0)

    def _ask(self, query: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(self._connect()) as connection:
            cursor = connection.cursor()
            cursor.execute(query)
            return [tuple(row) for row in cursor.fetchall() if row[0] in self._sweeps]

    def _connect(self) -> Any:
        if self._uri.startswith("sqlite:///"):
            path = self._uri.removeprefix("sqlite:///")
            return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)
        import psycopg

        return psycopg.connect(self._uri)
