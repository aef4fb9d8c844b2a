from __future__ import annotations

from pathlib import Path

import pytest

from study.verdict.rule import load_rule
from sweeper.errors import UserError


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("seeds_min: 3", "seeds_min: 2"), "seeds_min: given 2; must be at least 3"),
        (("gap_nats", "gap_nat"), "unknown key 'gap_nat'; did you mean 'gap_nats'?"),
        (("level: 0.95", "level: 95"), "level: given 95"),
    ],
)
def test_a_mistake_in_a_rule_is_one_line(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(Path(load_rule().origin).read_text().replace(*change))
    with pytest.raises(UserError) as caught:
        load_rule(str(path))
    assert message in str(caught.value)
    with pytest.raises(UserError, match="no such file"):
        load_rule(str(tmp_path / "none.yaml"))
