"""Unit rows in random directions whose pairwise cosines stay under a threshold."""

import math
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from scipy.special import betainc, betaincinv

from trials.kernels.threads import for_each_block, thread_count

_BLOCK = 512
_PANEL = 4096
_MAX_CONFLICTS = 5.0
_STEP = 0.5
_AIM = 1e-4
_MAX_PASSES = 200


class RandomRows(NamedTuple):
    """Rows, and how they were drawn.

    Attributes:
        rows: (n_rows, d_model) float32, of unit norm to rounding.
        max_cosine: the largest |cosine| of two rows, in float64 from these rows.
        n_rejections: proposals refused (rejection sampling), or 0.
        expected_rejections: their expected number (0 where nothing is rejected).
        n_passes: over all rows (repulsion), or 0.
    """

    rows: Float[np.ndarray, "n_rows d_model"]
    max_cosine: float
    n_rejections: int
    expected_rejections: float
    n_passes: int


def cosine_tail(threshold: float, d_model: int) -> float:
    """`P(|cos| > threshold)` of two random directions: `I_{1-t^2}((d-1)/2, 1/2)`."""
    return float(betainc((d_model - 1) / 2, 0.5, 1 - threshold**2))


def threshold_with(n_conflicts: float, n_rows: int, d_model: int) -> float:
    """The threshold that a random direction crosses with `n_conflicts` of `n_rows` on average.

    The inverse of `n_rows * cosine_tail`: equal crowding for any size of the matrix.
    """
    tail = min(1.0, n_conflicts / n_rows)
    return math.sqrt(1 - float(betaincinv((d_model - 1) / 2, 0.5, tail)))


def welch_bound(n_rows: int, d_model: int) -> float:
    """The largest |cosine| of `n_rows` unit rows is at least this (Welch 1974)."""
    if n_rows <= d_model:
        return 0.0
    return math.sqrt((n_rows - d_model) / (d_model * (n_rows - 1)))


def expected_rejections(n_rows: int, d_model: int, threshold: float) -> float:
    """Proposals that sequential rejection refuses on average before `n_rows` are accepted.

    The i-th row is accepted with chance `(1 - p)^i`, to first order in the overlap of the caps
    around the rows before it: an upper estimate that is tight while `n_rows * p` is below 1.
    """
    # sum of (1 - p)^-i - 1 over i < n, with a = -log(1 - p)
    a = -math.log1p(-cosine_tail(threshold, d_model))
    if a == 0.0:
        return 0.0
    if n_rows * a > 700:
        return math.inf
    return math.expm1(n_rows * a) / math.expm1(a) - n_rows


def random_rows(
    n_rows: int,
    d_model: int,
    *,
    max_cosine: float | None,
    rng: np.random.Generator,
    method: Literal["rejection", "repulsion"] = "rejection",
    n_threads: int | None = None,
) -> RandomRows:
    """Unit rows, uniform on the sphere but for pairs with `|cos| > max_cosine`.

    "rejection" proposes directions one after the other and keeps those under the threshold with
    all rows kept before. "repulsion" starts from independent directions and pushes pairs over
    the threshold apart, pass by pass; it reaches thresholds that rejection cannot. With
    `max_cosine=None` rows are independent. The result does not depend on `n_threads`.

    Raises:
        ValueError: fewer than 1 row or 2 dimensions, a threshold outside of (0, 1], below the
            Welch bound, or one at which rejection would take too long (the cost is predicted and
            named); repulsion that does not reach the threshold.
    """
    check_threshold(n_rows, d_model, max_cosine, method)
    if max_cosine is None:
        rows = _directions(n_rows, d_model, rng)
        return RandomRows(rows, largest_cosine(rows, n_threads=n_threads), 0, 0.0, 0)
    if method == "repulsion":
        return _repel(_directions(n_rows, d_model, rng), max_cosine, thread_count(n_threads))
    return _reject(n_rows, d_model, max_cosine, rng, thread_count(n_threads))


