"""Connects the search to a runner: which trial to run next, and what its outcome was.

The feed asks the search for assignments, resolves and keys each trial, reuses trials that exist,
and gives the others to the runner. All calls come from one thread, the runner's controller.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from sweeper.declare.sweep import Sweep
from sweeper.errors import UserError
from sweeper.records import Outcome, Scalar, TrialSpec, TrialState
from sweeper.run.driver.members import Existing, Member
from sweeper.run.keys import Resolver
from sweeper.run.search.proposal import Evaluated, Evaluation, Proposal, Proposer
from sweeper.run.search.searches import evaluate
from sweeper.run.search.stopping import NeverStop, StoppingRule
from sweeper.store.journal import (
    Event,
    Finished,
    History,
    Proposed,
    Reported,
    Reused,
    Started,
    Suggested,
)


class _Group(NamedTuple):
    """The replicates of one proposal, one per seed, without the nulls that run with it."""

    proposal: Proposal
    specs: list[TrialSpec]


class TrialFeed:
    """Supplies a runner with the trials of a sweep that do not exist yet.

    `history` is what the sweep's journal holds: its proposals stand, and what it left unfinished
    comes first.

    Attributes:
        evaluated: what the search was told, in that order.
        invalid: what the kind said of the points that it refused.
    """

    def __init__(
        self,
        sweep: Sweep,
        *,
        search: Proposer,
        stopping: StoppingRule,
        existing: Mapping[str, Existing],
        emit: Callable[[Event], None],
        on_existing: Callable[[TrialSpec, Outcome], None] = lambda spec, outcome: None,
        history: History | None = None,
    ) -> None:
        self._sweep, self._search, self._stopping = sweep, search, stopping
        self._existing, self._emit, self._on_existing = existing, emit, on_existing
        self._history = history
        self._resolver = Resolver(sweep)
        self._ready: deque[TrialSpec] = deque()
        self._specs: dict[str, TrialSpec] = {}
        self._members: dict[str, Member] = {}
        self._groups: dict[str, list[_Group]] = defaultdict(list)
        self._curves: dict[str, dict[int, float]] = defaultdict(dict)
        self._stopped: set[str] = set()
        self._asked_all = False
        self.evaluated: list[Evaluated] = []
        self.invalid: list[str] = []

    @property
    def members(self) -> dict[str, Member]:
        """The finished trials by key, in the order in which they were asked for."""
        return {key: self._members[key] for key in self._specs if key in self._members}

    # ---- the runner's side ---------------------------------------------------------------

    def next(self) -> TrialSpec | None:
        """A trial to run now, or None: for now if `exhausted` is false, else for good."""
        if self._history is not None:
            history, self._history = self._history, None
            self._resume(history)
        while not self._ready and self._ask():
            pass
        if not self._ready:
            return None
        spec = self._ready.popleft()
        self._emit(Suggested(spec=spec))
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

    @property
    def adapts(self) -> bool:
        """Whether what a trial gave changes what is asked next."""
        return self._search.adapts

    @property
    def notes(self) -> list[str]:
        """What the search found."""
        return list(self._search.notes)

    def started(self, key: str) -> None:
        """A worker began the trial."""
        self._emit(Started(key=key))

    def reported(self, key: str, step: int, metrics: Mapping[str, float]) -> bool:
        """Record the progress of a running trial. Returns whether the trial should stop."""
        report = Reported(key=key, step=step, metrics=dict(metrics))
        self._emit(report)
        self._trace(report)
        return self._stops(report)

    def finished(self, outcome: Outcome) -> None:
        """Record a finished trial. The search is told once all replicates of a proposal ended."""
        self._emit(Finished(outcome=outcome))
        key = outcome.key
        self._members[key] = Member(self._specs[key], outcome, None)
        for group in self._groups.pop(key, []):
            self._conclude(group)

    def spec(self, key: str) -> TrialSpec:
        """The trial of that key; KeyError if the sweep has not asked for it."""
        return self._specs[key]

    # ---- what earlier drivers did --------------------------------------------------------

    def _resume(self, history: History) -> None:
        """Put back what was proposed and reported; what is unfinished will come first."""
        unfinished = {spec.key: n for n, spec in enumerate(history.unfinished)}
        # A trial that had finished and runs again all the same has nothing behind it.
        reports = [r for r in history.reports if r.key in self._existing or r.key in unfinished]
        for report in reports:
            self._trace(report)
        for proposed in history.proposals:
            self._adopt(proposed)
        if not self._search.adapts and (unfinished or reports):
            while self._ask():
                pass
        self._ready = deque(
            sorted(self._ready, key=lambda spec: unfinished.get(spec.key, len(unfinished)))
        )
        for report in reports:
            if report.key in self._specs:
                self._stops(report)

    def _adopt(self, proposed: Proposed) -> None:
        """Take a proposal as asked if it is the same question today, at least on some seed."""
        if proposed.assignment.keys() != self._sweep.space.keys():
            return
        try:
            specs = self._resolver.specs(proposed.assignment, proposed.null)
            keys = {spec.key for spec in specs}
        except UserError:
            keys = set()
        was_refused = not proposed.keys
        if keys.isdisjoint(proposed.keys) and not (was_refused and not keys):
            return
        if (proposal := self._search.adopt(proposed.assignment, proposed.null)) is not None:
            self._expand(proposal)

    # ---- what is asked -------------------------------------------------------------------

    def _ask(self) -> bool:
        """Expand the search's next proposal; false if there is none."""
        proposal = None if self._asked_all else self._search.ask()
        if proposal is None:
            self._asked_all = not self._search.waits
            return False
        self._expand(proposal, is_new=self._search.adapts)
        return True

    def _expand(self, proposal: Proposal, *, is_new: bool = False) -> None:
        """Queue the trials of a proposal; the journal takes note of one that is new."""
        number, assignment, null = proposal.number, dict(proposal.assignment), proposal.null
        group = _Group(proposal, real := self._resolved(assignment, null))
        if is_new:
            keys = tuple(spec.key for spec in real)
            self._emit(Proposed(number=number, assignment=assignment, keys=keys, null=null))
        if not real:
            self._tell(proposal, [], Evaluation(TrialState.FAILED))
            return
        beside = () if self._search.tunes_nulls else self._sweep.nulls
        nulls = [s for null in beside for s in self._resolved(assignment, null)]
        for spec in (*real, *nulls):
            self._admit(spec)
        self._conclude(group)
        for key in {spec.key for spec in real} - self._members.keys():
            self._groups[key].append(group)

    def _resolved(
        self, assignment: Mapping[str, Scalar], null: str | None = None
    ) -> list[TrialSpec]:
        """The replicates of a proposal, or of one of its nulls; none where the kind refuses."""
        try:
            return self._resolver.specs(assignment, null)
        except UserError as error:  # a corner of the space that the config refuses
            self.invalid.append(str(error))
            return []

    def _admit(self, spec: TrialSpec) -> None:
        """Queue a trial, or take it from what exists."""
        if spec.key in self._specs:  # asked before
            return
        self._specs[spec.key] = spec
        if (known := self._existing.get(spec.key)) is None:
            self._ready.append(spec)
            return
        if known.sweep != self._sweep.name:
            self._emit(Reused(spec=spec, outcome=known.outcome, run_id=known.run_id))
        self._on_existing(spec, known.outcome)
        self._members[spec.key] = Member(spec, known.outcome, known)

    # ---- what it gave --------------------------------------------------------------------

    def _conclude(self, group: _Group) -> None:
        """Tell the search of a proposal whose replicates have all ended."""
        keys = [spec.key for spec in group.specs]
        if all(key in self._members for key in keys):
            outcomes = [self._members[key].outcome for key in keys]
            curves = [self._curves.get(key, {}) for key in keys]
            self._tell(group.proposal, outcomes, evaluate(self._sweep, outcomes, curves))

    def _tell(
        self, proposal: Proposal, outcomes: Sequence[Outcome], evaluation: Evaluation
    ) -> None:
        self.evaluated.append(Evaluated(proposal, outcomes, evaluation))
        self._search.tell(proposal, evaluation)

    def _trace(self, report: Reported) -> None:
        """Keep the course of the objective, where there is one that trials report."""
        objective, *others = (o.metric for o in self._sweep.search.objectives)
        if self.may_stop and not others and objective in report.metrics:
            self._curves[report.key][report.step] = report.metrics[objective]

    def _stops(self, report: Reported) -> bool:
        """Whether the trial ends here; once stopped, it stays so over the death of its driver."""
        if self._sweep.nulls and self._specs[report.key].is_control:
            return False  # a null must not set what real trials are held against
        if self._stopping.stops(report.key, report.step, report.metrics):
            self._stopped.add(report.key)
        return report.key in self._stopped
