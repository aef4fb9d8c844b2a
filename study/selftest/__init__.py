"""Does the science work here? Structures are planted and must be found, nulls must not be.

    for line in selftest(seed=0): print(line.planted, line.statistic, line.measured, line.expected)

Ranges are those that the statistics must keep for any seed, not remembered digits.
"""

from __future__ import annotations

from collections.abc import Iterator

from study.selftest.check import Check, Line, run_check

__all__ = ["Check", "Line", "checks", "selftest"]


def checks() -> tuple[Check, ...]:
    """Every check, in the order in which they run."""
    from study.selftest import dictionaries, structure

    return (*dictionaries.CHECKS, *structure.CHECKS)


def selftest(seed: int = 0) -> Iterator[Line]:
    """Run every check, one after the other, on one thread."""
    for check in checks():
        yield from run_check(check, seed)