def check_threshold(
    n_rows: int, d_model: int, max_cosine: float | None, method: Literal["rejection", "repulsion"]
) -> None:
    """Raise ValueError where `random_rows` would; costs nothing."""
    if n_rows < 1 or d_model < 2:
        raise ValueError(f"{n_rows} rows of {d_model} dimensions; at least 1 row of 2 dimensions")
    if max_cosine is None:
        return
    if not 0 < max_cosine <= 1:
        raise ValueError(f"max_cosine is {max_cosine}; it must be above 0 and at most 1")
    bound = welch_bound(n_rows, d_model)
    if max_cosine < bound:
        raise ValueError(
            f"max_cosine is {max_cosine}; {n_rows} rows in {d_model} dimensions have a pair with "
            f"|cos| of at least {bound:.4f} (Welch's bound)"
        )
    conflicts = n_rows * cosine_tail(max_cosine, d_model)
    if method == "rejection" and conflicts > _MAX_CONFLICTS:
        proposals = 1 + expected_rejections(n_rows, d_model, max_cosine) / n_rows
        raise ValueError(
            f"max_cosine is {max_cosine}; a last row would conflict with {conflicts:.1f} others "
            f"and rejection would propose about {proposals:.3g} rows for each kept (at most "
            f"{_MAX_CONFLICTS:g} conflicts are accepted); method 'repulsion' reaches it"
        )


def largest_cosine(
    rows: Float[np.ndarray, "n_rows d_model"], *, n_threads: int | None = None
) -> float:
    """The largest |cosine| of two rows, in float64; 0 of a single row or of zero rows.

    float32 products find the few candidate pairs, which are computed again in float64.
    """
    unit = _unit(rows)
    largest = _Largest(unit.shape[1])
    for first in range(0, len(unit), _BLOCK):
        pairs = _close_pairs(unit, first, _BLOCK, largest.level, thread_count(n_threads))
        largest.add(pairs.before())
    return largest.of(rows)


class _ClosePairs(NamedTuple):
    """Pairs of rows, `i` from a block and `j` any other row, and their products in float32."""

    i: Int[np.ndarray, " n_pairs"]
    j: Int[np.ndarray, " n_pairs"]
    product: Float[np.ndarray, " n_pairs"]

    def where(self, chosen: np.ndarray) -> "_ClosePairs":
        return _ClosePairs(self.i[chosen], self.j[chosen], self.product[chosen])

    def before(self) -> "_ClosePairs":
        """Each pair once: those whose `j` comes before `i`."""
        return self.where(self.j < self.i)

    def cosines(self, rows: np.ndarray) -> Float[np.ndarray, " n_pairs"]:
        """In float64."""
        a, b = rows[self.i].astype(np.float64), rows[self.j].astype(np.float64)
        norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        return np.einsum("ij,ij->i", a, b) / np.where(norms > 0, norms, 1)


