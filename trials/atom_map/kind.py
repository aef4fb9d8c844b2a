"""The kind `atom_map`: do the directions of a dictionary form clusters that mean something?

A UMAP shows clusters of anything, so it is only the picture. The tests are made in the space of the
atoms: whether the tokens of neighbouring atoms share labels more than shuffled atoms' do, and
whether the graph of neighbours is more clustered than that of Gaussian directions. The null's
dictionary, learned on rows without features, passes through the same.
"""

from __future__ import annotations

from trials.api import Chart, Comparison, Control, TrialKind
from trials.atom_map.config import AtomMapConfig
from trials.atom_map.metrics import METRICS
from trials.inputs.rows import ROWS_FIELDS, rows_digests

KIND = TrialKind(
    name="atom_map",
    version=6,
    summary="Clusters among the directions of a dictionary: tests, nulls, and UMAPs to look at.",
    config=AtomMapConfig,
    metrics=METRICS,
    objective="purity_excess",
    run="trials.atom_map.run:run",
    input_digests=rows_digests,
    control=Control(
        field="null",
        real="none",
        comparisons=(
            Comparison("purity_excess", at="n_atoms_mapped", shown="difference"),
            Comparison("clustering", at="n_atoms_mapped"),
            Comparison("hopkins", at="n_atoms_mapped", shown="difference"),
            Comparison("clustered_frac", at="n_atoms_mapped", shown="difference"),
        ),
        within=(*ROWS_FIELDS, "n_atoms", "nonnegative", "l1_penalty"),
    ),
    charts=(
        Chart(
            title="Clusters of atoms",
            x="clustering",
            y="purity_excess",
            colour="null",
            caption="Labels that the tokens of neighbouring atoms share beyond shuffled atoms, "
            "against the clustering coefficient of the graph of neighbours.",
        ),
    ),
)
