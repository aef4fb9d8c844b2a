"""The numerical distance of two artifacts: tensors of safetensors, columns of CSV."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

_CHUNK = 1 << 22  # elements at a time, so that memory does not grow with the tensors


class Distance(NamedTuple):
    """Two arrays of one name.

    Attributes:
        name: of the tensor or column.
        a, b: shape and type of each, as text; "" where that side has no array of the name.
        largest: max |b - a|; NaN where the arrays cannot be compared, infinite where a NaN or an
            infinity of one side meets something else.
        relative: Frobenius norm of b - a over that of a; NaN as `largest`.
    """

    name: str
    a: str
    b: str
    largest: float
    relative: float

    @property
    def is_equal(self) -> bool:
        """Whether shape, type and every value agree."""
        return self.a == self.b and self.largest == 0


def distances(a: Path, b: Path) -> list[Distance]:
    """Compare every array of two artifacts of one name; empty for files without numbers.

    Raises:
        ValueError: a file is not what its name says.
    """
    if a.suffix == ".safetensors":
        return list(_of_tensors(a, b))
    if a.suffix == ".csv":
        return list(_of_columns(_columns(a), _columns(b)))
    return []


def _of_tensors(a: Path, b: Path) -> Iterator[Distance]:
    try:
        with ExitStack() as stack:
            left, right = (stack.enter_context(safe_open(p, framework="np")) for p in (a, b))
            names = left.keys(), right.keys()
            for name in sorted({*names[0], *names[1]}):
                x = left.get_tensor(name) if name in names[0] else None
                y = right.get_tensor(name) if name in names[1] else None
                yield _distance(name, x, y)
    except SafetensorError as error:
        raise ValueError(f"no safetensors file: {error}") from error


def _of_columns(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Distance]:
    for name in {**a, **b}:
        yield _distance(name, a.get(name), b.get(name))


def _columns(path: Path) -> dict[str, np.ndarray]:
    """Columns of a CSV file: float64 where every entry is a number, else text."""
    with path.open(newline="", encoding="utf-8") as file:
        head, *rows = list(csv.reader(file)) or [[]]
    columns: dict[str, np.ndarray] = {}
    for name, *entries in zip(head, *rows, strict=True):
        try:
            columns[name] = np.array([float(entry) for entry in entries])
        except ValueError:
            columns[name] = np.array(entries)
    return columns


def _distance(name: str, a: np.ndarray | None, b: np.ndarray | None) -> Distance:
    if a is None or b is None or a.shape != b.shape or "U" in (a.dtype.kind, b.dtype.kind):
        equal = a is not None and b is not None and a.shape == b.shape and bool((a == b).all())
        apart = 0.0 if equal else math.nan
        return Distance(name, _form(a), _form(b), apart, apart)
    largest = squares = reference = 0.0
    left, right = a.reshape(-1), b.reshape(-1)
    for start in range(0, left.size, _CHUNK):
        x, y = left[start : start + _CHUNK], right[start : start + _CHUNK]
        gap = _gap(x, y)
        largest = max(largest, float(gap.max(initial=0)))
        squares += float(gap @ gap)
        reference += _squared_norm(x)
    relative = math.sqrt(squares / reference) if reference else (math.inf if squares else 0.0)
    return Distance(name, _form(a), _form(b), largest, relative)


def _gap(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """|y - x| in float64: 0 where both are NaN or the same infinity, infinite where one is."""
    left, right = x.astype(np.float64), y.astype(np.float64)
    equal = (left == right) | (np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        gap = np.abs(right - left)
    gap[np.isnan(gap)] = np.inf
    gap[equal] = 0.0
    return gap


def _squared_norm(x: np.ndarray) -> float:
    finite = np.where(np.isfinite(x), x, 0).astype(np.float64)
    return float(finite @ finite)


def _form(array: np.ndarray | None) -> str:
    if array is None:
        return ""
    shape = " × ".join(map(str, array.shape)) or "scalar"
    return f"{shape} {'text' if array.dtype.kind == 'U' else array.dtype}"
