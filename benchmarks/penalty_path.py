"""Time to code tokens along a path of penalties vs. solving each penalty separately.

Both sides are ours and certified to the same gap; each single solve starts from nothing and
computes its own Gram matrix, as it would if the penalties were trials of their own.
"""

from __future__ import annotations

import sys
from functools import partial
from statistics import median
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.command import options
from benchmarks.measure import (
    Column,
    Table,
    differing_objectives,
    interleaved,
    reached,
    wide_gaps,
)
from benchmarks.problem import Rows, fixed_dictionary, open_rows, penalty_for_l0
from trials.kernels.sparse_coding import LassoCodes, lasso_codes, lasso_path

GAP = 1e-5
COLUMNS = (
    Column("work", 34),
    Column("peer", 12),
    Column("peer us/token", 13),
    Column("ours us/token", 13),
    Column("ratio", 6),
    Column("peer gap", 8),
    Column("our gap", 8),
)


class Work(NamedTuple):
    """A row of the table: dictionary size over d_model, L0 of first and last penalty, tokens."""

    size: int
    first_l0: int
    last_l0: int
    n_tokens: int
    n_penalties: int


QUICK = (Work(1, 5, 20, 512, 4),)
FULL = (Work(2, 5, 150, 4096, 20), Work(8, 5, 150, 4096, 20))


def single_solves(
    signals: np.ndarray, atoms: np.ndarray, penalties: np.ndarray, n_threads: int
) -> tuple[LassoCodes, ...]:
    """The peer: each penalty solved separately."""
    return tuple(
        lasso_codes(signals, atoms, l1_penalty=penalty, tolerance=GAP, n_threads=n_threads)
        for penalty in penalties
    )


def one_path(
    signals: np.ndarray, atoms: np.ndarray, penalties: np.ndarray, n_threads: int
) -> tuple[LassoCodes, ...]:
    """Our side."""
    return lasso_path(signals, atoms, l1_penalties=penalties, tolerance=GAP, n_threads=n_threads)


def measure(work: Work, rows: Rows, n_threads: int, n_rounds: int) -> tuple[list[str], list[str]]:
    """The cells of one row, and why its sides cannot be compared (empty when they can)."""
    atoms = fixed_dictionary(rows, work.size, n_threads)
    first = penalty_for_l0(rows, atoms, work.first_l0, n_threads)
    last = penalty_for_l0(rows, atoms, work.last_l0, n_threads)
    penalties = np.geomspace(first, last, work.n_penalties)
    signals = rows.sample(work.n_tokens)
    peer = partial(single_solves, signals, atoms, penalties, n_threads)
    ours = partial(one_path, signals, atoms, penalties, n_threads)
    one_path(signals[:64], atoms, penalties, n_threads)
    times, theirs, own = interleaved(peer, ours, n_rounds)
    name = f"path, {work.size}x, L0 {work.first_l0} to {work.last_l0}, {len(signals):,} tokens"
    gaps = [0.0, 0.0]
    problems = []
    for penalty, single, along in zip(penalties, theirs, own, strict=True):
        alone = reached(signals, atoms, single.codes, penalty)
        along_path = reached(signals, atoms, along.codes, penalty)
        gaps = [max(gaps[0], alone.gap), max(gaps[1], along_path.gap)]
        doubts = wide_gaps(alone, along_path, GAP) + differing_objectives(alone, along_path)
        problems += [f"{name}, penalty {penalty:.4g}: {doubt}" for doubt in doubts]
    cells = [
        name,
        f"{work.n_penalties} solves",
        f"{1e6 * median(times.peer_s) / len(signals):.0f}",
        f"{1e6 * median(times.ours_s) / len(signals):.0f}",
        f"{times.ratio:.2f}",
        *(f"{gap:.1e}" for gap in gaps),
    ]
    return cells, problems


def main() -> str:
    """Print the table; returns one line for each row whose sides cannot be compared."""
    given = options(str(__doc__)).parse_args()
    rows = open_rows(given.source)
    with threadpool_limits(given.threads):
        table = Table(COLUMNS)
        problems = []
        for work in QUICK if given.quick else FULL:
            cells, found = measure(work, rows, given.threads, given.rounds)
            table.row(cells)
            problems += found
    return "\n".join(problems)


if __name__ == "__main__":
    sys.exit(main() or None)
