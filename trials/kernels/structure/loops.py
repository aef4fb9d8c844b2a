"""How long the longest-lived loop of a small cloud lives: first persistent homology."""

import numpy as np
from jaxtyping import Float

from trials.lazy import lazy_module

ripser = lazy_module("ripser")  # imports scikit-learn, which takes over a second


def loop_persistence(points: Float[np.ndarray, "n_points d"], *, n_components: int) -> float:
    """max death / birth in H1 of the Vietoris-Rips filtration of the leading components.

    1 without a loop.
    """
    centred = points.astype(np.float64) - points.astype(np.float64).mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    diagram = ripser.ripser(left[:, :n_components] * singular[:n_components], maxdim=1)["dgms"][1]
    lived = diagram[diagram[:, 0] > 0]
    return float((lived[:, 1] / lived[:, 0]).max()) if len(lived) else 1.0
