"""Forms of a curve over time: some end at zero, the others stay above it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Curve = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Family(NamedTuple):
    """A form of curve, positive for all parameters.

    A form that ends at zero must still fall at the end of what was measured (see `fit_family`):
    otherwise a plateau would fit every one of them, and could never be told from a slow decay.

    Attributes:
        name: as it is written.
        curve: `curve(parameters, t)`; the first parameter is ln E where there is an offset E.
        has_offset: whether the curve falls to an end E > 0.
        starts: (n, n_parameters), where fits begin, for t and errors of order one.
        ends_at_zero: whether it falls to zero. A form with neither does not fall in the end.
    """

    name: str
    curve: Curve
    has_offset: bool
    starts: np.ndarray
    ends_at_zero: bool = False


def _power(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(p[0] - np.exp(p[1]) * np.log(t + np.exp(p[2]))))


def _offset_power(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(p[0]) + _power(p[1:], t))


def _logarithmic(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(p[0]) / (1 + np.exp(p[1]) * np.log1p(t)))


def _offset_exponential(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(p[0]) + np.exp(p[1] - t * np.exp(p[2])))


def _broken_power(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    """One slope before the break at exp(p[3]), another after it."""
    early, late = np.exp(p[1]), np.exp(p[2])
    bend = np.logaddexp(0, np.log(t) - p[3])
    return np.asarray(np.exp(p[0] - early * np.log(t) - (late - early) * bend))


def _plateau(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.full(len(t), np.exp(p[0]))


def _rising(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(p[0] + np.exp(p[1]) * np.log(t + np.exp(p[2]))))


def _fall_then_rise(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    """A parabola in ln t, lowest at ln t = p[2]."""
    return np.asarray(np.exp(p[0] + np.exp(p[1]) * (np.log(t) - p[2]) ** 2))


def _grid(*axes: tuple[float, ...]) -> np.ndarray:
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


FAMILIES = (
    Family(
        "E + A (t + t0)^-b",
        _offset_power,
        True,
        _grid((-3.0,), (0.0, 2.0), (-1.5, 0.0), (0.0, 3.0)),
    ),
    Family("A (t + t0)^-b", _power, False, _grid((0.0, 2.0), (-2.0, -0.5), (0.0, 3.0)), True),
    Family("A / (1 + c ln(1 + t))", _logarithmic, False, _grid((0.0,), (-2.0, 0.0)), True),
    Family(
        "E + A exp(-t / tau)", _offset_exponential, True, _grid((-2.0,), (0.0,), (-9.0, -6.0, -3.0))
    ),
    Family(
        "broken power",
        _broken_power,
        False,
        _grid((0.0, 1.0), (-1.0, 0.0), (-3.0, -2.0, -0.5), (2.0, 4.0, 6.0)),
        True,
    ),
    Family("plateau", _plateau, False, _grid((0.0,))),
    Family("rising", _rising, False, _grid((0.0,), (-3.0, -1.0), (0.0, 3.0))),
    Family("fall, then rise", _fall_then_rise, False, _grid((0.0,), (-5.0, -3.0), (2.0, 4.0))),
)
