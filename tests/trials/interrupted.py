"""What the tests of resumed trials share: a worker that dies, and results that must be equal."""

from __future__ import annotations

import numpy as np

from trials.api import TrialKind, TrialResult


class Killed(BaseException):
    """The end of a worker. Not an Exception, so that no kind catches it."""


def assert_same(kind: TrialKind, result: TrialResult, undisturbed: TrialResult) -> None:
    """Equal to the last bit in arrays, tables and metrics, except wall times."""
    for stem, tensors in undisturbed.arrays.items():
        for name, array in tensors.items():
            np.testing.assert_array_equal(result.arrays[stem][name], array, f"{stem} {name}")
    assert result.tables.keys() == undisturbed.tables.keys()
    for stem, table in undisturbed.tables.items():
        assert result.tables[stem].keys() == table.keys()
        for name, column in table.items():
            np.testing.assert_array_equal(result.tables[stem][name], column, f"{stem} {name}")
    wall_times = {metric.name for metric in kind.metrics if metric.timing}
    for name in set(undisturbed.metrics) - wall_times:
        np.testing.assert_equal(result.metrics[name], undisturbed.metrics[name], name)
