"""What the kind `atom_map` measures."""

from __future__ import annotations

from trials.api import Metric

METRICS = (
    Metric("n_atoms_mapped", "atoms", "none", "atoms that at least 3 tokens use"),
    Metric(
        "purity",
        "frac",
        "none",
        "share of equal labels among pairs (top token of an atom, top token of one of its "
        "n_neighbours nearest by |cosine|) of different word families; mean over labellings (form, "
        "case, leading space, length, script, ending, first letter, part of speech)",
    ),
    Metric(
        "purity_excess",
        "frac",
        "maximise",
        "purity less its mean with atoms shuffled among those whose tokens have rows as long and "
        "are as frequent (strata of about 20 atoms)",
    ),
    Metric("n_labellings", "labellings", "none", "labellings that were tried"),
    Metric(
        "n_labellings_found",
        "labellings",
        "none",
        "labellings whose purity exceeds that of shuffled atoms, at a false discovery rate of 5 %",
    ),
    Metric(
        "clustering",
        "frac",
        "none",
        "clustering coefficient of the graph that joins each atom with its n_neighbours nearest: "
        "mean share of pairs of neighbours that are neighbours",
    ),
    Metric(
        "clustering_reference",
        "frac",
        "none",
        "the same of Gaussian directions with the atoms' second moments, mean over draws",
    ),
    Metric("clustering_isotropic", "frac", "none", "the same of isotropic directions"),
    Metric("clustering_p", "", "none", "share of those draws, and of the atoms, at least as high"),
    Metric(
        "hopkins",
        "",
        "none",
        "sum u / (sum u + sum w), w: 1 - |cosine| of a tenth of the atoms to the nearest other, u: "
        "of as many Gaussian directions with the same second moments to the nearest atom",
    ),
    Metric("hopkins_reference", "", "none", "the same of such directions; 0.5 without clusters"),
    Metric("hopkins_p", "", "none", "share of those draws, and of the atoms, at least as high"),
    Metric("n_clusters", "clusters", "none", "by HDBSCAN on 1 - |cosine|"),
    Metric("clustered_frac", "frac", "none", "atoms in such a cluster / n_atoms_mapped"),
    Metric("silhouette", "", "none", "mean silhouette of these atoms; NaN with fewer than two"),
    Metric(
        "trustworthiness",
        "",
        "none",
        "of the UMAPs, mean: 1 less a penalty for neighbours on the map that are none in truth",
    ),
    Metric(
        "map_stability",
        "frac",
        "none",
        "share of an atom's 10 nearest on a UMAP that are its nearest on that of another seed",
    ),
    Metric("fvu_debiased_validation", "frac", "none", "of the dictionary, as in the kind pursuit"),
    Metric("l0_validation", "atoms", "none", "of the dictionary, as in the kind pursuit"),
    Metric(
        "gap_max", "", "minimise", "maximum over all tokens of the relative duality gap, float64"
    ),
    Metric("map_s", "s", "none", "wall time of the tests and the maps", timing=True),
)
