"""Runs of the database: each thing that can be wrong with one is done to it, found, and mended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sweeper.records import TrialState
from sweeper.store.fsck.check import check, repair
from sweeper.store.journal import Started, Suggested


def test_an_end_that_only_the_database_knows_is_copied_into_the_journal(small: Any) -> None:
    journal = small.folder / "journal.log"
    outcome = small.history().outcomes["a"]
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(line for line in lines if b'"finished"' not in line))
    assert small.one().problem.startswith(
        "the database holds 2 trials whose latest state is not in the journal (note="
    )
    small.repaired()
    copied = small.history().outcomes["a"]
    assert copied.model_dump_json() == outcome.model_dump_json()


def test_a_trial_that_was_begun_again_keeps_waiting_for_its_new_end(small: Any) -> None:
    small.write(Started(key="a"))
    assert small.repair().repaired == []
    assert [s.key for s in small.history().unfinished] == ["a"]


def test_of_two_runs_of_a_trial_the_whole_one_stays(small: Any) -> None:
    other = small.duplicate("a")
    assert small.one().name.startswith(f"duplicate: trial note=a (run {other[:12]}): run ")
    small.repaired()
    rows = {row.key: row.run_id for row in small.tracking.results.rows()}
    assert rows == small.run_ids
    assert other not in rows.values()


def test_a_trial_left_running_by_a_dead_driver_waits_for_the_next(
    small: Any, make_spec: Callable[..., Any]
) -> None:
    small.write(Suggested(spec=make_spec("c")), Started(key="c"))
    run_id = small.tracking.start_trial("bowls", small.parent, make_spec("c"), 1000)
    assert small.one().problem == "RUNNING, and no driver is active"
    small.repaired()
    assert small.states()["c"] == "WAITING"
    assert small.tracking._client.get_run(run_id).info.status == "KILLED"
    assert [s.key for s in small.history().unfinished] == ["c"]


def test_a_submission_left_running_is_ended(small: Any) -> None:
    left = small.tracking.open_submission("bowls", "second", {})
    assert small.one().name == (
        f"running: submission (run {left[:12]}): RUNNING, and no driver is active"
    )
    small.repaired()
    assert small.tracking._client.get_run(left).info.status == "KILLED"


def test_a_reused_trial_whose_source_is_gone_is_run_again(reused: Any) -> None:
    reused.forget("a")
    (reused.folder / "journal.log").unlink()
    [verdict] = check(reused.store, ["others"])
    assert [d.what for d in verdict.disagreements] == ["source"]
    [verdict] = repair(reused.store, ["others"])
    assert verdict.disagreements == []
    assert [row.state for row in reused.tracking.results.rows(["others"])] == [TrialState.WAITING]


def test_a_reused_trial_is_linked_to_another_run_of_the_same_trial(reused: Any) -> None:
    other = reused.duplicate("a")
    reused.forget("a")
    list(repair(reused.store, ["others"]))
    assert [row.reused_from for row in reused.tracking.results.rows(["others"])] == [other]


def test_a_source_that_another_journal_holds_is_shipped_before_anything_is_run_again(
    reused: Any,
) -> None:
    reused.forget("a")
    [verdict] = repair(reused.store, ["others"])
    assert [d.advice for d in verdict.disagreements] == [
        "'sweeper fsck --repair bowls' ships it from its journal"
    ]
    assert [verdict.disagreements for verdict in repair(reused.store)] == [[], []]
    assert [row.state for row in reused.tracking.results.rows(["others"])] == [TrialState.COMPLETE]
    assert {
        row.key: row.run_id for row in reused.tracking.results.rows(["bowls"])
    } == reused.run_ids
