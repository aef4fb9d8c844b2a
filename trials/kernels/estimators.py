"""The coders and the learners of dictionaries as scikit-learn estimators.

    codes = DictionaryLearning(n_atoms=512, l1_penalty=0.2).fit(X, sample_weight=w).transform(X)
    codes = SparseCoder(dictionary, method="omp", n_nonzero=8).fit_transform(X)

Rows are used as they are given: centre and scale them first. Reconstructions are
`codes @ components_`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from trials.kernels.dictionaries import learn_dictionary, learn_greedy_dictionary
from trials.kernels.sparse_coding import lasso_codes, omp_codes

_FLOATS = [np.float64, np.float32]


class _Coder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """What both estimators share: codes over `components_`."""

    method: str
    l1_penalty: float
    n_nonzero: int
    nonnegative: bool
    tolerance: float
    sparse_output: bool
    n_threads: int | None
    components_: np.ndarray

    def transform(self, X: Any) -> Any:  # noqa: N803
        """Codes of the rows of X, (n_rows, n_atoms): an array, or a CSR array on request."""
        check_is_fitted(self)
        signals = validate_data(self, X, dtype=_FLOATS, reset=False)
        codes = self._codes(signals)
        return codes if self.sparse_output else codes.toarray()

    def inverse_transform(self, X: Any) -> Any:  # noqa: N803
        """The rows that codes stand for, (n_rows, n_features): `X @ components_`."""
        check_is_fitted(self)
        codes = check_array(X, dtype=_FLOATS, accept_sparse="csr")
        return codes @ self.components_.astype(codes.dtype)

    def _codes(self, signals: np.ndarray) -> csr_array:
        if self.method == "omp":
            n_nonzero = min(self.n_nonzero, *self.components_.shape)
            return omp_codes(
                signals, self.components_, n_nonzero=n_nonzero, n_threads=self.n_threads
            ).codes
        return lasso_codes(
            signals,
            self.components_,
            l1_penalty=self.l1_penalty,
            nonnegative=self.nonnegative,
            tolerance=self.tolerance,
            n_threads=self.n_threads,
        ).codes

    def _check_method(self) -> None:
        if self.method not in ("lasso", "omp"):
            raise ValueError(f"method is {self.method!r}; it must be 'lasso' or 'omp'")
        if self.method == "omp" and self.nonnegative:
            raise ValueError("codes of method 'omp' have signs; nonnegative must be False")
        if self.n_nonzero < 1:
            raise ValueError(f"n_nonzero is {self.n_nonzero}; it must be at least 1")

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class SparseCoder(_Coder):
    """Sparse codes over a given dictionary: certified LASSO codes, or orthogonal matching pursuit.

    Args:
        dictionary: (n_atoms, n_features), rows of any norm but zero. None takes the distinct rows
            that `fit` is given, at unit norm (as in Wright et al. 2009): then the only weights that
            matter are those of 0.
        method: "lasso", see `lasso_codes`, or "omp", see `omp_codes`.
        l1_penalty: of the LASSO, absolute.
        n_nonzero: of matching pursuit, atoms per row.
        nonnegative: no negative codes; LASSO only.
        tolerance: largest relative duality gap of a LASSO code.
        sparse_output: codes as a CSR array.
        n_threads: all cores by default. The result does not depend on it.

    Attributes:
        components_: the dictionary, (n_atoms, n_features).
    """

    def __init__(
        self,
        dictionary: Any = None,
        *,
        method: str = "lasso",
        l1_penalty: float = 0.1,
        n_nonzero: int = 8,
        nonnegative: bool = False,
        tolerance: float = 1e-6,
        sparse_output: bool = False,
        n_threads: int | None = None,
    ) -> None:
        self.dictionary = dictionary
        self.method = method
        self.l1_penalty = l1_penalty
        self.n_nonzero = n_nonzero
        self.nonnegative = nonnegative
        self.tolerance = tolerance
        self.sparse_output = sparse_output
        self.n_threads = n_threads

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> SparseCoder:  # noqa: N803
        """Check the rows; nothing is learned from them unless `dictionary` is None.

        Raises:
            ValueError: an argument out of its range, or shapes that do not match.
        """
        self._check_method()
        signals = validate_data(self, X, dtype=_FLOATS)
        if self.dictionary is None:
            rows, _ = _distinct(signals, sample_weight)
            norms = np.linalg.norm(rows, axis=1)
            if not norms.any():
                raise ValueError("all rows are zero; give a dictionary")
            rows, norms = rows[norms > 0], norms[norms > 0]
            self.components_ = rows / norms[:, None]
            return self
        atoms = check_array(self.dictionary, dtype=_FLOATS)
        if atoms.shape[1] != signals.shape[1]:
            n_given, n_features = atoms.shape[1], signals.shape[1]
            raise ValueError(f"dictionary has {n_given} columns, X {n_features}; they must agree")
        self.components_ = atoms
        return self


class DictionaryLearning(_Coder):
    """A dictionary learned for the rows, by exact alternation, and codes over it.

    Equal rows count as one row with the sum of their weights, so a weight of 2 is the same as
    giving a row twice, and a weight of 0 the same as leaving it out.

    Args:
        n_atoms: rows of the dictionary; None is the number of features.
        method: "lasso" learns for LASSO codes at `l1_penalty` (`learn_dictionary`), "omp" for
            greedy codes with `n_nonzero` atoms per row in the mean (`learn_greedy_dictionary`).
        l1_penalty: of the LASSO, absolute.
        n_nonzero: of matching pursuit, atoms per row.
        nonnegative: no negative codes; LASSO only.
        max_passes: coding passes over the rows.
        tolerance: largest relative duality gap of a LASSO code that `transform` returns.
        sparse_output: codes as a CSR array.
        random_state: an int gives the same dictionary in every call.
        n_threads: all cores by default. The result does not depend on it.

    Attributes:
        components_: (n_atoms, n_features), rows of unit norm.
        objective_: the weighted mean of the objective, one per pass.
        n_iter_: number of passes.
        converged_: whether the objective settled before `max_passes`.
    """

    def __init__(
        self,
        n_atoms: int | None = None,
        *,
        method: str = "lasso",
        l1_penalty: float = 0.1,
        n_nonzero: int = 8,
        nonnegative: bool = False,
        max_passes: int = 50,
        tolerance: float = 1e-6,
        sparse_output: bool = False,
        random_state: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self.n_atoms = n_atoms
        self.method = method
        self.l1_penalty = l1_penalty
        self.n_nonzero = n_nonzero
        self.nonnegative = nonnegative
        self.max_passes = max_passes
        self.tolerance = tolerance
        self.sparse_output = sparse_output
        self.random_state = random_state
        self.n_threads = n_threads

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> DictionaryLearning:  # noqa: N803
        """Learn the dictionary.

        Args:
            X: (n_rows, n_features), centred and scaled by the caller.
            y: ignored.
            sample_weight: (n_rows,), not negative; 1 by default.

        Raises:
            ValueError: an argument out of its range, NaN, or weights that are all zero.
        """
        self._check_method()
        signals = validate_data(self, X, dtype=_FLOATS)
        rows, weights = _distinct(signals, sample_weight)
        n_atoms = signals.shape[1] if self.n_atoms is None else self.n_atoms
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31 - 1))
        if self.method == "omp":
            learned: Any = learn_greedy_dictionary(
                rows,
                n_atoms,
                mean_nonzero=float(min(self.n_nonzero, n_atoms, rows.shape[1])),
                weights=weights,
                max_passes=self.max_passes,
                rng=rng,
                n_threads=self.n_threads,
            )
        else:
            learned = learn_dictionary(
                rows,
                n_atoms,
                l1_penalty=self.l1_penalty,
                weights=weights,
                nonnegative=self.nonnegative,
                max_passes=self.max_passes,
                rng=rng,
                n_threads=self.n_threads,
            )
        self.components_ = learned.atoms
        self.objective_ = learned.objective
        self.n_iter_ = learned.n_passes
        self.converged_ = learned.converged
        return self


def _distinct(signals: np.ndarray, sample_weight: Any) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows that have a weight, in a fixed order, and the sum of the weights of each.

    Without this, equal rows and one row with their weight would draw different random numbers.
    """
    weights = _check_sample_weight(sample_weight, signals, dtype=np.float64)
    if (weights < 0).any() or not weights.any():
        raise ValueError("sample_weight must not be negative, nor zero for every row")
    used = weights > 0
    rows, place = np.unique(signals[used], axis=0, return_inverse=True)
    return rows, np.bincount(place.ravel(), weights[used])
