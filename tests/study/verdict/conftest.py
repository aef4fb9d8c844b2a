"""The rule with one demand set aside."""

from __future__ import annotations

from pathlib import Path

import pytest

from study.verdict.rule import load_rule


# A training without a curve needs as many tokens for any loss: the rule's ratio is set aside here.
@pytest.fixture
def lenient(tmp_path: Path) -> str:
    text = Path(load_rule().origin).read_text().replace("tokens_ratio: 1.25", "tokens_ratio: 0.5")
    (tmp_path / "lenient.yaml").write_text(text)
    return str(tmp_path / "lenient.yaml")
