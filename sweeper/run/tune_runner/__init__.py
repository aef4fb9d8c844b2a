"""The Ray Tune runner, and the only package that imports ray.

Tune places trials on CPUs and GPUs; which trials there are, whether one is tried again, and what
became of it, is decided in `Attempts`. To Tune each attempt is a trial of its own: its own retries
know neither back-off nor a difference between a dead worker and a bad config. Nothing here talks to
a database, and no exception of ours reaches Tune's controller: the first one stops the sweep and is
raised after Tune has wound down.
"""

from __future__ import annotations

import os

# Read by ray at import: no result files of Tune's own, no reporter, plain Ctrl-C, no telemetry.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
# Below `uv run`, Ray would build each worker an environment of its own, or try to for ever.
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
# Tune lets one trial of a custom searcher wait, so a cluster would grow one node at a time. How
# many there are at once is up to us (`TuneRunner`); a wait of more makes Ray's scheduler slow.
os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", "200")
# What becomes of a trial is told once, by us; stdout is for data.
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "[Ww]orkers? .*(died|killed)")

from sweeper.run.tune_runner.runner import TuneRunner

__all__ = ["TuneRunner"]
