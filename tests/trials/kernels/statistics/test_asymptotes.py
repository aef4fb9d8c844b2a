"""Curves whose end is known: an offset is found, and what goes to zero is never called one."""

import numpy as np
import pytest

from study.selftest.verdict_cases import ABOVE_ZERO, LONG, SHORT, is_offset
from trials.kernels.statistics.asymptotes import asymptote

TIMES = np.unique(np.rint(np.geomspace(1, 1e5, 16)))
TO_ZERO = {
    "log decay": lambda t: 1 / (1 + 0.5 * np.log1p(t)),
    "two powers": lambda t: 0.5 * t**-0.5 + 0.3 * t**-0.05,
    "flattening power": lambda t: t**-0.4 * (1 + t / 300) ** 0.3,
    "steepening power": lambda t: t**-0.05 * (1 + t / 1000) ** -0.4,
    "slow power": lambda t: t**-0.1,
}


def seeds_of(curve, seed, n_seeds=5, noise=0.01):
    rng = np.random.default_rng(seed)
    return curve(TIMES) * np.exp(noise * rng.standard_normal((n_seeds, len(TIMES))))


@pytest.mark.parametrize("name", TO_ZERO)
def test_a_curve_that_goes_to_zero_is_never_called_an_offset(name):
    found = asymptote(TIMES, seeds_of(TO_ZERO[name], 0), noise=0.01)
    assert found.ending != "offset"


@pytest.mark.parametrize("seed", [0, 12, 16])
def test_a_soft_break_in_noise_is_not_an_offset(seed):
    """Draws in which the broken law is the best fit, and predicts late times just too badly."""
    times = np.geomspace(1, 1e4, 16)
    noise = np.exp(0.03 * np.random.default_rng(5000 + seed).standard_normal((3, 16)))
    curve = times**-0.5 * (1 + (times / 100) ** 0.5) ** 0.8
    assert asymptote(times, curve * noise, noise=0.01).ending != "offset"


@pytest.mark.parametrize("times", [SHORT, LONG], ids=["short", "long"])
@pytest.mark.parametrize("data", ABOVE_ZERO)
def test_what_stays_above_zero_is_called_an_offset(data, times):
    draws = [is_offset(times, ABOVE_ZERO[data])(np.random.default_rng(seed)) for seed in range(4)]
    assert np.sum(draws) >= 2  # 9 of 10 in many draws: see `make calibration`


def test_a_curve_of_no_known_form_that_rises_in_the_end_stays_above_zero():
    def late(t):
        return 0.44 - 0.24 / (1 + (60 / t) ** 4) + 0.05 * np.log1p(t / 300)

    found = asymptote(LONG, seeds_of(lambda t: late(t), 0), noise=0.01)
    assert not any(fit.accepted for fit in found.fits)
    assert (found.ending, found.slope_high < 0) == ("offset", True)


def test_the_best_form_has_the_name_of_the_curve():
    def best(data):
        curve = ABOVE_ZERO[data](SHORT, np.full(3, 0.5))
        noise = np.exp(0.01 * np.random.default_rng(0).standard_normal((5, len(SHORT))))
        return asymptote(SHORT, curve * noise, noise=0.01).best

    assert best("flat curves at 0.23") == "plateau"
    assert best("rising curves from 0.23") == "rising"
    assert best("curves that fall to 0.23 and rise") == "fall, then rise"


def test_an_offset_is_found_with_an_interval_that_holds_it():
    found = [
        asymptote(TIMES, seeds_of(lambda t: 0.1 + t**-0.5, seed), noise=0.01) for seed in (0, 1)
    ]
    assert any(f.ending == "offset" for f in found)
    for one in found:
        fit = one.fits[0]
        assert fit.name == "E + A (t + t0)^-b"
        assert abs(fit.end - 0.1) < 0.005
        if fit.accepted:
            assert fit.low - 0.003 < 0.1 < fit.high + 0.003
            assert fit.high - fit.low < 0.03


def test_a_steep_power_law_is_called_zero_only_below_the_noise():
    errors = seeds_of(lambda t: t**-0.5, 1)
    assert asymptote(TIMES, errors, noise=0.01).ending == "zero"
    assert asymptote(TIMES, errors, noise=1e-5).ending == "not identified"


def test_the_local_slope_is_that_of_the_last_decade_over_seeds():
    found = asymptote(TIMES, seeds_of(lambda t: t**-0.3, 0), noise=0.01)
    assert found.slope_low < found.slope < found.slope_high
    assert found.slope == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize(
    ("errors", "message"),
    [
        (np.ones((1, 16)), "at least 2 seeds and 8 times"),
        (np.ones((3, 5)), "at least 2 seeds and 8 times"),
        (np.zeros((3, 16)), "must be positive"),
    ],
)
def test_what_cannot_be_fitted_is_refused(errors, message):
    with pytest.raises(ValueError, match=message):
        asymptote(TIMES[: errors.shape[1]], errors, noise=0.01)
