"""Minima over given supports: least squares, and LASSO codes with their signs.

Rows are sorted by the size of their supports and padded in small batches. Each batch is a few
batched products and Cholesky factorisations in float64.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from trials.kernels.sparse_coding.device.device_codes import DeviceCodes
from trials.kernels.sparse_coding.device.memory import block_of, for_each_part, rows_per_block
from trials.lazy import lazy_module

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:  # torch takes a second to import; annotations are also read at run time
    torch = lazy_module("torch")
    Tensor = Any

_SPANNED = {"torch.float32": 1e-5, "torch.float64": 1e-10}
"""As in `compiled.least_squares`: a pivot below this share of an atom's energy is rounding."""
_MOST_BOUNDARIES = 8
"""Coefficients of a row that may reach zero in one refit."""


class _Batch(NamedTuple):
    """Some rows with their supports, padded to the longest of them, in float64.

    Attributes:
        signals: (n, d_model).
        chosen: (n, longest, d_model), the atoms of the supports; zero where padded.
        gram: (n, longest, longest) of these; the identity where padded.
        codes: (n, longest).
        used: (n, longest), false where padded.
    """

    signals: Tensor
    chosen: Tensor
    gram: Tensor
    codes: Tensor
    used: Tensor

    def take(self, mask: Tensor) -> "_Batch":
        """The rows where `mask` holds."""
        return _Batch(*(field[mask] for field in self))

    def residuals(self, codes: Tensor) -> Tensor:
        """(n, d_model), signals minus reconstructions."""
        return self.signals - (codes[:, None, :] @ self.chosen)[:, 0]

    def products(self, rows: Tensor) -> Tensor:
        """(n, longest), of each row with the atoms of its support."""
        return (self.chosen @ rows[:, :, None])[:, :, 0]


def least_squares(
    signals: "np.ndarray | Tensor", atoms: Tensor, codes: DeviceCodes, device: str
) -> Tensor:
    """Values of the entries of `codes` that minimise `||x - a D||`, in the type of the atoms.

    An atom that earlier atoms of its support span gets 0, as in `debiased_codes`.
    """
    spanned = _SPANNED[str(atoms.dtype)]

    def fit(batch: _Batch) -> Tensor:
        # A second solve on the residual takes away what a near-singular matrix leaves.
        kept, factor = _factorised(batch, spanned)
        right = torch.where(kept, batch.products(batch.signals), 0.0)
        first = _solved(factor, right)
        left = torch.where(kept, batch.products(batch.residuals(first)), 0.0)
        return first + _solved(factor, left)

    return _of_batches(signals, atoms, codes, device, fit)


def least_squares_values(
    signals: np.ndarray, atoms: np.ndarray, codes: csr_array, device: str
) -> np.ndarray:
    """As `least_squares`, from arrays on the host to values on the host."""
    on_device = torch.as_tensor(atoms, device=device)
    given = DeviceCodes.from_host(codes, device)
    return least_squares(signals, on_device, given, device).cpu().numpy()


def refitted(
    signals: "np.ndarray | Tensor",
    penalties: np.ndarray,
    atoms: Tensor,
    codes: DeviceCodes,
    device: str,
) -> DeviceCodes:
    """Codes moved towards their minimum over their support and signs; never a higher objective.

    A coefficient that reaches zero on the way is dropped, and the others go on from there.
    """
    every_penalty = torch.as_tensor(penalties, device=device)

    def fit(batch: _Batch, penalty: Tensor) -> Tensor:
        values = batch.codes.clone()
        live = torch.arange(len(values), device=values.device)
        for _ in range(_MOST_BOUNDARIES):
            moved, reached = _moved(batch, penalty)
            values[live] = moved
            going = reached.any(dim=1)
            if not bool(going.any()):
                break
            rest = batch._replace(codes=moved, used=batch.used & ~reached)
            batch, penalty, live = rest.take(going), penalty[going], live[going]
        return values

    values = _of_batches(signals, atoms, codes, device, fit, every_penalty)
    return codes.with_values(values)


def largest_correlations(
    signals: np.ndarray, atoms: np.ndarray, device: str, *, signed: bool
) -> np.ndarray:
    """`max_j |<d_j, x>|` of every row, or `max(0, max_j <d_j, x>)` if `signed`; in float64."""
    wide = torch.as_tensor(atoms, device=device).double()
    largest = np.zeros(len(signals))

    def work(part: slice) -> None:
        products = block_of(signals, part, device).double() @ wide.T
        largest[part] = (products if signed else products.abs_()).amax(dim=1).clamp(min=0.0).cpu()

    for_each_part(len(signals), rows_per_block(16 * len(atoms), device), work, device)
    return largest


def squared_errors(
    signals: "np.ndarray | Tensor", atoms: Tensor, codes: DeviceCodes, device: str
) -> np.ndarray:
    """`||x - a D||^2` of every row, in float64."""
    errors = np.zeros(len(signals))
    wide = atoms.double()

    def work(part: slice) -> None:
        block = block_of(signals, part, device).double()
        fitted = codes.part(part).dense(len(atoms)).double() @ wide
        errors[part] = (block - fitted).square().sum(dim=1).cpu()

    for_each_part(len(errors), rows_per_block(24 * len(atoms), device), work, device)
    return errors


