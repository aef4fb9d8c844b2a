"""What the journal says: each thing that can be wrong with it is done to it, found, and mended."""

from __future__ import annotations

from typing import Any

import pytest

from sweeper.errors import UserError
from sweeper.store.fsck.repair import RunAgain
from sweeper.store.index import read_index
from sweeper.store.journal import Finished, Started


def test_a_torn_record_is_found_and_dropped(small: Any) -> None:
    journal = small.folder / "journal.log"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b"00000000 {half")
    assert small.one().name == (
        "journal: journal.log: ends in half a record (14 bytes): its writer was cut off"
    )
    small.repaired()
    assert journal.read_bytes() == whole


def test_a_damaged_record_is_named_by_its_line_and_dropped(small: Any) -> None:
    journal = small.folder / "journal.log"
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b"reported", b"repoSted")
    journal.write_bytes(b"".join(lines))
    assert small.one().name == "journal: journal.log line 3: cannot be read"
    small.repaired()
    assert journal.read_bytes() == b"".join(lines[:2] + lines[3:])
    assert (small.folder / "journal.damaged").read_bytes() == b"".join(lines)


def test_a_lost_declaration_comes_back_from_the_database(small: Any) -> None:
    journal = small.folder / "journal.log"
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[0] = b"rubbish\n"
    journal.write_bytes(b"".join(lines))
    assert [d.where for d in small.disagreements()] == ["journal.log line 1", "journal.log"]
    small.repaired()
    assert set(small.history().outcomes) == {"a", "b"}
    assert small.history().specs.keys() == {"a", "b"}
    assert small.states() == {"a": "COMPLETE", "b": "COMPLETE"}


def test_a_declaration_that_is_lost_for_good_takes_the_other_records_of_its_trial_along(
    small: Any,
) -> None:
    small.finish("c")
    journal = small.folder / "journal.log"
    lines = journal.read_bytes().splitlines(keepends=True)
    damaged = b"".join([*lines[:-4], b"rubbish\n", *lines[-3:]])
    journal.write_bytes(damaged)
    assert [d.where for d in small.disagreements()][:2] == [
        f"journal.log line {len(lines) - 3}",
        "trial c",
    ]
    small.repaired()
    assert journal.read_bytes() == b"".join(lines[:-4])
    assert (small.folder / "journal.damaged").read_bytes() == damaged


def test_a_finished_trial_that_was_not_shipped_is_shipped(small: Any) -> None:
    outcome = small.finish("c")
    assert small.one().name == (
        "unshipped: trial note=c (c): COMPLETE in the journal, not in the database"
    )
    small.repaired()
    row = next(row for row in small.tracking.results.rows() if row.key == "c")
    assert row.metrics["loss"] == outcome.metrics["loss"]
    history_of = small.tracking._client.get_metric_history(row.run_id, "loss")
    assert [(m.step, m.value) for m in history_of] == [(1, 9.0), (2, 0.25)]
    assert (
        small.tracking.results.fetch_artifact(row.run_id, "tables/atoms.csv")
        .read_text()
        .endswith("c\n")
    )
    assert not small.staging.folder("c").exists()


def test_a_shipment_that_the_journal_does_not_know_is_noted(small: Any) -> None:
    outcome = small.finish("c")
    staged = small.staging.folder("c")
    run_id = small.tracking.finish_trial(
        "bowls", small.parent, small.history().specs["c"], outcome, staged, step=2
    )
    assert f"run {run_id[:12]} holds it" in small.one().problem
    small.repaired()
    assert small.history().run_ids["c"] == run_id


def test_an_unshipped_trial_with_damaged_staging_is_run_again(small: Any) -> None:
    small.finish("c")
    (small.staging.folder("c") / "tables" / "atoms.csv").write_text("cut")
    assert "tables/atoms.csv has SHA-256" in small.one().problem
    small.repaired()
    assert [s.key for s in small.history().unfinished] == ["c"]


def test_a_staged_artifact_that_lies_elsewhere_too_is_shipped_from_there(small: Any) -> None:
    small.finish("c")
    (small.staging.folder("c") / "codes.bin").unlink()
    small.repaired()
    row = next(row for row in small.tracking.results.rows() if row.key == "c")
    path = small.tracking.results.fetch_artifact(row.run_id, "codes.bin")
    assert path.read_bytes() == b"the same in every trial"


def test_a_deleted_run_is_restored(small: Any) -> None:
    small.tracking._client.delete_run(small.run_ids["a"])
    assert small.one().problem == f"run {small.run_ids['a'][:12]} was deleted in the database"
    small.repaired()
    assert small.states() == {"a": "COMPLETE", "b": "COMPLETE"}


def test_a_run_that_is_gone_is_shipped_again_under_its_id_if_its_artifacts_lie_there(
    small: Any,
) -> None:
    files = sorted((small.store.root / "artifacts").rglob("*"))
    small.forget("a")
    small.repaired()
    assert {row.key: row.run_id for row in small.tracking.results.rows()} == small.run_ids
    assert sorted((small.store.root / "artifacts").rglob("*")) == files
    assert small.states() == {"a": "COMPLETE", "b": "COMPLETE"}


def test_a_run_that_is_gone_with_its_artifacts_is_run_again(small: Any) -> None:
    small.artifact("a", "tables/atoms.csv").unlink()
    small.forget("a")
    assert "is not in the database" in small.one().problem
    assert isinstance(small.one().repair, RunAgain)
    small.repaired()
    assert [s.key for s in small.history().unfinished] == ["a"]


def test_a_run_that_is_gone_is_shipped_again_if_it_had_no_artifacts(empty: Any) -> None:
    empty.ship("a", empty.finish("a", artifacts=False))
    empty.forget("a")
    empty.repaired()
    [row] = empty.tracking.results.rows()
    assert row.metrics["loss"] == 0.25


def test_a_record_that_cannot_be_read_is_written_anew(small: Any) -> None:
    small.tracking._client.set_tag(small.run_ids["a"], "mlflow.sweeper.record.0", '{"config": ')
    assert small.one().what == "record"
    with pytest.raises(UserError, match=r"record of run '.*' cannot be read: .*fsck --repair"):
        small.tracking.results.rows()
    small.tracking._client.set_tag(small.run_ids["a"], "state", "DONE")
    assert [glimpse.key for glimpse in read_index(small.store)] == ["b"]
    small.repaired()
    assert small.tracking.results.rows()[0].params["x"] == 0.5


def test_a_finished_record_is_one_of_several_per_trial_and_the_last_counts(small: Any) -> None:
    outcome = small.history().outcomes["a"]
    again = outcome.model_copy(update={"metrics": outcome.metrics | {"loss": 0.125}})
    small.write(Started(key="a"), Finished(outcome=again))
    assert [d.what for d in small.disagreements()] == ["unshipped"]
