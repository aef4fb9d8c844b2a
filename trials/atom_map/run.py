"""Runs a trial of the kind `atom_map`."""

from __future__ import annotations

import time

import numpy as np
from matplotlib.figure import Figure

from trials.api import Context, TrialError, TrialResult
from trials.atom_map.kind import AtomMapConfig
from trials.atom_map.measure import (
    Maps,
    draw_maps,
    finding,
    graph_metrics,
    label_metrics,
    label_table,
)
from trials.atom_map.page import map_page
from trials.atom_map.top_tokens import majority_labels, top_tokens
from trials.inputs.rows import load_rows
from trials.kernels.structure import density_clusters, distances
from trials.pursuit.code import learn_and_code
from trials.pursuit.measure import dictionary_quality, uncertified


def run(config: AtomMapConfig, context: Context) -> TrialResult:
    """Learn a dictionary, test its atoms for clusters, map them."""
    data = load_rows(config, fetch_artifact=context.fetch_artifact)
    learned, coded = learn_and_code(data, config, context)
    started = time.perf_counter()
    top = top_tokens(data, coded, config.n_top)
    fewest = 2 + max(min(config.map_neighbours), config.n_neighbours, config.min_cluster_size)
    if len(top.atoms) < fewest:
        raise TrialError(
            f"{len(top.atoms)} atoms are used by 3 tokens or more, of {len(learned.atoms)}; a "
            f"map with these neighbours takes at least {fewest}"
        )
    apart = distances(top.directions)
    clusters = density_clusters(apart, min_cluster_size=config.min_cluster_size)
    labels = label_table(config, data, top)
    metrics = graph_metrics(config, top.directions) | label_metrics(labels)
    maps = draw_maps(config, apart)
    metrics |= dictionary_quality(data, coded) | {
        "n_atoms_mapped": float(len(top.atoms)),
        "n_clusters": float(clusters.label.max() + 1),
        "clustered_frac": clusters.clustered_frac,
        "silhouette": clusters.silhouette,
        "trustworthiness": maps.trustworthiness,
        "map_stability": maps.stability,
        "map_s": time.perf_counter() - started,
    }
    result_in_words = finding(metrics)
    excess = np.array(labels["purity"]) - np.array(labels["null"])
    surest = [labels["labelling"][i] for i in np.argsort(-excess, kind="stable")]
    title = f"{len(top.atoms)} atoms of {config.source}, null {config.null}"
    return TrialResult(
        metrics=metrics,
        arrays={
            "dictionary": {"atoms": learned.atoms, "offset": data.offset},
            "map": {
                "atom": top.atoms,
                "cluster": clusters.label,
                "token_id": np.where(top.tokens >= 0, data.ids[top.tokens], -1),
                **{f"umap_{n}": placed for n, placed in maps.placed.items()},
            },
        },
        tables={"labels": labels, "maps": maps.table},
        figures={"map": _figure(maps, majority_labels(top, data.names, surest[0]), surest[0])},
        pages={
            "map": map_page(title, result_in_words, maps, top, data.names, surest, clusters.label)
        },
        facts=data.facts | {"finding": result_in_words},
        uncertified=uncertified(data, coded.gap, config.tolerance),
    )


def _figure(maps: Maps, label: np.ndarray, labelling: str) -> Figure:
    """One map for each number of neighbours, coloured by the label of most top tokens."""
    figure = Figure(figsize=(4.2 * len(maps.placed), 4.5), layout="constrained")
    panels = figure.subplots(1, len(maps.placed), squeeze=False)[0]
    for axes, (n_neighbours, placed) in zip(panels, maps.placed.items(), strict=True):
        axes.scatter(placed[0][:, 0], placed[0][:, 1], s=5, c=label % 10, cmap="tab10", vmax=9)
        axes.set(title=f"UMAP, {n_neighbours} neighbours", xticks=[], yticks=[])
    figure.supxlabel(f"coloured by {labelling.replace('_', ' ')} of most top tokens", fontsize=9)
    return figure
