"""The same key means the same question asked of the same data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sweeper.errors import UserError
from sweeper.run.driver.drive import SweepRun
from sweeper.run.keys import trial_key


def test_a_key_hangs_on_everything_that_changes_the_answer() -> None:
    base = trial_key("bowl", 1, {"x": 1.0, "seed": 0}, {"source": "a"})
    assert base == trial_key("bowl", 1, {"seed": 0, "x": 1.0}, {"source": "a"})
    others = {
        trial_key("cup", 1, {"x": 1.0, "seed": 0}, {"source": "a"}),
        trial_key("bowl", 2, {"x": 1.0, "seed": 0}, {"source": "a"}),
        trial_key("bowl", 1, {"x": 1.5, "seed": 0}, {"source": "a"}),
        trial_key("bowl", 1, {"x": 1.0, "seed": 0}, {"source": "b"}),
    }
    assert len({base, *others}) == 5


def test_the_content_of_an_input_is_part_of_the_key(
    run: Callable[..., SweepRun], tmp_path: Path
) -> None:
    source = tmp_path / "matrix.bin"
    source.write_bytes(b"one")
    text = f"kind: bowl\nfixed: {{source: {source}}}\n"
    before = run(text).rows[0].key
    source.write_bytes(b"two")
    again = run(text)
    assert again.n_run == 1
    assert again.rows[0].key != before


def test_a_missing_input_is_one_line_before_anything_starts(
    run: Callable[..., SweepRun], store_dir: Path
) -> None:
    with pytest.raises(UserError, match=r"source 'nowhere\.bin' does not exist"):
        run("kind: bowl\nfixed: {source: nowhere.bin}\n")
    assert not (store_dir / "sweeps").exists()
