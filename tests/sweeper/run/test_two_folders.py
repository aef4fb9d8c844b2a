"""Two colleagues, each with a folder of their own, and one tracking store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sweeper.declare.loading import load_sweep
from sweeper.errors import UserError
from sweeper.records import now_ms
from sweeper.run.driver.attempts import Attempts
from sweeper.run.driver.drive import SweepRun, run_sweep
from sweeper.run.inprocess import InProcessRunner
from sweeper.run.plan import Retry
from sweeper.run.runner import Job
from sweeper.store.fsck.check import SweepCheck, check, repair
from sweeper.store.journal import Abandoned, Finished, read_journal
from sweeper.store.lease import Holder, TakenOver, parse, this_process
from sweeper.store.location import Store, locate_store
from sweeper.store.removal.remove import remove_sweep, remove_trials
from sweeper.store.tracking import Tracking
from tests.sweeper.run.bowls import FIVE
from tests.sweeper.run.conftest import write_names
from tests.sweeper.run.test_dead_drivers import DyingRunner, killed, submissions


class Colleague:
    """A folder, and the shared database."""

    def __init__(self, folder: Path, database: Path, sweep_file: Path) -> None:
        self.store = Store(
            folder / "results",
            f"sqlite:///{database}",
            (database.parent / "artifacts").as_uri(),
        )
        self.sweep_file = sweep_file

    def run(self, runner: Any = None, **options: Any) -> SweepRun:
        return run_sweep(
            load_sweep(str(self.sweep_file)),
            self.store,
            runner or InProcessRunner(),
            console=Console(stderr=True, quiet=True),
            make_report=write_names,
            **options,
        )

    def fsck(self) -> SweepCheck:
        [verdict] = check(self.store, ["bowls"])
        return verdict

    def repair(self) -> SweepCheck:
        [verdict] = repair(self.store, ["bowls"])
        return verdict

    @property
    def folder(self) -> Path:
        return self.store.sweep_dir("bowls")


@pytest.fixture
def team(
    tmp_path: Path, store_dir: Path, write_sweep: Callable[..., Path]
) -> tuple[Colleague, Colleague]:
    sweep_file, database = write_sweep(FIVE), store_dir / "mlflow.db"
    return (
        Colleague(tmp_path / "a", database, sweep_file),
        Colleague(tmp_path / "b", database, sweep_file),
    )


class RunningRunner(InProcessRunner):
    """Calls `meanwhile` once its first trial has begun."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self.meanwhile = meanwhile

    def run(self, attempts: Attempts, job: Job) -> None:
        self.meanwhile()
        super().run(attempts, job)


def metrics(tracking: Tracking) -> dict[str, float]:
    return {row.key: row.metrics["system/wall_s"] for row in tracking.results.rows()}


def set_lease(tracking: Tracking, **values: Any) -> None:
    """Write the lease as a driver on another host does."""
    slot = tracking.writer.lease_slot("bowls")
    theirs = {"user": "ada", "host": "elsewhere", "machine": "other", "pid": 12, "token": "t"}
    for _ in range(100):  # against the heartbeat of its holder
        text = slot.read()
        record = Holder(**(theirs | {"generation": parse(text).generation + 1} | values))
        if slot.swap(text, record.model_dump_json()):
            return
    raise AssertionError("the lease changes too fast")


def test_a_second_driver_of_another_folder_is_refused_until_the_first_has_ended(
    team: tuple[Colleague, Colleague], tracking: Tracking
) -> None:
    ada, bob = team

    def bob_tries() -> None:
        with pytest.raises(UserError, match=r"^sweep bowls: another driver is running this sweep"):
            bob.run()
        assert bob.fsck().driver.endswith(f", pid {parse(lease()).pid}")
        with pytest.raises(UserError, match="nothing is repaired"):
            bob.repair()

    def lease() -> str:
        return tracking.writer.lease_slot("bowls").read()

    assert ada.run(RunningRunner(bob_tries)).n_run == 5
    assert parse(lease()).token == ""
    assert bob.run().n_run == 0
    assert len(tracking.results.rows()) == 5
    assert (list(ada.fsck().disagreements), list(bob.fsck().disagreements)) == ([], [])
    assert not [e for e in read_journal(bob.folder / "journal.log") if isinstance(e, Finished)]


