"""Each thing that can be wrong is done to a store, found, and mended."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sweeper.errors import UserError
from sweeper.records import TrialState
from sweeper.store.fsck.check import check, repair
from sweeper.store.fsck.repair import RunAgain
from sweeper.store.journal import Finished, Reused, Shipped, Started, Suggested
from sweeper.store.peek import peek
from sweeper.store.replay import replay


def history(small: Any) -> Any:
    from sweeper.store.journal import read_journal

    return replay(read_journal(small.folder / "journal.log"))


def mended(small: Any) -> None:
    """Everything is mended, and stays so."""
    verdict = small.repair()
    assert verdict.found == []
    assert verdict.mended
    assert small.found() == []


def test_a_sweep_that_lost_nothing_is_clean(small: Any) -> None:
    verdict = small.check()
    assert (verdict.n_trials, verdict.found, verdict.driver) == (2, [], "")
    assert small.repair().mended == []


def test_a_torn_record_is_found_and_dropped(small: Any) -> None:
    journal = small.folder / "journal.log"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b"00000000 {half")
    assert small.one().name == (
        "journal: journal.log: ends in half a record (14 bytes): its writer was cut off"
    )
    mended(small)
    assert journal.read_bytes() == whole


def test_a_damaged_record_is_named_by_its_line_and_dropped(small: Any) -> None:
    journal = small.folder / "journal.log"
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b"reported", b"repoSted")
    journal.write_bytes(b"".join(lines))
    assert small.one().name == "journal: journal.log line 3: cannot be read"
    mended(small)
    assert journal.read_bytes() == b"".join(lines[:2] + lines[3:])
    assert (small.folder / "journal.damaged").read_bytes() == b"".join(lines)


def test_a_lost_declaration_takes_the_other_records_of_its_trial_along(small: Any) -> None:
    journal = small.folder / "journal.log"
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[0] = b"rubbish\n"
    journal.write_bytes(b"".join(lines))
    assert [d.where for d in small.found()] == ["journal.log line 1", "trial a"]
    mended(small)
    assert set(history(small).outcomes) == {"b"}
    assert small.states() == {"a": "COMPLETE", "b": "COMPLETE"}


def test_an_end_that_only_the_database_knows_is_copied_into_the_journal(small: Any) -> None:
    journal = small.folder / "journal.log"
    outcome = history(small).outcomes["a"]
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(line for line in lines if b'"finished"' not in line))
    assert {d.what for d in small.found()} == {"journal"}
    assert "the journal holds no end of it" in small.found()[0].problem
    mended(small)
    copied = history(small).outcomes["a"]
    assert copied.model_dump_json() == outcome.model_dump_json()


def test_a_trial_that_was_begun_again_keeps_waiting_for_its_new_end(small: Any) -> None:
    small.write(Started(key="a"))
    assert small.repair().mended == []
    assert [s.key for s in history(small).unfinished] == ["a"]


def test_a_finished_trial_that_was_not_shipped_is_shipped(small: Any) -> None:
    outcome = small.finish("c")
    assert small.one().name == (
        "unshipped: trial note=c (c): COMPLETE in the journal, not in the database"
    )
    mended(small)
    row = next(row for row in small.tracking.rows() if row.key == "c")
    assert row.metrics["loss"] == outcome.metrics["loss"]
    history_of = small.tracking._client.get_metric_history(row.run_id, "loss")
    assert [(m.step, m.value) for m in history_of] == [(1, 9.0), (2, 0.25)]
    assert small.tracking.fetch_artifact(row.run_id, "tables/atoms.csv").read_text().endswith("c\n")
    assert not small.staging.folder("c").exists()


def test_a_shipment_that_the_journal_does_not_know_is_noted(small: Any) -> None:
    outcome = small.finish("c")
    staged = small.staging.folder("c")
    run_id = small.tracking.finish_trial(
        "bowls", small.parent, history(small).specs["c"], outcome, staged, step=2
    )
    assert f"run {run_id[:12]} holds it" in small.one().problem
    mended(small)
    assert history(small).run_ids["c"] == run_id


def test_an_unshipped_trial_with_damaged_staging_is_run_again(small: Any) -> None:
    small.finish("c")
    (small.staging.folder("c") / "tables" / "atoms.csv").write_text("cut")
    assert "tables/atoms.csv has SHA-256" in small.one().problem
    mended(small)
    assert [s.key for s in history(small).unfinished] == ["c"]


def test_a_staged_artifact_that_lies_elsewhere_too_is_shipped_from_there(small: Any) -> None:
    small.finish("c")
    (small.staging.folder("c") / "codes.bin").unlink()
    mended(small)
    row = next(row for row in small.tracking.rows() if row.key == "c")
    path = small.tracking.fetch_artifact(row.run_id, "codes.bin")
    assert path.read_bytes() == b"the same in every trial"


def test_a_deleted_run_is_restored(small: Any) -> None:
    small.tracking.delete(small.run_ids["a"])
    assert small.one().problem == f"run {small.run_ids['a'][:12]} was deleted in the database"
    mended(small)
    assert small.states() == {"a": "COMPLETE", "b": "COMPLETE"}


def forget(small: Any, key: str) -> None:
    """Remove a run for good, as an administrator of the database does."""
    small.tracking.delete(small.run_ids[key])
    small.tracking._client._tracking_client.store._hard_delete_run(small.run_ids[key])


def test_a_run_that_is_gone_with_its_artifacts_is_run_again(small: Any) -> None:
    forget(small, "a")
    assert "is not in the database" in small.one().problem
    assert isinstance(small.one().repair, RunAgain)
    mended(small)
    assert [s.key for s in history(small).unfinished] == ["a"]


def test_a_run_that_is_gone_is_shipped_again_if_it_had_no_artifacts(empty: Any) -> None:
    empty.ship("a", empty.finish("a", artifacts=False))
    forget(empty, "a")
    mended(empty)
    [row] = empty.tracking.rows()
    assert row.metrics["loss"] == 0.25


def test_every_value_that_differs_is_named_and_the_journal_wins(small: Any) -> None:
    run_id, client = small.run_ids["a"], small.tracking._client
    client.log_metric(run_id, "loss", 0.75, step=7)
    client.log_metric(run_id, "gap", 1.0, step=7)
    client.set_tag(run_id, "state", "FAILED")
    client.set_tag(run_id, "error", "no memory")
    problems = {d.problem for d in small.found()}
    assert {d.what for d in small.found()} == {"value"}
    assert problems == {
        "state: COMPLETE in the journal, FAILED in the database",
        "error:  in the journal, no memory in the database",
        "metric loss: 0.25 in the journal, 0.75 in the database",
        "metric gap: nan in the journal, 1.0 in the database",
    }
    mended(small)
    assert next(r for r in small.tracking.rows() if r.key == "a").metrics["loss"] == 0.25


def test_a_run_that_mlflow_shows_in_another_state_is_set_right(small: Any) -> None:
    small.tracking._client.set_terminated(small.run_ids["a"], "FAILED")
    assert small.one().problem == "status: FAILED in MLflow, FINISHED is COMPLETE"
    mended(small)


def test_a_record_that_cannot_be_read_is_written_anew(small: Any) -> None:
    small.tracking._client.set_tag(small.run_ids["a"], "sweeper.record.0", '{"config": ')
    assert small.one().what == "record"
    with pytest.raises(UserError, match=r"record of run '.*' cannot be read: .*fsck --repair"):
        small.tracking.rows()
    small.tracking._client.set_tag(small.run_ids["a"], "state", "DONE")
    assert [glimpse.key for glimpse in peek(small.store)] == ["b"]
    mended(small)
    assert small.tracking.rows()[0].params["x"] == 0.5


def duplicate(small: Any, key: str) -> str:
    """Another run of a trial, as a driver without a lock makes."""
    client = small.tracking._client
    found = client.get_run(small.run_ids[key])
    tags = {k: v for k, v in found.data.tags.items() if not k.startswith("mlflow.")}
    experiment, name = found.info.experiment_id, found.info.run_name
    made = client.create_run(experiment, run_name=name, tags=tags)
    client.set_terminated(made.info.run_id, "FINISHED")
    return str(made.info.run_id)


def test_of_two_runs_of_a_trial_the_whole_one_stays(small: Any) -> None:
    other = duplicate(small, "a")
    assert small.one().name.startswith(f"duplicate: trial note=a (run {other[:12]}): run ")
    mended(small)
    rows = {row.key: row.run_id for row in small.tracking.rows()}
    assert rows == small.run_ids
    assert other not in rows.values()


def test_a_trial_left_running_by_a_dead_driver_waits_for_the_next(
    small: Any, make_spec: Callable[..., Any]
) -> None:
    small.write(Suggested(spec=make_spec("c")), Started(key="c"))
    run_id = small.tracking.start_trial("bowls", small.parent, make_spec("c"), 1000)
    assert small.one().problem == "RUNNING, and no driver lives"
    mended(small)
    assert small.states()["c"] == "WAITING"
    assert small.tracking._client.get_run(run_id).info.status == "KILLED"
    assert [s.key for s in history(small).unfinished] == ["c"]


def test_a_submission_left_running_is_ended(small: Any) -> None:
    left = small.tracking.open_submission("bowls", "second", {})
    assert small.one().name == (
        f"running: submission (run {left[:12]}): RUNNING, and no driver lives"
    )
    mended(small)
    assert small.tracking._client.get_run(left).info.status == "KILLED"


@pytest.fixture
def hold(small: Any) -> Iterator[Callable[[], int]]:
    """`hold()` makes another process take the sweep, and returns its pid."""
    program = (
        "import sys; from pathlib import Path; from sweeper.store.journal import Journal\n"
        f"j = Journal(Path({str(small.folder)!r})); print('held', flush=True); sys.stdin.read()"
    )
    holders: list[subprocess.Popen[str]] = []

    def start() -> int:
        pipe = subprocess.PIPE
        holder = subprocess.Popen(
            [sys.executable, "-c", program], stdin=pipe, stdout=pipe, text=True
        )
        holders.append(holder)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        return holder.pid

    yield start
    for holder in holders:
        holder.kill()
        holder.communicate()


def test_beside_a_living_driver_only_what_is_shipped_is_judged_and_nothing_repaired(
    small: Any, hold: Callable[[], int], make_spec: Callable[..., Any]
) -> None:
    small.finish("c")
    small.write(Suggested(spec=make_spec("d")), Started(key="d"))
    small.tracking.start_trial("bowls", small.parent, make_spec("d"), 1000)
    small.tracking.open_submission("bowls", "second", {})
    (small.folder / "checkpoints" / "a").mkdir(parents=True)
    small.staging.begin("d")
    small.artifact("a", "codes.bin").write_bytes(b"flipped")
    alone = {"unshipped", "running", "checkpoint", "staging", "artifact"}
    assert {d.what for d in small.found()} == alone
    pid = hold()
    verdict = small.check()
    assert [d.what for d in verdict.found] == ["artifact"]
    assert verdict.driver.startswith(f"pid {pid} on ")
    with pytest.raises(UserError, match=rf"a driver .*pid {pid} .*nothing is repaired"):
        small.repair()
    assert [d.what for d in small.found()] == ["artifact"]


@pytest.mark.parametrize(
    ("hurt", "problem"),
    [
        (lambda file: file.unlink(), "is missing"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), "has 14 bytes of 15"),
        (lambda file: file.write_bytes(b"atom,token\n0,z\n"), "has SHA-256"),
    ],
    ids=["deleted", "truncated", "flipped"],
)
def test_a_damaged_artifact_that_lies_nowhere_else_is_made_again(
    small: Any, hurt: Callable[[Path], Any], problem: str
) -> None:
    file = small.artifact("a", "tables/atoms.csv")
    hurt(file)
    found = small.one()
    assert found.where == f"trial note=a (run {small.run_ids['a'][:12]}) tables/atoms.csv"
    assert found.problem.startswith(problem)
    mended(small)
    assert small.states() == {"a": "WAITING", "b": "COMPLETE"}
    assert [s.key for s in history(small).unfinished] == ["a"]


def test_a_damaged_artifact_is_copied_back_from_another_run(small: Any) -> None:
    small.artifact("a", "codes.bin").write_bytes(b"not the same any more..")
    assert small.one().repair.text == f"copies it from run {small.run_ids['b'][:12]}"
    mended(small)
    assert small.artifact("a", "codes.bin").read_bytes() == b"the same in every trial"
    assert small.states() == {"a": "COMPLETE", "b": "COMPLETE"}


def test_a_copy_that_is_damaged_too_is_no_copy(small: Any) -> None:
    for key in "ab":
        small.artifact(key, "codes.bin").write_bytes(b"not the same any more..")
    assert {type(d.repair) for d in small.found()} == {RunAgain}


def test_a_file_that_no_record_names_is_reported_and_left_alone(small: Any) -> None:
    extra = small.artifact("a", "codes.bin").with_name("extra.txt")
    extra.write_text("mine")
    assert small.one().what == "unlisted"
    verdict = small.repair()
    assert [d.what for d in verdict.found] == ["unlisted"]
    assert extra.read_text() == "mine"


def test_what_an_earlier_attempt_left_is_not_unlisted(small: Any) -> None:
    outcome = small.finish("a", artifacts=False)
    small.ship("a", outcome)
    assert small.found() == []


def test_folders_that_nothing_needs_are_removed_and_the_others_kept(
    small: Any, make_spec: Callable[..., Any]
) -> None:
    small.write(Suggested(spec=make_spec("c")), Started(key="c"))
    small.staging.begin("b")
    for folder in ("staged/a", "staged/zzz", "staged/c", "checkpoints/a", "checkpoints/c"):
        (small.folder / folder).mkdir(parents=True)
    problems = {d.where: d.problem for d in small.found()}
    partial = next(where for where in problems if where.endswith(".partial"))
    assert problems == {
        "staged/a": "staged artifacts of a trial that has ended",
        "staged/zzz": "staged artifacts of a trial that is not known",
        "staged/c": "staged artifacts of a trial that began, and its end is not in the journal",
        partial: "staged artifacts that were never written to the end",
        "checkpoints/a": "checkpoint of a trial that has ended",
    }
    mended(small)
    assert [path.name for path in (small.folder / "checkpoints").iterdir()] == ["c"]


@pytest.fixture
def reused(small: Any, make_spec: Callable[..., Any]) -> Any:
    """Trial `a` stands in the sweep `others` too."""
    from sweeper.store.journal import Journal

    outcome, source = history(small).outcomes["a"], small.run_ids["a"]
    run_id = small.tracking.finish_trial(
        "others", small.parent, make_spec("a"), outcome, None, source
    )
    journal = Journal(small.store.sweep_dir("others"))
    journal.append(
        Reused(spec=make_spec("a"), outcome=outcome, run_id=source),
        Shipped(key="a", run_id=run_id),
    )
    journal.close()
    return small


def test_a_reused_trial_whose_source_lies_there_is_clean(reused: Any) -> None:
    assert [verdict.found for verdict in check(reused.store)] == [[], []]


def test_a_reused_trial_whose_source_is_gone_is_run_again(reused: Any) -> None:
    forget(reused, "a")
    [verdict] = check(reused.store, ["others"])
    assert [d.what for d in verdict.found] == ["source"]
    [verdict] = repair(reused.store, ["others"])
    assert verdict.found == []
    assert [row.state for row in reused.tracking.rows(["others"])] == [TrialState.WAITING]


def test_a_reused_trial_is_linked_to_another_run_of_the_same_trial(reused: Any) -> None:
    other = duplicate(reused, "a")
    forget(reused, "a")
    list(repair(reused.store, ["others"]))
    assert [row.reused_from for row in reused.tracking.rows(["others"])] == [other]


def test_all_sweeps_are_judged_and_an_unknown_one_is_the_users_mistake(reused: Any) -> None:
    assert [verdict.sweep for verdict in check(reused.store)] == ["bowls", "others"]
    with pytest.raises(UserError, match="holds no sweep 'bowl'; did you mean 'bowls'"):
        list(check(reused.store, ["bowl"]))


def test_a_journal_without_a_database_is_judged_and_no_database_is_made(
    small: Any, tmp_path: Path
) -> None:
    from sweeper.store.location import locate_store

    store = locate_store(str(tmp_path / "elsewhere"))
    store.sweep_dir("bowls").mkdir(parents=True)
    copied = store.sweep_dir("bowls") / "journal.log"
    copied.write_bytes((small.folder / "journal.log").read_bytes())
    [verdict] = check(store)
    assert [d.what for d in verdict.found] == ["missing", "missing"]
    assert not store.exists()


def test_a_repair_that_fails_is_told_and_the_others_are_made(
    small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = small.tracking.open_submission("bowls", "second", {})
    (small.folder / "staged" / "zzz").mkdir(parents=True)

    def refuse(inspection: Any, run_id: str) -> None:
        raise ConnectionError("no answer")

    monkeypatch.setattr("sweeper.store.fsck.inspection.Inspection.end", refuse)
    verdict = small.repair()
    assert [d.what for d in verdict.found] == ["running"]
    assert list(verdict.failures.values()) == ["ConnectionError: no answer"]
    assert [d.what for d in verdict.mended] == ["staging"]
    assert left[:12] in verdict.found[0].where


def test_a_finished_record_is_one_of_several_per_trial_and_the_last_counts(small: Any) -> None:
    outcome = history(small).outcomes["a"]
    again = outcome.model_copy(update={"metrics": outcome.metrics | {"loss": 0.125}})
    small.write(Started(key="a"), Finished(outcome=again))
    assert [d.what for d in small.found()] == ["unshipped"]
