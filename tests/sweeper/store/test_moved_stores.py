"""A store is one folder: it can be moved, copied and extended, and nothing in it is lost."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from sweeper.declare.loading import load_sweep
from sweeper.records import TrialState
from sweeper.run.driver.drive import SweepRun, run_sweep
from sweeper.run.inprocess import InProcessRunner
from sweeper.store.fsck.check import check, repair
from sweeper.store.location import locate_store
from sweeper.store.relocation import relocate
from sweeper.store.tracking import Results, Tracking

Run = Callable[[Path, int], SweepRun]


@pytest.fixture
def run(write_sweep: Callable[..., Path]) -> Run:
    """`run(folder, n)` runs a sweep of `n` trials in the store at `folder`."""

    def run_in(folder: Path, n: int) -> SweepRun:
        points = ", ".join(str(x / 10) for x in range(n))
        return run_sweep(
            load_sweep(str(write_sweep(f"kind: bowl\nspace: {{x: [{points}]}}\n"))),
            locate_store(str(folder)),
            InProcessRunner(),
            console=Console(stderr=True, quiet=True),
            make_report=lambda path, sweep, rows: path.write_text("a report"),
        )

    return run_in


def run_ids(folder: Path) -> dict[str, str]:
    """Run id of each complete trial by key."""
    rows = Results(locate_store(str(folder))).rows()
    return {row.key: row.run_id for row in rows if row.state is TrialState.COMPLETE}


def demand_whole(folder: Path, n: int) -> None:
    """`n` complete trials, each with artifacts of its own in the folder, and nothing to mend."""
    store = locate_store(str(folder))
    [verdict] = check(store)
    assert [d.name for d in verdict.disagreements] == []
    tracking = Tracking(store)
    ids = run_ids(folder)
    assert len(ids) == n
    for run_id in ids.values():
        file = tracking.results.fetch_artifact(run_id, "trace.csv")
        assert file.is_relative_to(folder)


@pytest.mark.parametrize("seed", range(4))
def test_any_sequence_of_moves_and_copies_keeps_every_trial(
    tmp_path: Path, store_dir: Path, run: Run, seed: int
) -> None:
    rng, folder, n = random.Random(seed), store_dir, 2
    run(folder, n)
    known = run_ids(folder)
    for step in range(6):
        action = rng.choice(["move", "copy", "extend", "run again", "fsck", "repair", "symlink"])
        elsewhere = tmp_path / f"place {step}" / "store"
        match action:
            case "move":
                elsewhere.parent.mkdir()
                folder = shutil.move(folder, elsewhere)
            case "copy":
                shutil.copytree(folder, elsewhere)
                before = sorted(path for path in folder.rglob("*") if path.is_file())
                run(elsewhere, n + 1)  # and nothing of that lands in the original
                assert before == sorted(path for path in folder.rglob("*") if path.is_file())
                demand_whole(folder, n)
                folder, n = elsewhere, n + 1
            case "extend":
                n += 1
                assert run(folder, n).n_run == 1
            case "run again":
                assert run(folder, n).n_run == 0
            case "repair":
                assert all(not verdict.repaired for verdict in repair(locate_store(str(folder))))
            case "symlink":
                elsewhere.parent.mkdir()
                elsewhere.symlink_to(folder)
                assert run(elsewhere, n).n_run == 0
        demand_whole(folder, n)
        assert known.items() <= run_ids(folder).items()
        known = run_ids(folder)


def test_the_database_names_the_folder_it_lies_in_once_a_driver_writes(
    tmp_path: Path, store_dir: Path, run: Run
) -> None:
    run(store_dir, 1)
    moved = shutil.move(store_dir, tmp_path / "mo#ved 100%")
    run(moved, 2)
    with closing(sqlite3.connect(moved / "mlflow.db")) as database:
        located = database.execute("SELECT artifact_location FROM experiments").fetchall()
        located += database.execute("SELECT artifact_uri FROM runs").fetchall()
    assert all(uri.startswith((moved / "artifacts").as_uri()) for (uri,) in located)


def test_what_an_earlier_version_wrote_into_the_original_of_a_copy_is_read_there(
    tmp_path: Path, store_dir: Path, run: Run
) -> None:
    run(store_dir, 1)
    copied = shutil.copytree(store_dir, tmp_path / "copied")
    shutil.rmtree(copied / "artifacts")
    [verdict] = check(locate_store(str(copied)))
    assert verdict.disagreements == []
    relocate(locate_store(str(copied)))
    [run_id] = run_ids(copied).values()
    file = Results(locate_store(str(copied))).artifact_file(run_id, "trace.csv")
    assert file is not None
    assert file.is_relative_to(store_dir)


def test_a_location_that_a_person_chose_stays(tmp_path: Path, store_dir: Path, run: Run) -> None:
    chosen = tmp_path / "archive" / "artifacts" / "notes"
    chosen.mkdir(parents=True)
    client = Tracking(locate_store(str(store_dir)))._client
    client.create_experiment("notes", artifact_location=chosen.as_uri())
    run(store_dir, 1)
    assert client.get_experiment_by_name("notes").artifact_location == chosen.as_uri()
