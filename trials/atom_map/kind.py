"""The kind `atom_map`: do the directions of a dictionary form clusters that mean something?

UMAP shows clusters in any data, so it is only an illustration. The tests run in the space of the
atoms: do the tokens of neighbouring atoms share labels more often than those of shuffled atoms, and
is the graph of neighbours more clustered than that of Gaussian directions? The dictionary of a
null, learned on rows without features, goes through the same tests.
"""

from __future__ import annotations

from pydantic import Field, field_validator

from trials.api import Chart, Comparison, Metric, TrialKind
from trials.inputs.row_control import null_control
from trials.inputs.rows import rows_digests
from trials.pursuit.kind import PursuitConfig
from trials.pursuit.metrics import DICTIONARY_QUALITY


class AtomMapConfig(PursuitConfig):
    """A dictionary as in the kind `pursuit`, and how its atoms are mapped and tested."""

    map_neighbours: tuple[int, ...] = Field(
        default=(10, 30, 100), min_length=1, description="neighbours of an atom in each UMAP"
    )
    n_maps: int = Field(
        default=5, ge=2, le=100, description="seeds of UMAP for each number of neighbours"
    )
    min_cluster_size: int = Field(
        default=5, ge=2, description="fewest atoms of a cluster (HDBSCAN)"
    )
    n_neighbours: int = Field(
        default=10, ge=1, le=1000, description="neighbours of an atom by |cosine|, in the tests"
    )
    n_top: int = Field(
        default=10,
        ge=2,
        le=100,
        description="top tokens per atom: those with the largest |coefficient|",
    )
    n_permutations: int = Field(
        default=199, ge=19, le=100_000, description="permutations of the atoms within their strata"
    )
    n_references: int = Field(
        default=39, ge=19, le=10_000, description="draws of directions without clusters"
    )

    @field_validator("map_neighbours", mode="before")
    @classmethod
    def _a_list_is_meant(cls, given: object) -> object:
        return tuple(given) if isinstance(given, list) else given

    @field_validator("map_neighbours")
    @classmethod
    def _at_least_two(cls, given: tuple[int, ...]) -> tuple[int, ...]:
        if min(given) < 2 or len(set(given)) < len(given):
            raise ValueError(f"map_neighbours is {list(given)}; different numbers of at least 2")
        return given


METRICS = (
    Metric(
        "n_atoms_mapped", "atoms", "none", "atoms used by at least 3 tokens", title="atoms mapped"
    ),
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
        "purity minus its mean with atoms shuffled among those whose tokens have similar row norms "
        "and frequencies (strata of about 20 atoms)",
        title="shared labels of neighbouring atoms beyond chance",
    ),
    Metric("n_labellings", "labellings", "none", "labellings that were tested"),
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
        title="clustering coefficient",
    ),
    Metric(
        "clustering_reference",
        "frac",
        "none",
        "the same of Gaussian directions with the atoms' second moments, mean over draws",
    ),
    Metric("clustering_isotropic", "frac", "none", "the same of isotropic directions"),
    Metric(
        "clustering_p",
        "",
        "none",
        "share of those draws, including the atoms, with a value at least as high",
    ),
    Metric(
        "hopkins",
        "",
        "none",
        "sum u / (sum u + sum w), w: 1 - |cosine| of a tenth of the atoms to the nearest other, u: "
        "of as many Gaussian directions with the same second moments to the nearest atom",
        title="Hopkins statistic",
    ),
    Metric("hopkins_reference", "", "none", "the same of such directions; 0.5 without clusters"),
    Metric(
        "hopkins_p",
        "",
        "none",
        "share of those draws, including the atoms, with a value at least as high",
    ),
    Metric("n_clusters", "clusters", "none", "by HDBSCAN on 1 - |cosine|"),
    Metric(
        "clustered_frac",
        "frac",
        "none",
        "atoms in such a cluster / n_atoms_mapped",
        title="share of atoms in clusters",
    ),
    Metric("silhouette", "", "none", "mean silhouette of these atoms; NaN with fewer than two"),
    Metric(
        "trustworthiness",
        "",
        "none",
        "mean over the UMAPs: 1 minus a penalty for neighbours on the map that are not near",
    ),
    Metric(
        "map_stability",
        "frac",
        "none",
        "share of the 10 nearest atoms on a UMAP that are also nearest on that of another seed",
    ),
    *DICTIONARY_QUALITY,
    Metric("map_s", "s", "none", "wall time of the tests and the maps", timing=True),
)


KIND = TrialKind(
    name="atom_map",
    version=8,
    summary="Clusters among the directions of a dictionary: tests, nulls, and UMAPs.",
    config=AtomMapConfig,
    metrics=METRICS,
    objective="purity_excess",
    run="trials.atom_map.run:run",
    input_digests=rows_digests,
    control=null_control(
        Comparison("purity_excess", at="n_atoms_mapped", shown="difference"),
        Comparison("clustering", at="n_atoms_mapped"),
        Comparison("hopkins", at="n_atoms_mapped", shown="difference"),
        Comparison("clustered_frac", at="n_atoms_mapped", shown="difference"),
        within=("n_atoms", "nonnegative", "l1_penalty"),
    ),
    charts=(
        Chart(
            title="Clusters of atoms",
            x="clustering",
            y="purity_excess",
            colour="null",
            caption="Excess of shared labels among tokens of neighbouring atoms, against the "
            "clustering coefficient of the graph of neighbours.",
        ),
    ),
)
