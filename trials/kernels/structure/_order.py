"""Functions of labels in a cyclic order: Fourier pairs, permuted orders, closure at every cut."""

import numpy as np
from jaxtyping import Float, Int


def fourier(
    places: Int[np.ndarray, " n_points"], period: int, frequency: int
) -> Float[np.ndarray, "n_points n"]:
    """Cosine and sine of the place; the cosine alone where the sine is zero everywhere."""
    angle = 2 * np.pi * frequency * places / period
    if 2 * frequency == period:
        return np.cos(angle)[:, None]
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def projection(
    functions: Float[np.ndarray, "n_points n"],
) -> Float[np.ndarray, "n_points n_points"]:
    """Projection onto the span of the functions of the place, without the constant."""
    basis = np.linalg.qr(functions - functions.mean(axis=0))[0]
    return np.asarray(basis @ basis.T)


def random_orders(n: int, n_orders: int, rng: np.random.Generator) -> Int[np.ndarray, "n_orders n"]:
    """Uniform random permutations of `n` items."""
    return rng.permuted(np.tile(np.arange(n), (n_orders, 1)), axis=1)


def weakest_closure(
    grams: Float[np.ndarray, "n_clouds n_points n_points"],
    places: Int[np.ndarray, " n_points"],
    period: int,
) -> Float[np.ndarray, " n_clouds"]:
    """min over cuts of (excess similarity across the cut) / (excess similarity of near pairs).

    Near pairs are at most a quarter turn apart. The excess is over the mean of all pairs. A cut
    that no near pair crosses does not count. NaN where near pairs are no more alike than others.
    """
    n = len(places)
    n_near = max(1, period // 4)
    turn = (places[None, :] - places[:, None]) % period  # from the first of a pair to the second
    pairs = np.ones((n, n)) - np.eye(n)
    pairs /= pairs.sum()
    near, across = np.zeros((n, n)), np.zeros((period, n, n))
    for arc in range(1, n_near + 1):
        alike = turn == arc
        if not alike.any():
            continue
        for cut in range(period):
            crossing = alike & (((cut - places[:, None]) % period - 1) % period < arc)
            if crossing.any():
                across[cut] += crossing - crossing.sum() * pairs
                near += (alike / alike.sum() - pairs) * crossing.sum() / period
    flat = grams.reshape(len(grams), -1)
    crossed = np.abs(across).sum(axis=(1, 2)) > 0
    excess = flat @ near.ravel()
    with np.errstate(divide="ignore", invalid="ignore"):
        closure = (flat @ across[crossed].reshape(-1, n * n).T).min(axis=1) / excess
    return np.asarray(np.where(excess > 0, closure, np.nan))
