"""Faults: real processes, real signals. The table of figures is printed at the end."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.sweep import MakeSweep, Sweep
from chaos.table import Demand, FaultTable

_TABLE = pytest.StashKey[FaultTable]()
SEED = int(os.environ.get("CHAOS_SEED", "0"))


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TABLE] = FaultTable()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    table = config.stash[_TABLE]
    if table.figures:
        terminalreporter.section(f"faults (CHAOS_SEED={SEED})")
        for line in table.lines():
            terminalreporter.write_line(line)


@pytest.fixture
def demand(request: pytest.FixtureRequest) -> Demand:
    """See `FaultTable.demand`."""
    return request.config.stash[_TABLE].demand


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Random moments, other ones for each test."""
    return random.Random(f"{SEED} {request.node.nodeid}")


@pytest.fixture
def make_sweep(tmp_path: Path, migrated_database: Path) -> Iterator[MakeSweep]:
    """`make_sweep(text, folder, **options)`: a `Sweep`, in an empty database if it names none."""
    made: list[Sweep] = []

    def make(text: str, folder: str = "sweep", **options: object) -> Sweep:
        sweep = Sweep(tmp_path / folder, text, **options)  # type: ignore[arg-type]
        if not sweep.store and "root" not in options:
            sweep.root.mkdir()
            for path in migrated_database.parent.glob("mlflow.db*"):
                shutil.copy(path, sweep.root)
        made.append(sweep)
        return sweep

    yield make
    for sweep in made:
        sweep.clean_up()
