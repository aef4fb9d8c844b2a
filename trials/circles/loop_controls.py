"""Would the search for loops find one? Planted rings, and words whose order is known."""

from __future__ import annotations

from typing import Any

import numpy as np

from trials.circles.kind import CirclesConfig
from trials.circles.labelled import Labelled
from trials.circles.search import LEVEL, Searched, ring_p_value
from trials.inputs.controls.planted import planted_ring
from trials.inputs.rows import TokenRows
from trials.kernels.statistics import benjamini_hochberg
from trials.kernels.structure import ring_fit, ring_null

RING_SHARE = 0.4
"""Of a candidate's sum of squares about its mean: what a planted ring has."""
PLANTED_FRAC = 0.05
"""Share of the candidates that hold a ring at a time."""
PARTS = {"all": 1.0, "part": 0.4}
"""How many of a candidate's points lie on the planted ring."""
_N_ROUNDS = 8


def loop_power(config: CirclesConfig, searched: Searched, salt: int) -> dict[str, float]:
    """Share of planted rings that are found among the other candidates, for each of `PARTS`.

    In each round a twentieth of the candidates, drawn at random, get a ring; then all p-values go
    through Benjamini and Hochberg's procedure, as in the search itself. NaN without candidates.
    """
    n = len(searched.candidates)
    if not n:
        return dict.fromkeys(PARTS, float("nan"))
    n_planted = max(1, round(PLANTED_FRAC * n))
    power = {}
    for part, frac in PARTS.items():
        rng = np.random.default_rng([config.seed, salt, round(100 * frac)])
        found = []
        for _ in range(_N_ROUNDS):
            p = searched.p.copy()
            chosen = rng.choice(n, n_planted, replace=False)
            for i in chosen:
                points = rng.permutation(searched.candidates[i].points)
                ring = planted_ring(points, round(frac * len(points)), share=RING_SHARE, rng=rng)
                p[i] = ring_p_value(ring_fit(ring, n_components=config.n_components), searched.null)
            found.append(benjamini_hochberg(p, level=LEVEL).rejected[chosen].mean())
        power[part] = float(np.mean(found))
    return power


def power_metrics(
    metrics: dict[str, float], power: dict[str, float], sort: str
) -> dict[str, float]:
    """Power, and the upper bound of the rate divided by it (at most all candidates)."""
    high = metrics[f"loops_per_thousand_{sort}_high"]
    found = {f"loop_power_{part}_{sort}": value for part, value in power.items()}
    for part, value in power.items():
        bound = high / value if value > 0 else 1000.0
        found[f"loops_bound_{part}_{sort}"] = min(1000.0, bound) if high == high else float("nan")
    return found


def known_orders(
    config: CirclesConfig, data: TokenRows, families: np.ndarray, labelled: Labelled
) -> dict[str, list[Any]]:
    """Sets whose order is cyclic in the world, through the search: alone, and with neighbours.

    The neighbours of the set's mean row fill it up to `n_points`. The labels are not used.
    """
    table: dict[str, list[Any]] = {"set": [], "n_tokens": [], "p_alone": [], "p_with_others": []}
    nulls: dict[int, np.ndarray] = {}
    for tokens in labelled.sets:
        n = len(tokens.positions)
        if not tokens.comes_round or n < config.n_components + 2 or n > config.n_points:
            continue
        own = np.array(tokens.positions)
        table["set"].append(tokens.name)
        table["n_tokens"].append(n)
        others = _nearest_others(config, data, families, own)
        for name, which in (("p_alone", own), ("p_with_others", np.append(own, others))):
            if len(which) not in nulls:
                nulls[len(which)] = ring_null(
                    len(which),
                    n_components=config.n_components,
                    n_draws=config.n_null,
                    rng=np.random.default_rng([config.seed, 61, len(which)]),
                )
            fit = ring_fit(data.rows[which], n_components=config.n_components)
            table[name].append(ring_p_value(fit, nulls[len(which)]))
    return table


def _nearest_others(
    config: CirclesConfig, data: TokenRows, families: np.ndarray, own: np.ndarray
) -> np.ndarray:
    """The tokens nearest to the mean of the set by cosine, one per word family outside it."""
    middle = data.rows[own].astype(np.float64).mean(axis=0)
    lengths = np.linalg.norm(data.rows, axis=1)
    cosine = data.rows @ middle / np.maximum(lengths, np.finfo(np.float32).tiny)
    seen = set(families[own].tolist())
    found: list[int] = []
    for token in np.argsort(-cosine, kind="stable"):
        if len(found) == config.n_points - len(own):
            break
        if (family := int(families[token])) not in seen:
            seen.add(family)
            found.append(int(token))
    return np.array(found, dtype=np.int64)
