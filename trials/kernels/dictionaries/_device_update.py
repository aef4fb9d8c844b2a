"""Updates of a dictionary in torch, from the statistics of sparse codes."""

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array

from trials.kernels.dictionaries._statistics import drawn_rows, mixed
from trials.kernels.sparse_coding.device.device_codes import DeviceCodes
from trials.kernels.sparse_coding.device.memory import (
    block_of,
    float32_products,
    for_each_part,
    resident,
    rows_per_block,
)
from trials.kernels.sparse_coding.device.supports import least_squares, squared_errors
from trials.lazy import lazy_module

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:  # torch takes a second to import; annotations are also read at run time
    torch = lazy_module("torch")
    Tensor = Any

_DENSE_ABOVE = 0.01
"""Share of non-zeros above which a dense product beats a sparse one."""
_BLOCK = 64


def statistics(
    rows: "np.ndarray | Tensor",
    weights: np.ndarray,
    codes: DeviceCodes,
    n_atoms: int,
    device: str,
) -> tuple[Tensor, Tensor]:
    """`A'WA` and `A'WX`, (n_atoms, n_atoms) and (n_atoms, d_model), summed block by block."""
    kind = codes.values.dtype
    usage = torch.zeros((n_atoms, n_atoms), dtype=kind, device=device)
    cross = torch.zeros((n_atoms, rows.shape[1]), dtype=kind, device=device)
    every_weight = torch.as_tensor(weights, device=device).to(kind)
    is_dense = len(codes.values) > _DENSE_ABOVE * len(weights) * n_atoms

    def work(part: slice) -> None:
        few, block = codes.part(part), block_of(rows, part, device)
        dense = few.dense(n_atoms)
        if is_dense:
            left = (dense * every_weight[part, None]).T
        else:
            left = _weighted_transpose(few, every_weight[part], n_atoms)
        # Both products first: a block that does not fit in memory must leave nothing behind.
        more_usage, more_cross = left @ dense, left @ block
        usage.add_(more_usage)
        cross.add_(more_cross)

    # The statistics of a block take as much memory as all, beside the block itself.
    for_each_part(len(weights), rows_per_block(16 * n_atoms, device), work, device)
    return usage, cross


def _weighted_transpose(codes: DeviceCodes, weights: Tensor, n_atoms: int) -> Tensor:
    """`A'W` of one block, sparse, with its entries in order."""
    rows = codes.row_numbers()
    order = torch.argsort(codes.indices, stable=True)
    places = torch.stack((codes.indices[order], rows[order]))
    values = (codes.values * weights[rows])[order]
    return torch.sparse_coo_tensor(
        places, values, (n_atoms, len(weights)), is_coalesced=True, check_invariants=False
    )


def updated_atoms(atoms: Tensor, usage: Tensor, cross: Tensor) -> Tensor:
    """As `compiled.dictionary_update.update_atoms`: one sweep over the atoms, each in turn."""
    atoms = atoms.clone()
    used = usage.diagonal() > 0
    for first in range(0, len(atoms), _BLOCK):
        block = slice(first, min(first + _BLOCK, len(atoms)))
        slopes = cross[block] - usage[block] @ atoms
        within = usage[block, block]
        for j in range(len(slopes)):
            atom = atoms[first + j]
            wanted = torch.addcmul(slopes[j], atom, within[j, j])
            norm = torch.linalg.vector_norm(wanted, dtype=torch.float64)
            new = torch.where(used[first + j] & (norm > 0), wanted / norm.to(atom.dtype), atom)
            slopes[j + 1 :].addr_(within[j + 1 :, j], new - atom, alpha=-1)
            atoms[first + j] = new
    return atoms


def unit_rows(rows: Tensor) -> Tensor:
    """Rows scaled to unit norm; zero rows stay zero."""
    norms = rows.norm(dim=1, keepdim=True)
    return rows / torch.where(norms > 0, norms, 1.0)


def fitted_on_device(
    signals: np.ndarray,
    weights: np.ndarray,
    atoms: np.ndarray,
    codes: csr_array,
    rng: np.random.Generator,
    device: str,
    *,
    n_refits: int,
) -> tuple[np.ndarray, int]:
    """Atoms fitted to codes on fixed supports, unused ones drawn again; and how many were."""
    rows, current = resident(signals, device), torch.as_tensor(atoms, device=device)
    entries = DeviceCodes.from_host(codes, device)
    with float32_products(device, tf32=False):
        for number in range(n_refits):
            if number:
                values = least_squares(rows, current, entries, device)
                entries = entries._replace(values=values)
            usage, cross = statistics(rows, weights, entries, len(atoms), device)
            current = unit_rows(updated_atoms(current, usage, cross))
        dead = (usage.diagonal() <= 0).nonzero()[:, 0]
        if len(dead):
            current[dead] = reseeded(rows, weights, entries, current, len(dead), rng, device)
    return current.cpu().numpy(), len(dead)


def reseeded(
    rows: "np.ndarray | Tensor",
    weights: np.ndarray,
    codes: DeviceCodes,
    atoms: Tensor,
    n_wanted: int,
    rng: np.random.Generator,
    device: str,
) -> Tensor:
    """Unit vectors, each a mixture of the residuals of a few badly reconstructed rows."""
    badness = weights * squared_errors(rows, atoms, codes, device)
    drawn = drawn_rows(badness, n_wanted, rng)
    which = drawn.ravel()
    fitted = codes.take(which).dense(len(atoms)) @ atoms
    residuals = (block_of(rows, which, device) - fitted).cpu().numpy()
    vectors = mixed(residuals.reshape(*drawn.shape, -1), rng)
    return torch.as_tensor(vectors, device=device)


def largest_products(vectors: np.ndarray, others: np.ndarray, device: str) -> np.ndarray:
    """`max_l |<v_j, o_l>|` of each vector, in the type of the vectors."""
    left = torch.as_tensor(vectors, device=device)
    best = left.new_zeros(len(left))

    def work(part: slice) -> None:
        products = torch.as_tensor(others[part], device=device) @ left.T
        torch.maximum(best, products.abs_().amax(dim=0), out=best)

    with float32_products(device, tf32=False):
        for_each_part(len(others), rows_per_block(8 * len(vectors), device), work, device)
    return best.cpu().numpy()
