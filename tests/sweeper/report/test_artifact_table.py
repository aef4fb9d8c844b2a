"""Tables that trials left, and those that are not there."""

from __future__ import annotations

import math
from pathlib import Path

from sweeper.errors import UserError
from sweeper.records import TrialRow, TrialState
from sweeper.report.artifact_table import read_numbers, read_table


def row(reused_from: str = "") -> TrialRow:
    return TrialRow(
        run_id="own",
        sweep="s",
        submission="",
        kind="sae",
        kind_version=1,
        key="k",
        label="",
        params={},
        metrics={},
        state=TrialState.COMPLETE,
        reused_from=reused_from,
    )


def test_a_table_is_read_from_the_run_that_made_it(tmp_path: Path) -> None:
    (tmp_path / "original-curve.csv").write_text("step,loss,note\n1,0.5,warm\n2,,\n")

    def fetch(run_id: str, path: str) -> Path:
        return tmp_path / f"{run_id}-{path}"

    lines = read_table(row("original"), "curve", fetch)
    assert lines[0] == {"step": "1", "loss": "0.5", "note": "warm"}
    first, second = read_numbers(row("original"), "curve", fetch)
    assert (first["step"], first["loss"], second["step"]) == (1, 0.5, 2)
    assert all(map(math.isnan, (first["note"], second["loss"], second["note"])))


def test_a_table_that_is_not_there_has_no_rows() -> None:
    def fetch(run_id: str, path: str) -> Path:
        raise UserError(f"run '{run_id}' has no artifact '{path}'")

    assert read_table(row(), "curve", fetch) == read_numbers(row(), "curve", fetch) == []
