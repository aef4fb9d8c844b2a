from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import sweeper


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, make_store: Callable[[Path], Path]) -> Path:
    """A store in which the sweep `bowls` has run: two positions, real and null."""
    folder = make_store(tmp_path_factory.mktemp("swept") / "results")
    bowls = sweeper.Sweep(
        "bowls", kind="bowl", fixed={"n_steps": 2}, space={"x": [0.0, 1.0]}, nulls=["flat"]
    )
    sweeper.run(bowls, store=folder, in_process=True, progress=False)
    return folder


@pytest.fixture
def store(swept: Path) -> sweeper.Store:
    return sweeper.open_store(swept)
