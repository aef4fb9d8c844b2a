"""Forms of curve that fall with time: to an offset, or to zero."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Curve = Callable[[np.ndarray, np.ndarray], np.ndarray]

_LEAST_SLOPE = 0.02
"""A broken power law whose last slope is flatter than this is an offset by another name."""


class Family(NamedTuple):
    """A form of curve, positive for all parameters.

    Attributes:
        name: as it is written.
        curve: `curve(parameters, t)`; the first parameter is ln E where there is an offset E.
        has_offset: whether the curve ends at E > 0; the others end at zero.
        starts: (n, n_parameters), where fits begin, for t and errors of order one.
    """

    name: str
    curve: Curve
    has_offset: bool
    starts: np.ndarray


def _power(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(p[0] - np.exp(p[1]) * np.log(t + np.exp(p[2]))))


def _offset_power(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(p[0]) + _power(p[1:], t))


def _logarithmic(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(p[0]) / (1 + np.exp(p[1]) * np.log1p(t)))


def _offset_exponential(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(p[0]) + np.exp(p[1] - t * np.exp(p[2])))


def _broken_power(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Slope b before the break at exp(p[3]), and after it a last slope of at least the least."""
    early, late = np.exp(p[1]), _LEAST_SLOPE + np.exp(p[2])
    bend = np.logaddexp(0, np.log(t) - p[3])
    return np.asarray(np.exp(p[0] - early * np.log(t) - (late - early) * bend))


def _grid(*axes: tuple[float, ...]) -> np.ndarray:
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


FAMILIES = (
    Family(
        "E + A (t + t0)^-b",
        _offset_power,
        True,
        _grid((-3.0,), (0.0, 2.0), (-1.5, 0.0), (0.0, 3.0)),
    ),
    Family("A (t + t0)^-b", _power, False, _grid((0.0, 2.0), (-2.0, -0.5), (0.0, 3.0))),
    Family("A / (1 + c ln(1 + t))", _logarithmic, False, _grid((0.0,), (-2.0, 0.0))),
    Family(
        "E + A exp(-t / tau)", _offset_exponential, True, _grid((-2.0,), (0.0,), (-9.0, -6.0, -3.0))
    ),
    Family(
        "broken power",
        _broken_power,
        False,
        _grid((0.0, 1.0), (-1.0, 0.0), (-2.0, -0.5), (2.0, 6.0)),
    ),
)
