"""b = g a + c, or is there a matrix? Held-out gain over a scaled offset, with its null."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

_INNER_FOLDS = 5
_BATCH = 16
_SHUFFLES = 20
ALPHAS = np.logspace(-2, 4, 10)
"""Ridge penalties, over the mean squared singular value of the inputs. The last ones leave almost
nothing of the matrix, but never exactly nothing, so that gains are never tied."""

MODELS = ("identity", "offset", "scaled_offset", "low_rank", "matrix", "component_scales")


class Binding(NamedTuple):
    """What each model predicts of pairs it was not fitted on.

    Attributes:
        predicted: by model, (n_pairs, d_model) float64; each pair by the fit on the other folds.
        errors: by model, (n_pairs,) squared error of each pair.
        energy: (n_pairs,) squared distance of each b from the mean b of the fitted pairs.
        scale: g of the scaled offset on all pairs.
        gain: 1 - sum of errors of the matrix / sum of errors of the scaled offset.
        ranks, gain_of_rank: the gain of Delta cut to its leading output directions.
        null: gains with the residuals of the scaled offset permuted over pairs (Freedman-Lane).
        shuffled: gains with b itself permuted over pairs, for the first 20 permutations.
        delta: (n_inputs, d_model) Delta on all pairs, at the penalty chosen on all pairs.
    """

    predicted: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]
    energy: np.ndarray
    scale: float
    gain: float
    ranks: tuple[int, ...]
    gain_of_rank: np.ndarray
    null: np.ndarray
    shuffled: np.ndarray
    delta: np.ndarray


class _Plan(NamedTuple):
    """What one training set makes of any targets; alpha is the first axis of both forms.

    Attributes:
        train, test: positions of pairs.
        centred: a of the training pairs less their mean, over its squared norm: g = <centred, b>.
        inner: (n_alphas, n_train^2); `inner @ vec(Y Y^T)` is the inner cross-validation error.
        outer: (1 + n_alphas, n_pairs^2) likewise the error on the test pairs; first without Delta.
    """

    train: np.ndarray
    test: np.ndarray
    centred: np.ndarray
    inner: np.ndarray
    outer: np.ndarray


def binding_gain(
    a: Float[np.ndarray, "n_pairs d_model"],
    b: Float[np.ndarray, "n_pairs d_model"],
    basis: Float[np.ndarray, "d_model n_inputs"],
    *,
    n_folds: int,
    n_permutations: int,
    rank: int,
    rng: np.random.Generator,
) -> Binding:
    """`min_Delta |B - g A - A basis Delta - 1 c^T|^2 + alpha |Delta|^2`, held out, over no Delta.

    The columns of `basis` are orthonormal: the directions of a that Delta may read, fewer than
    pairs. g and c are fitted first, alpha is chosen by cross-validation inside the training folds.
    Errors and penalties only need the Gram matrix of the targets, so that a permutation refits
    everything, alpha too, without a decomposition of its own. Pairs are taken to be independent.

    Source: Freedman and Lane 1983; reduced-rank ridge: Mukherjee and Zhu 2011.
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    # Centre everything at one origin: no fit depends on it, and it keeps rounding errors small.
    a_seen, b_seen = a - a.mean(axis=0), b - b.mean(axis=0)
    inputs = a_seen @ basis.astype(np.float64)
    folds = np.array_split(rng.permutation(len(a)), n_folds)
    plans = [_plan(a_seen, inputs, fold) for fold in folds]
    scale = float((a_seen * b_seen).sum() / (a_seen**2).sum())
    residual = b_seen - scale * a_seen
    orders = [rng.permutation(len(a)) for _ in range(n_permutations)]
    drawn = np.array(orders, dtype=np.int64).reshape(n_permutations, len(a))
    null = _gains(plans, a_seen, residual, drawn)
    shuffled = _gains(plans, a_seen, b_seen, drawn[:_SHUFFLES])
    fitted = _Fits(a, b, a_seen, b_seen, inputs, basis, rank)
    for plan in plans:
        fitted.add(plan)
    error = fitted.errors["scaled_offset"].sum()
    everything = _plan(a_seen, inputs, np.arange(0))
    alpha = int(np.argmin(everything.inner @ (residual @ residual.T).ravel()))
    delta = _ridge(inputs, residual, ALPHAS[alpha])[0]
    return Binding(
        fitted.predicted,
        fitted.errors,
        fitted.energy,
        scale,
        float(1 - fitted.errors["matrix"].sum() / error),
        fitted.ranks,
        1 - fitted.error_of_rank / error,
        null,
        shuffled,
        delta,
    )


