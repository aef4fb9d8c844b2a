"""How often a circle of a given size would be found: the power of the test of an order."""

import numpy as np
from jaxtyping import Float, Int

from trials.kernels.structure._order import fourier, projection, random_orders, weakest_closure

_BATCH = 256
_TIE = 1e-9


def circle_power(
    noise: Float[np.ndarray, "n_draws n_points d"],
    places: Int[np.ndarray, " n_points"],
    period: int,
    *,
    share: float,
    level: float,
    least_closure: float,
    n_permutations: int,
    rng: np.random.Generator,
) -> float:
    """Share of draws with a planted circle that pass both the order test and the closure.

    Each draw is `noise` plus an even circle in a random plane; the circle has `share` of the sum of
    squares about the mean point. It is found if the p-value of its Fourier share is at most
    `level` and its closure at the weakest cut exceeds `least_closure`.
    """
    grams = planted_grams(noise, fourier(places, period, 1), share, rng)
    circle = projection(fourier(places, period, 1))
    flat = grams.reshape(len(grams), -1)
    observed = flat @ circle.ravel()
    n_above = np.zeros(len(grams))
    orders = random_orders(len(places), n_permutations, rng)
    for start in range(0, n_permutations, _BATCH):
        batch = orders[start : start + _BATCH]
        permuted = circle[batch[:, :, None], batch[:, None, :]].reshape(len(batch), -1)
        n_above += (flat @ permuted.T >= observed[:, None] - _TIE).sum(axis=1)
    in_order = (1 + n_above) / (1 + n_permutations) <= level
    return float((in_order & (weakest_closure(grams, places, period) > least_closure)).mean())


def planted_grams(
    noise: Float[np.ndarray, "n_draws n_points d"],
    curve: Float[np.ndarray, "n_points n"],
    share: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "n_draws n_points n_points"]:
    """Gram matrices, of trace 1, of `curve` in a random subspace and of `noise`, both centred."""
    signal = curve - curve.mean(axis=0)
    signal = np.sqrt(share) * signal / np.linalg.norm(signal)
    grams = []
    for drawn in noise.astype(np.float64):
        centred = drawn - drawn.mean(axis=0)
        basis = np.linalg.qr(rng.standard_normal((centred.shape[1], signal.shape[1])))[0]
        points = signal @ basis.T + np.sqrt(1 - share) * centred / np.linalg.norm(centred)
        grams.append(points @ points.T / (points**2).sum())
    return np.array(grams)
