"""The database of results, and the only package that imports mlflow.

A sweep is an experiment, a submission a parent run, a trial a child run found by its `trial_key`.
`Results` reads. `Tracking` has a reader and writes: it decides what a sweep and its trials look
like in MLflow, and `writer` makes the calls. Every write is idempotent, even if it was executed and
the answer was lost: shipping the same outcome twice changes nothing.
"""

from __future__ import annotations

import os

# Read by mlflow: a dead server must fail within seconds (the default retries for minutes; the
# flusher has retries of its own), no file may be unpickled, and nothing phones home.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "45")
os.environ.setdefault("PGCONNECT_TIMEOUT", "4")  # read by libpq
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

import mlflow

if not hasattr(mlflow, "MlflowClient"):  # the deployment folder of that name was found instead
    raise ImportError("the package mlflow is not installed; see 'make test' for the set-up")

from sweeper.store.tracking.availability import reach
from sweeper.store.tracking.former_runs import make_former_run
from sweeper.store.tracking.removals import Removals, removed_sweeps
from sweeper.store.tracking.results import Results
from sweeper.store.tracking.tracking import RUN_STATUS, Tracking
from sweeper.store.tracking.writer import driver_tags

__all__ = [
    "RUN_STATUS",
    "Removals",
    "Results",
    "Tracking",
    "driver_tags",
    "make_former_run",
    "reach",
    "removed_sweeps",
]