def test_a_driver_whose_lease_was_taken_over_stops_and_leaves_the_store_alone(
    team: tuple[Colleague, Colleague], tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, _ = team
    monkeypatch.setattr("sweeper.store.lease.lease.HEARTBEAT_S", 0.02)

    class TakenRunner(InProcessRunner):
        def run(self, attempts: Attempts, job: Job) -> None:
            spec = attempts.next()
            assert spec is not None
            attempts.started(spec.key)
            set_lease(tracking, beat_ms=0)
            for step in range(1, 10_000_000):
                attempts.reported(spec.key, step, {"loss_validation": 1.0})

    with pytest.raises(TakenOver, match=r"taken this sweep over \(ada@elsewhere, pid 12\)"):
        ada.run(TakenRunner())
    last = list(read_journal(ada.folder / "journal.log"))[-1]
    assert not isinstance(last, Abandoned)
    assert parse(tracking.writer.lease_slot("bowls").read()).host == "elsewhere"


def test_a_driver_that_was_killed_in_the_same_folder_is_not_waited_for(
    team: tuple[Colleague, Colleague], tracking: Tracking
) -> None:
    ada, bob = team
    with pytest.raises(RuntimeError):
        ada.run(DyingRunner(2))
    killed(ada.folder)
    for row in tracking.results.rows():
        tracking._client.update_run(row.run_id, status="RUNNING")
        tracking._client.set_tag(row.run_id, "state", "RUNNING")
    tracking._client.update_run(tracking.results.rows()[0].submission, status="RUNNING")
    # Of a process that lives: only the lock of the folder shows that this driver does not.
    left = this_process(ada.folder).model_copy(update={"beat_ms": now_ms()})
    set_lease(tracking, **left.model_dump(exclude={"generation"}))
    with pytest.raises(UserError, match="another driver is running this sweep"):
        bob.run()
    assert ada.run().n_run == 5
    assert submissions(tracking) == ["FINISHED", "KILLED"]


def test_what_another_driver_s_death_left_is_ended_and_finished_here(
    team: tuple[Colleague, Colleague], tracking: Tracking
) -> None:
    ada, bob = team
    with pytest.raises(RuntimeError):
        ada.run(DyingRunner(2))
    killed(ada.folder)
    for row in tracking.results.rows():
        tracking._client.update_run(row.run_id, status="RUNNING")
        tracking._client.set_tag(row.run_id, "state", "RUNNING")
    tracking._client.update_run(tracking.results.rows()[0].submission, status="RUNNING")
    assert {d.what for d in bob.fsck().disagreements} == {"running"}
    assert bob.run().n_run == 5
    assert submissions(tracking) == ["FINISHED", "KILLED"]
    values = metrics(tracking)
    # Bob's results are no reason for Ada to run or overwrite anything.
    assert ada.run().n_run == 0
    assert metrics(tracking) == values
    assert {row.state for row in tracking.results.rows()} == {"COMPLETE"}
    assert (list(ada.fsck().disagreements), list(bob.fsck().disagreements)) == ([], [])


def test_a_journal_that_is_out_of_date_takes_what_the_other_driver_stored(
    team: tuple[Colleague, Colleague], tracking: Tracking
) -> None:
    ada, bob = team
    ada.run()
    bob.run(retry=Retry(everything=True))
    values = metrics(tracking)
    [found] = ada.fsck().disagreements
    assert found.what == "journal"
    assert found.problem.startswith("the journal is out of date: ")
    assert " ran these trials again later (" in found.problem
    verdict = ada.repair()
    assert (list(verdict.disagreements), len(verdict.repaired)) == ([], 1)
    assert metrics(tracking) == values
    assert (list(ada.fsck().disagreements), list(bob.fsck().disagreements)) == ([], [])
    assert (list(bob.repair().repaired), metrics(tracking)) == ([], values)


def test_a_run_takes_what_the_other_driver_stored_into_its_journal_and_report(
    team: tuple[Colleague, Colleague], tracking: Tracking
) -> None:
    ada, bob = team
    ada.run()
    bob.run(retry=Retry(everything=True))
    values = metrics(tracking)
    again = ada.run()
    assert again.n_run == 0
    assert {row.key: row.metrics["system/wall_s"] for row in again.rows} == values
    assert list(ada.fsck().disagreements) == []


def test_what_was_not_shipped_does_not_overwrite_what_is_newer(
    team: tuple[Colleague, Colleague], tracking: Tracking
) -> None:
    ada, bob = team
    ada.run()
    path = ada.folder / "journal.log"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if b'"event":"shipped"' not in line))
    bob.run(retry=Retry(everything=True))
    values = metrics(tracking)
    assert {d.what for d in ada.fsck().disagreements} == {"journal"}
    assert ada.run().n_run == 0
    assert metrics(tracking) == values