def transferred_gain(
    a: Float[np.ndarray, "n_pairs d_model"],
    b: Float[np.ndarray, "n_pairs d_model"],
    other: Float[np.ndarray, "d_model d_model"],
    *,
    n_folds: int,
    rng: np.random.Generator,
) -> float:
    """Held-out gain of `b = g a + c + t a other` over `b = g a + c`: another relation's matrix.

    Its size t is fitted, so that a wrong size alone cannot make it lose.
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    moved = a @ other
    with_it = without = 0.0
    for test in np.array_split(rng.permutation(len(a)), n_folds):
        train = np.setdiff1d(np.arange(len(a)), test)
        a_mean, b_mean, m_mean = (x[train].mean(axis=0) for x in (a, b, moved))
        a_train, m_train = a[train] - a_mean, moved[train] - m_mean
        scale = (a_train * (b[train] - b_mean)).sum() / (a_train**2).sum()
        left = b - b_mean - scale * (a - a_mean)
        size = (m_train * left[train]).sum() / max((m_train**2).sum(), np.finfo(float).tiny)
        without += (left[test] ** 2).sum()
        with_it += ((left[test] - size * (moved[test] - m_mean)) ** 2).sum()
    return float(1 - with_it / without)


def _plan(a: np.ndarray, inputs: np.ndarray, test: np.ndarray) -> _Plan:
    n_pairs = len(a)
    train = np.setdiff1d(np.arange(n_pairs), test)
    left, singular, right, mean = _decomposed(inputs[train])
    at_test = (inputs[test] - mean) @ right.T
    n_train = len(train)
    # Training pairs are in the order of their positions, which carries no information.
    blocks = np.arange(n_train) % _INNER_FOLDS
    inner, outer = [], [_form(train, test, np.full((len(test), n_train), 1 / n_train), n_pairs)]
    for alpha in ALPHAS:
        penalty = alpha * (singular**2).mean()
        hat = (left * (singular**2 / (singular**2 + penalty))) @ left.T + 1 / n_train
        off = np.eye(n_train) - hat
        for block in range(_INNER_FOLDS):
            of = np.flatnonzero(blocks == block)
            # Exact errors of a fit without the block, computed from the fit with it.
            off[of] = np.linalg.solve(np.eye(len(of)) - hat[np.ix_(of, of)], off[of])
        inner.append((off.T @ off).ravel())
        weights = (at_test * (singular / (singular**2 + penalty))) @ left.T + 1 / n_train
        outer.append(_form(train, test, weights, n_pairs))
    centred = a[train] - a[train].mean(axis=0)
    return _Plan(train, test, centred / (centred**2).sum(), np.array(inner), np.array(outer))


def _decomposed(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """SVD of the centred inputs, without directions in which they do not vary, and their mean."""
    mean = inputs.mean(axis=0)
    left, singular, right = np.linalg.svd(inputs - mean, full_matrices=False)
    kept = singular > 1e-9 * singular[0]
    return left[:, kept], singular[kept], right[kept], mean


def _form(train: np.ndarray, test: np.ndarray, weights: np.ndarray, n_pairs: int) -> np.ndarray:
    """The quadratic form of Y Y^T that is |Y_test - weights Y_train|^2."""
    off = np.zeros((len(test), n_pairs))
    off[:, train] = -weights
    off[np.arange(len(test)), test] = 1
    return np.asarray((off.T @ off).ravel())


def _gains(
    plans: Sequence[_Plan], a: np.ndarray, moved: np.ndarray, orders: Int[np.ndarray, "n n_pairs"]
) -> np.ndarray:
    """Gains with the rows of `moved` in each of the orders as targets."""
    grams = a @ a.T, a @ moved.T, moved @ moved.T
    sums = np.zeros((2, len(orders)))
    for start in range(0, len(orders), _BATCH):
        batch = orders[start : start + _BATCH]
        for plan in plans:
            targets = np.stack([_target_gram(plan, a, moved, grams, order) for order in batch])
            seen = targets[:, plan.train[:, None], plan.train].reshape(len(batch), -1)
            chosen = 1 + np.argmin(plan.inner @ seen.T, axis=0)
            errors = plan.outer @ targets.reshape(len(batch), -1).T
            sums[0, start : start + _BATCH] += errors[0]
            sums[1, start : start + _BATCH] += errors[chosen, np.arange(len(batch))]
    return np.asarray(1 - sums[1] / sums[0])


def _target_gram(
    plan: _Plan,
    a: np.ndarray,
    moved: np.ndarray,
    grams: tuple[np.ndarray, np.ndarray, np.ndarray],
    order: np.ndarray,
) -> np.ndarray:
    """Y Y^T of Y = moved[order] - g a, g fitted on the training pairs of the plan."""
    of_a, cross, of_moved = grams
    scale = (plan.centred * moved[order[plan.train]]).sum()
    mixed = scale * cross[:, order]
    return of_moved[np.ix_(order, order)] - mixed - mixed.T + scale**2 * of_a


def _ridge(
    inputs: np.ndarray, targets: np.ndarray, alpha: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Delta, the mean input, and Delta's output directions by what they explain, as rows."""
    left, singular, right, mean = _decomposed(inputs)
    penalty = alpha * (singular**2).mean()
    inside = left.T @ (targets - targets.mean(axis=0))
    delta = right.T @ ((singular / (singular**2 + penalty))[:, None] * inside)
    explained = (singular / np.sqrt(singular**2 + penalty))[:, None] * inside
    return delta, mean, np.linalg.svd(explained, full_matrices=False)[2]


