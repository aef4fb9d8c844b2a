"""Does the science work on this machine? Planted structures must be found, and nulls must not.

    check             a planted case, the expected ranges, and what was measured
    dictionaries, structure
                      the cases
    page              the result as text and JSON
    false_positives   how often each test is wrong; run by `make bench`, not by `sweeper selftest`

The expected ranges hold for any seed; they are not remembered digits.
"""

from __future__ import annotations

from collections.abc import Iterator

from study.selftest import dictionaries, structure
from study.selftest.check import Check, Line, run_check
from study.selftest.page import selftest_json, selftest_line

__all__ = ["CHECKS", "Check", "Line", "run_checks", "selftest_json", "selftest_line"]

CHECKS = (*dictionaries.CHECKS, *structure.CHECKS)
"""Every check, in the order in which they run."""


def run_checks(seed: int = 0) -> Iterator[Line]:
    """Run every check, one after the other, on one thread."""
    for check in CHECKS:
        yield from run_check(check, seed)
