"""The kind `matrix_binding` on relations that a matrix binds, that an offset makes, and neither."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from trials.api import Context, TrialError, TrialResult
from trials.matrix_binding.kind import KIND
from trials.matrix_binding.measure import n_inputs

D_MODEL, N_WORDS = 24, 180


def trial(folder: Path, rows: np.ndarray, names: list[str], **config: Any) -> TrialResult:
    np.save(folder / "rows.npy", rows.astype(np.float32))
    (folder / "rows.tokens.json").write_text(json.dumps(names))

    def nothing(run_id: str, path: str) -> Path:
        raise AssertionError(path)

    given = {"source": f"file:{folder / 'rows.npy'}", "n_permutations": 39, **config}
    context = Context("cpu", 1, folder, folder, lambda step, metrics: None, nothing)
    return KIND.execute(KIND.config.model_validate(given), context)


def vocabulary() -> list[str]:
    """Words; the same with a space, and the capitals of those: two relations."""
    words = [f"{a}{b}{c}xo" for a in "bcdfgh" for b in "aeiou" for c in "klmnpr"]
    assert len(words) == N_WORDS
    return [*words, *(f" {w}" for w in words), *(f" {w.title()}" for w in words)]


def rows_with(*, bound: bool) -> np.ndarray:
    """The space adds an offset, and with `bound` a matrix of rank 3; capitals an offset."""
    rng = np.random.default_rng(0)
    words, noise, more = rng.standard_normal((3, N_WORDS, D_MODEL))
    image = words @ rng.standard_normal((D_MODEL, 3)) @ rng.standard_normal((3, D_MODEL)) / 8
    spaced = 0.8 * words + rng.standard_normal(D_MODEL) + 0.4 * noise + bound * image
    capitals = 0.8 * spaced + rng.standard_normal(D_MODEL) + 0.4 * more
    return np.concatenate([words, spaced, capitals])


def by_relation(result: TrialResult) -> dict[str, dict[str, Any]]:
    table = result.tables["relations"]
    rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    return {row["relation"]: row for row in rows}


def test_a_bound_relation_is_a_binding_and_one_of_an_offset_is_an_offset(tmp_path: Path) -> None:
    result = trial(tmp_path, rows_with(bound=True), vocabulary())
    found = by_relation(result)
    space, capitals = found["leading space"], found["lower to capitalised"]
    assert space["verdict"] == "binding"
    assert 0.1 < space["gain_low"] < space["gain"] < space["gain_high"]
    assert space["gain"] > max(space["cross_relation_gain"], space["null_high"])
    assert space["gain_over_scales"] > 0.1
    assert space["best_rank"] in {2, 4}
    assert abs(space["shuffled_gain"]) < 0.02
    assert space["r2_m4"] > space["r2_m2"] >= space["r2_m1"] > space["r2_m0"]
    assert capitals["verdict"] == "offset"
    assert capitals["hits_m2"] > 0.9
    assert (result.metrics["n_bindings"], result.metrics["n_specific_bindings"]) == (1, 1)
    assert set(result.tables["too_few"]["relation"]) >= {"plural", "opposite"}


def test_an_offset_alone_is_no_binding(tmp_path: Path) -> None:
    result = trial(tmp_path, rows_with(bound=False), vocabulary())
    assert result.metrics["n_bindings"] == 0
    assert {row["verdict"] for row in by_relation(result).values()} == {"offset"}
    assert result.metrics["median_gain"] < 0.01


@pytest.mark.parametrize("null", ["gaussian_spectrum_norms", "shuffled_pca"])
def test_a_null_of_bound_rows_has_no_relation_at_all(tmp_path: Path, null: str) -> None:
    result = trial(tmp_path, rows_with(bound=True), vocabulary(), null=null)
    assert {row["verdict"] for row in by_relation(result).values()} == {"none"}
    assert result.metrics["mean_hits_m4"] < 0.1


def test_few_pairs_are_read_through_a_quarter_as_many_components() -> None:
    assert [n_inputs(n, 64) for n in (20, 95, 96, 300)] == [5, 23, 64, 64]
    assert n_inputs(863, 576) == 215


def test_a_vocabulary_without_relations_is_refused_in_one_line(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((100, 8))
    with pytest.raises(TrialError, match=r"no relation has n_pairs_min = 20 pairs of tokens"):
        trial(tmp_path, rows, [f"#{i}" for i in range(100)])


def test_fewer_pairs_at_most_than_at_least_are_refused() -> None:
    with pytest.raises(
        ValidationError, match=r"n_pairs_max is 30; it must be at least n_pairs_min"
    ):
        KIND.config.model_validate({"source": "file:a.npy", "n_pairs_min": 40, "n_pairs_max": 30})
