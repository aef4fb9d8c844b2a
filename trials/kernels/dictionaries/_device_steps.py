"""The steps of learning in torch, with rows and codes that stay on the device."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from trials.kernels.dictionaries._device_update import (
    reseeded,
    statistics,
    unit_rows,
    updated_atoms,
)
from trials.kernels.dictionaries._steps import Coded, Rows, reseeded_now
from trials.kernels.sparse_coding.device.admm import solve
from trials.kernels.sparse_coding.device.admm_steps import Problem
from trials.kernels.sparse_coding.device.device_codes import DeviceCodes
from trials.kernels.sparse_coding.device.memory import float32_products, resident
from trials.kernels.sparse_coding.device.supports import refitted
from trials.lazy import lazy_module

if TYPE_CHECKING:
    import torch
else:  # torch takes a second to import
    torch = lazy_module("torch")


class DeviceSteps:
    """`Steps` in torch.

    Codes are those of ADMM, whose steps may be in TF32. Gaps that count are computed in float64,
    all others and the statistics in the type of the rows at full precision.
    """

    def __init__(
        self,
        signals: Float[np.ndarray, "n_signals d_model"],
        atoms: Float[np.ndarray, "n_atoms d_model"],
        nonnegative: bool,
        rng: np.random.Generator,
        device: str,
    ) -> None:
        """Prepare to learn from the rows `signals`, or from the first ones of them."""
        self.device = device
        self.rows = resident(signals, device)
        self.current = torch.tensor(atoms, device=device)
        self.updated = self.current
        self.entries = DeviceCodes.empty(0, self.current)
        self.nonnegative = nonnegative
        self.rng = rng

    @property
    def atoms(self) -> Float[np.ndarray, "n_atoms d_model"]:
        """The dictionary, on the host."""
        return np.ascontiguousarray(self.current.cpu().numpy())

    @property
    def codes(self) -> csr_array:
        """The codes, on the host."""
        return self.entries.to_host(len(self.current))

    def code(self, rows: Rows, gap: float, *, certify: bool) -> Coded:
        """As `Steps.code`."""
        n_rows = len(rows.signals)
        with float32_products(self.device, tf32=False):
            problem = Problem.prepare(self.current, self.device, self.nonnegative, certify=certify)
            start = self.entries.padded_with_empty_rows(n_rows)
            found = solve(problem, self.rows[:n_rows], rows.penalties, start, gap, self.device)
        self.entries = found.codes
        worst = float(found.gaps.max()) if certify else np.nan
        return Coded(float(rows.weights @ found.objectives), worst)

    def refit(self, rows: Rows, gap: float) -> None:
        """As `Steps.refit`; exact whatever the gap, by Cholesky."""
        few = self.rows[: len(rows.signals)]
        self.entries = refitted(few, rows.penalties, self.current, self.entries, self.device)

    def update(self, rows: Rows, momentum: float) -> int:
        """As `CompiledSteps.update`."""
        few, n_atoms = self.rows[: len(rows.signals)], len(self.current)
        with float32_products(self.device, tf32=False):
            usage, cross = statistics(few, rows.weights, self.entries, n_atoms, self.device)
            updated = updated_atoms(self.current, usage, cross)
            self.current = unit_rows(updated + momentum * (updated - self.updated))
            unused = (usage.diagonal() <= 0).nonzero()[:, 0].cpu().numpy()
            dead = reseeded_now(unused, n_atoms)
            if len(dead):
                fresh = reseeded(
                    few, rows.weights, self.entries, updated, len(dead), self.rng, self.device
                )
                where = torch.as_tensor(dead, device=self.device)
                updated[where] = fresh
                self.current[where] = fresh
        self.updated = updated
        return len(dead)
