"""The page about Python does not lie: its blocks run, one after the other, as one program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sweeper

PAGE = (Path(__file__).parent.parent / "docs/python.md").read_text()


def test_the_blocks_of_the_page_run(store_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"docs/python.md, block {number}", "exec"), names)
    said = capsys.readouterr().out
    assert "valid; kind pursuit, varies n_atoms, nulls gaussian_spectrum" in said
    assert "4 trials to run" in said
    assert len(names["real"]) == 2
    assert len(names["means"]) == 4
    assert names["table"].num_rows == 4
    assert isinstance(names["atoms"], np.memmap)
    assert names["atoms"].shape == (32, 16)
    assert Path("l0.png").stat().st_size > 1000
    assert names["solved"].gap.max() < 1e-4
    assert 0 < names["error"] < 1
    assert Path("sae/cfg.json").exists()


def test_the_page_names_the_public_api() -> None:
    for name in set(sweeper.__all__) - {"__version__", "Figure", "Result", "Store", "Trial"}:
        assert re.search(rf"\b{name}\b", PAGE), name