def test_two_that_ended_the_same_trials_agree_after_both_repairs(
    team: tuple[Colleague, Colleague], tracking: Tracking
) -> None:
    """As drivers without a lease leave it: each has an outcome of its own for every trial."""
    ada, bob = team
    ada.run()
    bob.run(retry=Retry(everything=True))
    for _ in range(2):
        ada.repair()
        bob.repair()
    assert (list(ada.fsck().disagreements), list(bob.fsck().disagreements)) == ([], [])
    assert len(tracking.results.rows()) == 5


def test_a_finished_sweep_needs_no_lease(
    team: tuple[Colleague, Colleague], tracking: Tracking
) -> None:
    ada, _ = team
    ada.run()
    generation = parse(tracking.writer.lease_slot("bowls").read()).generation
    set_lease(tracking, beat_ms=now_ms())
    assert ada.run().n_run == 0
    assert parse(tracking.writer.lease_slot("bowls").read()).generation == generation + 1


def test_a_store_folder_and_a_uri_to_its_database_exclude_each_other(
    team: tuple[Colleague, Colleague], store_dir: Path, tracking: Tracking
) -> None:
    _, bob = team
    place = locate_store(str(store_dir))
    mine = Colleague(store_dir.parent, store_dir / "mlflow.db", bob.sweep_file)
    mine.store = place
    tried = []

    def bob_tries() -> None:
        while not parse(tracking.writer.lease_slot("bowls").read()).token:
            pass
        with pytest.raises(UserError, match="another driver is running this sweep"):
            bob.run()
        tried.append(True)

    class Slow(InProcessRunner):
        def run(self, attempts: Attempts, job: Job) -> None:
            spec = attempts.next()
            assert spec is not None
            attempts.started(spec.key)
            bob_tries()
            attempts.interrupted(spec.key)
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        mine.run(Slow())
    assert tried

    set_lease(tracking, beat_ms=now_ms())
    with pytest.raises(UserError, match=r"another driver is running this sweep \(ada@elsewhere"):
        mine.run()


@pytest.mark.parametrize("whole", [True, False], ids=["sweep", "trial"])
def test_what_one_colleague_removed_the_other_one_runs_anew(
    team: tuple[Colleague, Colleague], tracking: Tracking, whole: bool
) -> None:
    ada, bob = team
    assert (ada.run().n_run, bob.run().n_run) == (5, 0)
    remover = Tracking(bob.store)
    if whole:
        remove_sweep(remover, "bowls")
        assert not list((tracking.store.root / "artifacts").rglob("*.csv"))
    else:
        remove_trials(remover, "bowls", remover.results.rows()[:2])
    n_gone = 5 if whole else 2
    problems = [d.problem for d in ada.fsck().disagreements]
    assert problems == ["was removed, and the journal does not say so"] * n_gone
    assert ada.run().n_run == n_gone, "noted or not"
    assert list(ada.fsck().disagreements) == []
    remove_trials(remover, "bowls", remover.results.rows()[:2])
    assert len(ada.repair().repaired) == 2
    assert list(ada.fsck().disagreements) == []
    assert len(tracking.results.rows()) == 3
    assert ada.run().n_run == 2
