"""`rerun`: a stored trial vs. its repetition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from sweeper.records import Outcome, TrialRow
from sweeper.report.listing import to_json
from sweeper.report.tables import Grid, page
from sweeper.report.words import MISSING, number, plural
from sweeper.store.differences import (
    Difference,
    differences,
    environment_differences,
    same,
)
from trials.api import TrialKind


class Repetition(NamedTuple):
    """A stored trial, the outcome of its repetition, and the tolerances.

    A metric agrees if it is equal, or within `rtol` of the larger of both, or within `atol`.
    Measurements of the service (system/*) and timings are not results, and are not compared.
    """

    row: TrialRow
    kind: TrialKind
    outcome: Outcome
    rtol: float
    atol: float

    @property
    def compared(self) -> list[Difference]:
        """Every result of either side, equal ones included."""
        clocks = {metric.name for metric in self.kind.metrics if metric.timing}
        left, right = (
            {n: v for n, v in m.items() if not n.startswith("system/") and n not in clocks}
            for m in (self.row.metrics, self.outcome.metrics)
        )
        return differences(left, right)

    @property
    def disagreeing(self) -> list[Difference]:
        """Results beyond both tolerances."""
        return [d for d in self.compared if not d.within(self.rtol, self.atol)]

    @property
    def agrees(self) -> bool:
        """Whether the trial was repeated: same state, same error, all results within tolerance."""
        same_end = (self.row.state, self.row.error) == (self.outcome.state, self.outcome.error)
        return same_end and not self.disagreeing

    @property
    def is_bitwise(self) -> bool:
        """Whether every result is the same to the last bit."""
        return self.agrees and all(same(d.a, d.b) for d in self.compared)


def rerun_page(repetition: Repetition, *, width: int | None = None) -> str:
    """The results of both, and the differences of the environment."""
    row, outcome = repetition.row, repetition.outcome
    parts: list[Grid | str] = [f"trial {row.label} (run {row.run_id[:12]})"]
    if repetition.compared:
        columns = ("metric", "stored", "repeated", "difference", "relative", "")
        cells = [_cells(d, repetition) for d in repetition.compared]
        parts.append(Grid(columns, cells, right=columns[1:5]))
    environment = list(environment_differences(_environment(row), outcome.provenance))
    if environment:
        parts.append(Grid(("environment", "stored", "now"), environment))
    parts += list(_artifact_lines(row, outcome))
    return page(*parts, _verdict(repetition, n_environment=len(environment)), width=width)


def rerun_json(repetition: Repetition) -> str:
    """The comparison as one object."""
    row, outcome = repetition.row, repetition.outcome
    environment = environment_differences(_environment(row), outcome.provenance)
    compared: dict[str, dict[str, Any]] = {
        d.name: {
            "stored": d.a,
            "repeated": d.b,
            "difference": d.absolute,
            "relative": d.relative,
            "agrees": d.within(repetition.rtol, repetition.atol),
        }
        for d in repetition.compared
    }
    return to_json(
        {
            "run_id": row.run_id,
            "key": row.key,
            "agrees": repetition.agrees,
            "bitwise": repetition.is_bitwise,
            "rtol": repetition.rtol,
            "atol": repetition.atol,
            "state": {"stored": str(row.state), "repeated": str(outcome.state)},
            "error": {"stored": row.error, "repeated": outcome.error},
            "metrics": compared,
            "environment": {name: {"stored": a, "now": b} for name, a, b in environment},
        }
    )


def _cells(d: Difference, repetition: Repetition) -> tuple[str, ...]:
    values = _exact(d.a), _exact(d.b)
    if same(d.a, d.b):
        return d.name, *values, "", "", ""
    beyond = "" if d.within(repetition.rtol, repetition.atol) else "differs"
    return d.name, *values, number(d.absolute), number(d.relative), beyond


def _verdict(repetition: Repetition, n_environment: int) -> str:
    row, outcome = repetition.row, repetition.outcome
    where = "in the same environment"
    if n_environment:
        where = f"in an environment with {plural(n_environment, 'difference')}"
    ends = [f"{end.state} {end.error}".strip() for end in (row, outcome)]
    if ends[0] != ends[1]:
        return f"NOT repeated {where}: stored {ends[0]}, repeated {ends[1]}"
    if not repetition.compared:
        return f"repeated {where}: {ends[0]}"
    n, tolerance = len(repetition.compared), f"{repetition.rtol:g} or {repetition.atol:g}"
    if repetition.is_bitwise:
        return f"repeated {where}: {plural(n, 'metric')} bitwise equal"
    if repetition.agrees:
        return f"repeated {where}: {plural(n, 'metric')} equal within relative {tolerance} absolute"
    return (
        f"NOT repeated {where}: {len(repetition.disagreeing)} of {plural(n, 'metric')} "
        f"further apart than relative {tolerance} absolute"
    )


def _artifact_lines(row: TrialRow, outcome: Outcome) -> Iterator[str]:
    stored = {artifact.path: artifact.sha256 for artifact in row.artifacts}
    repeated = {artifact.path: artifact.sha256 for artifact in outcome.artifacts}
    differ = [name for name in {**stored, **repeated} if stored.get(name) != repeated.get(name)]
    if stored or repeated:
        n = len({**stored, **repeated})
        names = f"; not {', '.join(differ)}" if differ else ""
        yield f"{n - len(differ)} of {plural(n, 'artifact')} bitwise equal{names}"


def _environment(row: TrialRow) -> dict[str, str]:
    return {n: text for n, text in row.provenance.items() if not n.startswith("input.")}


def _exact(value: float | None) -> str:
    return MISSING if value is None else f"{value:.9g}"
