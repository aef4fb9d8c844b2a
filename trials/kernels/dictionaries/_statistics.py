"""What an update of atoms needs of the rows: statistics of the codes, and rows to restart from."""

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from trials.kernels.compiled.dictionary_update import add_statistics
from trials.kernels.threads import for_each_block

_N_MIXED_ROWS = 3
_BLOCK_ROWS = 4096


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows scaled to unit norm; zero rows stay zero."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.ascontiguousarray(rows / np.where(norms > 0, norms, 1))


def mixtures(
    rows: np.ndarray, badness: np.ndarray, n_wanted: int, rng: np.random.Generator
) -> np.ndarray:
    """Unit vectors, each a Gaussian mixture of a few rows drawn in proportion to `badness`."""
    return mixed(rows[drawn_rows(badness, n_wanted, rng)], rng)


def mixed_residuals(
    signals: Float[np.ndarray, "n_signals d_model"],
    weights: Float[np.ndarray, " n_signals"],
    codes: csr_array,
    atoms: Float[np.ndarray, "n_atoms d_model"],
    n_wanted: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Unit vectors, each a mixture of the residuals of a few badly reconstructed rows.

    Residuals exist for a block of rows at a time: all of them would take as much as the rows.
    """
    badness = np.empty(len(signals))
    for first in range(0, len(signals), _BLOCK_ROWS):
        part = slice(first, first + _BLOCK_ROWS)
        residuals = signals[part] - codes[part] @ atoms
        badness[part] = np.einsum("ij,ij->i", residuals, residuals, dtype=np.float64)
    drawn = drawn_rows(weights * badness, n_wanted, rng)
    which = drawn.ravel()
    left = signals[which] - codes[which] @ atoms
    return mixed(left.reshape(*drawn.shape, -1), rng)


def drawn_rows(badness: np.ndarray, n_wanted: int, rng: np.random.Generator) -> np.ndarray:
    """(n_wanted, 3) numbers of rows, drawn in proportion to `badness`."""
    total = badness.sum()
    chances = badness / total if total > 0 else None
    return rng.choice(len(badness), size=(n_wanted, _N_MIXED_ROWS), p=chances)


def mixed(drawn: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Unit vectors, each a Gaussian mixture of the rows `drawn[i]`."""
    mixing = rng.standard_normal(drawn.shape[:2])
    vectors = np.einsum("am,amd->ad", mixing, drawn.astype(np.float64))
    scale = np.abs(vectors).max()
    # Rows that cancel or are zero give no direction: use a random one.
    empty = np.linalg.norm(vectors, axis=1) <= 1e-12 * scale
    vectors[empty] = rng.standard_normal((int(empty.sum()), drawn.shape[2]))
    return unit_rows(vectors).astype(drawn.dtype)


def starting_atoms(
    signals: Float[np.ndarray, "n_signals d_model"],
    n_atoms: int,
    warm_start: Float[np.ndarray, "n_warm d_warm"] | None,
    rng: np.random.Generator,
) -> Float[np.ndarray, "n_atoms d_model"]:
    """The atoms of a warm start, normalised, or else mixtures of a few rows.

    Raises:
        ValueError: a warm start of another shape.
    """
    if warm_start is None:
        return mixtures(signals, np.ones(len(signals)), n_atoms, rng)
    if warm_start.shape != (n_atoms, signals.shape[1]):
        raise ValueError(
            f"warm_start has shape {warm_start.shape}; it must be {(n_atoms, signals.shape[1])}"
        )
    return unit_rows(warm_start.astype(signals.dtype))


def statistics(
    signals: Float[np.ndarray, "n_signals d_model"],
    weights: Float[np.ndarray, " n_signals"],
    codes: csr_array,
    n_threads: int,
) -> tuple[Float[np.ndarray, "n_atoms n_atoms"], Float[np.ndarray, "n_atoms d_model"]]:
    """`A'WA` and `A'WX`, each part of the result summed by one thread in the order of the rows."""
    n_atoms, d_model = codes.shape[1], signals.shape[1]
    usage = np.zeros((n_atoms, n_atoms), dtype=signals.dtype)
    cross = np.zeros((n_atoms, d_model), dtype=signals.dtype)
    weights = weights.astype(signals.dtype)

    def work(part: int) -> None:
        add_statistics(
            codes.indptr, codes.indices, codes.data, weights, signals, part, n_threads, usage, cross
        )

    # Each part reads all rows, so there are no more parts than threads. A sum is computed within
    # one part, so it does not depend on their number.
    for_each_block(n_threads, lambda: work, n_threads)
    for j in range(n_atoms):
        usage[j, j + 1 :] = usage[j + 1 :, j]
    return usage, cross
