"""The table of faults: what was demanded, and what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

Demand = Callable[..., None]
"""See `FaultTable.demand`."""


class Figure(NamedTuple):
    """One line of the table."""

    fault: str
    rounds: int
    what: str
    demanded: str
    measured: str


class FaultTable:
    """Collects figures; a figure that is not as demanded fails its test, and is in the table."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []

    def demand(
        self,
        fault: str,
        rounds: int,
        what: str,
        measured: object,
        *,
        equals: object = None,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> None:
        """Write the figure down, then assert it."""
        if at_most is not None:
            demanded, holds = f"<= {at_most:g}", measured <= at_most  # type: ignore[operator]
        elif at_least is not None:
            demanded, holds = f">= {at_least:g}", measured >= at_least  # type: ignore[operator]
        else:
            demanded, holds = str(equals), measured == equals
        shown = f"{measured:.3g}" if isinstance(measured, float) else str(measured)
        self.figures.append(Figure(fault, rounds, what, demanded, shown))
        assert holds, f"{fault}: {what}: demanded {demanded}, measured {shown}"

    def lines(self) -> Iterator[str]:
        """The table as text, one line a figure."""
        head = ("fault", "rounds", "what was measured", "demanded", "measured")
        cells = [head, *(tuple(map(str, figure)) for figure in self.figures)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
        for row in cells:
            padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            yield "  ".join(padded).rstrip()
