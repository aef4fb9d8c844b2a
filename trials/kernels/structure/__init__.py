"""Structure that sparse features do not explain: circles, loops, matrices, clusters, residuals.

Each module asks one question of a cloud of points and returns a score with its null or its
p-value. What the p-values of many tests come to is in `trials.kernels.statistics`.
"""

from trials.kernels.structure.circle_power import circle_power
from trials.kernels.structure.circularity import Circularity, circularity, order_beyond
from trials.kernels.structure.direction_clusters import (
    Clusters,
    density_clusters,
    distances,
    shared_neighbours,
    trustworthiness,
    umap_map,
)
from trials.kernels.structure.irreducibility import MOST_BIAS, mixture_index, separability
from trials.kernels.structure.loops import loop_persistence
from trials.kernels.structure.matrix_binding import (
    ALPHAS,
    MODELS,
    Binding,
    binding_gain,
    transferred_gain,
)
from trials.kernels.structure.neighbour_graph import (
    clustering_coefficient,
    hopkins,
    like_directions,
)
from trials.kernels.structure.neighbours import (
    Purity,
    label_purity,
    nearest_neighbours,
    neighbours_of_other_groups,
)
from trials.kernels.structure.residual import (
    Predicted,
    leading_subspace,
    linear_predictability,
    participation_ratio,
    subspace_overlap,
)
from trials.kernels.structure.ring_fit import RingFit, is_ring, ring_fit, ring_null
from trials.kernels.structure.set_agreement import Agreement, set_agreement

__all__ = [
    "ALPHAS",
    "MODELS",
    "MOST_BIAS",
    "Agreement",
    "Binding",
    "Circularity",
    "Clusters",
    "Predicted",
    "Purity",
    "RingFit",
    "binding_gain",
    "circle_power",
    "circularity",
    "clustering_coefficient",
    "density_clusters",
    "distances",
    "hopkins",
    "is_ring",
    "label_purity",
    "leading_subspace",
    "like_directions",
    "linear_predictability",
    "loop_persistence",
    "mixture_index",
    "nearest_neighbours",
    "neighbours_of_other_groups",
    "order_beyond",
    "participation_ratio",
    "ring_fit",
    "ring_null",
    "separability",
    "set_agreement",
    "shared_neighbours",
    "subspace_overlap",
    "transferred_gain",
    "trustworthiness",
    "umap_map",
]