class _Fits:
    """Predictions of every model for the test pairs of each plan that is added."""

    def __init__(
        self,
        a: np.ndarray,
        b: np.ndarray,
        a_seen: np.ndarray,
        b_seen: np.ndarray,
        inputs: np.ndarray,
        basis: np.ndarray,
        rank: int,
    ) -> None:
        self.a, self.b, self.inputs, self.basis, self.rank = a, b, inputs, basis, rank
        self.a_seen, self.b_seen = a_seen, b_seen
        widest = inputs.shape[1]
        self.ranks = (*(2**i for i in range(12) if 2**i < widest), widest)
        self.predicted = {model: np.zeros_like(b) for model in MODELS}
        self.errors = {model: np.zeros(len(b)) for model in MODELS}
        self.energy = np.zeros(len(b))
        self.error_of_rank = np.zeros(len(self.ranks))

    def add(self, plan: _Plan) -> None:
        train, test = plan.train, plan.test
        a, b = self.a, self.b
        a_mean, b_mean = a[train].mean(axis=0), b[train].mean(axis=0)
        scale = (plan.centred * b[train]).sum()
        base = b_mean + scale * (a[test] - a_mean)
        left = (self.b_seen - scale * self.a_seen)[train]
        alpha = ALPHAS[int(np.argmin(plan.inner @ (left @ left.T).ravel()))]
        delta, mean, outputs = _ridge(self.inputs[train], left, alpha)
        change = (self.inputs[test] - mean) @ delta
        for i, rank in enumerate(self.ranks):
            cut = change @ outputs[:rank].T @ outputs[:rank]
            self.error_of_rank[i] += ((b[test] - base - cut) ** 2).sum()
        low = change @ outputs[: self.rank].T @ outputs[: self.rank]
        seen = self.inputs[train] - mean
        slopes = (seen * (left @ self.basis)).sum(axis=0) / np.maximum(
            (seen**2).sum(axis=0), np.finfo(float).tiny
        )
        scaled = ((self.inputs[test] - mean) * slopes) @ self.basis.T
        found = (a[test], a[test] + b_mean - a_mean, base, base + low, base + change, base + scaled)
        for model, rows in zip(MODELS, found, strict=True):
            self.predicted[model][test] = rows
            self.errors[model][test] = ((b[test] - rows) ** 2).sum(axis=1)
        self.energy[test] = ((b[test] - b_mean) ** 2).sum(axis=1)
