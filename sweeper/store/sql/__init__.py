"""Reads the SQL database of a store directly: without mlflow, and only what a question needs.

- `database`: a read-only connection to SQLite or PostgreSQL, every read in one snapshot.
- `trials`: which runs a question is about, and their trials as `TrialRow`s.
- `columns`: named columns of all trials, for SQL queries; `metrics` and `table` are its parts.
- `frame`: these columns as a typed pandas frame.
- `reader`: start here. What the commands ask of a store.

MLflow's client builds an object per run, tag and metric: 39 s for 10,000 trials with 80 metrics.
The schema read here (runs, experiments, tags, latest_metrics) has been stable since MLflow 1.0.
"""

from sweeper.store.sql.reader import SqlReader

__all__ = ["SqlReader"]
