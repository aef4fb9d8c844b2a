"""A part of the store is lost, or an older copy of it put back: the other parts bring it back."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sweeper.records import TrialState
from sweeper.store.fsck.check import check, repair
from sweeper.store.journal import Abandoned, Started, Suggested
from sweeper.store.location import Store, locate_store
from sweeper.store.tracking import Results


def records(journal: Path) -> Counter[bytes]:
    """The records of a journal without checksums, and without times that nothing else tells."""
    text = re.sub(rb"(?m)^\w{8} ", b"", journal.read_bytes())
    times = rb'("event":"(?:shipped|started)".*),"(?:ended|at)_ms":\d+'
    return Counter(re.sub(times, rb"\1", text).splitlines())


def files(store: Store) -> dict[Path, bytes]:
    found = (store.root / "artifacts").rglob("*")
    return {p.relative_to(store.root): p.read_bytes() for p in found if p.is_file()}


def without_database(store: Store, folder: Path) -> Store:
    """The same store without its database, where this process has not opened that yet."""
    shutil.copytree(store.root, folder, ignore=shutil.ignore_patterns("mlflow.db*"))
    return locate_store(str(folder))


@pytest.mark.parametrize("lost", ["emptied", "deleted", "with its folder"])
def test_a_lost_journal_is_said_and_comes_back_record_by_record(small: Any, lost: str) -> None:
    for report in small.history().reports:  # the fixture ships the outcome only
        small.tracking.report_progress(small.run_ids[report.key], [report])
    journal = small.folder / "journal.log"
    before = records(journal)
    match lost:
        case "emptied":
            journal.write_bytes(b"")
        case "deleted":
            journal.unlink()
        case _:
            shutil.rmtree(small.folder)
    is_what = "empty" if lost == "emptied" else "missing"
    assert small.one().name == (
        f"journal: journal.log: the database holds 2 trials, the journal is {is_what}"
    )
    small.repaired()
    assert records(journal) == before
    assert small.history().unshipped == ()


def test_a_lost_journal_of_reused_trials_comes_back(reused: Any) -> None:
    journal = reused.store.sweep_dir("others") / "journal.log"
    before = records(journal)
    journal.unlink()
    assert [verdict.disagreements for verdict in repair(reused.store)] == [[], []]
    assert records(journal) == before


def test_a_lost_journal_leaves_checkpoints_of_trials_under_way(small: Any, make_spec: Any) -> None:
    small.write(Suggested(spec=make_spec("c")), Started(key="c"))
    small.tracking.start_trial("bowls", small.parent, make_spec("c"), 1000)
    small.write(Suggested(spec=make_spec("d")), Started(key="d"), Abandoned(key="d", reason="out"))
    small.tracking.start_trial("bowls", small.parent, make_spec("d"), 1000)
    small.tracking.abandon_trial("bowls", make_spec("d"), "out", 2000)
    for key in "cd":
        (small.folder / "checkpoints" / key).mkdir(parents=True)
    (small.folder / "journal.log").unlink()
    assert {d.what for d in small.disagreements()} == {"journal"}
    small.repaired()
    assert {path.name for path in (small.folder / "checkpoints").iterdir()} == {"c", "d"}
    assert {spec.key for spec in small.history().unfinished} == {"c", "d"}


def test_an_older_copy_of_the_journal_takes_what_is_newer_from_the_database(small: Any) -> None:
    failed = small.finish("c", artifacts=False, state=TrialState.FAILED, error="no memory")
    small.ship("c", failed)
    older = (small.folder / "journal.log").read_bytes()
    again = small.finish("c", started_ms=5000, ended_ms=6000)
    small.ship("c", again)
    small.ship("d", small.finish("d"))
    newer = small.history()
    (small.folder / "journal.log").write_bytes(older)
    assert small.one().problem.startswith("the database holds 2 trials whose latest state is not")
    small.repaired()
    assert small.history().outcomes.keys() == newer.outcomes.keys()
    assert small.history().outcomes["c"].model_dump_json() == again.model_dump_json()
    assert set(small.states().values()) == {"COMPLETE"}


def test_a_lost_database_comes_back_from_journals_artifacts_and_reports(
    reused: Any, tmp_path: Path
) -> None:
    report(reused)
    before, rows = files(reused.store), reused.tracking.results.rows()
    store = without_database(reused.store, tmp_path / "lost")
    rest = store.root / "mlflow.db-wal"
    rest.write_bytes(b"what another database left")
    names = sorted(store.root.rglob("*"))
    assert [v.n_trials for v in check(store)] == [0, 0]
    assert sorted(store.root.rglob("*")) == names, "a check writes nothing"
    verdicts = {verdict.sweep: verdict for verdict in repair(store)}
    assert [d.what for d in verdicts["bowls"].repaired] == ["orphan", "missing", "missing"]
    assert [d.what for d in verdicts["others"].repaired] == ["missing"]
    assert [verdict.disagreements for verdict in (*verdicts.values(), *check(store))] == [[]] * 4
    restored = Results(store)
    assert [r.model_dump_json(exclude={"submission"}) for r in restored.rows()] == [
        r.model_dump_json(exclude={"submission"}) for r in rows
    ]
    assert {row.submission for row in restored.rows(["bowls"])} == {reused.parent}
    assert restored.last_submission("bowls") == (
        (reused.folder / "bowls.yaml").read_text(),
        "Bowls.",
    )
    assert files(store) == before
    assert rest.with_name("mlflow.db-wal.lost").read_bytes() == b"what another database left"


def test_an_emptied_database_is_a_lost_one(small: Any, tmp_path: Path) -> None:
    store = without_database(small.store, tmp_path / "lost")
    store.database.touch()
    [verdict] = check(store)
    assert [d.what for d in verdict.disagreements] == ["missing", "missing"]
    assert store.database.read_bytes() == b""


def test_an_older_copy_of_the_database_takes_what_is_newer_from_the_journal(
    small: Any, tmp_path: Path
) -> None:
    older = tmp_path / "older"
    older.mkdir()
    for path in small.store.root.glob("mlflow.db*"):
        shutil.copy(path, older)
    small.ship("c", small.finish("c"))
    rows, before = (
        {row.key: row.run_id for row in small.tracking.results.rows()},
        files(small.store),
    )
    store = without_database(small.store, tmp_path / "now")
    for path in older.iterdir():
        shutil.copy(path, store.root)
    [verdict] = repair(store)
    assert [d.where for d in verdict.repaired] == ["trial note=c (c)"]
    assert [verdict.disagreements for verdict in check(store)] == [[]]
    assert {row.key: row.run_id for row in Results(store).rows()} == rows
    assert {p: b for p, b in files(store).items() if p in before} == before


def test_an_experiment_that_was_deleted_comes_back(small: Any) -> None:
    client = small.tracking._client
    client.delete_experiment(client.get_experiment_by_name("bowls").experiment_id)
    assert {d.problem.partition(" was ")[2] for d in small.disagreements()} == {
        "deleted in the database"
    }
    small.repaired()
    assert small.states() == {"a": "COMPLETE", "b": "COMPLETE"}


def test_artifacts_of_a_run_that_nobody_knows_are_said_and_left_alone(small: Any) -> None:
    folder = small.store.root / "artifacts" / "bowls" / ("0" * 32) / "artifacts"
    folder.mkdir(parents=True)
    (folder / "codes.bin").write_bytes(b"mine")
    assert small.one().problem == (
        "1 files (4 bytes) of a run that neither database nor journal knows"
    )
    assert [d.what for d in small.repair().disagreements] == ["orphan"]
    assert (folder / "codes.bin").read_bytes() == b"mine"


def report(small: Any) -> None:
    """Give the submission of the sweep a report and a sweep file, as a driver does."""
    (small.folder / "report.html").write_text("<p>report")
    (small.folder / "bowls.yaml").write_text("kind: bowl\ndescription: Bowls.\nspace: {x: [1]}\n")
    made = [small.folder / "report.html", small.folder / "bowls.yaml"]
    small.tracking.close_submission(small.parent, metrics={}, files=made, failed=False)
    small.run_ids["submission"] = small.parent
    assert small.disagreements() == []


@pytest.fixture
def reported(small: Any) -> Any:
    """The small store with a report."""
    report(small)
    return small


@pytest.mark.parametrize("name", ["report.html", "bowls.yaml"])
def test_a_deleted_report_is_copied_back_from_the_submission_and_the_other_way(
    reported: Any, name: str
) -> None:
    text = (reported.folder / name).read_bytes()
    (reported.folder / name).unlink()
    assert reported.one().name == f"report: sweeps/bowls/{name}: is missing"
    reported.repaired()
    assert (reported.folder / name).read_bytes() == text
    reported.artifact("submission", name).unlink()
    assert reported.one().where == f"submission (run {reported.parent[:12]}) {name}"
    reported.repaired()
    assert reported.artifact("submission", name).read_bytes() == text


def test_a_report_that_is_lost_for_good_is_struck_and_what_makes_another_is_said(
    reported: Any,
) -> None:
    reported.artifact("submission", "report.html").unlink()
    (reported.folder / "report.html").unlink()
    assert reported.one().repair.text.endswith("; 'sweeper report bowls' writes a new one")
    reported.repaired()
