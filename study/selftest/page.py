"""What the selftest measured beside what it expected."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sweeper.report.words import number

if TYPE_CHECKING:
    from study.selftest import Line


def selftest_line(line: Line, *, is_first: bool) -> str:
    """A statistic, below the name of its planted case where it is the first of it."""
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
