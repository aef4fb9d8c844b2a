"""A store that is dead, full or damaged: what is wrong is said, and the same command finishes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sweeper.errors import DiskFull
from sweeper.run.driver import drive
from sweeper.run.driver.drive import SweepRun
from sweeper.store import tracking as tracking_module
from sweeper.store.journal import Journal, read_journal, replay
from sweeper.store.journal import journal as journal_module
from sweeper.store.tracking import Tracking
from tests.sweeper.run.bowls import FIVE


def dead_store(patch: pytest.MonkeyPatch) -> None:
    """A store that cannot be opened, and a driver of little patience."""

    def refuse(*arguments: Any) -> None:
        raise ConnectionError("connection refused")

    patch.setattr(tracking_module, "Tracking", refuse)
    patch.setattr(drive, "_SHIP_TIMEOUT_S", 0.05)


def test_a_dead_store_holds_nothing_up_and_the_next_run_ships_everything(
    run: Callable[..., SweepRun], tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        dead_store(broken)
        first = run(FIVE)
    assert first.n_run == 5
    assert first.n_unshipped >= 10
    assert first.ship_error == "ConnectionError: connection refused"
    assert first.report is not None
    again = run(FIVE)
    assert (again.n_run, again.n_unshipped) == (0, 0)
    assert len(tracking.results.rows()) == 5


def test_a_trial_whose_staged_artifacts_were_damaged_runs_again(
    run: Callable[..., SweepRun],
    store_dir: Path,
    tracking: Tracking,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as broken:
        dead_store(broken)
        assert run(FIVE).n_unshipped > 0
    folder = store_dir / "sweeps" / "bowls"
    staged = sorted(path for path in (folder / "staged").rglob("*") if path.is_file())
    staged[0].write_bytes(b"cut")
    again = run(FIVE)
    assert (again.n_run, again.n_unshipped, again.ship_error) == (1, 0, "")
    rows = tracking.results.rows()
    assert [row.state for row in rows] == ["COMPLETE"] * 5
    for row in rows:
        for artifact in row.artifacts:
            tracking.results.fetch_artifact(row.run_id, artifact.path)
    assert not list((folder / "staged").iterdir())


@pytest.mark.parametrize("n_written", [0, 1, 7])
def test_a_full_disk_under_the_journal_ends_the_sweep_and_the_same_command_finishes_it(
    run: Callable[..., SweepRun],
    store_dir: Path,
    tracking: Tracking,
    monkeypatch: pytest.MonkeyPatch,
    n_written: int,
) -> None:
    calls: list[int] = []
    write = journal_module._write

    def full(descriptor: int, data: bytes) -> None:
        calls.append(len(data))
        if len(calls) > n_written:
            write(descriptor, data[:9])
            raise OSError(28, "No space left on device")
        write(descriptor, data)

    path = store_dir / "sweeps" / "bowls" / "journal.log"
    with monkeypatch.context() as broken:
        broken.setattr(journal_module, "_write", full)
        with pytest.raises(DiskFull, match=f"disk full: {path}; free some disk space"):
            run(FIVE)
    journal = Journal(path.parent)
    journal.close()
    assert journal.notices == ()  # nothing torn is left
    assert run(FIVE).n_unshipped == 0
    assert [row.state for row in tracking.results.rows()] == ["COMPLETE"] * 5
    assert replay(read_journal(path)).unshipped == ()


def test_a_full_disk_under_the_database_is_named_and_nothing_is_lost(
    run: Callable[..., SweepRun],
    store_dir: Path,
    tracking: Tracking,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*arguments: Any, **options: Any) -> None:
        raise DiskFull(store_dir / "mlflow.db")

    with monkeypatch.context() as broken:
        broken.setattr(Tracking, "finish_trial", full)
        with pytest.raises(DiskFull, match=f"{store_dir}/mlflow.db"):
            run(FIVE)
    again = run(FIVE)
    assert (again.n_run, again.n_unshipped) == (0, 0)
    assert [row.state for row in tracking.results.rows()] == ["COMPLETE"] * 5


def test_a_damaged_journal_is_said_and_the_sweep_still_finishes(
    run: Callable[..., SweepRun],
    store_dir: Path,
    tracking: Tracking,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(FIVE)
    path = store_dir / "sweeps" / "bowls" / "journal.log"
    lines = path.read_bytes().splitlines(keepends=True)
    for number in range(0, len(lines), 3):
        lines[number] = b"#" + lines[number][1:]
    path.write_bytes(b"".join(lines)[:-5])
    again = run(FIVE, console=Console(stderr=True, width=200))
    assert again.n_unshipped == 0
    assert len(tracking.results.rows()) == 5
    said = capsys.readouterr().err
    assert "damaged and skipped; later records are kept" in said
    assert "the last record was cut short and is moved to journal.torn" in said
