"""Greedy sparse codes by batch orthogonal matching pursuit.

`omp_codes` gives each signal a number of atoms, `omp_codes_with_mean` all signals a mean number.
The second is how OMP is compared with other coders at equal atoms per token. On planted rows with 4
and 8 atoms per token, noise of 0.1 to 0.5 of their norm, over true and learned dictionaries
(`benchmarks/coders.py`), it gives a lower error than OMP with as many atoms per token as the
LASSO, or with an equal number for every token; and each of them less than the LASSO's codes.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from trials.kernels.compiled import codes, matching_pursuit
from trials.kernels.compiled.cache import ensure_compiled
from trials.kernels.sparse_coding._block import block_size
from trials.kernels.sparse_coding.block_solver import gram_matrix
from trials.kernels.sparse_coding.checks import check_problem
from trials.kernels.sparse_coding.device.matching_pursuit import DevicePursuit
from trials.kernels.threads import for_each_block, thread_count

_FIRST_CAP = 2
"""Most atoms per signal at first, as a multiple of the wanted mean. It doubles for signals that use
them all."""

# Lengths that must agree have different names where our own ValueError reports a mismatch.
Counts = int | np.integer | Int[np.ndarray, " n_counts"]


class OmpCodes(NamedTuple):
    """Greedy codes and their squared errors.

    Attributes:
        codes: (n_signals, n_atoms), at most `n_nonzero` entries per signal; the reconstruction is
            `codes @ atoms`.
        error: (n_signals,) `||x - a D||^2`, in float64 from the returned codes.
    """

    codes: csr_array
    error: Float[np.ndarray, " n_signals"]


def omp_codes(
    signals: Float[np.ndarray, "n_signals d_model"],
    atoms: Float[np.ndarray, "n_atoms d_dictionary"],
    *,
    n_nonzero: Counts,
    n_threads: int | None = None,
    device: str = "cpu",
) -> OmpCodes:
    """Codes by orthogonal matching pursuit: atom after atom, least squares on those chosen.

    The next atom is the one with the largest `|<d_j, r>| / ||d_j||`; the lowest index wins ties.
    Batch-OMP (Rubinstein, Zibulevsky and Elad 2008): the Gram matrix is computed once, and only the
    last residual. A signal stops early when its residual is zero to rounding, or when its next atom
    depends on those chosen (to a share of its energy of 1e-10, 1e-5 in float32). So copies of atoms
    and near-singular dictionaries give finite codes, with fewer entries.

    Args:
        signals: float32 or float64, in which atoms are chosen; least squares are refined in
            float64.
        atoms: rows of the dictionary, of any norm except zero. Cast to the type of the signals.
        n_nonzero: atoms per signal, one number or one per signal, 0 to min(n_atoms, d_model): that
            many independent atoms reconstruct anything.
        n_threads: all cores by default. The result does not depend on it.
        device: "cpu", or "cuda:0" for torch there: the same codes to rounding, except where two
            atoms are equally good to rounding.

    Raises:
        ValueError: shapes that do not match, NaN or infinity, a zero atom, a count out of range.
    """
    check_problem(signals, atoms)
    counts = _check_counts(n_nonzero, len(signals), min(atoms.shape))
    return _pursuit(atoms, signals.dtype, n_threads, device).run(signals, counts)[0]


def omp_codes_with_mean(
    signals: Float[np.ndarray, "n_signals d_model"],
    atoms: Float[np.ndarray, "n_atoms d_dictionary"],
    *,
    mean_nonzero: float,
    weights: Float[np.ndarray, " n_weights"] | None = None,
    n_threads: int | None = None,
    device: str = "cpu",
) -> OmpCodes:
    """OMP codes with `mean_nonzero` atoms per signal in the weighted mean, where they help most.

    A signal keeps its atoms as long as each lowers its squared error by more than a threshold (the
    least fall so far counts). The threshold is common to all signals, so that no atom would lower
    the total error more in another signal; it is that of the wanted mean. As near to the mean as
    one atom of one signal allows, or below it where all signals are reconstructed.

    Args:
        mean_nonzero: 0 to min(n_atoms, d_model), not necessarily a whole number.
        weights: of the signals in the mean, of any scale; default 1.
        n_threads, device: as in `omp_codes`.

    Raises:
        ValueError: as `omp_codes`; or weights of another length, negative or all zero.
    """
    check_problem(signals, atoms)
    most = min(atoms.shape)
    if not 0 <= mean_nonzero <= most:
        raise ValueError(
            f"mean_nonzero is {mean_nonzero}; it must lie in 0..{most}, the lesser of n_atoms and "
            "d_model"
        )
    weights = np.ones(len(signals)) if weights is None else weights.astype(np.float64)
    if weights.shape != (len(signals),) or not (weights.min() >= 0 and weights.sum() > 0):
        raise ValueError(f"weights must be ({len(signals)},), not negative, with a positive sum")
    pursuit = _pursuit(atoms, signals.dtype, n_threads, device)
    cap = min(most, int(_FIRST_CAP * mean_nonzero) + 4)
    falls = np.zeros((len(signals), 0), np.float32)
    pending = np.arange(len(signals))
    while True:
        falls = np.pad(falls, ((0, 0), (0, cap - falls.shape[1])))
        _, gains = pursuit.run(signals[pending], np.full(len(pending), cap))
        falls[pending] = np.minimum.accumulate(gains, axis=1)
        counts = _most_helpful(falls, weights, mean_nonzero)
        pending = np.flatnonzero(counts == cap)
        if cap == most or not len(pending):
            return pursuit.run(signals, counts)[0]
        cap = min(most, 2 * cap)


def _most_helpful(
    falls: Float[np.ndarray, "n_signals cap"],
    weights: Float[np.ndarray, " n_signals"],
    mean: float,
) -> Int[np.ndarray, " n_signals"]:
    """How many atoms of each signal are among the most helpful, `mean` per signal in all."""
    order = np.argsort(-falls, axis=None, kind="stable")
    order = order[: np.count_nonzero(falls > 0)]
    owners = order // max(1, falls.shape[1])
    used = np.cumsum(weights[owners]) - 0.5 * weights[owners]
    n_kept = int(np.searchsorted(used, mean * weights.sum(), side="right"))
    return np.bincount(owners[:n_kept], minlength=len(falls))


def _pursuit(
    atoms: Float[np.ndarray, "n_atoms d_model"],
    dtype: np.dtype,
    n_threads: int | None,
    device: str,
) -> "_Pursuit | _PursuitOnDevice":
    if device == "cpu":
        return _Pursuit(atoms, dtype, n_threads)
    return _PursuitOnDevice(atoms, dtype, device)


class _PursuitOnDevice:
    """Like `_Pursuit`, in torch."""

    def __init__(
        self, atoms: Float[np.ndarray, "n_atoms d_model"], dtype: np.dtype, device: str
    ) -> None:
        self.pursuit = DevicePursuit(np.ascontiguousarray(atoms, dtype=dtype), device)

    def run(
        self, signals: Float[np.ndarray, "n_signals d_model"], counts: Int[np.ndarray, " n_signals"]
    ) -> tuple[OmpCodes, Float[np.ndarray, "n_signals most"]]:
        """As `_Pursuit.run`."""
        scaled, scales = _scaled(np.ascontiguousarray(signals))
        found, error, gains = self.pursuit.run(scaled, counts, *_limits(signals))
        codes = found.to_host(len(self.pursuit.atoms))
        codes.data *= np.repeat(scales, found.lengths).astype(signals.dtype)
        gains *= scales[:, None] ** 2
        return OmpCodes(codes, error * scales**2), gains


class _Pursuit:
    """Matching pursuit over one dictionary, whose Gram matrix is computed once."""

    def __init__(
        self,
        atoms: Float[np.ndarray, "n_atoms d_model"],
        dtype: np.dtype,
        n_threads: int | None,
    ) -> None:
        self.n_threads = thread_count(n_threads)
        self.atoms = np.ascontiguousarray(atoms, dtype=dtype)
        ensure_compiled(dtype)
        self.norms = np.sqrt(np.einsum("ij,ij->i", self.atoms, self.atoms, dtype=np.float64))
        unit = (self.atoms / self.norms[:, None]).astype(dtype)
        self.transposed = np.ascontiguousarray(unit.T)
        self.gram = gram_matrix(self.transposed.T, self.transposed, self.n_threads)

    def run(
        self, signals: Float[np.ndarray, "n_signals d_model"], counts: Int[np.ndarray, " n_signals"]
    ) -> tuple[OmpCodes, Float[np.ndarray, "n_signals most"]]:
        """The codes with at most `counts` atoms, and by how much each atom lowers the error."""
        n_signals, n_atoms = len(signals), len(self.atoms)
        signals = np.ascontiguousarray(signals)
        floor, least_pivot = _limits(signals)
        size = min(block_size(n_signals, n_atoms), n_signals)
        n_blocks = -(-n_signals // size)
        error = np.empty(n_signals)
        gains = np.zeros((n_signals, counts.max()), np.float32)
        lengths = np.zeros(n_signals, dtype=np.int64)
        entries: list[tuple[np.ndarray, np.ndarray]] = [(lengths, lengths)] * n_blocks

        def make_worker() -> Callable[[int], None]:
            products = np.empty((size, n_atoms), signals.dtype)

            def work(number: int) -> None:
                part = slice(number * size, min((number + 1) * size, n_signals))
                scaled, scales = _scaled(signals[part])
                n = len(scaled)
                supports = np.empty((n, counts[part].max()), np.int32)
                values = np.empty(supports.shape, signals.dtype)
                matching_pursuit.pursue(
                    scaled,
                    np.matmul(scaled, self.transposed, out=products[:n]),
                    self.atoms,
                    self.norms,
                    self.gram,
                    counts[part],
                    floor,
                    least_pivot,
                    supports,
                    values,
                    gains[part],
                    lengths[part],
                    error[part],
                )
                error[part] *= scales**2
                gains[part] *= scales[:, None] ** 2
                indices = np.empty(int(lengths[part].sum()), np.int32)
                data = np.empty(len(indices), signals.dtype)
                stored = codes.store(
                    supports, values, lengths[part], scales, n_atoms, indices, data
                )
                entries[number] = indices[:stored], data[:stored]

            return work

        for_each_block(n_blocks, make_worker, self.n_threads)
        indptr = np.concatenate(([0], np.cumsum(lengths)))
        indices, data = (np.concatenate(arrays) for arrays in zip(*entries, strict=True))
        found = csr_array((data, indices, indptr), shape=(n_signals, n_atoms))
        return OmpCodes(found, error), gains


def _limits(signals: Float[np.ndarray, "n_signals d_model"]) -> tuple[float, float]:
    """Largest correlation of a zero residual, and the share of energy of a dependent atom."""
    floor = 4 * float(np.finfo(signals.dtype).eps) * signals.shape[1] ** 0.5
    return floor, 1e-5 if signals.dtype == np.float32 else 1e-10


def _scaled(
    signals: Float[np.ndarray, "n_signals d_model"],
) -> tuple[Float[np.ndarray, "n_signals d_model"], Float[np.ndarray, " n_signals"]]:
    """Signals divided by a power of two near their norm, which is exact, and that power."""
    energies = np.einsum("ij,ij->i", signals, signals, dtype=np.float64)
    with np.errstate(divide="ignore"):
        scales = np.where(energies > 0, np.exp2(np.round(0.5 * np.log2(energies))), 1.0)
    return signals * (1 / scales[:, None]).astype(signals.dtype), scales


def _check_counts(n_nonzero: Counts, n_signals: int, most: int) -> Int[np.ndarray, " n_signals"]:
    """One count per signal; ValueError unless each lies in 0..most."""
    counts = np.asarray(n_nonzero)
    if counts.ndim and counts.shape != (n_signals,):
        raise ValueError(
            f"n_nonzero has shape {counts.shape}; it must be a number or ({n_signals},)"
        )
    if counts.dtype.kind not in "iu":
        raise ValueError(f"n_nonzero is {counts.dtype}; it must be whole numbers")
    for worst in (counts.min(), counts.max()):
        if not 0 <= worst <= most:
            raise ValueError(
                f"n_nonzero is {worst}; it must lie in 0..{most}, the lesser of n_atoms and d_model"
            )
    return np.array(np.broadcast_to(counts, (n_signals,)), dtype=np.int64)