def _close_pairs(
    rows: np.ndarray,
    first: int,
    n_block: int,
    level: float,
    n_threads: int,
    n_others: int | None = None,
) -> _ClosePairs:
    """Pairs of a row of `rows[first : first + n_block]` with `|product| > level`, in order of j."""
    block = rows[first : first + n_block]
    others = rows[:n_others]
    found: list[_ClosePairs | None] = [None] * -(-len(others) // _PANEL)

    def work(panel: int) -> None:
        start = panel * _PANEL
        products = block @ others[start : start + _PANEL].T
        # Few rows have a close pair. The extremes of each row, which are cheap, show which.
        extremes = np.maximum(products.max(axis=1), -products.min(axis=1))
        near = np.flatnonzero(extremes > level)
        i, j = np.nonzero(np.abs(products[near]) > level)
        pairs = _ClosePairs(near[i] + first, j + start, products[near[i], j])
        found[panel] = pairs.where(pairs.i != pairs.j)

    for_each_block(len(found), lambda: work, n_threads)
    parts = [pairs for pairs in found if pairs is not None]
    return _ClosePairs(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class _Largest:
    """The pairs that may have the largest cosine, while blocks of pairs are added."""

    def __init__(self, d_model: int) -> None:
        self.slack = _rounding(d_model)
        self.level = -1.0
        self._pairs: list[_ClosePairs] = []

    def add(self, pairs: _ClosePairs) -> None:
        if len(pairs.i):
            self.level = max(self.level, float(np.abs(pairs.product).max()) - 2 * self.slack)
            self._pairs.append(pairs.where(np.abs(pairs.product) >= self.level))

    def of(self, rows: np.ndarray) -> float:
        close = [p.where(np.abs(p.product) >= self.level) for p in self._pairs]
        return max((float(np.abs(p.cosines(rows)).max()) for p in close if len(p.i)), default=0.0)


def _reject(
    n_rows: int, d_model: int, threshold: float, rng: np.random.Generator, n_threads: int
) -> RandomRows:
    rows = np.empty((n_rows + _BLOCK, d_model), np.float32)
    largest = _Largest(d_model)
    n = n_rejections = 0
    while n < n_rows:
        rows[n : n + _BLOCK] = _directions(_BLOCK, d_model, rng)
        level = min(threshold - largest.slack, largest.level)
        pairs = _close_pairs(rows, n, _BLOCK, level, n_threads, n + _BLOCK).before()
        kept = _keep(rows, n, pairs, threshold)
        chosen = np.flatnonzero(kept)[: n_rows - n]
        n_rejections += int((~kept[: chosen[-1] + 1]).sum()) if len(chosen) else _BLOCK
        place = np.full(n + _BLOCK, -1)
        place[:n] = np.arange(n)
        place[n + chosen] = n + np.arange(len(chosen))
        placed = _ClosePairs(place[pairs.i], place[pairs.j], pairs.product)
        rows[n : n + len(chosen)] = rows[n + chosen]
        largest.add(placed.where((placed.i >= 0) & (placed.j >= 0)))
        n += len(chosen)
    rows = rows[:n_rows].copy()
    expected = expected_rejections(n_rows, d_model, threshold)
    return RandomRows(rows, largest.of(rows), n_rejections, expected, 0)


def _keep(rows: np.ndarray, n: int, pairs: _ClosePairs, threshold: float) -> np.ndarray:
    """Which of the proposals `rows[n:]` are kept, decided one after the other."""
    over = np.abs(pairs.product) > threshold
    unsure = np.abs(np.abs(pairs.product) - threshold) <= _rounding(rows.shape[1])
    over[unsure] = np.abs(pairs.where(unsure).cosines(rows)) > threshold
    kept = np.ones(_BLOCK, np.bool_)
    conflicts = pairs.where(over)
    for k in np.argsort(conflicts.i, kind="stable"):
        j = conflicts.j[k] - n
        if j < 0 or kept[j]:
            kept[conflicts.i[k] - n] = False
    return kept


def _repel(rows: np.ndarray, threshold: float, n_threads: int) -> RandomRows:
    """Push the pairs over the threshold apart, one block of rows at a time."""
    aim = threshold - min(_AIM, 0.01 * threshold)
    reached = math.inf
    for n_passes in range(1, _MAX_PASSES + 1):
        worst = 0.0
        for first in range(0, len(rows), _BLOCK):
            pairs = _close_pairs(rows, first, _BLOCK, aim, n_threads)
            if not len(pairs.i):
                continue
            excess = np.abs(pairs.product) - aim
            worst = max(worst, float(excess.max()) + aim)
            block = rows[first : first + _BLOCK]
            push = csr_array(
                (np.sign(pairs.product) * excess, (pairs.i - first, pairs.j)),
                shape=(len(block), len(rows)),
            )
            rows[first : first + _BLOCK] = _unit(block - _STEP * (push @ rows))
        if worst <= threshold:
            reached = largest_cosine(rows, n_threads=n_threads)
            if reached <= threshold:
                return RandomRows(rows, reached, 0, 0.0, n_passes)
    raise ValueError(
        f"max_cosine is {threshold}; {len(rows)} rows in {rows.shape[1]} dimensions were still at "
        f"{largest_cosine(rows, n_threads=n_threads):.4f} after {_MAX_PASSES} passes of repulsion"
    )


def _directions(n: int, d_model: int, rng: np.random.Generator) -> np.ndarray:
    return _unit(rng.standard_normal((n, d_model), dtype=np.float32))


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows over their norms, in float32; zero rows stay."""
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    return (rows / np.where(norms > 0, norms, 1)[:, None]).astype(np.float32)


def _rounding(d_model: int) -> float:
    """Bound on the rounding error of a product of two unit rows in float32."""
    return 1.1 * d_model * float(np.finfo(np.float32).eps) / 2
