"""Clusters of atoms: in the graph of neighbours, in the labels of their tokens, on maps."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

from trials.atom_map.kind import AtomMapConfig
from trials.atom_map.top_tokens import TopTokens
from trials.inputs.lexicon.labels import token_labels
from trials.inputs.rows import TokenRows
from trials.inputs.splits import word_families
from trials.kernels.statistics import benjamini_hochberg, permutation_p_value
from trials.kernels.structure import (
    clustering_coefficient,
    hopkins,
    like_directions,
    nearest_neighbours,
    set_agreement,
    shared_neighbours,
    trustworthiness,
    umap_map,
)

_LEVEL = 0.05
_STABILITY_NEIGHBOURS = 10


class Maps(NamedTuple):
    """UMAPs of the atoms.

    Attributes:
        placed: by number of neighbours, (n_maps, n_mapped, 2) float32.
        table: one row per map.
        trustworthiness, stability: means over maps, and over pairs of maps that differ only in
            their seed.
    """

    placed: dict[int, np.ndarray]
    table: dict[str, list[Any]]
    trustworthiness: float
    stability: float


def graph_metrics(config: AtomMapConfig, directions: np.ndarray) -> dict[str, float]:
    """Clustering coefficient and Hopkins statistic, compared with directions without clusters."""
    rng = np.random.default_rng([config.seed, 61])

    def coefficient(of: np.ndarray) -> float:
        return clustering_coefficient(nearest_neighbours(of, config.n_neighbours, absolute=True))

    references = like_directions(directions, config.n_references + 1, rng)
    of_references = np.array([coefficient(one) for one in references[1:]])
    of_atoms = coefficient(directions)
    scattered = [hopkins(*pair, rng) for pair in itertools.pairwise(references)]
    # Each Hopkins statistic uses a random tenth of the atoms; the mean reduces that noise.
    near = float(np.mean([hopkins(directions, one, rng) for one in references]))
    isotropic = rng.standard_normal(directions.shape).astype(np.float32)
    return {
        "clustering": of_atoms,
        "clustering_reference": float(of_references.mean()),
        "clustering_isotropic": coefficient(isotropic),
        "clustering_p": permutation_p_value(of_atoms, of_references),
        "hopkins": near,
        "hopkins_reference": float(np.mean(scattered)),
        "hopkins_p": permutation_p_value(near, np.array(scattered)),
    }


def label_table(config: AtomMapConfig, data: TokenRows, top: TopTokens) -> dict[str, list[Any]]:
    """One row per labelling: do near atoms have tokens with equal labels?"""
    labellings = token_labels(data.names)
    agreement = set_agreement(
        top.tokens,
        nearest_neighbours(top.directions, config.n_neighbours, absolute=True),
        word_families(data.names),
        np.stack(list(labellings.values())),
        strata=top.strata,
        n_permutations=config.n_permutations,
        rng=np.random.default_rng([config.seed, 67]),
    )
    p = np.array(
        [
            permutation_p_value(s, agreement.null[:, i])
            for i, s in enumerate(agreement.share.tolist())
        ]
    )
    adjusted = benjamini_hochberg(p, level=_LEVEL)
    return {
        "labelling": list(labellings),
        "purity": agreement.share.tolist(),
        "null": agreement.null.mean(axis=0).tolist(),
        "null_high": np.quantile(agreement.null, 0.975, axis=0).tolist(),
        "p": p.tolist(),
        "adjusted_p": adjusted.adjusted.tolist(),
        "is_found": adjusted.rejected.tolist(),
    }


def label_metrics(table: dict[str, list[Any]]) -> dict[str, float]:
    """Means over labellings."""
    excess = np.array(table["purity"]) - np.array(table["null"])
    return {
        "purity": float(np.mean(table["purity"])),
        "purity_excess": float(excess.mean()),
        "n_labellings": float(len(excess)),
        "n_labellings_found": float(sum(table["is_found"])),
    }


def draw_maps(config: AtomMapConfig, apart: np.ndarray) -> Maps:
    """All UMAPs of the config, except those with more neighbours than there are other atoms."""
    placed, stability = {}, []
    table: dict[str, list[Any]] = {"n_neighbours": [], "seed": [], "trustworthiness": []}
    nearest = np.argsort(apart, axis=1, kind="stable")
    n_near = min(_STABILITY_NEIGHBOURS, len(apart) // 3)
    for n_neighbours in (n for n in config.map_neighbours if n < len(apart) - 1):
        maps = []
        for seed in range(config.n_maps):
            seeds = np.random.SeedSequence([config.seed, 71, n_neighbours, seed])
            seed_of_map = int(seeds.generate_state(1)[0])
            drawn = umap_map(apart, nearest[:, : n_neighbours + 1], seed=seed_of_map)
            maps.append(drawn)
            table["n_neighbours"].append(n_neighbours)
            table["seed"].append(seed)
            table["trustworthiness"].append(trustworthiness(apart, drawn, n_neighbours=n_near))
        stability += [shared_neighbours(maps[0], other, n_neighbours=n_near) for other in maps[1:]]
        placed[n_neighbours] = np.stack(maps)
    trusted = float(np.mean(table["trustworthiness"])) if placed else float("nan")
    return Maps(placed, table, trusted, float(np.mean(stability)) if placed else float("nan"))


def finding(metrics: dict[str, float]) -> str:
    """The result in words, for this dictionary alone: the null is a trial of its own."""
    shared = int(metrics["n_labellings_found"])
    graph = "more" if metrics["clustering_p"] <= _LEVEL else "no more"
    return (
        f"tokens of neighbouring atoms agree beyond shuffled atoms in {shared or 'none'} of "
        f"{metrics['n_labellings']:.0f} labellings (mean excess {metrics['purity_excess']:.3f}); "
        f"{graph} clustered than Gaussian directions; {metrics['n_clusters']:.0f} dense clusters"
    )
