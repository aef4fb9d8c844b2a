"""Which coder stands first is decided on planted rows: the small version of the benchmark."""

import pytest

from benchmarks.coders import compare


@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_matching_pursuit_stands_first_on_planted_rows_over_every_dictionary(noise):
    found = list(compare(64, 4, noise, n_rows=2000, d_model=32))
    for dictionary in ("true", "lasso", "omp"):
        error = {f.coder: f.error for f in found if f.dictionary == dictionary}
        assert error["omp"] == min(error.values())
        assert error["lasso"] == max(error.values())
    if noise < 0.5:
        best = {f.dictionary: f.error for f in found if f.coder == "omp"}
        assert best["omp"] < best["lasso"]
    clean = {f.coder: f.of_clean for f in found if f.dictionary == "true"}
    support = {f.coder: f.support for f in found if f.dictionary == "true"}
    assert clean["omp"] == min(clean.values())
    assert support["omp"] == max(support.values())
