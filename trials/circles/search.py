"""Circles without labels: loops in neighbourhoods of tokens and in groups of atoms."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.stats import binomtest

from trials.circles.kind import CirclesConfig
from trials.inputs.rows import TokenRows
from trials.inputs.splits import stratified_sample
from trials.kernels.statistics import Discoveries, benjamini_hochberg
from trials.kernels.structure import (
    MOST_BIAS,
    RingFit,
    is_ring,
    loop_persistence,
    mixture_index,
    nearest_neighbours,
    neighbours_of_other_groups,
    ring_fit,
    ring_null,
    separability,
)
from trials.pursuit.code import Coded

LEVEL = 0.05
"""False discovery rate of the search."""

_CENTRES_PER_CANDIDATE = 20
"""Centres to try per wanted neighbourhood, because neighbourhoods must not overlap."""

_NEIGHBOURS_PER_POINT = 6
"""Neighbours to look at per wanted neighbour, because variants of a word are skipped."""


class Candidate(NamedTuple):
    """A small cloud of points.

    Attributes:
        name: the token in its centre, or its atoms.
        tokens: positions, (n_points,).
        points: float32, (n_points, d_model).
        mixture, separability: in the leading plane of all tokens of a group; NaN with fewer than
            2000, and for neighbourhoods.
    """

    name: str
    tokens: np.ndarray
    points: np.ndarray
    mixture: float = float("nan")
    separability: float = float("nan")


class Searched(NamedTuple):
    """Candidates of one type, their fits, p-values and discoveries.

    Attributes:
        null: scores of Gaussian clouds, ascending; the same for all candidates.
    """

    candidates: list[Candidate]
    fits: list[RingFit]
    p: np.ndarray
    discoveries: Discoveries
    null: np.ndarray


def neighbourhoods(config: CirclesConfig, data: TokenRows, families: np.ndarray) -> list[Candidate]:
    """Tokens with their nearest neighbours of other words; neighbourhoods are disjoint."""
    rng = np.random.default_rng([config.seed, 43])
    n_asked = min(len(data.rows), _CENTRES_PER_CANDIDATE * config.n_candidates)
    centres = rng.permutation(stratified_sample(data.probabilities, n_asked, rng))
    near = neighbours_of_other_groups(
        data.rows,
        families,
        config.n_points - 1,
        n_asked=_NEIGHBOURS_PER_POINT * config.n_points,
        queries=centres,
        one_per_group=True,
    )
    taken = np.zeros(len(data.rows), dtype=bool)
    candidates = []
    for centre, others in zip(centres, near, strict=True):
        tokens = np.concatenate([[centre], others])
        if (others < 0).any() or taken[tokens].any():
            continue
        taken[tokens] = True
        candidates.append(Candidate(data.names[centre], tokens, data.rows[tokens]))
        if len(candidates) == config.n_candidates:
            break
    return candidates


def atom_groups(config: CirclesConfig, families: np.ndarray, coded: Coded) -> list[Candidate]:
    """Groups of near atoms, and their top tokens, reconstructed from the group alone."""
    by_atom = coded.codes.tocsc()
    n_tokens = np.diff(by_atom.indptr)
    near = nearest_neighbours(coded.atoms, len(coded.atoms) - 1, absolute=True)
    taken = np.zeros(len(coded.atoms), dtype=bool)
    candidates: list[Candidate] = []
    for atom in np.argsort(-n_tokens, kind="stable"):
        if taken[atom] or len(candidates) == config.n_candidates:
            continue
        others = near[atom][~taken[near[atom]]][: config.group_size - 1]
        if len(others) < config.group_size - 1:
            break
        group = np.array([atom, *others])
        taken[group] = True
        codes = by_atom[:, group]
        active = np.unique(codes.indices)
        points = codes.tocsr()[active].toarray() @ coded.atoms[group]
        # At random: the tokens with the largest contributions surround an empty centre anyway.
        drawn = np.random.default_rng([config.seed, 49, atom]).permutation(len(points))
        first = np.sort(np.unique(families[active[drawn]], return_index=True)[1])
        kept = drawn[first[: config.n_points]]
        if len(kept) < config.n_points:
            continue
        name = " ".join(map(str, group))
        candidate = Candidate(name, active[kept], points[kept])
        if len(points) >= MOST_BIAS:
            plane, rng = _plane(points), np.random.default_rng([config.seed, 47, len(candidates)])
            candidate = candidate._replace(
                mixture=mixture_index(plane), separability=separability(plane, rng)
            )
        candidates.append(candidate)
    return candidates


def search(config: CirclesConfig, candidates: list[Candidate], salt: int) -> Searched:
    """The best ring of each candidate, its p-value, and discoveries at a rate of 5 %."""
    null = ring_null(
        config.n_points,
        n_components=config.n_components,
        n_draws=config.n_null,
        rng=np.random.default_rng([config.seed, salt]),
    )
    fits = [ring_fit(one.points, n_components=config.n_components) for one in candidates]
    p = np.array([ring_p_value(fit, null) for fit in fits])
    return Searched(candidates, fits, p, benjamini_hochberg(p), null)


def ring_p_value(fit: RingFit, null: np.ndarray) -> float:
    """Share of Gaussian clouds that look as much like a ring; 1 for clusters and arcs.

    `null` ascends. Setting some p-values to 1 keeps the others valid.
    """
    n_above = len(null) - np.searchsorted(null, fit.score, side="left")
    p = float((1 + n_above) / (1 + len(null)))
    if p <= LEVEL and not is_ring(fit, np.random.default_rng(0)):
        return 1.0
    return p


def search_metrics(searched: Searched, sort: str) -> dict[str, float]:
    """Metrics of one type of candidate, with an exact (Clopper-Pearson) interval."""
    n, hits = len(searched.candidates), int(searched.discoveries.rejected.sum())
    low = high = rate = float("nan")
    if n:
        interval = binomtest(hits, n).proportion_ci(0.95)
        low, rate, high = 1000 * interval.low, 1000 * hits / n, 1000 * interval.high
    excess = [fit.score - float(searched.null.mean()) for fit in searched.fits]
    return {
        f"n_{sort}": float(n),
        f"n_loops_{sort}": float(hits),
        f"loops_per_thousand_{sort}": rate,
        f"loops_per_thousand_{sort}_low": low,
        f"loops_per_thousand_{sort}_high": high,
        f"loop_excess_{sort}": float(np.mean(excess)) if excess else float("nan"),
        f"p_below_05_{sort}": float((searched.p <= 0.05).mean()) if n else float("nan"),
    }


def search_table(data: TokenRows, searched: Searched, n_components: int) -> dict[str, list[Any]]:
    """One row per candidate, smallest p-value first; tokens in the order of their angle."""
    table: dict[str, list[Any]] = {
        name: []
        for name in (
            "candidate",
            "log_ratio",
            "persistence",
            "p",
            "adjusted_p",
            "is_loop",
            "mixture_index",
            "separability_bits",
            "tokens_around",
        )
    }
    for i in np.argsort(searched.p, kind="stable"):
        candidate, fit = searched.candidates[i], searched.fits[i]
        angle = np.arctan2(fit.plane[:, 1], fit.plane[:, 0])
        around = "|".join(data.names[t] for t in candidate.tokens[np.argsort(angle)])
        row = (
            candidate.name,
            fit.score,
            loop_persistence(candidate.points, n_components=n_components),
            float(searched.p[i]),
            float(searched.discoveries.adjusted[i]),
            bool(searched.discoveries.rejected[i]),
            candidate.mixture,
            candidate.separability,
            around,
        )
        for column, value in zip(table.values(), row, strict=True):
            column.append(value)
    return table


def _plane(points: np.ndarray) -> np.ndarray:
    """The two leading principal components, (n_points, 2)."""
    centred = points - points.mean(axis=0)
    axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))[1][:, -2:]
    return np.asarray(centred @ axes)
