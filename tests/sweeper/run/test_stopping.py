from __future__ import annotations

from sweeper.run.search.stopping import AsyncHalving, MedianRule


def test_halving_keeps_one_in_r_at_each_rung() -> None:
    rule = AsyncHalving("loss", 1.0, grace=2, reduction=3)
    assert not rule.stops("early", 1, {"loss": 9.0})
    kept = [not rule.stops(str(i), 2, {"loss": float(i)}) for i in (5, 1, 9, 0, 8, 7)]
    # The first two pass for want of a third to be held against.
    assert kept == [True, True, False, True, False, False]
    assert not rule.stops("0", 3, {"loss": 99.0}), "judged once a rung"


def test_halving_maximises_with_the_other_sign() -> None:
    rule = AsyncHalving("score", -1.0, grace=1, reduction=2)
    assert not rule.stops("a", 1, {"score": 0.9})
    assert rule.stops("b", 1, {"score": 0.1})


def test_what_is_reported_again_counts_once() -> None:
    halving = AsyncHalving("loss", 1.0, grace=1, reduction=2)
    curves = MedianRule("loss", 1.0, grace=1, n_least=1)
    for rule in (halving, curves):
        for _ in range(9):
            assert not rule.stops("a", 1, {"loss": 1.0})
        assert not rule.stops("a", 2, {"loss": 5.0})
    assert halving.stops("b", 1, {"loss": 2.0})
    assert not curves.stops("b", 2, {"loss": 2.9}), "the mean of 1 and 5 is 3"
    assert curves.stops("c", 2, {"loss": 3.0})


def test_the_median_rule_needs_company_and_grace() -> None:
    rule = MedianRule("loss", 1.0, grace=2)
    for key in "abc":
        assert not rule.stops(key, 1, {"loss": 1.0})
        assert not rule.stops(key, 2, {"loss": 1.0})
    assert not rule.stops("slow", 1, {"loss": 5.0})
    assert rule.stops("slow", 2, {"loss": 5.0})
    assert not rule.stops("fast", 2, {"loss": 0.5})
