"""A trial that has fields and metrics of every sort, and its end."""

from __future__ import annotations

import math
from pathlib import Path

from sweeper.records import Outcome, TrialSpec, TrialState
from sweeper.store.artifacts import manifest

SPEC = TrialSpec(
    key="k1",
    kind="bowl",
    kind_version=1,
    config={"x": 0.1, "n_atoms": "4x", "on": True, "note": "two  spaces\nand a line"},
    input_digests={"source": "abc"},
    varied=("x", "n_atoms", "on"),
)


def outcome(staged: Path, **changes: object) -> Outcome:
    values = {
        "key": "k1",
        "state": TrialState.COMPLETE,
        "metrics": {"loss": 0.25, "nan": math.nan, "inf": math.inf},
        "artifacts": manifest(staged),
        "facts": {"frequency_table": "zipf"},
        "provenance": {"python": "3.11"},
        "started_ms": 1000,
        "ended_ms": 3500,
    }
    return Outcome(**(values | changes))  # type: ignore[arg-type]
