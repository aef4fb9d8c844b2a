import numpy as np
import pytest

from study.selftest.verdict_cases import gap_of
from trials.kernels.statistics.paired_gap import gap_trend, paired_gap, tokens_ratio


def arms(n_seeds, n_items, gap, rng, seed_sd=0.02, item_sd=1.0):
    items = item_sd * rng.standard_normal(n_items)
    shared = seed_sd * rng.standard_normal((n_seeds, 1))
    reference = 3 + items + shared + 0.05 * rng.standard_normal((n_seeds, n_items))
    arm = 3 + gap + items + shared + 0.05 * rng.standard_normal((n_seeds, n_items))
    return arm, reference


def test_the_wider_of_two_intervals_counts():
    rng = np.random.default_rng(0)
    few_seeds = paired_gap(*arms(3, 200, 0.1, rng, seed_sd=0.02), n_draws=300, rng=rng)
    gap = 0.1 + 0.5 * rng.standard_normal((1, 200)) + 0.01 * rng.standard_normal((8, 200))
    noisy_items = paired_gap(gap, np.zeros_like(gap), n_draws=300, rng=rng)
    assert (few_seeds.method, noisy_items.method) == ("t", "multi-bootstrap")


@pytest.mark.parametrize(("seed_sd", "item_sd"), [(0.02, 0.002), (0.002, 0.06), (0.02, 0.12)])
@pytest.mark.parametrize("n_seeds", [3, 5])
def test_the_interval_holds_the_true_gap_at_its_level(n_seeds, seed_sd, item_sd):
    rng = np.random.default_rng(0)
    missed = gap_of(0.1, n_seeds, seed_sd, item_sd)
    assert np.mean([missed(rng)[0] for _ in range(80)]) <= 0.15  # nominal 0.05, and chance


def test_pairing_removes_what_seeds_and_items_share():
    rng = np.random.default_rng(1)
    found = paired_gap(*arms(5, 400, 0.1, rng, seed_sd=1.0, item_sd=5.0), rng=rng)
    assert found.mean == pytest.approx(0.1, abs=0.01)
    assert found.high - found.low < 0.05


def test_one_seed_has_no_interval():
    rng = np.random.default_rng(2)
    found = paired_gap(*arms(1, 50, 0.1, rng), rng=rng)
    assert (found.low, found.high) == (-np.inf, np.inf)
    with pytest.raises(ValueError, match="1 seed at least"):
        paired_gap(np.ones((0, 3)), np.ones((0, 3)), rng=rng)


def test_tokens_to_a_loss_are_interpolated_and_bounded_where_it_is_never_reached():
    tokens = np.array([0.0, 100, 200, 400, 800])
    losses = np.array([8.0, 4.0, 3.0, 2.5, 2.0])
    slower = (2 * tokens, losses)
    assert tokens_ratio((tokens, losses), (tokens, losses)) == pytest.approx(1)
    assert tokens_ratio(slower, (tokens, losses)) == pytest.approx(2)
    worse = (tokens, losses + 0.5)
    assert tokens_ratio(worse, (tokens, losses)) == pytest.approx(-1)
    assert tokens_ratio((tokens, losses), worse) == pytest.approx(0.5)
    assert tokens_ratio(worse, (tokens, losses), share=0.5) == pytest.approx(2)


def falling(power, rng, n_seeds=3):
    tokens = np.geomspace(1e3, 1e6, 25)
    for _ in range(n_seeds):
        reference = 3 + tokens**-0.3
        gap = 0.4 * (tokens / 1e6) ** -power * np.exp(0.002 * rng.standard_normal(25))
        yield (tokens, reference + gap), (tokens, reference)


@pytest.mark.parametrize("power", [0.0, 0.5])
def test_the_speed_at_which_a_gap_closes_is_found(power):
    rng = np.random.default_rng(3)
    mean, low, high = gap_trend(list(falling(power, rng)))
    assert mean == pytest.approx(power, abs=0.05)
    assert low <= mean <= high
    assert high - low < 0.2


def test_a_gap_that_is_none_has_no_trend():
    rng = np.random.default_rng(4)
    pairs = list(falling(0.5, rng))
    assert np.isnan(gap_trend([(reference, arm) for arm, reference in pairs])).all()
    mean, low, high = gap_trend(pairs[:1])
    assert (low, high) == (-np.inf, np.inf)
    assert mean == pytest.approx(0.5, abs=0.05)
    few = [((arm[0][-2:], arm[1][-2:]), (ref[0][-2:], ref[1][-2:])) for arm, ref in pairs]
    assert np.isnan(gap_trend(few, share=0.1)).all()
    with pytest.raises(ValueError, match="other tokens"):
        gap_trend([((2 * pairs[0][0][0], pairs[0][0][1]), pairs[0][1])])
    with pytest.raises(ValueError, match="no seed"):
        gap_trend([])
