"""A tracking store, and the artifacts of a trial that can be shipped there."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.store.location import locate_store
from sweeper.store.tracking import Tracking


@pytest.fixture
def tracking(store_dir: Path) -> Tracking:
    return Tracking(locate_store(str(store_dir)))


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    folder = tmp_path / "staged"
    folder.mkdir()
    (folder / "atoms.csv").write_text("atom,token\n0,the\n")
    return folder
