"""The scikit-learn estimators around the kernels."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.sparse import issparse
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import trials.inputs
import trials.kernels
from trials.kernels import DictionaryLearning, SparseCoder, lasso_codes, omp_codes

RNG = np.random.default_rng(0)
ATOMS = RNG.normal(size=(12, 8))
ATOMS /= np.linalg.norm(ATOMS, axis=1, keepdims=True)
CODES = RNG.normal(size=(60, 12)) * (RNG.random((60, 12)) < 0.2)
SIGNALS = CODES @ ATOMS


CHECKS = """
import warnings
from sklearn.utils.estimator_checks import check_estimator
from trials.kernels import DictionaryLearning, SparseCoder
warnings.simplefilter("ignore")
for options in ({}, {"method": "omp", "n_nonzero": 3}):
    for estimator in (SparseCoder(**options), DictionaryLearning(n_atoms=8, **options)):
        for check in check_estimator(estimator, on_skip=None, on_fail=None):
            print(check["status"], check["check_name"], estimator, check["exception"])
"""


def test_the_estimators_pass_the_checks_of_scikit_learn() -> None:
    # In a process of its own, where no hook checks the types of arguments: scikit-learn demands
    # that constructors accept anything.
    done = subprocess.run(
        [sys.executable, "-c", CHECKS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert not [line for line in lines if not line.startswith(("passed", "skipped"))]
    weights = "passed check_sample_weight_equivalence_on_dense_data"
    assert sum(line.startswith(weights) for line in lines) == 4


def test_codes_are_those_of_the_kernels() -> None:
    lasso = SparseCoder(ATOMS, l1_penalty=0.05).fit_transform(SIGNALS)
    wanted = lasso_codes(SIGNALS, ATOMS, l1_penalty=0.05, tolerance=1e-6).codes.toarray()
    np.testing.assert_array_equal(lasso, wanted)
    greedy = SparseCoder(ATOMS, method="omp", n_nonzero=2, sparse_output=True).fit(SIGNALS)
    codes = greedy.transform(SIGNALS)
    assert issparse(codes)
    np.testing.assert_array_equal(
        codes.toarray(), omp_codes(SIGNALS, ATOMS, n_nonzero=2).codes.toarray()
    )
    np.testing.assert_allclose(greedy.inverse_transform(codes), codes @ ATOMS)


@pytest.mark.parametrize("method", ["lasso", "omp"])
def test_a_weight_is_a_number_of_copies(method: str) -> None:
    counts = np.arange(60) % 3
    copies = np.repeat(SIGNALS, counts, axis=0)
    options = {"n_atoms": 12, "method": method, "l1_penalty": 0.05, "n_nonzero": 2}
    weighted = DictionaryLearning(**options, random_state=0).fit(SIGNALS, sample_weight=counts)
    repeated = DictionaryLearning(**options, random_state=0).fit(copies)
    np.testing.assert_allclose(weighted.components_, repeated.components_)
    unweighted = DictionaryLearning(**options, random_state=0).fit(SIGNALS)
    assert np.abs(weighted.components_ - unweighted.components_).max() > 1e-3


def test_a_learner_works_in_a_pipeline() -> None:
    learner = DictionaryLearning(n_atoms=12, l1_penalty=0.05, nonnegative=True, random_state=0)
    codes = make_pipeline(StandardScaler(), learner).fit_transform(SIGNALS.astype(np.float32))
    assert codes.shape == (60, 12)
    assert codes.dtype == np.float32
    assert (codes >= 0).all()
    assert learner.n_iter_ == len(learner.objective_)
    np.testing.assert_allclose(np.linalg.norm(learner.components_, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("estimator", "rule"),
    [
        (SparseCoder(ATOMS, method="omps"), "it must be 'lasso' or 'omp'"),
        (SparseCoder(ATOMS, method="omp", nonnegative=True), "nonnegative must be False"),
        (SparseCoder(ATOMS, n_nonzero=0), "it must be at least 1"),
        (SparseCoder(ATOMS[:, :3]), "dictionary has 3 columns, X 8; they must agree"),
        (SparseCoder(0 * ATOMS), "are zero"),
        (DictionaryLearning(n_atoms=0), "at least 1"),
        (DictionaryLearning(l1_penalty=-1.0), "positive"),
    ],
)
def test_an_argument_out_of_its_range_is_refused(estimator: SparseCoder, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        estimator.fit(SIGNALS).transform(SIGNALS)


def test_weights_that_are_negative_or_all_zero_are_refused() -> None:
    for weights in (-np.ones(60), np.zeros(60)):
        with pytest.raises(ValueError, match=r"negative|non-zero"):
            DictionaryLearning().fit(SIGNALS, sample_weight=weights)


def test_public_names_are_loaded_at_first_use() -> None:
    for package in (trials.kernels, trials.inputs):
        for name in package.__all__:
            assert getattr(package, name).__name__ == name
        with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute"):
            package.nothing  # noqa: B018
