"""Interleaved timing, one certificate for both sides, and the table."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple, TypeVar

import numpy as np
from scipy.sparse import csr_array

from trials.kernels.sparse_coding import duality_gap

Result = TypeVar("Result")
OurResult = TypeVar("OurResult")


class Times(NamedTuple):
    """Wall times of both sides, one per round."""

    peer_s: list[float]
    ours_s: list[float]

    @property
    def ratio(self) -> float:
        """Median over the rounds of the peer's time over ours."""
        return median(a / b for a, b in zip(self.peer_s, self.ours_s, strict=True))


class Reached(NamedTuple):
    """Objective and gap of codes, computed in float64 without any solver.

    Attributes:
        objective: mean over the signals of `1/2 ||x - a D||^2 + l1_penalty ||a||_1`.
        slack: mean absolute duality gap; the objective is within it of the minimum.
        gap: the worst relative duality gap of a signal.
        l0: mean number of entries a code.
    """

    objective: float
    slack: float
    gap: float
    l0: float


def timed(call: Callable[[], Result]) -> tuple[float, Result]:
    """Wall time of a call, in seconds, and what it returned."""
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


def interleaved(
    peer: Callable[[], Result], ours: Callable[[], OurResult], n_rounds: int
) -> tuple[Times, Result, OurResult]:
    """Time both sides in turn; also returns their last results. `n_rounds` is at least 1.

    In turn, so that what else the machine does hits both sides alike. Warm both up before.
    """
    times = Times([], [])
    for _ in range(n_rounds):
        peer_s, theirs = timed(peer)
        ours_s, own = timed(ours)
        times.peer_s.append(peer_s)
        times.ours_s.append(ours_s)
    return times, theirs, own


def reached(signals: np.ndarray, atoms: np.ndarray, codes: csr_array, l1_penalty: float) -> Reached:
    """Evaluate codes on their problem: signals and atoms as given to both sides, in float64."""
    gap = duality_gap(signals, atoms, codes, l1_penalty=l1_penalty)
    half_norms = 0.5 * (signals.astype(np.float64) ** 2).sum(axis=1)
    energy = 0.0
    atoms = atoms.astype(np.float64)
    for start in range(0, len(signals), 4096):
        part = slice(start, start + 4096)
        energy += float(((signals[part] - codes[part].astype(np.float64) @ atoms) ** 2).sum())
    l1 = float(np.abs(codes.data).sum(dtype=np.float64))
    n = len(signals)
    return Reached(
        objective=(0.5 * energy + l1_penalty * l1) / n,
        slack=float(gap @ half_norms) / n,
        gap=float(gap.max()),
        l0=int(np.count_nonzero(codes.data)) / n,
    )


def wide_gaps(peer: Reached, ours: Reached, tolerance: float) -> list[str]:
    """A line for each side whose worst gap is over the tolerance."""
    return [
        f"{name} worst gap is {side.gap:.1e}, over {tolerance:.0e}"
        for name, side in (("the peer's", peer), ("our", ours))
        if side.gap > tolerance
    ]


def differing_objectives(peer: Reached, ours: Reached) -> list[str]:
    """A line when two codes of one problem are further apart than their gaps allow."""
    allowed = peer.slack + ours.slack + 1e-12 * ours.objective
    if abs(peer.objective - ours.objective) <= allowed:
        return []
    return [f"objectives differ: the peer's is {peer.objective:.9f}, ours {ours.objective:.9f}"]


class Column(NamedTuple):
    """A column of the table: its title and the width that its cells need."""

    title: str
    width: int


class Table:
    """A plain table that prints each row as soon as it is measured."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self.row([column.title for column in columns])

    def row(self, cells: Sequence[str]) -> None:
        """Print one row; the first two columns are words, the others are numbers."""
        print(
            "  ".join(
                cell.ljust(column.width) if i < 2 else cell.rjust(column.width)
                for i, (cell, column) in enumerate(zip(cells, self._columns, strict=True))
            ).rstrip(),
            flush=True,
        )
