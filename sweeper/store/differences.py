"""Compares two sets of named values; NaN equals NaN."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from sweeper.store.run_format.record import unclipped


class Difference(NamedTuple):
    """A metric of two trials; `None` if one of them lacks it.

    `absolute` is b - a. `relative` is |b - a| / max(|a|, |b|), in [0, 2]. Both are NaN if one side
    is missing or not finite.
    """

    name: str
    a: float | None
    b: float | None
    absolute: float
    relative: float

    def within(self, rtol: float, atol: float) -> bool:
        """Whether both agree: equal, or closer than either tolerance."""
        return same(self.a, self.b) or abs(self.absolute) <= atol or self.relative <= rtol


def same(a: float | None, b: float | None) -> bool:
    """Whether both are equal, missing, NaN, or the same infinity as the database stores it."""
    if a is None or b is None:
        return a is b
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return unclipped(a) == unclipped(b)


def differences(a: Mapping[str, float], b: Mapping[str, float]) -> list[Difference]:
    """One entry per name on either side, equal values too, in the order of `a`, then of `b`."""
    return [_difference(name, a.get(name), b.get(name)) for name in {**a, **b}]


def environment_differences(
    a: Mapping[str, str], b: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    """(name, a, b) for each difference between two provenances, package by package."""
    left, right = _by_package(a), _by_package(b)
    for name in {**left, **right}:
        if left.get(name, "") != right.get(name, ""):
            yield name, left.get(name, ""), right.get(name, "")


def n_environment(a: Mapping[str, str], b: Mapping[str, str]) -> int:
    """How many entries `environment_differences` compares."""
    return len({**_by_package(a), **_by_package(b)})


def _difference(name: str, a: float | None, b: float | None) -> Difference:
    if same(a, b):
        return Difference(name, a, b, 0.0, 0.0)
    if a is None or b is None or not math.isfinite(a) or not math.isfinite(b):
        return Difference(name, a, b, math.nan, math.nan)
    return Difference(name, a, b, b - a, abs(b - a) / max(abs(a), abs(b)))


def _by_package(provenance: Mapping[str, str]) -> dict[str, str]:
    """A provenance with one entry per package in place of `packages` ("numpy==2.0 scipy==1.15")."""
    others = {name: text for name, text in provenance.items() if name != "packages"}
    packages = (entry.partition("==") for entry in provenance.get("packages", "").split())
    return others | {name: version for name, _, version in packages}
