import numpy as np
import pytest

from trials.kernels.dictionaries.random_rows import (
    cosine_tail,
    expected_rejections,
    largest_cosine,
    random_rows,
    welch_bound,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def by_brute_force(rows):
    unit = rows.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    cosines = np.abs(unit @ unit.T)
    np.fill_diagonal(cosines, 0)
    return cosines.max()


@pytest.mark.parametrize("threshold", [0.45, 0.42, 0.40])
def test_rejections_follow_the_law_of_spherical_caps(threshold):
    counts = [
        random_rows(2000, 64, max_cosine=threshold, rng=rng(seed)).n_rejections for seed in range(4)
    ]
    expected = expected_rejections(2000, 64, threshold)
    # Four draws of a count that scatters a little more than a Poisson one.
    assert abs(np.mean(counts) - expected) < 0.05 * expected + 3 * np.sqrt(expected / 4)


def test_accepted_rows_are_unit_rows_under_the_threshold_and_the_largest_cosine_is_reported():
    found = random_rows(1500, 32, max_cosine=0.6, rng=rng())
    assert found.rows.shape == (1500, 32)
    assert np.allclose(np.linalg.norm(found.rows, axis=1), 1, atol=1e-6)
    assert found.max_cosine == pytest.approx(by_brute_force(found.rows), abs=1e-12)
    assert 0.59 < found.max_cosine <= 0.6
    assert found.n_rejections > 0


def test_a_loose_threshold_rejects_nothing_and_gives_the_independent_rows():
    independent = random_rows(700, 48, max_cosine=None, rng=rng())
    assert independent.n_rejections == independent.expected_rejections == 0
    assert independent.max_cosine == pytest.approx(by_brute_force(independent.rows), abs=1e-12)
    loose = random_rows(700, 48, max_cosine=0.99, rng=rng())
    assert loose.n_rejections == 0
    assert (loose.rows == independent.rows).all()


def test_repulsion_reaches_what_rejection_cannot():
    with pytest.raises(ValueError, match="method 'repulsion' reaches it"):
        random_rows(1000, 32, max_cosine=0.42, rng=rng())
    found = random_rows(1000, 32, max_cosine=0.42, rng=rng(), method="repulsion")
    assert found.n_passes > 1
    assert by_brute_force(found.rows) <= 0.42
    assert found.max_cosine == pytest.approx(by_brute_force(found.rows), abs=1e-12)


def test_the_rows_do_not_depend_on_the_number_of_threads():
    for method, threshold in (("rejection", 0.45), ("repulsion", 0.38)):
        one, two = (
            random_rows(1200, 48, max_cosine=threshold, rng=rng(), method=method, n_threads=n)
            for n in (1, 2)
        )
        assert (one.rows == two.rows).all()
        assert one[1:] == two[1:]


def test_directions_are_uniform_on_the_sphere():
    rows = random_rows(20_000, 8, max_cosine=None, rng=rng()).rows
    assert np.abs(rows.mean(axis=0)).max() < 5 / np.sqrt(8 * 20_000)
    assert np.abs(rows.T @ rows / len(rows) - np.eye(8) / 8).max() < 0.01


def test_the_tail_is_that_of_drawn_cosines():
    rows = random_rows(4000, 16, max_cosine=None, rng=rng()).rows
    drawn = np.abs((rows[:2000] * rows[2000:]).sum(axis=1))
    for threshold in (0.2, 0.4):
        assert (drawn > threshold).mean() == pytest.approx(cosine_tail(threshold, 16), abs=0.03)
    assert cosine_tail(0.0, 16) == 1.0
    assert cosine_tail(1.0, 16) == 0.0


def test_the_largest_cosine_of_copies_is_one_and_of_orthogonal_rows_zero():
    rows = rng().standard_normal((600, 16))
    rows[599] = -3 * rows[2]
    assert largest_cosine(rows) == pytest.approx(1, abs=1e-12)
    assert largest_cosine(np.eye(5)) == 0.0
    assert largest_cosine(np.ones((1, 4))) == 0.0


def test_fewer_rows_than_dimensions_have_no_welch_bound():
    assert welch_bound(10, 16) == 0.0
    assert welch_bound(50_257, 768) == pytest.approx(0.0358, abs=1e-4)
    assert random_rows(3, 16, max_cosine=1.0, rng=rng()).rows.shape == (3, 16)


@pytest.mark.parametrize(
    ("n_rows", "d_model", "threshold", "message"),
    [
        (0, 4, None, "at least 1 row"),
        (4, 1, None, "of 2 dimensions"),
        (4, 4, 0.0, "above 0 and at most 1"),
        (4, 4, 1.5, "above 0 and at most 1"),
        (4, 4, float("nan"), "above 0 and at most 1"),
        (50_257, 768, 0.03, r"Welch's bound"),
        (50_257, 768, 0.13, r"about 2.45e\+05 rows for each kept"),
    ],
)
def test_a_threshold_that_cannot_be_reached_is_refused_at_once(n_rows, d_model, threshold, message):
    with pytest.raises(ValueError, match=message):
        random_rows(n_rows, d_model, max_cosine=threshold, rng=rng())
