from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Writes a text to a sweep file, in a folder that becomes the working one."""
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> str:
        Path("s.yaml").write_text(text)
        return "s.yaml"

    return write
