"""A short set of what `make calibration` draws at length, and its judgement."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.calibration import holds, main, outcomes
from study.selftest.case import LEVEL, Case
from study.selftest.false_positives import CASES

_LONG = {"an offset", "a binding", "a loop"}
"""Seconds a draw: the selftest plants these, and the kernels' own tests draw them."""


@pytest.mark.parametrize(
    "which",
    [i for i, case in enumerate(CASES) if case.test.partition(",")[0] not in _LONG],
    ids=lambda i: f"{CASES[i].test}: {CASES[i].data}",
)
def test_a_short_set_of_draws_is_within_what_is_allowed(which: int) -> None:
    yes, n, _ = outcomes(which, 20, seed=1)
    assert n == 20
    assert holds(CASES[which], yes, n), (yes, n)


def test_every_test_is_drawn_on_what_it_must_not_find_and_on_what_it_must() -> None:
    said = {case.test: set[str]() for case in CASES}
    for case in CASES:
        assert (case.most < 1) != (case.least > 0)
        said[case.test].add("null" if case.most < 1 else "planted")
    without = {test for test, kinds in said.items() if "null" not in kinds}
    assert not without


def test_too_many_false_ones_and_too_few_found_fail() -> None:
    def nothing(rng: np.random.Generator) -> np.ndarray:
        return np.array([False])

    null = Case("test", "noise", nothing, most=LEVEL)
    assert holds(null, 10, 200)
    assert holds(null, 18, 200)
    assert not holds(null, 26, 200)
    planted = Case("test", "signal", nothing, least=0.9)
    assert holds(planted, 180, 200)
    assert not holds(planted, 150, 200)
    never = Case("test", "zero", nothing, most=0.0)
    assert holds(never, 0, 200)
    assert not holds(never, 1, 200)


def test_the_command_prints_a_line_for_each_case_and_fails_with_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def counted(which: int, n_draws: int, seed: int) -> tuple[int, int, float]:
        return (n_draws if which == 0 or CASES[which].least else 0), n_draws, 0.0

    class InThisProcess:
        def __init__(self, *given: object, **more: object) -> None:
            self.map = map

        def __enter__(self) -> InThisProcess:
            return self

        def __exit__(self, *error: object) -> None:
            return

    monkeypatch.setattr("benchmarks.calibration.outcomes", counted)
    monkeypatch.setattr("benchmarks.calibration.ProcessPoolExecutor", InThisProcess)
    assert main(["--draws", "50"]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(CASES) + 2
    assert [line.endswith("FAILED") for line in printed[1:-1]] == [True] + [False] * (
        len(CASES) - 1
    )
    assert printed[-1] == f"{len(CASES) - 1} of {len(CASES)} as allowed"
