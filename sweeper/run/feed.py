"""Between the search and a runner: what to run next, and what became of it.

The feed asks the search, resolves and keys each trial, answers from what exists already, and hands
only the rest to the runner. All its calls come from one thread: the runner's controller.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sweeper.declare.sweep import Sweep
from sweeper.errors import UserError
from sweeper.records import Outcome, TrialRow, TrialSpec, flat_params
from sweeper.run.keys import Resolver
from sweeper.run.proposal import Proposal, Search
from sweeper.run.search import evaluate
from sweeper.run.stopping import NeverStop, StoppingRule
from sweeper.store.journal import Event, Finished, Reported, Reused, Started, Suggested


@dataclass(frozen=True)
class Existing:
    """A finished trial under some key: its outcome, and where it lies."""

    outcome: Outcome
    sweep: str
    run_id: str = ""


@dataclass
class _Group:
    """The replicates of one proposal, one a seed; its nulls are none of the search's business."""

    proposal: Proposal
    keys: list[str]
    outcomes: dict[str, Outcome] = field(default_factory=dict)


@dataclass(frozen=True)
class Member:
    """A trial of the sweep with its outcome; `run_id` is set where it existed before."""

    spec: TrialSpec
    outcome: Outcome
    existing: Existing | None


class TrialFeed:
    """Supplies a runner with the trials of a sweep that do not exist yet."""

    def __init__(
        self,
        sweep: Sweep,
        *,
        search: Search,
        stopping: StoppingRule,
        existing: Mapping[str, Existing],
        emit: Callable[[Event], None],
        on_existing: Callable[[TrialSpec, Outcome], None] = lambda spec, outcome: None,
    ) -> None:
        self._sweep, self._search, self._stopping = sweep, search, stopping
        self._existing, self._emit, self._on_existing = existing, emit, on_existing
        self._resolver = Resolver(sweep)
        self._ready: deque[TrialSpec] = deque()
        self._specs: dict[str, TrialSpec] = {}
        self._groups: list[_Group] = []
        self._in_flight: set[str] = set()
        self._asked_all = False
        self.members: dict[str, Member] = {}
        self.invalid: list[str] = []

    # ---- the runner's side ---------------------------------------------------------------

    def next(self) -> TrialSpec | None:
        """A trial to run now, or None: for now if `exhausted` is false, else for good."""
        while not self._ready and not self._asked_all:
            proposal = self._search.ask()
            if proposal is None:
                self._asked_all = True
            else:
                self._expand(proposal)
        if not self._ready:
            return None
        spec = self._ready.popleft()
        self._in_flight.add(spec.key)
        return spec

    def drain(self) -> None:
        """Answer the whole search from what exists; no trial may be missing."""
        if (spec := self.next()) is not None:
            raise RuntimeError(f"trial {spec.label} ({spec.key}) was planned as existing")

    @property
    def exhausted(self) -> bool:
        """Whether no trial will ever come again."""
        return self._asked_all and not self._ready

    @property
    def may_stop(self) -> bool:
        """Whether a running trial may be ended early."""
        return not isinstance(self._stopping, NeverStop)

    def started(self, key: str) -> None:
        """A worker began the trial."""
        self._emit(Started(key=key))

    def reported(self, key: str, step: int, metrics: Mapping[str, float]) -> bool:
        """Progress of a running trial; true if it is to be stopped."""
        self._emit(Reported(key=key, step=step, metrics=dict(metrics)))
        if self._sweep.beside_null and self._specs[key].is_control:
            return False  # a null must not set what real trials are held against
        return self._stopping.stops(key, step, metrics)

    def finished(self, outcome: Outcome) -> None:
        """A trial ended; tells the search once all real replicates of its proposal have."""
        self._emit(Finished(outcome=outcome))
        self._in_flight.discard(outcome.key)
        self._settle(self._specs[outcome.key], outcome, None)

    def spec(self, key: str) -> TrialSpec:
        """The trial of that key; KeyError if the sweep has not asked for it."""
        return self._specs[key]

    # ---- inside --------------------------------------------------------------------------

    def _expand(self, proposal: Proposal) -> None:
        real = self._resolved(proposal)
        if not real:
            self._search.tell(proposal, None)
            return
        self._groups.append(_Group(proposal, [spec.key for spec in real]))
        nulls = [
            spec for null in self._sweep.beside_null for spec in self._resolved(proposal, null)
        ]
        for spec in (*real, *nulls):
            self._admit(spec)

    def _resolved(self, proposal: Proposal, null: str | None = None) -> list[TrialSpec]:
        """The replicates of a proposal, or of one of its nulls; none where the kind refuses."""
        try:
            return self._resolver.specs(proposal.assignment, null)
        except UserError as error:  # a corner of the space that the config refuses
            self.invalid.append(str(error))
            return []

    def _admit(self, spec: TrialSpec) -> None:
        if spec.key in self.members:  # asked before in this sweep, and done
            self._settle(spec, self.members[spec.key].outcome, self.members[spec.key].existing)
        elif spec.key in self._specs:  # asked before, and under way
            return
        else:
            self._specs[spec.key] = spec
            known = self._existing.get(spec.key)
            if known is None:
                self._emit(Suggested(spec=spec))
                self._ready.append(spec)
                return
            if known.sweep != self._sweep.name:
                self._emit(Reused(spec=spec, outcome=known.outcome, run_id=known.run_id))
            self._on_existing(spec, known.outcome)
            self._settle(spec, known.outcome, known)

    def _settle(self, spec: TrialSpec, outcome: Outcome, existing: Existing | None) -> None:
        self.members[spec.key] = Member(spec, outcome, existing)
        for group in [g for g in self._groups if spec.key in g.keys]:
            group.outcomes[spec.key] = outcome
            if len(group.outcomes) == len(set(group.keys)):
                self._groups.remove(group)
                outcomes = [group.outcomes[key] for key in group.keys]
                self._search.tell(group.proposal, evaluate(self._sweep, outcomes))


def member_row(sweep: str, member: Member, run_id: str) -> TrialRow:
    """A member as the database shows it, without asking the database."""
    spec, outcome = member.spec, member.outcome
    return TrialRow(
        run_id=run_id,
        sweep=sweep,
        submission="",
        kind=spec.kind,
        kind_version=spec.kind_version,
        key=spec.key,
        state=outcome.state,
        label=spec.label,
        params=flat_params(spec.config),
        metrics=outcome.metrics,
        facts=outcome.facts,
        provenance=outcome.provenance
        | {f"input.{name}": digest for name, digest in spec.input_digests.items()},
        artifacts=outcome.artifacts,
        varied=spec.varied,
        is_control=spec.is_control,
        uncertified=outcome.uncertified,
        error=outcome.error,
        reused_from=member.existing.run_id
        if member.existing and member.existing.sweep != sweep
        else "",
        started_ms=outcome.started_ms,
        ended_ms=outcome.ended_ms,
    )
