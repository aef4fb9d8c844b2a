from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def write() -> Callable[[str | bytes], str]:
    """Writes `s.yaml` in the current directory and gives its name, as a user would type it."""

    def to_file(text: str | bytes) -> str:
        Path("s.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
        return "s.yaml"

    return to_file
