from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from sweeper.cli import main


class Done(NamedTuple):
    """What a command left behind."""

    returncode: object
    stdout: str
    stderr: str


Sweeper = Callable[..., Done]


@pytest.fixture
def sweeper(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Sweeper:
    """`sweeper(*words)` runs a command here, in a terminal of 100 columns."""
    monkeypatch.setenv("COLUMNS", "100")

    def command(*words: str) -> Done:
        with pytest.raises(SystemExit) as ended:
            main(words)
        return Done(ended.value.code, *capfd.readouterr())

    return command


@pytest.fixture
def write() -> Callable[[str | bytes], str]:
    """Writes `s.yaml` in the current directory and gives its name, as a user would type it."""

    def to_file(text: str | bytes) -> str:
        Path("s.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
        return "s.yaml"

    return to_file
