"""How often every test of the kinds is wrong, over many draws: `make calibration`.

A case fails where its share of wrong draws is above what is allowed by more than the draws' own
chance (one in a thousand), or where what is planted is found too seldom.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
from scipy.stats import binom, binomtest

from study.selftest.case import Case
from study.selftest.false_positives import CASES

_CHANCE = 1e-3


def outcomes(which: int, n_draws: int, seed: int) -> tuple[int, int, float]:
    """Draws in which the test said yes, all draws (at least that many), and the seconds spent."""
    started = time.perf_counter()
    rng = np.random.default_rng([seed, which])
    said: list[bool] = []
    while len(said) < n_draws:
        said += CASES[which].draw(rng).tolist()
    return sum(said), len(said), time.perf_counter() - started


def holds(case: Case, yes: int, n: int) -> bool:
    """Whether so many are within the bounds, chance allowed for."""
    too_many = case.most < 1 and float(binom.sf(yes - 1, n, case.most)) < _CHANCE
    too_few = case.least > 0 and float(binom.cdf(yes, n, case.least)) < _CHANCE
    return not too_many and not too_few


def main(arguments: list[str] | None = None) -> int:
    """Draw every case, print a line each; 1 if a case fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=200, help="draws of each case, at least")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args(arguments)
    failed = 0
    print(f"{'decided':44} {'on':62} {'yes':>11} {'95 %':>15}  {'allowed':14} seconds")
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
        n = len(CASES)
        found = pool.map(outcomes, range(n), [given.draws] * n, [given.seed] * n)
        for case, (yes, n_draws, seconds) in zip(CASES, found, strict=True):
            interval = binomtest(yes, n_draws).proportion_ci(0.95)
            allowed = f"at least {case.least:g}" if case.least else f"at most {case.most:g}"
            good = holds(case, yes, n_draws)
            failed += not good
            print(
                f"{case.test:44} {case.data:62} {yes:5} of {n_draws:3} "
                f"{interval.low:.3f} to {interval.high:.3f}  {allowed:14} {seconds:5.0f}"
                f"{'' if good else '  FAILED'}",
                flush=True,
            )
    print(f"{n - failed} of {n} as allowed")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
