"""Which trials a verdict reads."""

from __future__ import annotations

from study.verdict.selection import complete_trials
from sweeper.records import TrialRow, TrialState


def row(run_id: str, key: str, state: TrialState, kind: str = "residual") -> TrialRow:
    return TrialRow(
        run_id=run_id,
        sweep="s",
        submission="",
        kind=kind,
        kind_version=1,
        key=key,
        label="",
        params={},
        metrics={},
        state=state,
    )


def test_a_trial_that_failed_again_in_another_sweep_still_counts_once_as_it_ended() -> None:
    rows = [
        row("first", "a", TrialState.COMPLETE),
        row("reused", "a", TrialState.COMPLETE),
        row("again", "a", TrialState.FAILED),
        row("other", "b", TrialState.COMPLETE, kind="sae"),
        row("waits", "c", TrialState.WAITING),
    ]
    assert [r.run_id for r in complete_trials(rows, "residual")] == ["reused"]
    assert [r.run_id for r in complete_trials(rows, "residual", "sae")] == ["reused", "other"]
