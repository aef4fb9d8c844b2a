"""Reading a measured curve between its points."""

from collections.abc import Sequence

import numpy as np


def read_curve(x: Sequence[float], y: Sequence[float], at: float, *, log_y: bool = True) -> float:
    """The curve through the points (x, y) at `at`, linear in log x (and log y on request).

    Nothing is extrapolated: NaN outside the range of x. Points that are not finite, or not positive
    on a logarithmic axis, are left out; the mean of y is taken where x repeats.
    """
    points = np.array([x, y], dtype=np.float64)
    on_axes = np.isfinite(points).all(axis=0) & (points[0] > 0)
    if log_y:
        on_axes &= points[1] > 0
    if not on_axes.any() or not at > 0:
        return float("nan")
    knots, group = np.unique(points[0, on_axes], return_inverse=True)
    heights = np.log(points[1, on_axes]) if log_y else points[1, on_axes]
    heights = np.bincount(group, weights=heights) / np.bincount(group)
    if not knots[0] <= at <= knots[-1]:
        return float("nan")
    value = np.interp(np.log(at), np.log(knots), heights)
    return float(np.exp(value) if log_y else value)
