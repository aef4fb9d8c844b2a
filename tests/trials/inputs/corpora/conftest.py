from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

WORDS = ["the", "cat", "dog", "sat", "ran", "on", "a", "mat", "and", "then", "slept", "café"]


@pytest.fixture
def write_text(tmp_path: Path) -> Callable[..., Path]:
    """`write_text(name, n_lines, seed)` writes lines of short sentences and returns the file."""

    def write(name: str = "corpus.txt", n_lines: int = 4000, seed: int = 0) -> Path:
        rng = np.random.default_rng(seed)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (" ".join(rng.choice(WORDS, size=8)) + "." for _ in range(n_lines))
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    return write
