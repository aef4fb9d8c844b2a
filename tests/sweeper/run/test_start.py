"""What a driver does before its first trial, and what is read to report on it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sweeper.cli.reporting import report
from sweeper.errors import UserError
from sweeper.run.driver import existing
from sweeper.run.driver.drive import SweepRun
from sweeper.store.location import locate_store
from sweeper.store.sql import SqlReader
from tests.sweeper.run.bowls import FIVE


def test_notices_are_printed_even_if_the_database_is_gone(
    run: Callable[..., SweepRun], store_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(FIVE)
    locate_store(str(store_dir)).database.unlink()
    monkeypatch.setattr(existing, "network_notice", lambda database: "a network folder")
    said = io.StringIO()
    with pytest.raises(UserError, match="the database is gone"):
        run(FIVE, console=Console(file=said))
    assert said.getvalue() == "a network folder\n"


def test_a_report_reads_the_trials_of_a_sweep_once(
    run: Callable[..., SweepRun],
    store_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run(FIVE)
    asked: list[Any] = []
    rows = SqlReader.rows

    def counted(self: SqlReader, *args: Any, **options: Any) -> Any:
        asked.append(args)
        return rows(self, *args, **options)

    monkeypatch.setattr(SqlReader, "rows", counted)
    assert report.callback is not None
    report.callback(("bowls",), str(store_dir), "latest", tmp_path / "page.html")
    assert asked == [(["bowls"],)]
