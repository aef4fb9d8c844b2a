"""What passes between a search and whoever asks it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from sweeper.records import Outcome, Scalar, TrialState


class Proposal(NamedTuple):
    """One assignment that the search wants evaluated, on every seed.

    Attributes:
        null: the null that it is for, of a search that tunes nulls apart; None for the real rows.
    """

    number: int
    assignment: Mapping[str, Scalar]
    null: str | None = None


class Evaluation(NamedTuple):
    """What a proposal gave, over all its seeds.

    Attributes:
        state: COMPLETE; PRUNED where a seed was stopped; FAILED where there is nothing to learn.
        values: of a COMPLETE one, one an objective.
        violations: by constrained metric; above 0 where the constraint is violated.
        measured: of a COMPLETE one, the mean of each constrained metric.
        curve: the objective by step, where trials report it and early stopping looks at them.
    """

    state: TrialState
    values: Sequence[float] = ()
    violations: Mapping[str, float] = {}
    measured: Mapping[str, float] = {}
    curve: Mapping[int, float] = {}


class Evaluated(NamedTuple):
    """A proposal, the outcomes of its real trials (one a seed), and what they come to."""

    proposal: Proposal
    outcomes: Sequence[Outcome]
    evaluation: Evaluation


class Proposer(Protocol):
    """Chooses assignments, each of them once.

    Attributes:
        adapts: whether what it asks hangs on what it was told.
        tunes_nulls: whether each proposal is for the real rows or for one null alone, and nulls
            are told of too. Else a proposal's nulls run with it, and the search never sees them.
    """

    adapts: bool
    tunes_nulls: bool

    @property
    def notes(self) -> Iterable[str]:
        """What it found, in lines for the user."""

    @property
    def waits(self) -> bool:
        """Whether it may ask again once more is told, although it asks nothing now."""

    def ask(self) -> Proposal | None:
        """The next proposal; None when there is no more, or while it `waits` for results."""

    def adopt(self, assignment: Mapping[str, Scalar], null: str | None = None) -> Proposal | None:
        """Take what an earlier driver was asked for as asked; None if it is not to be evaluated.

        Called in the order of that asking, before the first `ask`.
        """

    def tell(self, proposal: Proposal, evaluation: Evaluation) -> None:
        """What a proposal gave."""