def _of_batches(
    signals: "np.ndarray | Tensor",
    atoms: Tensor,
    codes: DeviceCodes,
    device: str,
    fit: Callable[..., Tensor],
    *of_rows: Tensor,
) -> Tensor:
    """`fit(batch, *of its rows)` for all rows: a value for each entry of the codes."""
    values = torch.zeros_like(codes.values)
    lengths = codes.lengths
    order = np.argsort(lengths, kind="stable")
    order = order[np.searchsorted(lengths[order], 1) :]
    while len(order):
        longest = int(lengths[order[-1]])
        size = rows_per_block(8 * longest * (3 * atoms.shape[1] + 6 * longest), device)
        rows, order = order[-size:], order[:-size]

        def work(part: slice, rows: np.ndarray = rows) -> None:
            few = rows[part]
            where = torch.as_tensor(few, device=device)
            entries, batch = _batch(signals, atoms, codes, few, device)
            found = fit(batch, *(of_row[where] for of_row in of_rows))
            values[entries[batch.used]] = found[batch.used].to(values.dtype)

        for_each_part(len(rows), size, work, device)
    return values


def _batch(
    signals: "np.ndarray | Tensor",
    atoms: Tensor,
    codes: DeviceCodes,
    rows: np.ndarray,
    device: str,
) -> tuple[Tensor, _Batch]:
    """The rows with their supports, and the place of each of their entries among all."""
    lengths = torch.as_tensor(codes.lengths[rows], device=device)
    begins = torch.as_tensor(codes.indptr[rows], device=device)
    places = torch.arange(int(codes.lengths[rows].max()), device=device)
    used = places < lengths[:, None]
    entries = torch.where(used, begins[:, None] + places, 0)
    chosen = torch.where(used[:, :, None], atoms[codes.indices[entries]].double(), 0.0)
    gram = chosen @ chosen.mT
    gram.diagonal(dim1=1, dim2=2).add_((~used).double())
    block = block_of(signals, rows, device)
    values = torch.where(used, codes.values[entries].double(), 0.0)
    return entries, _Batch(block.double(), chosen, gram, values, used)


def _moved(batch: _Batch, penalty: Tensor) -> tuple[Tensor, Tensor]:
    """Codes at their minimum, or where the first coefficient reaches zero; and which one does."""
    values, used = batch.codes, batch.used
    signs = values.sign()
    factor, failed = torch.linalg.cholesky_ex(_restricted(batch.gram, used))
    slopes = batch.products(batch.residuals(values)) - penalty[:, None] * signs
    steps = _solved(factor, torch.where(used, slopes, 0.0))
    # Dependent atoms have no unique minimum: such a row stays as it is.
    steps = torch.where((failed == 0)[:, None] & steps.isfinite(), steps, 0.0)
    crosses = used & ((values + steps) * signs < 0)
    shares = torch.where(crosses, -values / steps, 1.0)
    share = shares.amin(dim=1, keepdim=True).clamp(0.0, 1.0)
    reached = crosses & (shares <= share)
    return torch.where(reached, 0.0, values + share * steps), reached


def _restricted(gram: Tensor, used: Tensor) -> Tensor:
    """The Gram matrices of the atoms in use; the identity elsewhere."""
    both = used[:, :, None] & used[:, None, :]
    restricted = torch.where(both, gram, 0.0)
    restricted.diagonal(dim1=1, dim2=2).add_((~used).to(gram.dtype))
    return restricted


def _factorised(batch: _Batch, spanned: float) -> tuple[Tensor, Tensor]:
    """Which atoms of each support are kept, and the Cholesky factors with the others left out."""
    factor, failed = torch.linalg.cholesky_ex(batch.gram)
    least = spanned * batch.gram.diagonal(dim1=1, dim2=2)
    pivots = factor.diagonal(dim1=1, dim2=2).square()
    kept = batch.used.clone()
    hard = ((failed > 0) | ~(pivots > least).all(dim=1)).nonzero()[:, 0]
    if len(hard):
        kept[hard] &= _independent(batch.gram[hard], least[hard])
        factor[hard] = torch.linalg.cholesky_ex(_restricted(batch.gram[hard], kept[hard]))[0]
    return kept, factor


def _independent(gram: Tensor, least: Tensor) -> Tensor:
    """Whether each atom has a pivot above `least` after the independent ones before it."""
    left = gram.clone()
    kept = torch.zeros_like(least, dtype=torch.bool)
    for i in range(gram.shape[1]):
        pivot = left[:, i, i]
        kept[:, i] = pivot > least[:, i]
        scale = torch.where(kept[:, i], pivot, 1.0).rsqrt()
        column = torch.where(kept[:, i, None], left[:, :, i] * scale[:, None], 0.0)
        left -= column[:, :, None] * column[:, None, :]
    return kept


def _solved(factor: Tensor, right: Tensor) -> Tensor:
    return torch.cholesky_solve(right[:, :, None], factor)[:, :, 0]
