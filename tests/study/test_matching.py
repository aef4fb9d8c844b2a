"""Dictionaries of two trials, where it is known which atoms they share."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from study.matching import agreement_json, agreement_page, match_trials
from sweeper.errors import UserError
from sweeper.records import Artifact, TrialRow
from tests.sweeper.store.test_results_table import row

N_SHARED, N_ATOMS, D_MODEL = 10, 24, 32


def atoms(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((N_ATOMS, D_MODEL)).astype(np.float32)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[TrialRow, TrialRow]:
    """Trials of which the second has the first ten atoms of the first, last and turned around."""
    shared = atoms(0)
    other = np.concatenate([atoms(1)[N_SHARED:], -3 * shared[:N_SHARED]])
    for name, dictionary in (("a", shared), ("b", other)):
        (tmp_path / f"run-{name}").mkdir()
        save_file({"atoms": dictionary}, tmp_path / f"run-{name}" / "dictionary.safetensors")
    (tmp_path / "run-a" / "atoms.csv").write_text(
        'atom,n_tokens,top_tokens\n3,1,"[[""king"", 0.5], [""a b"", 0.1]]"\n'
    )
    table = Artifact(path="atoms.csv", sha256="0" * 64, n_bytes=1)
    return row("a", artifacts=(table,)), row("b")


def test_the_atoms_that_two_trials_share_are_listed_with_their_tokens(
    tmp_path: Path, pair: tuple[TrialRow, TrialRow]
) -> None:
    found = match_trials(*pair, lambda run_id, path: tmp_path / run_id / path, 0.7)
    assert {(p.first, p.second) for p in found.pairs} == {
        (i, N_ATOMS - N_SHARED + i) for i in range(N_SHARED)
    }
    assert all(p.cosine == pytest.approx(-1, abs=1e-6) for p in found.pairs)
    assert found.n_by_chance <= 1
    [of_king] = [p for p in found.pairs if p.first == 3]
    assert (of_king.first_tokens, of_king.second_tokens) == (("king", "a b"), ())
    text = agreement_page(found, limit=4)
    assert "10 of 24 pairs agree (|cosine| of 0.7 or more), 0." in text
    assert len(text.splitlines()) < 12, "the best four"
    assert len(json.loads(agreement_json(found))["pairs"]) == N_SHARED


def test_a_low_bar_is_passed_by_chance_as_often(
    tmp_path: Path, pair: tuple[TrialRow, TrialRow]
) -> None:
    found = match_trials(*pair, lambda run_id, path: tmp_path / run_id / path, 0.2)
    assert found.n_by_chance > 20


def test_dictionaries_of_different_widths_are_refused_in_one_line(
    tmp_path: Path, pair: tuple[TrialRow, TrialRow]
) -> None:
    narrow = atoms(2)[:, :8].copy()
    save_file({"atoms": narrow}, tmp_path / "run-b" / "dictionary.safetensors")
    with pytest.raises(UserError, match="only dictionaries of the same width can be compared"):
        match_trials(*pair, lambda run_id, path: tmp_path / run_id / path, 0.7)
