"""What passes between a search and whoever asks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from sweeper.records import Scalar


class Proposal(NamedTuple):
    """One assignment that the search wants evaluated, on every seed."""

    number: int
    assignment: Mapping[str, Scalar]


class Evaluation(NamedTuple):
    """What a proposal gave.

    Attributes:
        values: one an objective.
        violations: by constrained metric; above 0 where the constraint is violated.
    """

    values: Sequence[float]
    violations: Mapping[str, float] = {}


class Search(Protocol):
    """Chooses assignments."""

    def ask(self) -> Proposal | None:
        """The next proposal; None when there is no more."""

    def tell(self, proposal: Proposal, evaluation: Evaluation | None) -> None:
        """What the proposal gave, or None if it failed."""
