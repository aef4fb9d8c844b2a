"""The result of the selftest: measured vs. expected."""

from __future__ import annotations

import json
from collections.abc import Iterable

from study.selftest.check import Line
from sweeper.report.words import number


def selftest_line(line: Line, *, is_first: bool) -> str:
    """A line on a statistic; the first of a planted case comes below the name of the case."""
    mark = "ok" if line.passed else "FAILED"
    text = (
        f"  {line.statistic:<54} {number(line.measured):>10}  expected {line.expected!s:<16} {mark}"
    )
    return f"{line.planted}  ({line.seconds:.1f} s)\n{text}" if is_first else text


def selftest_json(lines: Iterable[Line]) -> str:
    """All lines as a JSON list."""
    return json.dumps(
        [
            {
                "planted": line.planted,
                "statistic": line.statistic,
                "measured": line.measured,
                "expected": str(line.expected),
                "passed": line.passed,
                "seconds": line.seconds,
            }
            for line in lines
        ],
        indent=2,
    )
